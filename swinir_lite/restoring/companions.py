"""What a file holds beside its picture, as phones write it; a result has none of it."""

import re
import struct
from pathlib import Path

from .formats import HEAD, jpeg_segments

APP1, APP2 = 0xE1, 0xE2
OF_PICTURES, OF_GAIN_MAP = b"MPF\0", b"urn:iso:std:iso:ts:21496:-1\0"
OF_MORE_XMP = b"http://ns.adobe.com/xmp/extension/\0"
ENTRIES = 0xB002  # the list of pictures
KIND, PREVIEW = 0xFFFFFF, 0x01  # of a picture in it; previews show the same one
GAIN_MAP, DEPTH = "its gain map for bright screens", "its map of depth"
VIDEO, PICTURES = "its video", "another picture in it"
MORE_XMP = "the part of its XMP that is too long for one segment"
MOST_LOOKED_AT = 8  # pictures that a JPEG lists
TOLD_BY_XMP = {
    GAIN_MAP: rb"hdrgm:Version|Semantic(?:=[\"']|>)GainMap",
    DEPTH: rb"GDepth:Format|Semantic(?:=[\"']|>)Depth",
    VIDEO: rb"(?:MotionPhoto|MicroVideo)(?:=[\"']|>)\s*1",
}
# In the head of a picture that a JPEG lists, of which phones do not say what it is
TOLD_BY_HEAD = {GAIN_MAP: rb"hdrgainmap|hdrgm:Version|iso:ts:21496:-1\0"}
TOLD_BY_BOXES = {GAIN_MAP: rb"hdrgainmap|tmap", DEPTH: rb"auxid:2\0|auxiliary:depth"}
# What would have a program look for it in the result
CLAIM = rb"(?:hdrgm:Version|xmpNote:HasExtendedXMP)"
CLAIMS = (
    CLAIM + rb"\s*=\s*(?:\"[^\"]*\"|'[^']*')|<" + CLAIM + rb">[^<]*</" + CLAIM + b">"
)
PLAYS = rb"((?:MotionPhoto|MicroVideo)(?:=[\"']|>)\s*)1"


def told(by: dict[str, bytes], content: bytes) -> set[str]:
    """What bytes tell by one of the patterns."""
    return {what for what, pattern in by.items() if re.search(pattern, content)}


def left_out(path: str | Path, kind: str, xmp: bytes, pictures: int) -> list[str]:
    """Lines that say what a file holds beside its picture.

    Args:
        path: the file.
        kind: as `kind_of` tells it.
        xmp: its packet, or nothing.
        pictures: how many its decoder counts.
    """
    found = told(TOLD_BY_XMP, xmp)
    if kind == "JPEG":
        more, listed = beside_jpeg(path)
        found, pictures = found | more, pictures + listed
    if kind in ("AVIF", "HEIC"):
        with open(path, "rb") as file:
            found |= told(TOLD_BY_BOXES, file.read(HEAD))
    if pictures > 1 and found.isdisjoint((GAIN_MAP, DEPTH)):  # which count as pictures
        found.add(PICTURES)
    if DEPTH in found:  # which takes that part
        found.discard(MORE_XMP)
    names = (GAIN_MAP, DEPTH, VIDEO, PICTURES, MORE_XMP)
    return [f"{what} was left out" for what in names if what in found]


def beside_jpeg(path: str | Path) -> tuple[set[str], int]:
    """What a JPEG's segments tell, and how many more pictures its index lists."""
    found, listed, begin = set(), [], 2
    for marker, content in jpeg_segments(path):
        if marker == APP2 and content.startswith(OF_GAIN_MAP):
            found.add(GAIN_MAP)
        if marker == APP1 and content.startswith(OF_MORE_XMP):
            found.add(MORE_XMP)
        if marker == APP2 and content.startswith(OF_PICTURES) and not listed:
            start = len(OF_PICTURES)
            listed = [begin + 4 + start + at for at in others(content[start:])]
        begin += 4 + len(content)
    with open(path, "rb") as file:
        for at in listed[:MOST_LOOKED_AT]:
            file.seek(at)
            found |= told(TOLD_BY_HEAD, file.read(HEAD))
    return found, len(listed)


def others(index: bytes) -> list[int]:
    """Where pictures begin that a JPEG's index lists after the first, but previews.

    Places are counted from the index's own begin.
    """
    try:
        endian = "<" if index[:2] == b"II" else ">"
        start = struct.unpack_from(endian + "I", index, 4)[0]
        for row in range(struct.unpack_from(endian + "H", index, start)[0]):
            tag, _, size, place = struct.unpack_from(
                endian + "HHII", index, start + 2 + 12 * row
            )
            if tag == ENTRIES:
                entries = index[place : place + size]
                _, *rest = struct.iter_unpack(endian + "I4xI4x", entries)
                return [at for kind, at in rest if (kind & KIND) >> 16 != PREVIEW]
    except (struct.error, ValueError):  # no index, or one of no pictures
        pass
    return []


def without_claims(xmp: bytes) -> bytes:
    """XMP that promises no gain map, video or more XMP, which a result has not."""
    return re.sub(PLAYS, rb"\g<1>0", re.sub(CLAIMS, b"", xmp))
