"""Encode a result as PNG, TIFF, JPEG or WebP, with its metadata (chapter 14)."""

import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyvips

from ..errors import InputError
from .decoding import field_of, reason, with_metadata

SUFFIXES = {
    ".png": "png", ".tif": "tiff", ".tiff": "tiff", ".jpg": "jpeg", ".jpeg": "jpeg",
    ".webp": "webp",
}  # fmt: skip
FORMATS = tuple(dict.fromkeys(SUFFIXES.values()))
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
PROFILE = "icc-profile-data"


@dataclass(frozen=True)
class Encoding:
    """How results are written: `quality` None is the best that the format has."""

    format: str
    quality: int | None = None
    strip_metadata: bool = False

    def check(self, picture, scale: int) -> int | None:
        """The depth, if it cannot be the picture's.

        Raises:
            InputError: the format cannot hold the result.
        """
        name, longest = self.format.upper(), LONGEST.get(self.format, 2**31 - 1)
        height, width = picture.height * scale, picture.width * scale
        if max(height, width) > longest:
            raise InputError(
                f"its result has {width}x{height} pixels, {name} at most {longest} a "
                "side; use --format png or tiff"
            )
        if self.format == "jpeg" and picture.has_alpha:
            raise InputError("it is transparent, which JPEG cannot be; --format png")
        return 8 if self.format in ("jpeg", "webp") else None

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


def encode(raw, shape, dtype, picture, path: Path, encoding: Encoding) -> None:
    """Encode rows from a raw file into a file of the format, by streaming.

    Raises:
        OSError: if it cannot be written, as where the disk is full.
    """
    header = picture.decoded.header
    keep = [PROFILE] if encoding.strip_metadata else header.get_fields()
    wanted = set(keep) - OWN
    image = with_metadata(raw_image(raw, shape, dtype), header, wanted.__contains__)
    if not encoding.strip_metadata:
        image = image.copy(xres=header.xres, yres=header.yres)
    xmp = bytes(field_of(image, "xmp-data", b""))
    if xmp and encoding.format == "png":
        image.remove("xmp-data")  # libvips would write it where few look
    options = encoding.options()
    if encoding.format == "tiff":
        options["bigtiff"] = np.prod(shape, dtype=float) * dtype.itemsize > 2**31
    save = getattr(image, f"{encoding.format}save")
    try:
        save(os.fsencode(path), **options)
    except pyvips.Error as error:
        raise OSError(f"cannot be written: {reason(error)}") from error
    if xmp and encoding.format == "png":
        append_xmp(path, xmp)


def append_xmp(path: Path, packet: bytes) -> None:
    """Put XMP into a PNG, as the chunk that its specification names."""
    data = b"XML:com.adobe.xmp\0\0\0\0\0" + packet
    chunk = b"iTXt" + data
    end = struct.pack(">I", 0) + b"IEND" + struct.pack(">I", zlib.crc32(b"IEND"))
    with path.open("rb+") as file:
        file.seek(-len(end), os.SEEK_END)
        file.write(struct.pack(">I", len(data)) + chunk)
        file.write(struct.pack(">I", zlib.crc32(chunk)) + end)


def encode_pages(pages, path: Path, encoding: Encoding) -> None:
    """Encode pages, which may differ in size and kind, into one TIFF."""
    import tifffile

    total = sum(
        np.prod(shape, dtype=float) * dtype.itemsize for _, shape, dtype, _ in pages
    )
    with tifffile.TiffWriter(path, bigtiff=total > 2**31) as file:
        for raw, shape, dtype, picture in pages:
            header = picture.decoded.header
            extra = {}
            if profile := field_of(header, PROFILE):
                extra["iccprofile"] = bytes(profile)
            if not encoding.strip_metadata:
                extra["resolution"] = (header.xres * 10, header.yres * 10)
                extra["resolutionunit"] = "CENTIMETER"
            if shape[2] in (2, 4):
                extra["extrasamples"] = ["UNASSALPHA"]
            file.write(
                np.memmap(raw, dtype, "r", shape=shape), metadata=None,
                photometric="rgb" if shape[2] > 2 else "minisblack",
                planarconfig="contig", compression="zlib", predictor=True, **extra,
            )  # fmt: skip
