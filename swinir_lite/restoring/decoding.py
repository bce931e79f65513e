"""Decode a picture's file: upright, 8 or 16 bits, gray or RGB, alpha.

libvips reads most kinds, in constant memory; Pillow reads BMP, and HEIC where the
package pillow-heif is installed.
"""

import io
import os
import re
import struct
import tempfile
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from ..errors import InputError
from .formats import animation, check_size, is_animated_png, kind_of, late_metadata
from .tiff_tags import read_exif

os.environ.setdefault("VIPS_WARNING", "0")  # its warnings become notes here
import pyvips

pyvips.cache_set_max(0)  # a file that changed is read again

LOADERS = {
    "PNG": pyvips.Image.pngload,
    "JPEG": pyvips.Image.jpegload,
    "TIFF": pyvips.Image.tiffload,
    "WebP": pyvips.Image.webpload,
    "AVIF": pyvips.Image.heifload,
    "GIF": pyvips.Image.gifload,
}
MAX_PIXELS = 1e9
VIPS_ERRORS = (pyvips.Error, UnicodeDecodeError)  # its message may be damaged too
TURN = "orientation"  # the field of libvips for EXIF's
MOST_EXIF = 65_533  # bytes that a JPEG can hold
PILLOW_ERRORS = (
    OSError, SyntaxError, ValueError, EOFError, struct.error,
    Image.DecompressionBombError,
)  # fmt: skip
SLACK = 1e-3  # by which float values may lie beyond 0..1
IN_MEMORY = 2**28  # bytes of pixels; more are decoded to a temporary file


class PixelsOnDisk:
    """Raw pixels in a file, read by the rectangle: `pixels[rows, columns]`.

    The file is mapped anew for each, so that what was read does not stay in memory.
    """

    def __init__(
        self, path: str | Path, shape: tuple[int, int, int], dtype: str, offset: int = 0
    ):
        self.path, self.shape, self.offset = path, shape, offset
        self.dtype = np.dtype(dtype)

    def __getitem__(self, rectangle: tuple[slice, slice]) -> np.ndarray:
        pixels = np.memmap(self.path, self.dtype, "r", self.offset, self.shape)
        return np.array(pixels[rectangle])

    def remove_when_unused(self) -> None:
        """Delete the file, which is a temporary one, with this object."""
        weakref.finalize(self, Path(self.path).unlink, missing_ok=True)


@dataclass
class Decoded:
    """A picture's pixels, and what its file says of it.

    Attributes:
        pixels: (H, W, bands) of uint8 or uint16, indexed as an array; alpha is last.
        header: a libvips image whose metadata goes into the result.
        notes: lines that say what was converted.
        peak: the value of white.
    """

    pixels: np.ndarray | PixelsOnDisk
    header: pyvips.Image
    notes: list[str] = field(default_factory=list)
    peak: int = 0

    def __post_init__(self):
        self.peak = self.peak or np.iinfo(self.pixels.dtype).max


def reason(error: pyvips.Error | UnicodeDecodeError) -> str:
    """What libvips says, in one line without its function names."""
    if isinstance(error, UnicodeDecodeError):
        return "what is wrong with it cannot be put into words"
    lines = [line.strip() for line in error.detail.splitlines() if line.strip()]
    return "; ".join(dict.fromkeys(lines)) or error.message


def field_of(image: pyvips.Image, name: str, default: Any = None) -> Any:
    """A field of an image's metadata, or the default where it has none."""
    return image.get(name) if image.get_typeof(name) else default


def attach_exif(image: pyvips.Image, block: bytes, notes: list[str]) -> pyvips.Image:
    """The image with the fields of an EXIF block, as libvips reads it off a JPEG."""
    carrier, start = io.BytesIO(), b"Exif\0\0"
    block = start + block.removeprefix(start)
    if len(block) > MOST_EXIF:
        notes.append(f"its EXIF was dropped: {len(block)} bytes are too many")
        return image
    Image.new("L", (1, 1)).save(carrier, "JPEG", exif=block)
    read = pyvips.Image.jpegload_buffer(carrier.getvalue())
    return with_metadata(image, read, lambda name: "exif" in name or name == TURN)


def with_metadata(
    image: pyvips.Image, source: pyvips.Image, wanted: Callable[[str], bool]
) -> pyvips.Image:
    """A copy of an image that has the wanted metadata of another."""
    image = image.copy()
    for name in source.get_fields()[10:]:  # the first ten describe pixels
        if wanted(name):
            image.set_type(source.get_typeof(name), name, source.get(name))
    return image


def xmp_orientation(image: pyvips.Image) -> int:
    """The orientation in XMP, 1 if it says none."""
    packet = bytes(field_of(image, "xmp-data", b""))
    found = re.search(rb"tiff:Orientation(?:=[\"']|>)\s*([1-8])", packet)
    return int(found[1]) if found else 1


def upright(
    image: pyvips.Image, path: str | Path, kind: str, notes: list[str]
) -> pyvips.Image:
    """Turn an image as EXIF says, or XMP where there is no EXIF; reset the tag."""
    late = late_metadata(path) if kind == "PNG" else {}
    if "exif" in late and not image.get_typeof("exif-data"):
        image = attach_exif(image, late["exif"], notes)
    if "xmp" in late and not image.get_typeof("xmp-data"):
        image = image.copy()
        image.set_type(pyvips.GValue.blob_type, "xmp-data", late["xmp"])
    if kind == "TIFF" and (block := read_exif(path)):
        image = attach_exif(image, block, notes)
    turned = image.get_typeof("exif-ifd0-Orientation") or kind == "TIFF"
    if not turned and kind != "AVIF" and (value := xmp_orientation(image)) > 1:
        image = image.copy()
        image.set_type(pyvips.GValue.gint_type, TURN, value)
    if packet := bytes(field_of(image, "xmp-data", b"")):
        reset = re.sub(rb"(tiff:Orientation(?:=[\"']|>)\s*)[2-8]", rb"\g<1>1", packet)
        image = image.copy()
        image.set_type(pyvips.GValue.blob_type, "xmp-data", reset)
    image = image.autorot().copy()
    image.set_type(pyvips.GValue.gint_type, TURN, 1)
    return image


def check_frames(image: pyvips.Image, path: str | Path, kind: str) -> None:
    """Raise InputError for an animation; pages of a TIFF are none."""
    frames = field_of(image, "n-pages", 1)
    if kind == "PNG" and is_animated_png(path):
        raise InputError(animation("PNG"))
    if kind in ("WebP", "GIF") and frames > 1:
        raise InputError(animation(kind))


def load(
    path: str | Path, kind: str, page: int, max_pixels: float, fail_on: str
) -> pyvips.Image:
    """An image of libvips, its header checked, its pixels not yet read."""
    options = {"fail_on": fail_on, "access": "sequential"}
    if kind == "TIFF":
        options["page"] = page
    image = LOADERS[kind](os.fsencode(path), **options)
    check_frames(image, path, kind)
    check_size(path, kind, image.height, image.width, max_pixels)
    if is_read_twice(image, path, kind):
        options["access"] = "random"
        image = LOADERS[kind](os.fsencode(path), **options)
    return image


def is_read_twice(image: pyvips.Image, path: str | Path, kind: str) -> bool:
    """Whether pixels are read in another order than the file's, or more than once."""
    on_side = max(field_of(image, TURN, 1), xmp_orientation(image)) > 4
    is_float = image.format in ("float", "double")
    return on_side or is_float or (kind == "PNG" and bool(late_metadata(path)))


def to_srgb(image: pyvips.Image, notes: list[str]) -> pyvips.Image:
    """CMYK, Lab and the like as sRGB, by the profile in the file if there is one."""
    space = str(image.interpretation)
    if space == "cmyk":
        own = image.get_typeof("icc-profile-data")
        image = image.icc_transform("srgb", embedded=True, input_profile="cmyk")
        by = "its profile" if own else "a general profile, for it has none"
        notes.append(f"CMYK was converted to sRGB by {by}")
    elif space in ("lab", "labs", "labq", "xyz", "yxy", "lch", "hsv"):
        image = image.colourspace("srgb")
        notes.append(f"{space} was converted to sRGB")
    return image


def to_integers(image: pyvips.Image, notes: list[str]) -> pyvips.Image:
    """Pixels of 8 or 16 bits; float values in 0..1 become 16 bits."""
    kind = str(image.format)
    if kind in ("float", "double"):
        inside = (image >= -SLACK) & (image <= 1 + SLACK)  # NaN is not
        if inside.min() == 0:
            low, high = image.min(), image.max()
            raise InputError(f"float values from {low:g} to {high:g}, need 0 to 1")
        notes.append("float values are written as 16 bits")
        return (image * 65535).rint().cast("ushort")
    if kind not in ("uchar", "ushort"):
        raise InputError(f"pixels of type {kind}, need 8 or 16 bits, or float in 0..1")
    return image


def say_what_is_expanded(image: pyvips.Image, kind: str, notes: list[str]) -> None:
    """Note a palette and pixels of fewer than 8 bits, which libvips has expanded."""
    colours = "RGBA" if image.hasalpha() else "RGB" if image.bands > 2 else "gray"
    bits = field_of(image, "bits-per-sample", 8)
    if kind == "GIF" or image.get_typeof("palette"):
        notes.append(f"its palette was converted to {colours}")
    elif bits < 8:
        notes.append(f"{bits}-bit pixels were converted to {colours} of 8 bits")


def pixels_of(image: pyvips.Image) -> np.ndarray | PixelsOnDisk:
    """Decode: in memory, or to a temporary file where that would be large."""
    dtype = np.uint16 if image.format == "ushort" else np.uint8
    shape = (image.height, image.width, image.bands)
    if np.prod(shape, dtype=float) * np.dtype(dtype).itemsize <= IN_MEMORY:
        return image.numpy().reshape(shape)
    handle, path = tempfile.mkstemp(prefix="swinir-", suffix=".raw")
    os.close(handle)
    pixels = PixelsOnDisk(path, shape, dtype)
    pixels.remove_when_unused()
    image.rawsave(os.fsencode(path))
    return pixels


def decode_vips(
    path: str | Path, kind: str, page: int, max_pixels: float, fail_on: str
) -> Decoded:
    """Decode by libvips, which stops at what is as bad as `fail_on` says."""
    notes = []
    image = load(path, kind, page, max_pixels, fail_on)
    say_what_is_expanded(image, kind, notes)
    image = to_integers(to_srgb(upright(image, path, kind, notes), notes), notes)
    colours = image.bands - image.hasalpha()
    if colours not in (1, 3):
        raise InputError(f"{image.bands} channels, need gray or RGB, or with alpha")
    return Decoded(pixels_of(image), image, notes)


@contextmanager
def pillow_errors() -> Iterator[None]:
    """Turn what Pillow says of damaged files into an InputError of one line."""
    try:
        yield
    except InputError:
        raise
    except PILLOW_ERRORS as error:
        if isinstance(error, OSError) and error.errno:  # of the system
            raise
        said = " ".join(str(error).split())
        raise InputError(f"cannot be decoded: {said}") from error


def decode_pillow(path: str | Path, kind: str, max_pixels: float) -> Decoded:
    """Decode by Pillow what libvips does not read."""
    if kind == "HEIC":
        try:
            import pillow_heif
        except ModuleNotFoundError:
            raise InputError(
                "HEIC is read where the package pillow-heif is: pip install pillow-heif"
            ) from None
        pillow_heif.register_heif_opener()
    with Image.open(path) as image:
        check_size(path, kind, image.height, image.width, max_pixels)
        notes, mode = [], image.mode
        if mode not in ("L", "LA", "RGB", "RGBA"):
            mode = "L" if mode == "1" else "RGB"
            notes.append(f"Pillow's mode {image.mode} was converted to {mode}")
        turned = ImageOps.exif_transpose(image)
        pixels = np.atleast_3d(np.array(turned.convert(mode)))
        header = pyvips.Image.black(1, 1)
        if exif := turned.info.get("exif"):
            header = attach_exif(header, exif, notes)
        if profile := image.info.get("icc_profile"):
            header.set_type(pyvips.GValue.blob_type, "icc-profile-data", profile)
    return Decoded(pixels, header, notes)


def decode_pnm(path: str | Path, max_pixels: float) -> Decoded:
    """Decode a binary PGM or PPM of 8 or 16 bits; Pillow would cut 16 to 8."""
    with open(path, "rb") as file:
        head = re.match(
            rb"P([56])(?:\s+(?:#[^\n]*\n\s*)*)(\d+)(?:\s+(?:#[^\n]*\n\s*)*)(\d+)"
            rb"(?:\s+(?:#[^\n]*\n\s*)*)(\d+)\s",
            file.read(4096),
        )
    if not head:
        raise InputError("a damaged PGM or PPM: its header cannot be read")
    width, height, most = (int(head[i]) for i in (2, 3, 4))
    bands, dtype = (1, 3)[head[1] == b"6"], ">u2" if most > 255 else "u1"
    if not (width and height and 0 < most < 65536):
        raise InputError(f"declares {width}x{height} pixels of at most {most}")
    check_size(path, "PNM", height, width, max_pixels)
    size = height * width * bands * np.dtype(dtype).itemsize
    if (held := Path(path).stat().st_size - head.end()) < size:
        raise InputError(f"declares {width}x{height} pixels, but holds {held} bytes")
    pixels = PixelsOnDisk(path, (height, width, bands), dtype, head.end())
    header = pyvips.Image.black(1, 1)
    return Decoded(pixels, header, peak=most)


def decode(path: str | Path, page: int = 0, max_pixels: float = MAX_PIXELS) -> Decoded:
    """Decode a file, or a page of a TIFF.

    Raises:
        InputError: in one line, without the file's name: no picture, damaged, an
            animation, or a size that is too large or that the bytes cannot fill.
        OSError: if the file cannot be read, or a temporary one not written.
    """
    kind = kind_of(path)
    try:
        if kind == "PNM":
            return decode_pnm(path, max_pixels)
        if kind not in LOADERS:
            with pillow_errors():
                return decode_pillow(path, kind, max_pixels)
        try:
            return decode_vips(path, kind, page, max_pixels, "warning")
        except VIPS_ERRORS as warning:
            decoded = decode_vips(path, kind, page, max_pixels, "error")
            decoded.notes.append(f"damaged, but restored: {reason(warning)}")
            return decoded
    except VIPS_ERRORS as error:
        raise InputError(f"cannot be decoded: {reason(error)}") from error


def count_pages(path: str | Path) -> int:
    """How many pages a TIFF has; 1 for every other kind.  InputError as `decode`."""
    if kind_of(path) != "TIFF":
        return 1
    try:
        return field_of(pyvips.Image.tiffload(os.fsencode(path)), "n-pages", 1)
    except VIPS_ERRORS as error:
        raise InputError(f"cannot be decoded: {reason(error)}") from error


def is_deep(path: str | Path) -> bool:
    """Whether a file says that it has more than 8 bits; False where that fails."""
    try:
        kind = kind_of(path)
        if kind == "PNM":
            return decode_pnm(path, float("inf")).pixels.dtype.itemsize > 1
        return kind in LOADERS and LOADERS[kind](os.fsencode(path)).format != "uchar"
    except (*VIPS_ERRORS, InputError, OSError):
        return False
