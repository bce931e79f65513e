"""PBM, PGM and PPM: a header in words, then pixels as bytes, bits or words too."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from ..errors import InputError
from .formats import check_size
from .raw_pixels import PixelsOnDisk, naming_folder, temporary_pixels

HEAD = 4096  # bytes of a file in which its header must stand
READ_AT_ONCE = 2**20
LONGEST_WORD = 100
GAP = rb"(?:\s+(?:#[^\n]*\n\s*)*)"
BLACK_AND_WHITE, GRAY = (b"1", b"4"), (b"2", b"5")


class Header(NamedTuple):
    """What a file says of its pixels, and where they begin."""

    kind: bytes
    width: int
    height: int
    white: int
    begin: int

    @property
    def shape(self) -> tuple[int, int, int]:
        gray = self.kind in BLACK_AND_WHITE + GRAY
        return self.height, self.width, 1 if gray else 3

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(">u2" if self.white > 255 else "u1")

    def least_bytes(self) -> int:
        """How many bytes the pixels take at least."""
        values = int(np.prod(self.shape, dtype=object))
        if self.kind == b"4":
            return self.height * -(-self.width // 8)
        if self.kind in (b"2", b"3"):  # digits, and a space between two
            return 2 * values - 1
        return values * self.dtype.itemsize


def read_header(path: str | Path) -> Header:
    """The header of a file; InputError where it cannot be."""
    with open(path, "rb") as file:
        start = file.read(HEAD)
    numbers = 2 if start[1:2] in BLACK_AND_WHITE else 3
    head = re.match(rb"P([1-6])" + numbers * (GAP + rb"(\d+)") + rb"\s", start)
    if not head:
        raise InputError("a damaged PBM, PGM or PPM: its header cannot be read")
    width, height, white = (int(n) for n in (*head.groups()[1:], b"255")[:3])
    if not (width and height and 0 < white < 65536):
        raise InputError(f"declares {width}x{height} pixels of at most {white}")
    return Header(head[1], width, height, white, head.end())


def holds_another(path: str | Path) -> bool:
    """Whether a second picture follows the first, as programs write films."""
    head = read_header(path)
    with open(path, "rb") as file:
        file.seek(head.begin + head.least_bytes())
        behind = file.read(16)
    binary = head.kind in (b"4", b"5", b"6")
    return binary and re.match(rb"\s*P[1-6]\s", behind) is not None


def read_pnm(path: str | Path, max_pixels: float) -> tuple[PixelsOnDisk, int, bool]:
    """A file's pixels, the value of white, and whether they were bits."""
    head = read_header(path)
    check_size(path, "PNM", head.height, head.width, max_pixels)
    held = Path(path).stat().st_size - head.begin
    if held < head.least_bytes():
        size = f"{head.width}x{head.height}"
        raise InputError(f"declares {size} pixels, but holds {held} bytes")
    bits = head.kind in BLACK_AND_WHITE
    if head.kind in (b"5", b"6"):
        return PixelsOnDisk(path, head.shape, head.dtype, head.begin), head.white, bits
    with naming_folder():
        pixels = temporary_pixels(head.shape, head.dtype)
    with open(path, "rb") as file, open(pixels.path, "wb") as raw:
        file.seek(head.begin)
        unpacked = packed_rows if head.kind == b"4" else values_of_words
        for values in unpacked(file, head):
            with naming_folder():
                raw.write(values.astype(head.dtype).data)
    return pixels, head.white, bits


def packed_rows(file: BinaryIO, head: Header) -> Iterator[np.ndarray]:
    """Rows of eight pixels a byte, in which 1 is black."""
    for _ in range(head.height):
        row = np.frombuffer(file.read(-(-head.width // 8)), np.uint8)
        yield 255 * (1 - np.unpackbits(row)[: head.width])


def values_of_words(file: BinaryIO, head: Header) -> Iterator[np.ndarray]:
    """Values that stand there as words, as many as the header declares."""
    missing = int(np.prod(head.shape, dtype=object))
    for words in words_of(file, apart=head.kind != b"1"):
        values = numbers(words, head.white) if head.kind != b"1" else digits(words)
        values = values[:missing]
        missing -= len(values)
        yield values
        if not missing:
            return
    raise InputError(f"a damaged PBM, PGM or PPM: {missing} values are missing")


def words_of(file: BinaryIO, apart: bool) -> Iterator[list[bytes]]:
    """The words of a text without its comments, many at a time.

    Args:
        file: where they begin.
        apart: whether there is space between any two; if not, words may be cut.
    """
    rest = b""
    while more := file.read(READ_AT_ONCE):
        text, mark, _ = re.sub(rb"#[^\n]*\n", b" ", rest + more).partition(b"#")
        *words, last = re.split(rb"\s+", text) if apart and not mark else (text, b"")
        if len(last) > LONGEST_WORD:
            raise InputError("a damaged PGM or PPM: its pixels are not all numbers")
        yield b" ".join(words).split()
        rest = last + mark
    yield rest.partition(b"#")[0].split()


def digits(words: list[bytes]) -> np.ndarray:
    """Bits as gray of 8 bits, in which 1 is black."""
    bits = np.frombuffer(b"".join(words), np.uint8) - ord("0")
    if (bits > 1).any():
        raise InputError("a damaged PBM: its pixels are not all 0 or 1")
    return 255 * (1 - bits)


def numbers(words: list[bytes], white: int) -> np.ndarray:
    """Numbers up to that of white."""
    if not all(word.isdigit() and len(word) <= LONGEST_WORD for word in words):
        raise InputError("a damaged PGM or PPM: its pixels are not all numbers")
    values = np.array([int(word) for word in words], dtype=object)
    if (values > white).any():
        raise InputError(f"a damaged PGM or PPM: pixels above its white, {white}")
    return values.astype(np.uint16)
