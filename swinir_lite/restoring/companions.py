"""What a file holds beside its picture, as phones write it; a result has none of it."""

import re
import struct
from pathlib import Path

from .formats import HEAD, jpeg_segments

APP2 = 0xE2
OF_PICTURES, OF_GAIN_MAP = b"MPF\0", b"urn:iso:std:iso:ts:21496:-1\0"
ENTRIES, ENTRY = 0xB002, 16  # the list of pictures, and bytes of each in it
KIND, PREVIEW = 0xFFFFFF, 0x01  # of a picture in it; previews show the same one
GAIN_MAP, DEPTH = "its gain map for bright screens", "its map of depth"
VIDEO, PICTURES = "its video", "another picture in it"
TOLD_BY_XMP = {
    GAIN_MAP: rb"hdrgm:Version|Semantic(?:=[\"']|>)GainMap",
    DEPTH: rb"GDepth:Format|Semantic(?:=[\"']|>)Depth",
    VIDEO: rb"(?:MotionPhoto|MicroVideo)(?:=[\"']|>)\s*1",
}
TOLD_BY_BOXES = {GAIN_MAP: rb"hdrgainmap|tmap", DEPTH: rb"auxid:2\0|auxiliary:depth"}
# What would have a program look for it in the result
CLAIMS = rb"hdrgm:Version\s*=\s*([\"']).*?\1|<hdrgm:Version>.*?</hdrgm:Version>"
PLAYS = rb"((?:MotionPhoto|MicroVideo)(?:=[\"']|>)\s*)1"


def left_out(path: str | Path, kind: str, xmp: bytes, pictures: int) -> list[str]:
    """Lines that say what a file holds beside its picture.

    Args:
        path: the file.
        kind: as `kind_of` tells it.
        xmp: its packet, or nothing.
        pictures: how many its decoder counts.
    """
    found = {what for what, told in TOLD_BY_XMP.items() if re.search(told, xmp)}
    if kind == "JPEG":
        for marker, content in jpeg_segments(path):
            if marker == APP2 and content.startswith(OF_GAIN_MAP):
                found.add(GAIN_MAP)
            if marker == APP2 and content.startswith(OF_PICTURES):
                pictures = max(pictures, 1 + others(content[len(OF_PICTURES) :]))
    if kind in ("AVIF", "HEIC"):
        with open(path, "rb") as file:
            boxes = file.read(HEAD)
        found |= {
            what for what, told in TOLD_BY_BOXES.items() if re.search(told, boxes)
        }
    if pictures > 1 and found.isdisjoint((GAIN_MAP, DEPTH)):  # which count as pictures
        found.add(PICTURES)
    names = (what for what in (GAIN_MAP, DEPTH, VIDEO, PICTURES) if what in found)
    return [f"{what} was left out" for what in names]


def others(index: bytes) -> int:
    """How many pictures a JPEG's index lists beside the first and its previews."""
    try:
        endian = "<" if index[:2] == b"II" else ">"
        start = struct.unpack_from(endian + "I", index, 4)[0]
        for row in range(struct.unpack_from(endian + "H", index, start)[0]):
            tag, _, size, place = struct.unpack_from(
                endian + "HHII", index, start + 2 + 12 * row
            )
            if tag == ENTRIES:
                entries = index[place : place + size]
                kinds = struct.iter_unpack(endian + "I12x", entries)
                return sum((kind & KIND) >> 16 != PREVIEW for (kind,) in kinds) - 1
    except struct.error:
        pass
    return 0


def without_claims(xmp: bytes) -> bytes:
    """XMP that promises no gain map and no video, which a result does not have."""
    return re.sub(PLAYS, rb"\g<1>0", re.sub(CLAIMS, b"", xmp, flags=re.DOTALL))
