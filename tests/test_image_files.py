"""Pictures read from files: what is wrong with one is an InputError with its name."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from swinir_lite.errors import InputError
from swinir_lite.image_files import image_size, read_image


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
