"""Encode a result as PNG, TIFF, JPEG or WebP, with its metadata (chapter 14)."""

import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyvips
import tifffile

from ..errors import InputError
from .decoding import field_of, reason, with_metadata
from .tiff_tags import write_exif

SUFFIXES = {
    ".png": "png", ".tif": "tiff", ".tiff": "tiff", ".jpg": "jpeg", ".jpeg": "jpeg",
    ".webp": "webp",
}  # fmt: skip
FORMATS = tuple(dict.fromkeys(SUFFIXES.values()))
BIG = 2**31  # bytes of pixels, above which a TIFF is a BigTIFF
EIGHT_BITS = ("jpeg", "webp")
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
PROFILE, EXIF, XMP = "icc-profile-data", "exif-data", "xmp-data"


@dataclass(frozen=True)
class Encoding:
    """How results are written: `quality` None is the best that the format has."""

    format: str
    quality: int | None = None
    strip_metadata: bool = False

    def check(self, picture, scale: int) -> None:
        """Raise InputError if the format cannot hold a picture's result."""
        name, longest = self.format.upper(), LONGEST.get(self.format, 2**31 - 1)
        height, width = picture.height * scale, picture.width * scale
        if max(height, width) > longest:
            raise InputError(
                f"its result has {width}x{height} pixels, {name} at most {longest} a "
                "side; use --format png or tiff"
            )
        if self.format == "jpeg" and picture.has_alpha:
            raise InputError("it is transparent, which JPEG cannot be; --format png")

    def options(self) -> dict:
        """The arguments of libvips' saver."""
        return {
            "png": {"compression": 2, "filter": "up"},
            "tiff": {"compression": "deflate", "predictor": "horizontal", "level": 3},
            "jpeg": {"Q": self.quality or 95, "subsample_mode": "off"},
            "webp": {"Q": self.quality} if self.quality else LOSSLESS_WEBP,
        }[self.format]


def raw_image(path: str, shape, dtype: np.dtype) -> pyvips.Image:
    """Rows in a file as an image of libvips."""
    height, width, bands = shape
    wide = dtype.itemsize == 2
    gray, colour = ("grey16", "rgb16") if wide else ("b-w", "srgb")
    return pyvips.Image.rawload(
        os.fsencode(path), width, height, bands, format="ushort" if wide else "uchar",
        interpretation=gray if bands < 3 else colour, access="sequential",
    )  # fmt: skip


def encode(raw, shape, dtype, header, path: Path, encoding: Encoding) -> None:
    """Encode rows from a raw file into a file of the format, by streaming.

    Raises:
        OSError: if it cannot be written, as where the disk is full.
    """
    keep = [PROFILE] if encoding.strip_metadata else header.get_fields()
    wanted = set(keep) - OWN
    image = with_metadata(raw_image(raw, shape, dtype), header, wanted.__contains__)
    if not encoding.strip_metadata:
        image = image.copy(xres=header.xres, yres=header.yres)
    xmp = bytes(field_of(image, XMP, b""))
    if xmp and encoding.format == "png":
        image.remove(XMP)  # libvips would write it where few look
    options = encoding.options()
    if encoding.format == "tiff":
        options["bigtiff"] = np.prod(shape, dtype=float) * dtype.itemsize > BIG
    save = getattr(image, f"{encoding.format}save")
    try:
        save(os.fsencode(path), **options)
    except pyvips.Error as error:
        raise OSError(f"cannot be written: {reason(error)}") from error
    if xmp and encoding.format == "png":
        append_xmp(path, xmp)
    if encoding.format == "tiff" and image.get_typeof(EXIF):
        write_exif(path, bytes(image.get(EXIF)))


def append_xmp(path: Path, packet: bytes) -> None:
    """Put XMP into a PNG, as the chunk that its specification names."""
    data = b"XML:com.adobe.xmp\0\0\0\0\0" + packet
    chunk = b"iTXt" + data
    end = struct.pack(">I", 0) + b"IEND" + struct.pack(">I", zlib.crc32(b"IEND"))
    with path.open("rb+") as file:
        file.seek(-len(end), os.SEEK_END)
        file.write(struct.pack(">I", len(data)) + chunk)
        file.write(struct.pack(">I", zlib.crc32(chunk)) + end)


def page_tags(header: pyvips.Image, encoding: Encoding) -> dict:
    """A page's profile, resolution and XMP, as tifffile wants them."""
    tags = {}
    if profile := field_of(header, PROFILE):
        tags["iccprofile"] = bytes(profile)
    if encoding.strip_metadata:
        return tags
    tags["resolution"] = (header.xres * 10, header.yres * 10)
    tags["resolutionunit"] = "CENTIMETER"
    if packet := field_of(header, XMP):
        tags["extratags"] = [(700, "B", len(packet), bytes(packet), True)]
    return tags


def encode_pages(pages, path: Path, encoding: Encoding) -> None:
    """Encode pages, which may differ in size and kind, into one TIFF.

    Args:
        pages: the arguments `raw, shape, dtype, header` of `encode` for each.
    """
    total = sum(Path(raw).stat().st_size for raw, *_ in pages)
    with tifffile.TiffWriter(path, bigtiff=total > BIG) as file:
        for raw, shape, dtype, header in pages:
            rows, bands = np.memmap(raw, dtype, "r", shape=shape), shape[2]
            file.write(
                rows if bands > 1 else rows[..., 0],
                photometric="rgb" if bands > 2 else "minisblack",
                planarconfig="contig" if bands > 1 else None,
                extrasamples=["UNASSALPHA"] if bands in (2, 4) else None,
                compression="zlib", predictor=True, metadata=None, software=False,
                **page_tags(header, encoding),
            )  # fmt: skip
    first = pages[0][3]
    if not encoding.strip_metadata and first.get_typeof(EXIF):
        write_exif(path, bytes(first.get(EXIF)))
