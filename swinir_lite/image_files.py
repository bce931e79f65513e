"""Pictures in files: which there are, and what is read from them (chapter 18)."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps
from PIL.ExifTags import Base

from .errors import InputError

SUFFIXES = {".avif", ".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}


def find_images(folder: str | Path) -> list[Path]:
    """All image files under a folder, sorted by path; InputError if there are none."""
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(
            f"no such folder of images: {folder} "
            "(python -m swinir_lite download div2k set5 fetches data sets into data)"
        )
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)
    paths = [p for p in paths if not p.name.startswith(".")]
    if not paths:
        raise InputError(f"{folder} holds no images ({', '.join(sorted(SUFFIXES))})")
    return paths


def check_format(image: Image.Image) -> None:
    """Raise InputError for an opened image that is not 8-bit RGB or gray."""
    if image.mode not in ("RGB", "L"):
        how = "convert it first, as by Pillow's image.convert('RGB')"
        if image.mode[0] in "IF":
            how = "scale its values to 8 bits first"
        raise InputError(f"mode {image.mode}, need 8-bit RGB or gray; {how}")
    if any(";16" in str(tile[3]) for tile in image.tile):  # Pillow would cut them
        raise InputError("16 bits a channel, need 8; scale its values to 8 bits first")
    # Pillow turns compressed TIFF when it decodes, and other TIFF not
    if image.format == "TIFF" and image.tag_v2.get(Base.Orientation, 1) != 1:
        raise InputError("a TIFF that is to be shown turned; save it upright first")


@contextmanager
def open_image(path: str | Path) -> Iterator[Image.Image]:
    """An image file, opened and checked, not yet decoded.

    Raises:
        InputError: names the file and what is wrong with it: no image, 16 bits, a
            palette, alpha, CMYK, too many pixels; or what goes wrong while it is
            open.
    """
    try:
        with Image.open(path) as image:
            check_format(image)
            yield image
    except Exception as error:  # damaged files make Pillow raise all kinds
        raise InputError(f"{path}: {error}") from error


def png_chunks(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Type and length of each chunk of a PNG, the file placed at the chunk's data."""
    position = 8
    while True:
        file.seek(position)
        head = file.read(8)
        if len(head) < 8:
            return
        length, name = struct.unpack(">I4s", head)
        yield name, length
        position += 12 + length


def says_more_behind_pixels(path: str | Path) -> bool:
    """Whether a PNG has EXIF or text behind its pixels; it may say how it lies."""
    with open(path, "rb") as file:
        names = [name for name, _ in png_chunks(file)]
    behind = names[names.index(b"IDAT") :] if b"IDAT" in names else []
    return not {b"eXIf", b"iTXt", b"zTXt"}.isdisjoint(behind)


def orientation(image: Image.Image) -> int:
    """How an opened image lies, by EXIF or XMP: 1 is upright, 5 to 8 are on a side."""
    if image.format == "PNG" and says_more_behind_pixels(image.filename):
        image.load()  # Pillow reads no farther than the pixels before
    try:
        # Not the PNG's own, which decodes every file that has no EXIF
        return Image.Image.getexif(image).get(Base.Orientation, 1)
    except SyntaxError:  # EXIF that cannot be read says nothing
        return 1


def read_image(path: str | Path, channels: int = 3) -> np.ndarray:
    """Decode an 8-bit gray or RGB image to uint8 (H, W, 3), or (H, W) for 1 channel.

    It is turned upright as a camera's EXIF, or else XMP, says.  Gray becomes RGB by
    repetition, RGB becomes gray as Pillow's "L".  InputError as `open_image`.
    """
    with open_image(path) as image:
        upright = image if orientation(image) == 1 else ImageOps.exif_transpose(image)
        return np.array(upright.convert("RGB" if channels == 3 else "L"))


def image_size(path: str | Path) -> tuple[int, int]:
    """(height, width) of the upright image, seldom decoded for it; see `open_image`."""
    with open_image(path) as image:
        on_side = orientation(image) in range(5, 9)
        return image.size if on_side else image.size[::-1]


def raise_if_any(problems: list, what: str) -> None:
    """Raise InputError that names the problems, if there are any."""
    if problems:
        shown = "\n  ".join(str(p) for p in problems[:20])
        more = f"\n  and {len(problems) - 20} more" if len(problems) > 20 else ""
        raise InputError(f"{len(problems)} {what}:\n  {shown}{more}")
