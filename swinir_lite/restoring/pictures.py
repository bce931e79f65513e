"""Pictures as a network sees them, and results as their files hold them.

A network sees gray or RGB in [0, 1]. What else a picture has (alpha, 16 bits, colour
where the network knows only gray, a profile, EXIF) is kept beside it and put back.
"""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyvips

from ..errors import InputError
from ..image_restoration import imresize
from ..whole_files import whole_file
from .decoding import MAX_PIXELS, decode
from .encoding import EIGHT_BITS, Encoding, begin_rows, encode, encode_pages
from .raw_pixels import PixelsOnDisk

LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
SPREAD = (1, 2, 4, 8, 16)  # reaches, in pixels, at which visible colours are looked for
REACH = max(SPREAD)
ROWS_COMPARED = 64
CUBIC_MARGIN = 4  # pixels of the input, more than the cubic kernel reaches


def box_sum(values: np.ndarray, reach: int) -> np.ndarray:
    """Sum of (h, w, c) over windows of 2 * reach + 1, cut at the borders."""
    for axis in (0, 1):
        length = values.shape[axis]
        sums = np.cumsum(values, axis, dtype=np.float64)
        first = np.zeros_like(sums.take([0], axis))
        sums = np.concatenate([first, sums], axis)
        after = np.minimum(np.arange(length) + reach + 1, length)
        before = np.maximum(np.arange(length) - reach, 0)
        values = sums.take(after, axis) - sums.take(before, axis)
    return values


def fill_hidden(colours: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Give pixels of alpha 0 the mean colour of the nearest visible ones.

    The colour that a file holds there is arbitrary, and a network would let it bleed
    into what is visible. Farther than `REACH` from anything visible it is black.

    Args:
        colours: (h, w, c), float32.
        alpha: (h, w, 1).
    """
    visible = (alpha > 0).astype(np.float32)
    if visible.all():
        return colours
    filled, missing = colours * visible, visible == 0
    for reach in SPREAD:
        weights = box_sum(visible, reach)
        means = box_sum(colours * visible, reach) / np.maximum(weights, 1)
        found = missing & (weights > 0.5)
        filled = np.where(found, means.astype(np.float32), filled)
        missing &= ~found
        if not missing.any():
            break
    return filled


class Picture:
    """A picture, upright, as a network sees it.

    Attributes:
        height, width: in pixels.
        channels: that the network sees, 1 or 3.
        colours: that the picture has, 1 or 3.
        has_alpha: whether it has transparency besides.
        is_gray: whether its three colours are equal everywhere.
        dtype: of its pixels: uint8, uint16 or float.
        notes: lines that say what was converted.
        header: a libvips image with the metadata of its file, if it has one.

    Args:
        pixels: (H, W, bands), indexed as an array; alpha is last.
        channels: that the network sees; the picture's own unless told.
        white: the value of white; the largest of integers, 1 for floats unless told.
    """

    def __init__(
        self,
        pixels: np.ndarray | PixelsOnDisk,
        channels: int | None = None,
        white: float | None = None,
        notes: list[str] | None = None,
        header: pyvips.Image | None = None,
    ):
        self.pixels, self.header = pixels, header
        self.height, self.width, bands = pixels.shape
        self.has_alpha = bands in (2, 4)
        self.colours = bands - self.has_alpha
        self.is_gray = self.colours == 3 and is_gray(pixels)
        self.channels = channels or self.colours
        self.dtype = pixels.dtype.newbyteorder("=")
        self.white = white or white_of(self.dtype)
        self.notes = list(notes or ())
        if self.channels < self.colours and not self.is_gray:
            self.notes.append(
                "the model is for gray pictures: luma was restored, colour is as it was"
            )

    def is_opaque(self) -> bool:
        """Whether nothing of the picture is transparent, as in most screenshots."""
        return not self.has_alpha or all(
            (self.pixels[top : top + ROWS_COMPARED, 0 : self.width][..., -1]
             == self.white).all()
            for top in range(0, self.height, ROWS_COMPARED)
        )  # fmt: skip

    def bands(self, top: int, left: int, height: int, width: int) -> np.ndarray:
        """Colours and alpha of a rectangle, float32 (h, w, bands) in [0, 1]."""
        pixels = self.pixels[top : top + height, left : left + width]
        return pixels.astype(np.float32) / np.float32(self.white)

    def read_colours(self, top: int, left: int, height: int, width: int) -> np.ndarray:
        """The picture's colours in a rectangle, hidden ones filled: (h, w, 1 or 3)."""
        if not self.has_alpha:
            return self.bands(top, left, height, width)
        above, before = min(top, REACH), min(left, REACH)
        tall = min(self.height, top + height + REACH) - (top - above)
        wide = min(self.width, left + width + REACH) - (left - before)
        bands = self.bands(top - above, left - before, tall, wide)
        filled = fill_hidden(bands[..., :-1], bands[..., -1:])
        return filled[above : above + height, before : before + width]

    def read(self, top: int, left: int, height: int, width: int) -> np.ndarray:
        """What the network sees of a rectangle: (h, w, channels).

        In [0, 1] as float32, or uint8 as it is in the file where nothing changes it.
        """
        plain = self.dtype == np.uint8 and self.white == 255 and not self.has_alpha
        if plain and self.channels == self.colours:
            return self.pixels[top : top + height, left : left + width]
        colours = self.read_colours(top, left, height, width)
        if self.channels > self.colours:
            return np.repeat(colours, 3, 2)
        return colours if self.channels == self.colours else to_luma(colours)

    def read_alpha(self, top: int, left: int, height: int, width: int) -> np.ndarray:
        """Alpha of a rectangle: float32 (h, w, 1) in [0, 1], 1 where there is none."""
        if not self.has_alpha:
            return np.ones((height, width, 1), np.float32)
        return self.bands(top, left, height, width)[..., -1:]


def is_gray(pixels: np.ndarray | PixelsOnDisk) -> bool:
    """Whether the three colours of pixels (H, W, 3 or 4) are equal everywhere."""
    height, width, _ = pixels.shape
    for top in range(0, height, ROWS_COMPARED):
        colours = pixels[top : top + ROWS_COMPARED, 0:width][..., :3]
        if (colours != colours[..., :1]).any():
            return False
    return True


def white_of(dtype: np.dtype) -> int:
    """The value of white: the largest of integers, 1 for floats."""
    return np.iinfo(dtype).max if dtype.kind == "u" else 1


def to_luma(colours: np.ndarray) -> np.ndarray:
    """The luma (h, w, 1) of colours (h, w, 3)."""
    return (colours @ LUMA)[..., None]


def enlarged_rows(
    read: Callable[[int, int, int, int], np.ndarray],
    size: tuple[int, int],
    scale: int,
    top: int,
    count: int,
) -> np.ndarray:
    """Rows of the plain enlargement, bicubic, of a picture that is read in parts.

    Args:
        read: (top, left, height, width) -> (h, w, c).
        size: height and width of the picture.
        scale: by which it is enlarged.
        top, count: which rows, counted in the result.
    """
    height, width = size
    if scale == 1:
        return read(top, 0, count, width)
    first = max(top // scale - CUBIC_MARGIN, 0)
    last = min(-(-(top + count) // scale) + CUBIC_MARGIN, height)
    rows = imresize(read(first, 0, last - first, width), scale)
    return rows[top - first * scale :][:count].astype(np.float32)


def open_picture(
    path: str | Path,
    page: int = 0,
    channels: int | None = None,
    max_pixels: float = MAX_PIXELS,
) -> Picture:
    """Decode a picture's file, or one page of a TIFF.

    Args:
        path: PNG, JPEG, TIFF, WebP, AVIF, HEIC, GIF, BMP, PBM, PGM or PPM.
        page: counted from 0.
        channels: that the network sees, 1 or 3; the picture's own unless told.
        max_pixels: a file that declares more is refused.

    Raises:
        InputError: in one line: no picture, damaged, an animation, too large.
        OSError: if the file cannot be read.
    """
    decoded = decode(path, page, max_pixels)
    about = decoded.peak, decoded.notes, decoded.header
    return Picture(decoded.pixels, channels, *about)


class Result:
    """What becomes of the network's rows: the picture's own kind, rounded.

    Gray is gray again, also in three equal colours, a coloured picture has its colours
    around the restored luma, and alpha is enlarged on its own.

    Attributes:
        shape: (H, W, bands).
        dtype: of its pixels; the picture's unless told.
        takes: float32, or the same as `dtype` where rows may be rounded already.
        top: how many rows are done.
    """

    def __init__(
        self,
        picture: Picture,
        scale: int,
        dtype: np.dtype | None = None,
        with_alpha: bool = True,
    ):
        self.picture, self.scale, self.top = picture, scale, 0
        self.with_alpha = picture.has_alpha and with_alpha
        self.dtype = dtype or picture.dtype
        as_is = picture.channels == picture.colours and not picture.is_gray
        whole = as_is and self.dtype.kind == "u"
        self.takes = self.dtype if whole else np.float32
        bands = picture.colours + self.with_alpha
        self.shape = picture.height * scale, picture.width * scale, bands

    def enlarged(
        self, read: Callable[[int, int, int, int], np.ndarray], count: int
    ) -> np.ndarray:
        """The next rows of the plain enlargement."""
        size = self.picture.height, self.picture.width
        return enlarged_rows(read, size, self.scale, self.top, count)

    def rounded(self, rows: np.ndarray) -> np.ndarray:
        """Rows in [0, 1] in the result's type; those that have it stay."""
        if rows.dtype == self.dtype:
            return rows.clip(0, 1) if self.dtype.kind == "f" else rows
        rows = rows.clip(0, 1)
        if self.dtype.kind == "u":
            rows = np.rint(rows * np.float32(white_of(self.dtype)))
        return rows.astype(self.dtype)

    def finish(self, rows: np.ndarray) -> np.ndarray:
        """The next rows of the result, from those of the network.

        Args:
            rows: (n, W, channels), float32 in [0, 1], or of the type that it `takes`.
        """
        picture = self.picture
        if picture.channels > picture.colours:
            rows = to_luma(rows)
        elif picture.channels < picture.colours:
            plain = self.enlarged(picture.read_colours, len(rows))
            rows = plain + (rows - to_luma(plain))
        elif picture.is_gray:
            rows = np.repeat(to_luma(rows), 3, 2)
        rows = self.rounded(rows)
        if self.with_alpha:
            alpha = self.enlarged(picture.read_alpha, len(rows))
            rows = np.concatenate([rows, self.rounded(alpha)], 2)
        self.top += len(rows)
        return rows


@contextmanager
def naming(what: str, folder: Path) -> Iterator[None]:
    """Say of an error of the system what could not be done, and in which folder."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise type(error)(f"{what} {folder}: {reason}; choose another by -o") from error


class PictureWriter:
    """Writes a result, row by row, to a file that is there whole or not at all.

    Rows go to a temporary file beside it, which is encoded when the last is there, so
    memory is bounded by rows. Used as a context manager, which completes the file, or
    leaves nothing if the block raises.

    Args:
        picture: what the rows are restored from; gives type, alpha and metadata. A
            TIFF may have more pages, each begun by `next_page`.
        path: of the result; its folder is made if need be.
        scale: by which the network enlarges.
        encoding: how it is written.

    Raises:
        InputError: the format cannot hold the result.
        OSError: the folder cannot be made, or nothing can be written in it.
    """

    def __init__(
        self, picture: Picture, path: str | Path, scale: int, encoding: Encoding
    ):
        self.path, self.scale, self.encoding = Path(path), scale, encoding
        self.finished = []  # (file of rows, header) of each page
        with naming("cannot make the folder", self.path.parent):
            self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self.begin(picture)
        except BaseException:
            self.remove_rows()
            raise

    def begin(self, picture: Picture) -> None:
        """Expect the rows of a picture, and have a file to put them in."""
        self.encoding.check(picture, self.scale)
        self.result = self.result_of(picture)
        with naming("cannot write in", self.path.parent):
            handle, name = tempfile.mkstemp(".partial", ".", self.path.parent)
        self.finished.append((name, picture.header))
        self.rows = os.fdopen(handle, "rb+")
        with naming("cannot write in", self.path.parent):
            self.rows.seek(begin_rows(name, self.result.shape, self.result.dtype))

    def next_page(self, picture: Picture) -> None:
        """Begin another page; the rows that follow are its."""
        if self.encoding.format != "tiff":
            raise InputError("it has several pages, which only TIFF holds")
        self.begin(picture)

    def takes(self, picture: Picture) -> type:
        """In which type a picture's rows are wanted."""
        return self.result_of(picture).takes

    def result_of(self, picture: Picture) -> Result:
        """What becomes of a picture's rows."""
        dtype = np.dtype(np.uint8) if self.encoding.format in EIGHT_BITS else None
        return Result(picture, self.scale, dtype, self.encoding.format != "jpeg")

    def write(self, rows: np.ndarray) -> None:
        """Take the next rows, (n, width * scale, channels); see `Result.finish`."""
        self.rows.write(np.ascontiguousarray(self.result.finish(rows)).data)
        if self.result.top == self.result.shape[0]:
            self.rows.close()

    def close(self) -> None:
        """Encode what was written and give the file its name."""
        with whole_file(self.path) as partial:
            if len(self.finished) == 1:
                encode(*self.finished[0], partial, self.encoding)
            else:
                encode_pages(self.finished, partial, self.encoding)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        try:
            self.rows.close()
            if kind is None:
                self.close()
        finally:
            self.remove_rows()

    def remove_rows(self) -> None:
        """Delete what only encoding needs."""
        for name, _ in self.finished:
            Path(name).unlink(missing_ok=True)
