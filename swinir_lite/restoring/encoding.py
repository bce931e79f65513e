"""Encode a result as PNG, TIFF, JPEG or WebP, with its metadata."""

import io
import os
import re
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyvips
import tifffile
from PIL import ExifTags, Image

from ..errors import InputError
from .decoding import (
    JPEG_COMMENTS,
    MILLIMETRES,
    PAGE_TEXT,
    PNG_TEXTS,
    PROFILE,
    XMP,
    field_of,
    fields_of,
    parts_of,
    reason,
    with_metadata,
)
from .formats import XMP_KEYWORD, keyword_of
from .tiff_tags import not_repeated, tags_of, tags_of_tiff, write_exif

if TYPE_CHECKING:
    from .pictures import Picture

SUFFIXES = {
    ".png": "png", ".tif": "tiff", ".tiff": "tiff", ".jpg": "jpeg", ".jpeg": "jpeg",
    ".webp": "webp",
}  # fmt: skip
FORMATS = tuple(dict.fromkeys(SUFFIXES.values()))
BIG = 2**31  # bytes of pixels, above which a TIFF is a BigTIFF
STRIP_BYTES = 2**20  # of the file of rows, read at once
COPIED_AT_ONCE = 2**20
# Pixels a millimetre: what libvips says of a file that says nothing; 72 dpi
UNKNOWN_RESOLUTION, USUAL_RESOLUTION = 1.0, 72 / MILLIMETRES
EIGHT_BITS = LOSSY = ("jpeg", "webp")
LONGEST = {"jpeg": 65500, "webp": 16383}  # side, in pixels
# Of the input's file, not of what is shown; the result has its own
OWN = {
    "bits-per-sample", "palette", "n-pages", "page-height", "delay", "loop",
    "background", "image-description", "bands", "heif-compression", "heif-primary",
    "heif-bitdepth", "vips-loader", "filename", "jpeg-multiscan",
    "jpeg-chroma-subsample", "interlaced",
}  # fmt: skip
LOSSLESS_WEBP = {
    "lossless": True,
    "effort": 0,
}  # 20 times as fast as libvips' own effort
EXIF, IPTC, PREVIEW = "exif-data", "iptc-data", "jpeg-thumbnail-data"
OWN_BEGINNINGS = "png-comment-", "exif-ifd1-"  # texts as libvips reads them, a preview
PNG_HEAD = 33  # bytes: the signature, and the chunk that must come first


@dataclass(frozen=True)
class Encoding:
    """How results are written: `quality` None is the best that the format has."""

    format: str
    quality: int | None = None
    strip_metadata: bool = False

    def check(self, picture: "Picture", scale: int) -> None:
        """Raise InputError if the format cannot hold a picture's result."""
        name, longest = self.format.upper(), LONGEST.get(self.format, 2**31 - 1)
        height, width = picture.height * scale, picture.width * scale
        if max(height, width) > longest:
            raise InputError(
                f"its result has {width}x{height} pixels, {name} at most {longest} a "
                "side; use --format png or tiff"
            )
        if self.format == "jpeg" and not picture.is_opaque():
            raise InputError("it is transparent, which JPEG cannot be; --format png")

    def keeps_iptc(self, header: pyvips.Image) -> bool:
        """Whether IPTC can be written; a TIFF's is another, and libvips cuts it."""
        block = bytes(field_of(header, IPTC, b""))
        return self.format == "jpeg" and block.startswith(b"Photoshop 3.0\0")

    def losses(self, picture: "Picture", scale: int) -> list[str]:
        """Lines that say what of a picture the format cannot hold."""
        lines, name = [], self.format.upper()
        if self.format in EIGHT_BITS and picture.dtype != np.uint8:
            lines.append(f"16 bits were cut to the 8 of {name}")
        if (
            self.format == "webp"
            and picture.colours == 1
            and field_of(picture.header, PROFILE)
        ):
            lines.append("its profile of gray was dropped: WEBP has no gray")
        bands = picture.colours + picture.has_alpha
        size = picture.height * picture.width * scale**2 * bands
        big = size * picture.dtype.itemsize > BIG and not self.strip_metadata
        if self.format == "tiff" and big and picture.header.get_typeof(EXIF):
            lines.append("EXIF is not written into a TIFF of more than 2 GiB")
        if self.strip_metadata:
            return lines
        return lines + self.metadata_losses(picture.header)

    def metadata_losses(self, header: pyvips.Image) -> list[str]:
        """Those lines that are about EXIF, captions, texts and comments."""
        lines, why = [], f"was dropped: {self.format.upper()} has no place for it"
        if lost := lost_tags(header, self.format):
            named = ", ".join(ExifTags.TAGS.get(tag, f"{tag:#x}") for tag in lost)
            lines.append(f"of its EXIF was dropped: {named}")
        if header.get_typeof(IPTC) and not self.keeps_iptc(header):
            lines.append(
                "its IPTC (caption, keywords) was dropped; JPEG keeps a JPEG's"
            )
        texts = parts_of(header, PNG_TEXTS)
        if texts and self.format != "png":
            named = ", ".join(keyword_of(text[4:]).decode("latin-1") for text in texts)
            lines.append(f"its text ({named}) {why}")
        if header.get_typeof(JPEG_COMMENTS) and self.format not in ("jpeg", "png"):
            lines.append(f"its comment {why}")
        return lines

    def options(self) -> dict[str, Any]:
        """The arguments of libvips' saver."""
        return {
            "png": {"compression": 2, "filter": "up"},
            "tiff": {"compression": "deflate", "predictor": "horizontal", "level": 3},
            "jpeg": {"Q": self.quality or 95, "subsample_mode": "off"},
            "webp": {"Q": self.quality} if self.quality else LOSSLESS_WEBP,
        }[self.format]


def layout(shape: tuple[int, int, int]) -> dict[str, Any]:
    """What tifffile is told of pixels (H, W, bands); alpha is the last of 2 or 4."""
    bands = shape[2]
    return {
        "photometric": "rgb" if bands > 2 else "minisblack",
        "planarconfig": "contig" if bands > 1 else None,
        "extrasamples": ["UNASSALPHA"] if bands in (2, 4) else None,
        "metadata": None,
        "software": False,
    }


def begin_rows(path: str, shape: tuple[int, int, int], dtype: np.dtype) -> int:
    """Make a file to write rows to, a TIFF that is not compressed; where they start.

    libvips reads it by strips; a file without a header it would map into memory whole.
    """
    bands = shape[2]
    strip = max(1, STRIP_BYTES // (shape[1] * bands * dtype.itemsize))
    with tifffile.TiffWriter(path, bigtiff=True) as file:
        file.write(
            shape=shape if bands > 1 else shape[:2], dtype=dtype, rowsperstrip=strip,
            **layout(shape),
        )  # fmt: skip
    with tifffile.TiffFile(path) as file:
        return file.pages[0].dataoffsets[0]


def encode(rows: str, header: pyvips.Image, path: Path, encoding: Encoding) -> None:
    """Encode a file of rows into one of the format, in constant memory.

    Args:
        rows: what `begin_rows` began, complete.
        header: an image with the metadata of the result.
        path: of the result.
        encoding: how it is written.

    Raises:
        OSError: if it cannot be written, as where the disk is full.
    """
    keep = [PROFILE] if encoding.strip_metadata else fields_of(header)
    wanted = {name for name in keep if not name.startswith(OWN_BEGINNINGS)} - OWN
    if not encoding.keeps_iptc(header):
        wanted.discard(IPTC)
    image = pyvips.Image.tiffload(os.fsencode(rows), access="sequential")
    image = with_metadata(image, header, wanted.__contains__)
    image = image.copy(**resolution(header, encoding))
    image.set_type(pyvips.GValue.blob_type, PREVIEW, b"")
    image.remove(PREVIEW)  # from EXIF too: it shows the input, as that lay
    xmp = bytes(field_of(image, XMP, b""))
    if xmp and encoding.format == "png":
        image.remove(XMP)  # libvips would write it where few look
    options = encoding.options()
    if encoding.format == "tiff":
        options["bigtiff"] = os.path.getsize(rows) > BIG
    try:
        getattr(image, f"{encoding.format}save")(os.fsencode(path), **options)
    except pyvips.Error as error:
        said = re.search("system error: (.*)", error.detail or "")
        raise OSError(
            f"cannot be written: {said[1] if said else reason(error)}"
        ) from error
    comments = parts_of(image, JPEG_COMMENTS)
    if encoding.format == "png":
        write_texts(path, parts_of(image, PNG_TEXTS), comments, xmp)
    elif encoding.format == "jpeg":
        write_comments(path, comments)
    if encoding.format == "tiff" and image.get_typeof(EXIF):
        write_exif(path, bytes(image.get(EXIF)))


def lost_tags(header: pyvips.Image, format: str) -> list[int]:
    """Tags of EXIF that are not written, unless another says the same.

    libvips drops those that it does not know.
    """
    block = bytes(field_of(header, EXIF, b""))
    given = tags_of(block)
    if not given:
        return []
    if format == "tiff":
        return sorted(given - tags_of_tiff(block))
    pixel = with_metadata(
        pyvips.Image.black(1, 1), header, lambda name: name.startswith("exif-")
    )
    try:
        written = pixel.jpegsave_buffer()
    except pyvips.Error:  # which `encode` meets too, and names
        return []
    with Image.open(io.BytesIO(written)) as image:
        lost = given - tags_of(image.info.get("exif", b""))
    return sorted(not_repeated(block, lost))


def resolution(header: pyvips.Image, encoding: Encoding) -> dict[str, float]:
    """Pixels a millimetre, from the input unless that is unknown or to be dropped."""
    if encoding.strip_metadata or header.xres == UNKNOWN_RESOLUTION:
        return {"xres": USUAL_RESOLUTION, "yres": USUAL_RESOLUTION}
    return {"xres": header.xres, "yres": header.yres}


def write_comments(path: Path, comments: list[bytes]) -> None:
    """Put comments into a JPEG, behind its first segment, as they were."""
    segments = (b"\xff\xfe" + struct.pack(">H", len(c) + 2) + c for c in comments)
    with path.open("rb") as file:
        place = 4 + struct.unpack(">4xH", file.read(6))[0]
    insert(path, place, b"".join(segments))


def write_texts(
    path: Path, texts: list[bytes], comments: list[bytes], xmp: bytes
) -> None:
    """Put texts as they were, a JPEG's comments and XMP into a PNG.

    They stand in front of the pixels, behind which few programs look.

    Args:
        path: of the PNG.
        texts: chunks with their names.
        comments: of no known encoding.
        xmp: a packet, or nothing.
    """
    chunks = list(texts)
    for comment in comments:
        try:
            text = comment.decode()
        except UnicodeDecodeError:
            text = comment.decode("latin-1")
        chunks.append(international(b"Comment", text.replace("\0", "").encode()))
    if xmp:
        chunks.append(international(XMP_KEYWORD, xmp))
    lengths = (struct.pack(">I", len(chunk) - 4) for chunk in chunks)
    sums = (struct.pack(">I", zlib.crc32(chunk)) for chunk in chunks)
    insert(path, PNG_HEAD, b"".join(map(b"".join, zip(lengths, chunks, sums))))


def international(keyword: bytes, text: bytes) -> bytes:
    """A chunk of a PNG, with its name, for a text of UTF-8."""
    return b"iTXt" + keyword + b"\0\0\0\0\0" + text


def insert(path: Path, place: int, segment: bytes) -> None:
    """Put bytes into a file at a place, in constant memory."""
    with path.open("rb+") as file:
        end = file.seek(0, os.SEEK_END) if segment else place
        while end > place:  # from the last block on, each moves out of the way
            begin = max(place, end - COPIED_AT_ONCE)
            file.seek(begin)
            block = file.read(end - begin)
            file.seek(begin + len(segment))
            file.write(block)
            end = begin
        file.seek(place)
        file.write(segment)


def page_tags(header: pyvips.Image, encoding: Encoding) -> dict[str, Any]:
    """A page's profile, resolution, texts and XMP, as tifffile wants them."""
    across, down = resolution(header, encoding).values()
    tags = {"resolution": (across * 10, down * 10), "resolutionunit": "CENTIMETER"}
    if profile := field_of(header, PROFILE):
        tags["iccprofile"] = bytes(profile)
    if encoding.strip_metadata:
        return tags
    names = [name for name in fields_of(header) if name.startswith(PAGE_TEXT)]
    tags["extratags"] = [
        (int(name.removeprefix(PAGE_TEXT)), "s", 0, bytes(header.get(name)), True)
        for name in names
    ]
    if packet := field_of(header, XMP):
        tags["extratags"].append((700, "B", len(packet), bytes(packet), True))
    return tags


def encode_pages(
    pages: list[tuple[str, pyvips.Image]], path: Path, encoding: Encoding
) -> None:
    """Encode pages, which may differ in size and kind, into one TIFF.

    Args:
        pages: `rows` and `header` of each, as for `encode`.
        path: of the result.
        encoding: how it is written.
    """
    total = sum(os.path.getsize(rows) for rows, _ in pages)
    with tifffile.TiffWriter(path, bigtiff=total > BIG) as file:
        for rows, header in pages:
            pixels = tifffile.memmap(rows, mode="r")
            shape = pixels.shape if pixels.ndim == 3 else (*pixels.shape, 1)
            file.write(
                pixels, compression="zlib", predictor=True, **layout(shape),
                **page_tags(header, encoding),
            )  # fmt: skip
    first = pages[0][1]
    if not encoding.strip_metadata and first.get_typeof(EXIF):
        write_exif(path, bytes(first.get(EXIF)))
