"""Mutated pictures of every format, each made from its number, through `restore`.

    python -m tests.fuzz.pictures COUNT

prints as JSON how many were restored and how many refused with which documented error,
what else happened, and by how many MiB the process grew at most. In place of a network
stands a plain doubling: what is tried is reading and writing.
"""

import collections
import io
import json
import random
import resource
import signal
import sys
import tempfile
import traceback
import warnings
from pathlib import Path

import numpy as np
import pillow_heif
import pyvips
import tifffile
from PIL import Image

from swinir_lite.errors import InputError
from swinir_lite.restoring.decoding import count_pages
from swinir_lite.restoring.encoding import Encoding
from swinir_lite.restoring.pictures import PictureWriter, open_picture

from ..restoring.making import (
    P3,
    exif,
    icc_profile,
    itxt,
    png,
    png_chunk,
    ppm,
    saved,
    xmp,
)  # fmt: skip

SECONDS = 5  # of the processor; longer is a hang
DOCUMENTED = (InputError, OSError)
MAX_PIXELS = 1e8
FORMATS = ("png", "tiff", "webp", "jpeg")

HEIGHT, WIDTH = 24, 32
down, across = np.mgrid[:HEIGHT, :WIDTH]
RGB = np.stack([across * 8, down * 10, (across + down) * 4], 2).astype(np.uint8)
DEEP = (RGB.astype(np.uint16) * 257) ^ 5
RGBA = np.dstack([RGB, RGB[..., 0]])
IMAGE = Image.fromarray(RGB)
ABOUT = {"exif": exif(6), "icc_profile": icc_profile(P3)}
CHUNKS = png_chunk(b"eXIf", exif(3).tobytes()[6:]) + itxt(xmp(5))


def tiff(array, **options) -> bytes:
    """A TIFF as tifffile writes it."""
    file = io.BytesIO()
    tifffile.imwrite(file, array, photometric="rgb", **options)
    return file.getvalue()


def heic() -> bytes:
    file = io.BytesIO()
    pillow_heif.from_pillow(IMAGE).save(file, quality=80)
    return file.getvalue()


def more_frames() -> dict:
    return {"save_all": True, "append_images": [IMAGE.rotate(180), IMAGE.rotate(90)]}


def originals() -> dict[str, bytes]:
    """Small pictures of every kind, by a name."""
    image = pyvips.Image.new_from_array(RGB)
    return {
        "rgb.png": png(RGB, before=CHUNKS),
        "deep.png": png(np.dstack([DEEP, DEEP[..., 1]]), behind=CHUNKS),
        "palette.png": saved(IMAGE.quantize(32), "png", transparency=3),
        "bit.png": saved(IMAGE.convert("1"), "png"),
        "frames.png": saved(IMAGE, "png", **more_frames()),
        "rgb.jpg": saved(IMAGE, "jpeg", xmp=xmp(), dpi=(300, 300), **ABOUT),
        "gray.jpg": saved(IMAGE.convert("L"), "jpeg"),
        "cmyk.jpg": saved(IMAGE.convert("CMYK"), "jpeg"),
        "progressive.jpg": saved(IMAGE, "jpeg", progressive=True),
        "phone.jpg": saved(IMAGE, "mpo", **more_frames()),
        "rgb.tif": saved(IMAGE, "tiff", tiffinfo={271: "Maker", 274: 6}),
        "lzw.tif": saved(IMAGE, "tiff", compression="tiff_lzw"),
        "fax.tif": saved(IMAGE.convert("1"), "tiff", compression="group4"),
        "pages.tif": saved(IMAGE, "tiff", **more_frames()),
        "deep.tif": tiff(DEEP, tile=(16, 16)),
        "planar.tif": tiff(np.moveaxis(DEEP, 2, 0).copy(), planarconfig="separate"),
        "float.tif": tiff((RGB / 255).astype(np.float32)),
        "big.tif": tiff(RGB, bigtiff=True),
        "lossy.webp": saved(IMAGE, "webp", xmp=xmp(6), **ABOUT),
        "lossless.webp": saved(Image.fromarray(RGBA), "webp", lossless=True),
        "frames.webp": saved(IMAGE, "webp", **more_frames()),
        "rgb.avif": image.heifsave_buffer(compression="av1", Q=70),
        "rgb.heic": heic(),
        "palette.gif": saved(IMAGE.quantize(32), "gif"),
        "rgb.bmp": saved(IMAGE, "bmp"),
        "rgb.ppm": ppm(RGB, 255),
        "deep.pgm": ppm(DEEP[..., 0], 65535),
    }


ORIGINALS = sorted(originals().items())


def place(rng: random.Random, content: bytes) -> int:
    """Somewhere in a file, every second time near its start, where headers are."""
    if rng.random() < 0.5:
        return rng.randrange(len(content))
    return rng.randrange(min(len(content), 120))


def flip(rng):
    """Some bits are others."""
    name, content = rng.choice(ORIGINALS)
    content = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 17, 100))):
        content[place(rng, content)] ^= 1 << rng.randrange(8)
    return name, bytes(content)


def cut(rng):
    """The file ends early."""
    name, content = rng.choice(ORIGINALS)
    return name, content[: place(rng, content)]


def splice(rng):
    """A part is missing, comes twice, is noise, or is from another file."""
    name, content = rng.choice(ORIGINALS)
    at, length = place(rng, content), rng.choice((1, 4, 30, 500))
    other = rng.choice(ORIGINALS)[1]
    start = place(rng, other)
    insert = rng.choice((b"", content[at : at + length] * 2, rng.randbytes(length),
                         other[start : start + length]))  # fmt: skip
    return name, content[:at] + insert + content[at + length :]


def numbers(rng):
    """A number somewhere, as of a size, an offset or a count, is another."""
    name, content = rng.choice(ORIGINALS)
    content = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 4))):
        at, size = place(rng, content), rng.choice((1, 2, 4, 8))
        value = rng.choice(
            (0, 1, 2, 3, 7, 255, 256, 9400, 16383, 65535, 65536, 10**6, 2**31 - 1,
             2**31, 2**32 - 1, 2**63)
        )  # fmt: skip
        order = rng.choice(("big", "little"))
        content[at : at + size] = (value % 256**size).to_bytes(size, order)
    return name, bytes(content)


def mend(rng):
    """As `flip`, but a PNG's check sums are right, so that its content is looked at."""
    name, content = rng.choice([item for item in ORIGINALS if "png" in item[0]])
    parts, position = [content[:8]], 8
    while position < len(content):
        length = int.from_bytes(content[position : position + 4], "big")
        kind = content[position + 4 : position + 8]
        data = bytearray(content[position + 8 : position + 8 + length])
        for _ in range(rng.choice((0, 0, 1, 3))):
            if data:
                data[rng.randrange(len(data))] = rng.randrange(256)
        parts.append(png_chunk(kind, bytes(data)))
        position += 12 + length
    return name, b"".join(parts)


MUTATIONS = (flip, cut, splice, numbers, mend)


def hang(*_):
    raise TimeoutError(f"longer than {SECONDS} seconds")


def restore(path: Path, result: Path, format: str) -> None:
    """Read a picture, write it doubled, read that."""
    pages = count_pages(path)
    picture = open_picture(path, 0, 3, MAX_PIXELS)
    with PictureWriter(picture, result, 2, Encoding(format)) as writer:
        for page in range(pages):
            if page:
                picture = open_picture(path, page, 3, MAX_PIXELS)
                writer.next_page(picture)
            for top in range(0, picture.height, 64):
                count = min(64, picture.height - top)
                rows = picture.read(top, 0, count, picture.width)
                assert rows.shape == (count, picture.width, 3)
                assert np.isfinite(rows).all()
                writer.write(rows.repeat(2, 0).repeat(2, 1))
    written = open_picture(result)
    assert (written.height, written.width) == writer.result.shape[:2] or pages > 1


def outcome(path: Path, format: str) -> str:
    """What `restore` does, in a word; raises what is not documented."""
    result = path.with_name(f"result.{format}")
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        restore(path, result, format)
    except DOCUMENTED as error:
        if isinstance(error, TimeoutError) or "\n" in str(error) or result.exists():
            raise
        return type(error).__name__
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    result.unlink()
    return "restored"


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(count: int) -> dict:
    """The outcomes of the first `count` files."""
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGPROF, hang)
    outcomes, wrong, before = collections.Counter(), [], peak_mib()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(count):
            mutation, rng = MUTATIONS[number % len(MUTATIONS)], random.Random(number)
            name, content = mutation(rng)
            path = Path(folder, f"given-{name}")
            path.write_bytes(content)
            try:
                outcomes[
                    f"{mutation.__name__}: {outcome(path, rng.choice(FORMATS))}"
                ] += 1
            except Exception:
                wrong.append(
                    f"{mutation.__name__} {number} {name}: {traceback.format_exc()}"
                )
            path.unlink()
        left = [path.name for path in Path(folder).iterdir()]
    grown = round(peak_mib() - before)
    return {"outcomes": outcomes, "wrong": wrong, "grown_mib": grown, "left": left}


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]))))
