"""Decode a picture's file: upright, 8 or 16 bits, gray or RGB, alpha.

libvips reads most kinds, in constant memory; Pillow reads BMP, and HEIC where the
package pillow-heif is installed.
"""

import io
import os
import re
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps
from PIL.BmpImagePlugin import BmpImageFile

from ..errors import InputError
from .companions import left_out, without_claims
from .formats import (
    animation,
    check_size,
    is_animated_png,
    jpeg_comments,
    kind_of,
    late_metadata,
    png_texts,
)
from .pnm import holds_another, read_header, read_pnm
from .profiles import profile_of_png, profile_told, why_unfit
from .raw_pixels import PixelsOnDisk, naming_folder, temporary_pixels
from .tiff_tags import (
    EXTRA_SAMPLES,
    MAP,
    PHOTOMETRIC,
    check_samples,
    damage_is_an_error,
    numbers_of,
    read_exif,
    repeated_tags,
    texts_of,
)

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
PALETTE = 3  # as TIFF says how it tells colours
COLOURS_OF = {0: 1, 1: 1, 2: 3, 5: 4}  # and how many channels others have
SPACES = {"lab": "Lab", "labs": "Lab", "labq": "Lab", "xyz": "XYZ"}
PROFILE, XMP = "icc-profile-data", "xmp-data"
JPEG_COMMENTS, PNG_TEXTS = "jpeg-comments", "png-texts"  # fields of `with_parts`
PAGE_TEXT = "tiff-text-"  # and the tag
MILLIMETRES = 25.4  # in an inch
SLACK = 1e-3  # by which float values may lie beyond 0..1
IN_MEMORY = 2**28  # bytes of pixels; more are decoded to a temporary file


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
    return "; ".join(dict.fromkeys(lines)) or "no reason is given"


def field_of(image: pyvips.Image, name: str, default: Any = None) -> Any:
    """A field of an image's metadata, or the default where it has none."""
    return image.get(name) if image.get_typeof(name) else default


def fields_of(image: pyvips.Image) -> list[str]:
    """The names of an image's fields, but for those that are no UTF-8.

    A PNG's texts have such where their keywords are in Latin-1; pyvips fails at them.
    """
    try:
        return image.get_fields()
    except UnicodeDecodeError:
        names, array = [], pyvips.vips_lib.vips_image_get_fields(image.pointer)
        while array[len(names)] != pyvips.ffi.NULL:
            names.append(pyvips.ffi.string(array[len(names)]))
            pyvips.glib_lib.g_free(array[len(names) - 1])
        pyvips.glib_lib.g_free(array)
    return [name.decode() for name in names if is_utf8(name)]


def is_utf8(text: bytes) -> bool:
    """Whether bytes are a text of UTF-8."""
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


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
    for name in fields_of(source)[10:]:  # the first ten describe pixels
        if wanted(name):
            image.set_type(source.get_typeof(name), name, source.get(name))
    return image


def with_blob(image: pyvips.Image, name: str, content: bytes) -> pyvips.Image:
    """A copy of an image that has a profile, or XMP."""
    image = image.copy()
    image.set_type(pyvips.GValue.blob_type, name, content)
    return image


def with_parts(image: pyvips.Image, name: str, parts: list[bytes]) -> pyvips.Image:
    """An image with parts in one field, if there are any; see `parts_of`.

    Thousands of fields, each with its own copy of an image, would take minutes.
    """
    sizes = (struct.pack(">Q", len(part)) for part in parts)
    packed = b"".join(map(b"".join, zip(sizes, parts)))
    return with_blob(image, name, packed) if parts else image


def parts_of(image: pyvips.Image, name: str) -> list[bytes]:
    """The comments or texts of an image's file, as bytes, in their order."""
    packed, parts = io.BytesIO(bytes(field_of(image, name, b""))), []
    while size := packed.read(8):
        parts.append(packed.read(*struct.unpack(">Q", size)))
    return parts


def xmp_of_result(packet: bytes) -> bytes:
    """XMP that says of a picture that it is upright, if it says how it lies.

    Nor does it promise what only the input's file holds.
    """
    upright = re.sub(rb"(tiff:Orientation(?:=[\"']|>)\s*)[2-8]", rb"\g<1>1", packet)
    return without_claims(upright)


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
        image = with_blob(image, XMP, late["xmp"])
    if kind == "TIFF" and (block := read_exif(path)):
        image = attach_exif(image, block, notes)
    image = with_parts(
        image, JPEG_COMMENTS, jpeg_comments(path) if kind == "JPEG" else []
    )
    image = with_parts(image, PNG_TEXTS, png_texts(path) if kind == "PNG" else [])
    turned = image.get_typeof("exif-ifd0-Orientation") or kind == "TIFF"
    if not turned and kind != "AVIF" and (value := xmp_orientation(image)) > 1:
        image = image.copy()
        image.set_type(pyvips.GValue.gint_type, TURN, value)
    packet = bytes(field_of(image, XMP, b""))
    pictures = field_of(image, "n-pages", 1) if kind == "AVIF" else 1
    notes.extend(left_out(path, kind, packet, pictures))
    if packet:
        image = with_blob(image, XMP, xmp_of_result(packet))
    on_side = field_of(image, TURN, 1) > 4
    image = image.autorot().copy()
    if on_side:  # with pixels that are no squares
        image = image.copy(xres=image.yres, yres=image.xres)
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
        check_samples(path, page)
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
        own, depth = field_of(image, PROFILE), 16 if image.format == "ushort" else 8
        why = "it has none" if own is None else why_unfit(bytes(own), 4)
        image = image.icc_transform(
            "srgb", embedded=True, input_profile="cmyk", depth=depth
        )
        by = "its profile"
        if why:
            by = f"a general profile, for {why.replace('it is', 'its own is')}"
        notes.append(f"CMYK was converted to sRGB by {by}")
    elif space in ("lab", "labs", "labq", "xyz", "yxy", "lch", "hsv"):
        image = image.colourspace("srgb" if image.format == "uchar" else "rgb16")
        notes.append(f"{SPACES.get(space, space)} was converted to sRGB")
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


def without_extra_channels(
    image: pyvips.Image, tags: dict[int, int], notes: list[str]
) -> pyvips.Image:
    """An image without channels that a TIFF says are no transparency.

    Editors save selections so, and scanners what they see in the infrared.
    """
    colours = COLOURS_OF.get(tags.get(PHOTOMETRIC), image.bands)
    if tags.get(EXTRA_SAMPLES) != 0 or image.bands <= colours:
        return image
    notes.append("its channel beside the colours, no transparency, was dropped")
    return image.extract_band(0, n=colours)


def say_what_is_expanded(
    image: pyvips.Image, kind: str, photometric: int | None, notes: list[str]
) -> None:
    """Note a palette and pixels of fewer than 8 bits, which libvips has expanded."""
    colours = "RGBA" if image.hasalpha() else "RGB" if image.bands > 2 else "gray"
    bits = field_of(image, "bits-per-sample", 8)
    if kind == "GIF" or image.get_typeof("palette") or photometric == PALETTE:
        notes.append(f"its palette was converted to {colours}")
    elif bits < 8:
        notes.append(f"{bits}-bit pixels were converted to {colours} of 8 bits")


def without_unfit_profile(
    image: pyvips.Image, colours: int, notes: list[str]
) -> pyvips.Image:
    """An image without an ICC profile that no result can have; that is noted."""
    profile = field_of(image, PROFILE)
    if profile is None or not (why := why_unfit(bytes(profile), colours)):
        return image
    notes.append(f"its colour profile was dropped: {why}")
    image = image.copy()
    image.remove(PROFILE)
    return image


def note_lost_profile(path: str | Path, colours: int, notes: list[str]) -> None:
    """Note the profile of a PNG that libvips did not take, if there is one."""
    profile = profile_of_png(path)
    if profile is not None:
        why = why_unfit(profile, colours) or "it is damaged"
        notes.append(f"its colour profile was dropped: {why}")


def pixels_of(image: pyvips.Image) -> np.ndarray | PixelsOnDisk:
    """Decode: in memory, or to a temporary file where that would be large."""
    dtype = np.uint16 if image.format == "ushort" else np.uint8
    shape = (image.height, image.width, image.bands)
    if np.prod(shape, dtype=float) * np.dtype(dtype).itemsize <= IN_MEMORY:
        return image.numpy().reshape(shape)
    with naming_folder():
        pixels = temporary_pixels(shape, dtype)
        try:
            image.rawsave(os.fsencode(pixels.path))
        except pyvips.Error as error:
            lines = (error.detail or "").splitlines()
            if not any(pixels.path in line for line in lines):
                raise
            said = re.search("system error: (.*)", error.detail)
            raise OSError(said[1] if said else reason(error)) from error
    return pixels


def decode_vips(
    path: str | Path, kind: str, page: int, max_pixels: float, fail_on: str
) -> Decoded:
    """Decode by libvips, which stops at what is as bad as `fail_on` says."""
    notes = []
    image = load(path, kind, page, max_pixels, fail_on)
    tags = numbers_of(path, page) if kind == "TIFF" else {}
    image = without_extra_channels(image, tags, notes)
    if not tags.keys().isdisjoint(MAP):
        notes.append("its place on the map (GeoTIFF) was dropped")
    if page:  # EXIF holds those of the first
        for tag, text in texts_of(path, page).items():
            image = with_blob(image, f"{PAGE_TEXT}{tag}", text)
    say_what_is_expanded(image, kind, tags.get(PHOTOMETRIC), notes)
    gray = image.bands < 3
    told = profile_told(path, kind, gray, bool(image.get_typeof(PROFILE)))
    if told:
        image = with_blob(image, PROFILE, told)
    elif kind == "PNG" and not image.get_typeof(PROFILE):
        note_lost_profile(path, image.bands - image.hasalpha(), notes)
    image = to_integers(to_srgb(upright(image, path, kind, notes), notes), notes)
    colours = image.bands - image.hasalpha()
    if colours not in (1, 3):
        raise InputError(f"{image.bands} channels, need gray or RGB, or with alpha")
    image = without_unfit_profile(image, colours, notes)
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


def open_pillow(path: str | Path, kind: str) -> Image.Image:
    """A BMP or HEIC; not by `Image.open`, which has a limit of its own."""
    if kind == "BMP":
        return BmpImageFile(path)
    return heif_package().HeifImageFile(path)


def heif_package() -> Any:
    """What reads HEIC; InputError that names it where it is not installed."""
    try:
        import pillow_heif
    except ModuleNotFoundError:
        raise InputError(
            "HEIC is read where the package pillow-heif is: pip install pillow-heif"
        ) from None
    return pillow_heif


def expanded(image: Image.Image, notes: list[str]) -> Image.Image:
    """An image of Pillow without a palette, of 8 bits; what was converted is noted."""
    if image.mode in ("L", "LA", "RGB", "RGBA"):
        return image
    gray = image.mode == "1"
    what = {"P": "its palette was", "1": "1-bit pixels were"}
    said = what.get(image.mode, f"{image.mode} was")
    notes.append(f"{said} converted to {'gray of 8 bits' if gray else 'RGB'}")
    return image.convert("L" if gray else "RGB")


def heic_pixels(path: str | Path, bits: int) -> tuple[np.ndarray, int]:
    """The primary picture of a HEIC of more than 8 bits as 16, and its white."""
    file = heif_package().open_heif(path, convert_hdr_to_8bit=False)
    white = (2**bits - 1) << (16 - bits)
    return np.array(file[file.primary_index]), white


def header_of(image: Image.Image, notes: list[str]) -> pyvips.Image:
    """EXIF, XMP, profile and resolution of an upright image of Pillow."""
    header = pyvips.Image.black(1, 1)
    if exif := image.info.get("exif"):
        header = attach_exif(header, exif, notes)
    if packet := image.info.get("xmp"):
        header = with_blob(header, XMP, xmp_of_result(bytes(packet)))
    if profile := image.info.get("icc_profile"):
        header = with_blob(header, PROFILE, profile)
    if density := image.info.get("dpi"):
        across, down = (float(dots) / MILLIMETRES for dots in density)
        if across > 0 and down > 0:
            header = header.copy(xres=across, yres=down)
    return header


def decode_pillow(path: str | Path, kind: str, max_pixels: float) -> Decoded:
    """Decode by Pillow what libvips does not read."""
    notes, peak = [], 0
    with open_pillow(path, kind) as image:
        check_size(path, kind, image.height, image.width, max_pixels)
        turned = ImageOps.exif_transpose(image)
        bits = image.info.get("bit_depth", 8)
        if bits > 8:
            pixels, peak = heic_pixels(path, bits)
        else:
            pixels = np.array(expanded(turned, notes))
        header = header_of(turned, notes)
        pictures = getattr(image, "n_frames", 1)
    xmp = bytes(image.info.get("xmp") or b"")
    notes.extend(left_out(path, kind, xmp, pictures))
    told = profile_told(path, kind, pixels.ndim == 2, bool(header.get_typeof(PROFILE)))
    if told:
        header = with_blob(header, PROFILE, told)
    header = without_unfit_profile(header, 1 if pixels.ndim == 2 else 3, notes)
    return Decoded(np.atleast_3d(pixels), header, notes, peak)


def decode_pnm(path: str | Path, max_pixels: float) -> Decoded:
    """Decode a PBM, PGM or PPM of any depth; Pillow would cut 16 bits to 8."""
    pixels, white, bits = read_pnm(path, max_pixels)
    notes = ["1-bit pixels were converted to gray of 8 bits"] if bits else []
    notes.extend(left_out(path, "PNM", b"", 1 + holds_another(path)))
    return Decoded(pixels, pyvips.Image.black(1, 1), notes, white)


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
            twice = repeated_tags(path, page) if kind == "TIFF" else []
            if not (twice and damage_is_an_error(path, page)):
                decoded.notes.append(f"damaged, but restored: {reason(warning)}")
            if twice:  # of which libtiff warns as well
                told = f"its {', '.join(twice)} stands twice, one was kept"
                decoded.notes.append(told)
            return decoded
    except VIPS_ERRORS as error:
        raise InputError(f"cannot be decoded: {reason(error)}") from error


def count_pages(path: str | Path) -> int:
    """How many pages a TIFF has; 1 for every other kind.  InputError as `decode`."""
    if kind_of(path) != "TIFF":
        return 1
    check_samples(path)
    try:
        return field_of(pyvips.Image.tiffload(os.fsencode(path)), "n-pages", 1)
    except VIPS_ERRORS as error:
        raise InputError(f"cannot be decoded: {reason(error)}") from error


def is_deep(path: str | Path) -> bool:
    """Whether a file says that it has more than 8 bits; False where that fails."""
    try:
        kind = kind_of(path)
        if kind == "PNM":
            return read_header(path).dtype.itemsize > 1
        if kind == "HEIC":
            with pillow_errors(), open_pillow(path, kind) as image:
                return image.info.get("bit_depth", 8) > 8
        return kind in LOADERS and LOADERS[kind](os.fsencode(path)).format != "uchar"
    except (*VIPS_ERRORS, InputError, OSError):
        return False
