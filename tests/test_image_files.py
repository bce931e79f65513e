"""Pictures read from files: what is wrong with one is an InputError with its name."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from swinir_lite.errors import InputError
from swinir_lite.image_files import image_size, read_image

from .restoring.making import exif, itxt, png, png_chunk, xmp


def png_of_size(width, height):
    """A PNG that declares this size, with no pixels."""
    written = io.BytesIO(b"\x89PNG\r\n\x1a\n")
    written.seek(8)
    size = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    for chunk in (b"IHDR" + size, b"IDAT", b"IEND"):
        length, checksum = len(chunk) - 4, zlib.crc32(chunk)
        written.write(struct.pack(">I", length) + chunk + struct.pack(">I", checksum))
    return written.getvalue()


@pytest.mark.parametrize("function", [image_size, read_image])
def test_a_size_beyond_all_reason_is_refused(function, tmp_path):
    path = tmp_path / "bomb.png"
    path.write_bytes(png_of_size(60_000, 60_000))
    with pytest.raises(InputError, match=r"bomb\.png: .*3600000000 pixels"):
        function(path)


def test_whatever_a_damaged_picture_makes_its_decoder_raise_names_the_file(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    written = io.BytesIO()
    Image.fromarray(pixels).save(written, "AVIF")
    whole, path, kinds = written.getvalue(), tmp_path / "photo.avif", set()
    unnamed = 0
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 0x10
        path.write_bytes(damaged)
        try:
            read_image(path)
        except InputError as error:
            kinds.add(type(error.__cause__))
            unnamed += not str(error).startswith(f"{path}: ")
    assert not unnamed
    assert RuntimeError in kinds  # what no other format's decoder raises


PLACES_IN_A_PNG = {  # of what turns it by a quarter
    "EXIF before pixels": {"before": png_chunk(b"eXIf", exif(6).tobytes()[6:])},
    "EXIF behind pixels": {"behind": png_chunk(b"eXIf", exif(6).tobytes()[6:])},
    "XMP before pixels": {"before": itxt(xmp(6))},
    "XMP behind pixels": {"behind": itxt(xmp(6))},
}


@pytest.mark.parametrize("place", PLACES_IN_A_PNG)
def test_a_png_is_turned_wherever_it_says_so(tmp_path, place):
    stored, path = np.arange(24, dtype=np.uint8).reshape(4, 6), tmp_path / "a.png"
    path.write_bytes(png(stored, **PLACES_IN_A_PNG[place]))
    assert image_size(path) == (6, 4)
    assert np.array_equal(read_image(path, 1), np.rot90(stored, -1))


def test_the_size_of_a_png_is_read_off_its_header(tmp_path, monkeypatch):
    path, said = tmp_path / "a.png", png_chunk(b"tEXt", b"Comment\0by a program")
    path.write_bytes(png(np.zeros((4, 6), np.uint8), before=said, behind=said))
    monkeypatch.setattr(Image.Image, "load", None)
    assert image_size(path) == (4, 6)
