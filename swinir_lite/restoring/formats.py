"""What kind of picture a file holds, told by its first bytes."""

import os
import stat
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from ..errors import InputError
from ..image_files import png_chunks
from .tiff_tags import is_camera_raw

# The start of a file -> its kind; "ftyp" boxes, RIFF and PNM are told apart below
SIGNATURES = {
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"BM": "BMP",
    **{b"P%d" % kind: "PNM" for kind in range(1, 7)},
}
HEIC_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")
SEQUENCES = {b"avis": "AVIF", b"hevc": "HEIC", b"hevx": "HEIC", b"msf1": "HEIC"}
COMMENT, BEGINS_PIXELS = 0xFE, (0xDA, 0xD9)  # as JPEG marks its segments
MOST_SEGMENTS = 10_000
HEAD = 2**16  # bytes of a file in which AVIF and HEIC tell what they hold
LONGEST_KEYWORD = 79  # bytes
XMP_KEYWORD, MOST_XMP = b"XML:com.adobe.xmp", 2**24  # bytes of a packet
# At most so many pixels come out of a byte, whatever the picture shows: two bits for
# a JPEG's block of 8x8 (half that, if progressive), deflate's 1032 to 1 of 1-bit
# pixels, GIF's longest code
MOST_PIXELS_IN_A_BYTE = {"JPEG": 512, "PNG": 8 * 1032, "GIF": 2731}


def kind_of(path: str | Path) -> str:
    """PNG, JPEG, TIFF, WebP, AVIF, HEIC, GIF, BMP or PNM.

    Raises:
        InputError: if the file is empty or none of them, a camera's raw file, or a
            pipe.
        OSError: if it cannot be read.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):  # a pipe can be read but once
        raise InputError("no file but a pipe, a device or a folder; save it to a file")
    with open(path, "rb") as file:
        start = file.read(32)
    if not start:
        raise InputError("the file is empty")
    for signature, kind in SIGNATURES.items():
        if start.startswith(signature):
            if kind == "TIFF" and is_camera_raw(path):
                raise InputError(
                    "a camera's raw file; develop it into a TIFF of 16 bits first, "
                    "as by darktable or RawTherapee"
                )
            return kind
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "WebP"
    if start[4:8] == b"ftyp":
        brands = (start[8:12], *(start[i : i + 4] for i in range(16, 32, 4)))
        if start[8:12] in SEQUENCES:
            raise InputError(animation(SEQUENCES[start[8:12]]))
        if b"avif" in brands:
            return "AVIF"
        if any(brand in HEIC_BRANDS for brand in brands):
            return "HEIC"
    raise InputError(
        "no picture that can be read: need PNG, JPEG, TIFF, WebP, AVIF, HEIC, GIF, "
        "BMP, PBM, PGM or PPM"
    )


def animation(kind: str) -> str:
    """What to say of a file with several frames."""
    return (
        f"an animated {kind}; save its frames as pictures (ffmpeg -i FILE "
        "frame%04d.png), restore those, and join them again"
    )


def is_animated_png(path: str | Path) -> bool:
    """Whether a PNG says before its pixels that it has several frames."""
    with open(path, "rb") as file:
        for name, length in png_chunks(file):
            if name == b"acTL" and length >= 4:
                return struct.unpack(">I", file.read(4))[0] > 1
            if name == b"IDAT":
                return False
    return False


def late_metadata(path: str | Path) -> dict[str, bytes]:
    """EXIF and XMP that a PNG holds behind its pixels, where few programs look."""
    found = {}
    with open(path, "rb") as file:
        behind = False
        for name, length in png_chunks(file):
            behind = behind or name == b"IDAT"
            if behind and name == b"eXIf":
                found["exif"] = file.read(length)
            if behind and name == b"iTXt" and (packet := xmp_of(file.read(length))):
                found["xmp"] = packet
    return found


def jpeg_segments(path: str | Path) -> Iterator[tuple[int, bytes]]:
    """Marker and content of each segment in front of a JPEG's pixels."""
    position = 2
    with open(path, "rb") as file:
        for _ in range(MOST_SEGMENTS):
            file.seek(position)
            head = file.read(4)
            if len(head) < 4 or head[0] != 0xFF or head[1] in BEGINS_PIXELS:
                break
            length = max(int.from_bytes(head[2:], "big"), 2)
            yield head[1], file.read(length - 2)
            position += 2 + length


def jpeg_comments(path: str | Path) -> list[bytes]:
    """What a JPEG's comments say; libvips passes them over."""
    return [content for marker, content in jpeg_segments(path) if marker == COMMENT]


def png_texts(path: str | Path) -> list[bytes]:
    """The texts of a PNG as they stand, wherever they are: chunks with their names.

    libvips reads those in front of the pixels alone, cuts their keywords at a space
    and takes all for one encoding.  XMP is left out, which has a place of its own.
    """
    found = []
    with open(path, "rb") as file:
        for name, length in png_chunks(file):
            if name in (b"tEXt", b"zTXt", b"iTXt"):
                text = file.read(length)
                if len(text) == length and keyword_of(text) != XMP_KEYWORD:
                    found.append(name + text)
    return found


def keyword_of(text: bytes) -> bytes:
    """What a PNG's text is about; cut where it is longer than it may be."""
    return text[:LONGEST_KEYWORD].partition(b"\0")[0]


def xmp_of(text: bytes) -> bytes | None:
    """The packet of XMP in a PNG's international text; None if it holds another."""
    keyword, _, rest = text.partition(b"\0")
    if keyword != XMP_KEYWORD:
        return None
    packet = rest[2:].split(b"\0", 2)[-1]
    if rest[:1] == b"\0":
        return packet
    try:
        return zlib.decompressobj().decompress(packet, MOST_XMP)
    except zlib.error:
        return None


def check_size(
    path: str | Path, kind: str, height: int, width: int, max_pixels: float
) -> None:
    """Raise InputError for a size above the limit, or one that the bytes cannot fill.

    Args:
        path: the file.
        kind: as `kind_of` tells it.
        height, width: what the file declares.
        max_pixels: the limit.
    """
    pixels = height * width
    if pixels > max_pixels:
        raise InputError(
            f"declares {width}x{height} pixels, more than the limit of "
            f"{max_pixels / 1e6:g} megapixels; --max-megapixels lifts it"
        )
    held = Path(path).stat().st_size
    if pixels > held * MOST_PIXELS_IN_A_BYTE.get(kind, float("inf")):
        raise InputError(f"declares {width}x{height} pixels, but holds {held} bytes")


def is_lossless_webp(path: str | Path) -> bool:
    """Whether a WebP keeps its pixels exactly."""
    with open(path, "rb") as file:
        position = 12
        while True:
            file.seek(position)
            head = file.read(8)
            if len(head) < 8 or head[:4] == b"VP8 ":
                return False
            if head[:4] == b"VP8L":
                return True
            length = struct.unpack("<I", head[4:])[0]
            position += 8 + length + length % 2
