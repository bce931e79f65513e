"""Raw pixels in a file, of which no more is in memory than is asked for."""

import os
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np


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


@contextmanager
def naming_folder() -> Iterator[None]:
    """Say of an error of the system that it concerns the folder of temporary files."""
    try:
        yield
    except OSError as error:
        where = f"its pixels do not go into {tempfile.gettempdir()}"
        said = f"{where}: {error.strerror or error}; choose another by TMPDIR"
        raise OSError(said) from error


def temporary_pixels(
    shape: tuple[int, int, int], dtype: str | np.dtype
) -> PixelsOnDisk:
    """Pixels in a temporary file, which is to be filled and goes with them."""
    handle, path = tempfile.mkstemp(prefix="swinir-", suffix=".raw")
    os.close(handle)
    pixels = PixelsOnDisk(path, shape, dtype)
    pixels.remove_when_unused()
    return pixels
