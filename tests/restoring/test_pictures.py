"""Pictures as people have them: each is restored and its result read back.

`--strength 0` is the plain enlargement, so what a file is to hold is known: chapter
1's `imresize` of the pixels that were put in.
"""

import io
import os
import struct
import sys
import tempfile
import time
import zlib

import numpy as np
import pytest
import pyvips
import tifffile
import torch
from PIL import Image, ImageCms, ImageOps

from swinir_lite import imresize, load_model, to_image
from swinir_lite.measuring.evaluation import restore as reading_path
from swinir_lite.restoring import decoding, encoding, pnm
from swinir_lite.restoring.formats import jpeg_comments
from swinir_lite.restoring.pictures import REACH, open_picture

from .making import (
    ADOBE,
    P3,
    exif,
    icc_profile,
    itxt,
    png,
    png_chunk,
    ppm,
    read_png,
    saved,
    xmp,
)  # fmt: skip

PLAIN = ("--strength", "0")
KINDS = ("png", "jpeg", "tiff", "webp")


def enlarged(array, scale=2):
    """The plain enlargement, rounded, of an array of integers."""
    white = np.iinfo(array.dtype).max
    larger = imresize(array.astype(np.float64), scale)
    return np.rint(larger.clip(0, white)).astype(int)


def close(result, expected, levels=1):
    """Whether no pixel differs by more than some levels."""
    result = np.asarray(result).astype(int)
    assert result.shape == expected.shape
    return np.abs(result - expected).max() <= levels


@pytest.fixture
def restored(tmp_path, restore):
    """restored(content, ending, *options): the result's path, and what was said."""

    def run(content, ending, *options, to="png", **model):
        source, target = tmp_path / f"given.{ending}", tmp_path / f"result.{to}"
        source.write_bytes(content)
        how = "-o", target, "--overwrite", *options
        status, _, err = restore(source, *how, **model)
        assert status == 0, err
        return target, err

    return run


@pytest.fixture
def refused_picture(tmp_path, restore):
    """refused_picture(content, ending, *options): the one line that says why."""

    def run(content, ending, *options):
        source = tmp_path / f"given.{ending}"
        source.write_bytes(content)
        status, _, err = restore(source, "-o", tmp_path / "out", *options)
        assert status == 2
        (line,) = err.splitlines()
        assert line.startswith(f"error: {source}: ")
        return line

    return run


# Profiles and metadata


@pytest.mark.parametrize("to", ["png", "jpg", "tif", "webp"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("primaries", [P3, ADOBE])
def test_a_profile_is_carried_over(photo, restored, kind, primaries, to):
    profile = icc_profile(primaries)
    flat = Image.new("RGB", (12, 8), (230, 60, 60))
    options = {"lossless": True} if kind == "webp" else {}
    content = saved(flat, kind, icc_profile=profile, **options)
    path, err = restored(content, kind, *PLAIN, to=to)
    with Image.open(path) as image:
        assert image.info["icc_profile"] == profile
        assert close(image, np.full((16, 24, 3), (230, 60, 60)), 2)
    assert err == ""


@pytest.mark.parametrize("kind", ["png", "jpeg", "tiff"])
def test_a_gray_profile_is_carried_over(restored, kind):
    content = saved(Image.new("L", (9, 7), 90), kind, icc_profile=icc_profile())
    path, _ = restored(content, kind, *PLAIN)
    with Image.open(path) as image:
        assert image.info["icc_profile"] == icc_profile()
        assert image.mode == "L"


def turned(array, orientation):
    """The stored pixels of a picture that is to be shown like the array."""
    back = {6: 8, 8: 6}.get(orientation, orientation)
    image = Image.fromarray(array)
    image.getexif()[0x0112] = back
    return ImageOps.exif_transpose(image)


EXACT = {"quality": 100, "subsampling": 0}
ORIENTED = {
    "jpeg": lambda image, tag: saved(image, "jpeg", exif=exif(tag), **EXACT),
    "png": lambda image, tag: saved(image, "png", exif=exif(tag)),
    "png_behind_pixels": lambda image, tag: png(
        np.array(image), behind=png_chunk(b"eXIf", exif(tag).tobytes()[6:])
    ),
    "png_xmp": lambda image, tag: png(np.array(image), before=itxt(xmp(tag))),
    "png_xmp_behind": lambda image, tag: png(np.array(image), behind=itxt(xmp(tag))),
    "webp": lambda image, tag: saved(image, "webp", exif=exif(tag), lossless=True),
    "jpeg_xmp": lambda image, tag: saved(image, "jpeg", xmp=xmp(tag), **EXACT),
    "webp_xmp": lambda image, tag: saved(image, "webp", xmp=xmp(tag), lossless=True),
    "tiff": lambda image, tag: saved(image, "tiff", tiffinfo={274: tag}),
    "tiff_deflate": lambda image, tag: saved(
        image, "tiff", tiffinfo={274: tag}, compression="tiff_adobe_deflate"
    ),
}


@pytest.mark.parametrize("kind", ORIENTED)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_come_out_upright(photo, restored, kind, orientation):
    shown = photo(10, 14)
    content = ORIENTED[kind](turned(shown, orientation), orientation)
    path, _ = restored(content, kind.split("_")[0], *PLAIN)
    assert close(read_png(path), enlarged(shown), 12 if "jpeg" in kind else 1)
    with Image.open(path) as image:
        image.load()
        assert image.getexif().get(0x0112, 1) == 1  # Pillow reads it off XMP too


@pytest.mark.parametrize("to", ["png", "jpg", "tif", "webp"])
@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_date_camera_position_and_resolution_are_kept(photo, restored, kind, to):
    image = Image.fromarray(photo(8, 8))
    content = saved(image, kind, exif=exif(), dpi=(300, 300), xmp=xmp())
    if kind == "png":  # Pillow writes no XMP there before version 11.2
        chunk = png_chunk(b"eXIf", exif().tobytes()[6:])
        density = png_chunk(b"pHYs", b"\0\0\x2e\x23\0\0\x2e\x23\x01")
        content = png(photo(8, 8), before=chunk + density + itxt(xmp()))
    path, _ = restored(content, kind, to=to)
    with Image.open(path) as image:
        image.load()
        tags = image.getexif()
        assert (tags[0x010F], tags[0x0110]) == ("Maker", "Camera")
        assert tags[0x0132] == "2024:05:06 07:08:09"
        assert tags.get_ifd(0x8769)[0x9003] == "2024:05:06 07:08:09"
        assert tags.get_ifd(0x8825)[1] == "N"
        assert tags.get_ifd(0x8825)[2] == (48.0, 51.0, 29.5)
        if kind != "webp" and to != "webp":
            assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)
    assert b'dc:format="mine"' in path.read_bytes()


@pytest.mark.parametrize(("turn", "dpi"), [(1, (100, 200)), (6, (200, 100))])
@pytest.mark.parametrize("to", ["png", "tif"])
def test_the_resolution_lies_as_the_picture_does(photo, restored, turn, dpi, to):
    how = {"dpi": (100, 200), "exif": exif(turn)}
    path, _ = restored(saved(Image.fromarray(photo(8, 9)), "jpeg", **how), "jpg", to=to)
    with Image.open(path) as image:
        assert image.info["dpi"] == pytest.approx(dpi, abs=0.1)


def test_metadata_of_a_tiff_is_kept(photo, restored, tmp_path):
    content = saved(Image.fromarray(photo(8, 8)), "jpeg", exif=exif(), dpi=(300, 300))
    first, _ = restored(content, "jpg", to="tif")
    path, _ = restored(first.read_bytes(), "tif", to="png")
    with Image.open(path) as image:
        tags = image.getexif()
        assert tags[0x0110] == "Camera"
        assert tags.get_ifd(0x8825)[2] == (48.0, 51.0, 29.5)
        assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)


@pytest.mark.parametrize("text", ["\xa9 J\xf6rg".encode(), b"\xa9 J\xf6rg"])
@pytest.mark.parametrize("to", ["png", "jpg", "tif", "webp"])
def test_texts_of_exif_are_kept_in_their_own_letters(photo, restored, to, text):
    more = exif()
    more[0x8298] = more.get_ifd(0x8769)[0xA430] = "?" * len(text)
    block = more.tobytes().replace(b"?" * len(text), text)
    content = saved(Image.fromarray(photo(8, 8)), "jpeg", exif=block)
    path, _ = restored(content, "jpg", to=to)
    assert path.read_bytes().count(text) == 2
    if to == "tif":
        again, _ = restored(path.read_bytes(), "tif")
        assert again.read_bytes().count(text) == 2


def test_texts_of_each_page_are_kept(photo, restored, tmp_path):
    texts = [(269, b"a book"), (270, b"caf\xe9 \xa9"), (285, b"ii")]
    tags = [(tag, "s", 0, text, True) for tag, text in texts]
    with tifffile.TiffWriter(tmp_path / "pages.tif") as file:
        for _ in range(2):
            file.write(photo(8, 8), photometric="rgb", metadata=None, extratags=tags)
    content = (tmp_path / "pages.tif").read_bytes()
    path, err = restored(content, "tif", to="tif")
    assert err == ""
    with Image.open(path) as image:
        for page in range(2):
            image.seek(page)
            for tag, text in texts:
                assert image.tag_v2[tag] == text.decode("latin-1")
    path, _ = restored(content, "tif", "--strip-metadata", to="tif")
    assert b"a book" not in path.read_bytes()


def test_a_place_on_the_map_is_said_to_be_dropped(photo, restored, tmp_path):
    tags = [(33550, "d", 3, (1.0, 1.0, 0.0), True)]
    how = {"photometric": "rgb", "metadata": None, "extratags": tags}
    tifffile.imwrite(tmp_path / "map.tif", photo(8, 8), **how)
    _, err = restored((tmp_path / "map.tif").read_bytes(), "tif", to="tif")
    assert "its place on the map (GeoTIFF) was dropped" in err


def test_a_tiff_that_says_a_thing_twice_is_not_called_damaged(
    photo, restored, tmp_path
):
    file = tmp_path / "scan.tif"
    tifffile.imwrite(file, photo(8, 8), photometric="rgb", description="a cat")
    path, err = restored(file.read_bytes(), "tif", to="tif")
    assert "its ImageDescription stands twice, one was kept" in err
    assert "damaged" not in err
    with Image.open(path) as image:  # which one, Pillow decides
        assert image.tag_v2[270] in ("a cat", '{"shape": [8, 8, 3]}')


def test_what_may_be_damage_is_said_beside_what_stands_twice(photo, restored):
    texts = {270: "a cat", 271: "Maker"}
    how = {"compression": "packbits", "tiffinfo": texts}
    content = saved(Image.fromarray(photo(8, 8)), "tiff", **how)
    make, description = (struct.pack("<HH", tag, 2) for tag in (271, 270))
    assert content.count(make) == 1
    _, err = restored(content.replace(make, description), "tif", to="tif")
    assert "damaged, but restored" in err
    assert "its ImageDescription stands twice, one was kept" in err


def test_exif_that_is_too_long_is_dropped_and_said(photo, restored):
    block = exif().tobytes()[6:] + bytes(70_000)
    path, err = restored(png(photo(8, 8), behind=png_chunk(b"eXIf", block)), "png")
    assert "its EXIF was dropped: 70" in err
    assert read_png(path).shape == (16, 16, 3)


def iptc(content):
    """A JPEG with a caption as news agencies write it."""
    caption = b"\x1c\x02\x78\x00\x08Caption."
    block = b"Photoshop 3.0\0" + b"8BIM\x04\x04\0\0" + struct.pack(">I", len(caption))
    block += caption + bytes(len(caption) % 2)
    return content[:2] + b"\xff\xed" + struct.pack(">H", len(block) + 2) + block + (
        content[2:]
    )  # fmt: skip


@pytest.mark.parametrize("to", ["png", "jpg", "tif", "webp"])
def test_tags_of_exif_are_kept_or_said_to_be_dropped(photo, restored, to):
    more = exif()
    more[0x4746], more[0x013C] = 5, "a phone"  # Rating, HostComputer
    more.get_ifd(0x8769)[0x9400] = 21.5  # AmbientTemperature
    content = saved(Image.fromarray(photo(8, 8)), "jpeg", exif=more)
    path, err = restored(content, "jpg", to=to)
    with Image.open(path) as image:
        kept = {*image.getexif(), *image.getexif().get_ifd(0x8769)}
    names = {0x4746: "Rating", 0x013C: "HostComputer", 0x9400: "AmbientTemperature"}
    for tag, name in names.items():
        assert (tag in kept) != (name in err)
    assert restored(content, "jpg", "--strip-metadata", to=to)[1] == ""


@pytest.mark.parametrize("to", ["png", "jpg", "tif", "webp"])
def test_an_iphone_s_exif_draws_no_note(photo, restored, to):
    about = exif()
    about[0x0110] = about[0x013C] = "iPhone 13 Pro"
    path, err = restored(
        saved(Image.fromarray(photo(8, 8)), "jpeg", exif=about), "jpg", to=to
    )
    assert err == ""
    with Image.open(path) as image:
        assert image.getexif()[0x0110] == "iPhone 13 Pro"


@pytest.mark.parametrize("to", ["png", "jpg", "tif", "webp"])
def test_the_size_in_exif_is_not_that_of_the_input(photo, restored, to):
    more = exif(6)
    more.get_ifd(0x8769).update({0xA002: 10, 0xA003: 8})
    content = saved(Image.fromarray(photo(8, 10)), "jpeg", exif=more)
    path, _ = restored(content, "jpg", to=to)
    with Image.open(path) as image:
        tags = image.getexif().get_ifd(0x8769)
        assert image.size == (16, 20)
        assert tags[0x9003] == "2024:05:06 07:08:09"
        assert (tags.get(0xA002, 16), tags.get(0xA003, 20)) == (16, 20)


def test_captions_are_kept_or_said_to_be_dropped(photo, restored):
    content = iptc(saved(Image.fromarray(photo(8, 8)), "jpeg"))
    path, err = restored(content, "jpg", to="jpg")
    assert err == ""
    assert b"Caption." in path.read_bytes()
    for to in ("png", "webp", "tif"):
        path, err = restored(content, "jpg", to=to)
        assert "its IPTC (caption, keywords) was dropped" in err
        assert b"Photoshop" not in path.read_bytes()
        assert restored(content, "jpg", "--strip-metadata", to=to)[1] == ""


def test_texts_of_a_png_are_kept_or_said_to_be_dropped(photo, restored):
    text = png_chunk(b"tEXt", b"parameters\0a cat, 20 steps")
    content = png(photo(8, 8), before=text)
    path, err = restored(content, "png")
    assert err == ""
    with Image.open(path) as image:
        assert image.info["parameters"] == "a cat, 20 steps"
    for to in ("jpg", "tif", "webp"):
        _, err = restored(content, "png", to=to)
        assert "its text (parameters) was dropped" in err


TEXTS = (
    (b"tEXt", b"Creation Time\0today"),
    (b"tEXt", b"Author\0J\xf6rg"),
    (b"tEXt", b"Gr\xf6\xdfe\0klein"),
    (b"zTXt", b"Title\0\0" + zlib.compress(b"Br\xfccke")),
    (b"iTXt", b"parameters\0\0\0ja\0\0" + "\u732b, 20".encode()),
)


@pytest.mark.parametrize("where", ["before", "behind"])
def test_texts_of_a_png_are_kept_in_their_own_letters(photo, restored, where):
    chunks = [png_chunk(*text) for text in TEXTS]
    path, err = restored(png(photo(8, 8), **{where: b"".join(chunks)}), "png")
    assert err == ""
    written = path.read_bytes()
    for chunk in chunks:
        assert written.count(chunk) == 1
    with Image.open(path) as image:  # not decoded yet: they stand in front
        assert image.info["Creation Time"] == "today"
        assert image.info["Author"] == "J\xf6rg"
        assert image.info["Gr\xf6\xdfe"] == "klein"
        assert image.info["Title"] == "Br\xfccke"
        assert image.info["parameters"] == "\u732b, 20"
    _, err = restored(png(photo(8, 8), **{where: b"".join(chunks)}), "png", to="webp")
    assert (
        "its text (Creation Time, Author, Gr\xf6\xdfe, Title, parameters) was dropped"
        in err
    )
    path, _ = restored(png(photo(8, 8), before=chunks[0]), "png", "--strip-metadata")
    assert b"today" not in path.read_bytes()


@pytest.mark.parametrize("where", ["before", "behind"])
def test_xmp_that_a_png_compresses_is_kept(photo, restored, where):
    packed = b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(xmp())
    content = png(photo(8, 8), **{where: png_chunk(b"iTXt", packed)})
    for to in ("png", "jpg", "tif", "webp"):
        path, err = restored(content, "png", to=to)
        assert (err, path.read_bytes().count(b"dc:format")) == ("", 1)


def commented(content, *comments):
    """A JPEG with comments in front of its pixels."""
    segments = (b"\xff\xfe" + struct.pack(">H", len(c) + 2) + c for c in comments)
    return content[:2] + b"".join(segments) + content[2:]


def test_comments_of_a_jpeg_are_kept_or_said_to_be_dropped(photo, restored):
    given = b"seen from caf\xe9", "caf\xe9 \u65e5".encode() + b"\0"
    content = commented(saved(Image.fromarray(photo(8, 8)), "jpeg"), *given)
    path, err = restored(content, "jpg", to="jpg")
    assert (err, jpeg_comments(path)) == ("", list(given))
    with Image.open(path) as image:
        image.load()
    path, err = restored(content, "jpg")
    assert err == ""
    for text in ("seen from caf\xe9", "caf\xe9 \u65e5"):
        assert b"Comment\0\0\0\0\0" + text.encode() in path.read_bytes()
    for to in ("tif", "webp"):
        _, err = restored(content, "jpg", to=to)
        assert "its comment was dropped: " in err
    for to in ("jpg", "png", "tif", "webp"):
        path, err = restored(content, "jpg", "--strip-metadata", to=to)
        assert err == ""
        assert b"caf" not in path.read_bytes()


def test_a_long_result_keeps_a_comment_and_its_pixels(photo, restored, monkeypatch):
    monkeypatch.setattr(encoding, "COPIED_AT_ONCE", 100)
    plain = saved(Image.fromarray(photo(40, 50)), "jpeg")
    expected = restored(plain, "jpg", to="jpg")[0].read_bytes()
    path, _ = restored(commented(plain, b"why"), "jpg", to="jpg")
    assert path.read_bytes().replace(b"\xff\xfe\0\5why", b"") == expected


@pytest.mark.parametrize("to", ["png", "jpg", "tif", "webp"])
def test_metadata_is_dropped_when_asked(photo, restored, to):
    profile = icc_profile(P3)
    content = saved(
        Image.fromarray(photo(8, 8)), "jpeg", exif=exif(), dpi=(300, 300), xmp=xmp(),
        icc_profile=profile,
    )  # fmt: skip
    path, _ = restored(content, "jpg", "--strip-metadata", to=to)
    written = path.read_bytes()
    for text in (b"Camera", b"2024:05:06", b"dc:format"):
        assert text not in written
    with Image.open(path) as image:
        assert image.info["icc_profile"] == profile
        assert image.getexif().get_ifd(0x8825) == {}


# Colours told without a profile


def nclx(content, primaries, transfer):
    """An AVIF or HEIC with other numbers in its box of colours."""
    at = content.index(b"colrnclx") + 8
    return content[:at] + struct.pack(">2H", primaries, transfer) + content[at + 4 :]


def heic(image, **options):
    import pillow_heif

    file = io.BytesIO()
    pillow_heif.from_pillow(image).save(file, quality=95, **options)
    return file.getvalue()


def chrm(white, primaries):
    numbers = [round(1e5 * n) for point in (white, *primaries) for n in point]
    return png_chunk(b"cHRM", struct.pack(">8I", *numbers))


FLAT = np.full((16, 16, 3), (230, 60, 60), np.uint8)
D65 = (0.3127, 0.3290)
TOLD = {
    "cicp.png": lambda: png(FLAT, before=png_chunk(b"cICP", bytes([12, 13, 0, 1]))),
    "chrm.png": lambda: png(FLAT, before=chrm(D65, P3)),
    "a.avif": lambda: nclx(saved(Image.fromarray(FLAT), "avif", quality=100), 12, 13),
    "a.heic": lambda: nclx(heic(Image.fromarray(FLAT)), 12, 13),
}


def shown(path):
    """Pixels of a result as a screen of sRGB shows them."""
    with Image.open(path) as image:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
        srgb = ImageCms.createProfile("sRGB")
        return np.array(
            ImageCms.profileToProfile(image, profile, srgb, outputMode="RGB")
        )


@pytest.mark.parametrize("to", ["png", "jpg", "tif", "webp"])
@pytest.mark.parametrize("name", TOLD)
def test_colours_told_without_a_profile_look_the_same(restored, name, to):
    path, err = restored(TOLD[name](), name.split(".")[1], *PLAIN, to=to)
    assert err == ""
    assert close(shown(path), np.full((32, 32, 3), (250, 31, 49)), 4)


@pytest.mark.parametrize(("bands", "array"), [(3, FLAT), (1, FLAT[..., 1])])
def test_the_gamma_of_a_png_is_kept(restored, bands, array):
    linear = png(array, before=png_chunk(b"gAMA", struct.pack(">I", 100_000)))
    path, _ = restored(linear, "png", *PLAIN)
    light = array[0, 0] / 255
    expected = np.rint(255 * (1.055 * light ** (1 / 2.4) - 0.055))
    assert close(shown(path), np.full((32, 32, 3), expected), 1)


@pytest.mark.parametrize(
    "chunks",
    [
        png_chunk(b"gAMA", struct.pack(">I", 45455)),
        png_chunk(b"gAMA", struct.pack(">I", 100_000)) + png_chunk(b"sRGB", b"\0"),
        png_chunk(b"cICP", bytes([1, 13, 0, 1])),
        png_chunk(b"gAMA", bytes(4)),
        png_chunk(b"cHRM", bytes(32)),
        png_chunk(b"cHRM", struct.pack(">8i", *[2**31 - 1] * 8)),
        png_chunk(b"cICP", b"\1"),
    ],
)
def test_what_tells_srgb_or_nonsense_needs_no_profile(restored, chunks):
    path, err = restored(png(FLAT, before=chunks), "png", *PLAIN)
    assert err == ""
    with Image.open(path) as image:
        assert "icc_profile" not in image.info


@pytest.mark.parametrize("transfer", [16, 18])
def test_a_high_dynamic_range_is_refused(refused_picture, transfer):
    told = png_chunk(b"cICP", bytes([9, transfer, 0, 1]))
    assert "high dynamic range" in refused_picture(png(FLAT, before=told), "png")
    content = nclx(saved(Image.fromarray(FLAT), "avif"), 9, transfer)
    assert "high dynamic range" in refused_picture(content, "avif")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("profile", "why"),
    [
        (icc_profile(), "it is for GRAY, not for RGB"),
        (icc_profile(P3)[:200], "it is damaged"),
        (b"nonsense" * 40, "it is damaged"),
    ],
)
def test_a_profile_that_does_not_fit_is_said(photo, restored, kind, profile, why):
    content = saved(Image.fromarray(photo(8, 8)), kind, icc_profile=profile)
    path, err = restored(content, kind)
    assert err.endswith(f"its colour profile was dropped: {why}\n")
    assert err.count("\n") == 1
    with Image.open(path) as image:
        assert "icc_profile" not in image.info


@pytest.mark.parametrize("kind", ["png", "jpeg", "tiff"])
def test_a_profile_of_colours_on_gray_is_said(photo, restored, kind):
    gray = Image.fromarray(photo(8, 8)[..., 0])
    _, err = restored(saved(gray, kind, icc_profile=icc_profile(P3)), kind)
    assert err.endswith("its colour profile was dropped: it is for RGB, not for GRAY\n")


def test_webp_has_no_gray_and_that_is_said(photo, restored):
    gray = Image.fromarray(photo(8, 8)[..., 0])
    content = saved(gray, "png", icc_profile=icc_profile())
    _, err = restored(content, "png", to="webp")
    assert err.endswith("its profile of gray was dropped: WEBP has no gray\n")
    assert restored(saved(gray, "png"), "png", to="webp")[1] == ""


def test_cicp_goes_before_a_profile(restored, refused_picture):
    profile = png_chunk(b"iCCP", b"a\0\0" + zlib.compress(icc_profile(ADOBE)))

    def told(*numbers):
        return png(FLAT, before=profile + png_chunk(b"cICP", bytes([*numbers, 0, 1])))

    path, err = restored(told(12, 13), "png", *PLAIN)
    assert err == ""
    assert close(shown(path), np.full((32, 32, 3), (250, 31, 49)), 4)
    assert "high dynamic range" in refused_picture(told(9, 16), "png")


# Alpha

down, across = np.mgrid[:12, :16]
ALPHA = np.where((down - 6) ** 2 + (across - 8) ** 2 < 25, 255, 0).astype(np.uint8)


def with_hidden(colours, hidden):
    """Colours with another where alpha is 0, and the alpha."""
    colours = np.where(ALPHA[..., None] > 0, colours, np.uint8(hidden))
    return np.dstack([colours, ALPHA])


@pytest.mark.parametrize(("mode", "bands"), [("RGBA", [0, 1, 2, 3]), ("LA", [0, 3])])
@pytest.mark.parametrize("to", ["png", "tif", "webp"])
def test_alpha_is_enlarged_on_its_own(photo, restored, mode, bands, to):
    array = with_hidden(photo(12, 16), 77)[..., bands]
    path, _ = restored(png(array), "png", to=to)
    with Image.open(path) as image:
        if to != "webp":  # it knows no gray
            assert image.mode == mode
        assert close(np.array(image)[..., -1], enlarged(ALPHA))


@pytest.mark.parametrize("bands", [[0, 1, 2, 3], [0, 3]])
def test_hidden_colours_do_not_bleed(photo, restored, bands):
    results = []
    for hidden in ((255, 0, 255), (0, 255, 0), (13, 13, 13)):
        array = with_hidden(photo(12, 16), hidden)[..., bands]
        path, _ = restored(png(array), "png")
        results.append(read_png(path))
    for other in results[1:]:
        np.testing.assert_array_equal(results[0], other)


def test_hidden_colours_do_not_bleed_from_afar(photo, tmp_path):
    array = photo(120, 90)
    alpha = np.zeros((120, 90, 1), np.uint8)
    alpha[3:6, 4:9] = 255
    (tmp_path / "a.png").write_bytes(png(np.dstack([array, alpha])))
    picture = open_picture(tmp_path / "a.png")
    whole = picture.read(0, 0, 120, 90)
    assert np.isfinite(whole).all()
    hidden = whole[5 + REACH + 16 :, 8 + REACH + 16 :]
    assert (hidden == 0).all()
    for top, left in ((0, 0), (2, 30), (17, 5)):  # the same by parts
        part = picture.read(top, left, 31, 23)
        np.testing.assert_array_equal(part, whole[top : top + 31, left : left + 23])


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_transparent_colour_becomes_alpha(photo, restored, mode):
    array = photo(12, 16)
    array[:4, :4] = 5
    image = Image.fromarray(array).convert(mode)
    key = (5, 5, 5) if mode == "RGB" else 5
    path, _ = restored(saved(image, "png", transparency=key), "png")
    with Image.open(path) as result:
        assert result.mode == {"RGB": "RGBA", "L": "LA"}[mode]
        alpha = np.array(result)[..., -1]
    assert alpha[0, 0] == 0
    assert alpha[-1, -1] == 255


def test_a_palette_with_transparency(photo, restored):
    array = photo(12, 16)
    array[:4, :4] = 0
    image = Image.fromarray(array).quantize(16)
    key = image.getpixel((0, 0))
    path, err = restored(saved(image, "png", transparency=key), "png")
    assert "palette was converted to RGBA" in err
    with Image.open(path) as result:
        assert result.mode == "RGBA"
        assert np.array(result)[0, 0, 3] == 0


def test_jpeg_cannot_be_transparent(photo, tmp_path, restore):
    (tmp_path / "a.png").write_bytes(png(with_hidden(photo(12, 16), 0)))
    status, _, err = restore(tmp_path / "a.png", "-o", tmp_path / "a.jpg")
    assert status == 2
    assert "transparent, which JPEG cannot be" in err
    assert not (tmp_path / "a.jpg").exists()


def test_what_a_tiff_says_is_no_transparency_hides_nothing(photo, restored):
    selection = np.zeros((12, 16), np.uint8)
    for colours in (photo(12, 16), photo(12, 16)[..., 0]):
        file = io.BytesIO()
        tifffile.imwrite(
            file, np.dstack([colours, selection]), extrasamples=["unspecified"],
            photometric="rgb" if colours.ndim == 3 else "minisblack",
        )  # fmt: skip
        path, err = restored(file.getvalue(), "tif", *PLAIN, to="tif")
        assert "channel beside the colours, no transparency, was dropped" in err
        assert close(tifffile.imread(path), enlarged(colours))


@pytest.mark.parametrize("bands", [[0, 1, 2, 3], [0, 3]])
def test_alpha_that_hides_nothing_does_not_stand_in_the_way_of_jpeg(
    photo, restored, bands
):
    opaque = np.dstack([photo(90, 16), np.full((90, 16), 255, np.uint8)])[..., bands]
    path, err = restored(png(opaque), "png", *PLAIN, "--quality", 100, to="jpg")
    assert err == ""
    with Image.open(path) as image:
        assert close(np.atleast_3d(image), enlarged(opaque[..., :-1]), 12)


# Gray and colour


@pytest.mark.parametrize("to", ["png", "jpg", "tif", "webp"])
@pytest.mark.parametrize("kind", ["png", "jpeg", "tiff", "webp"])
def test_a_gray_picture_stays_gray(photo, restored, kind, to):
    gray = Image.fromarray(photo(12, 16)).convert("L")
    path, _ = restored(saved(gray, kind), kind, to=to)
    with Image.open(path) as image:
        if kind != "webp" and to != "webp":
            assert image.mode == "L"
        colours = np.array(image.convert("RGB")).astype(int)
    if kind != "webp":
        assert (colours == colours[..., :1]).all()


@pytest.mark.parametrize("kind", ["png", "webp", "avif", "tiff"])
def test_a_gray_picture_in_three_channels_stays_gray(photo, restored, kind):
    gray = Image.fromarray(photo(12, 16)).convert("L")
    if kind != "avif":  # that has gray, which libvips expands
        gray = gray.convert("RGB")
    lossless = {"lossless": True} if kind == "webp" else {}
    for channels in (3, 1):
        content = saved(gray, kind, **lossless)
        path, err = restored(content, kind, channels=channels)
        result = read_png(path).astype(int)
        assert err == ""
        assert result.shape == (24, 32, 3)
        assert (result == result[..., :1]).all()


@pytest.mark.parametrize("scale", [1, 2])
def test_a_gray_model_restores_luma_and_leaves_colour(
    photo, restored, small_models, scale
):
    array = photo(12, 16)
    path, err = restored(png(array), "png", scale=scale, channels=1)
    assert "luma was restored, colour is as it was" in err
    picture = open_picture(path.with_name("given.png"), channels=1)
    lq = picture.read(0, 0, 12, 16).transpose(2, 0, 1)[None]
    model = load_model(small_models[scale, 1])
    luma = reading_path(model, torch.from_numpy(lq), scale, 4)[0, 0].numpy()
    plain = imresize(array / 255.0, scale) if scale > 1 else array / 255.0
    weights = np.array([0.299, 0.587, 0.114])
    expected = plain + (luma.clip(0, 1) - plain @ weights)[..., None]
    result = read_png(path)
    assert close(result, np.rint(expected.clip(0, 1) * 255).astype(int))
    assert len(np.unique(result[..., 0].astype(int) - result[..., 1])) > 10


def test_a_gray_picture_through_a_gray_model(photo, restored):
    gray = photo(12, 16)[..., 0]
    path, err = restored(png(gray), "png", scale=1, channels=1)
    assert err == ""
    assert read_png(path).shape == (12, 16, 1)


# More than 8 bits

RAMP = np.linspace(0, 65535, 40 * 48).reshape(40, 48).round().astype(np.uint16)
DEEP = np.dstack([RAMP, RAMP[::-1], RAMP[:, ::-1], 65535 - RAMP // 2])


def tiff16(array, planar):
    """A TIFF of uint16 (H, W, 3), its colours side by side or in planes."""
    file = io.BytesIO()
    options = {"photometric": "rgb", "planarconfig": "contig"}
    if planar:
        array = np.ascontiguousarray(np.moveaxis(array, 2, 0))
        options["planarconfig"] = "separate"
    tifffile.imwrite(file, array, **options)
    return file.getvalue()


DEEP_FILES = {
    "gray.png": (png(RAMP), RAMP),
    "ga.png": (png(DEEP[..., [0, 3]]), DEEP[..., [0, 3]]),
    "rgb.png": (png(DEEP[..., :3]), DEEP[..., :3]),
    "rgba.png": (png(DEEP), DEEP),
    "chunky.tif": (tiff16(DEEP[..., :3], False), DEEP[..., :3]),
    "planar.tif": (tiff16(DEEP[..., :3], True), DEEP[..., :3]),
    "rgb.ppm": (ppm(DEEP[..., :3], 65535), DEEP[..., :3]),
    "gray.pgm": (ppm(RAMP, 65535), RAMP),
}


@pytest.mark.parametrize("to", ["png", "tif"])
@pytest.mark.parametrize("name", DEEP_FILES)
def test_16_bits_go_in_and_come_out(restored, name, to):
    content, array = DEEP_FILES[name]
    path, err = restored(content, name.split(".")[1], *PLAIN, to=to)
    assert err == ""
    result = read_png(path) if to == "png" else tifffile.imread(path)
    assert result.dtype == np.uint16
    expected = np.atleast_3d(enlarged(array))
    assert close(np.atleast_3d(result), expected, 2)
    path, _ = restored(content, name.split(".")[1], to="png")
    assert len(np.unique(read_png(path)[..., 0])) > 256


def test_a_ppm_between_8_and_16_bits(restored):
    array = (DEEP[..., :3] >> 6).astype(np.uint16)  # 10 bits
    path, _ = restored(ppm(array, 1023), "ppm", *PLAIN)
    expected = imresize(array / 1023, 2).clip(0, 1) * 65535
    assert close(read_png(path), np.rint(expected).astype(int), 2)


def words(array, kind, most):
    """A PBM, PGM or PPM as people can read it."""
    height, width = array.shape[:2]
    white = b"" if kind == 1 else b"%d\n" % most
    text = " ".join(map(str, array.ravel().tolist())).encode()
    lines = text.replace(b" ", b"\n# of Gimp\n", 1)
    return b"P%d\n# by hand\n%d %d\n%s%s" % (kind, width, height, white, lines)


@pytest.mark.parametrize("at_once", [2**20, 7])
@pytest.mark.parametrize(("kind", "bands"), [(2, slice(1)), (3, slice(3))])
@pytest.mark.parametrize("most", [255, 1023])
def test_a_ppm_of_words(photo, restored, monkeypatch, kind, bands, most, at_once):
    monkeypatch.setattr(pnm, "READ_AT_ONCE", at_once)
    array = photo(12, 16)[..., bands].astype(np.uint16) * (most // 255)
    path, err = restored(words(array, kind, most), "ppm", *PLAIN)
    result, white = read_png(path), 65535 if most > 255 else 255
    expected = imresize(array / most, 2).clip(0, 1) * white
    assert err == ""
    assert close(result, np.rint(expected).astype(int), 2)


@pytest.mark.parametrize("at_once", [2**20, 7])
def test_a_pbm_of_bits_or_of_words(photo, restored, monkeypatch, at_once):
    monkeypatch.setattr(pnm, "READ_AT_ONCE", at_once)
    gray = 255 * (photo(9, 13)[..., 0] > 128).astype(np.uint8)
    bits = 1 - gray // 255
    packed = b"P4 13 9\n" + np.packbits(bits, axis=1).tobytes()
    spaced = words(bits, 1, 1)
    for content in (packed, spaced, spaced[:-100] + spaced[-100:].replace(b" ", b"")):
        path, err = restored(content, "pbm", *PLAIN)
        assert "1-bit pixels were converted to gray of 8 bits" in err
        assert close(read_png(path)[..., 0], enlarged(gray))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"P2 3 1 9\n1 2 ", "declares 3x1 pixels, but holds 4 bytes"),
        (b"P2 3 1 19\n11  2  ", "1 values are missing"),
        (b"P2 3 1 9\n1 2 10", "pixels above its white, 9"),
        (b"P2 3 1 9\n1 -2 3", "not all numbers"),
        (b"P2 3 1 9\n1 2 %s" % (b"1" * 5000), "not all numbers"),
        (b"P2 3 1 9\n1 %s 2 3" % (b"1" * 5000), "not all numbers"),
        (b"P3 90000 90000 9\n1 2 3", "declares 90000x90000 pixels"),
        (b"P1 3 1\n012", "not all 0 or 1"),
        (b"P1 3 1\n0#12", "2 values are missing"),
        (b"P4 9 2\n123", "declares 9x2 pixels, but holds 3 bytes"),
        (b"P2 3 1\n", "its header cannot be read"),
        (b"P2 3 1 70000\n1 2 3", "pixels of at most 70000"),
    ],
)
def test_a_damaged_pnm(refused_picture, content, said):
    assert said in refused_picture(content, "pnm")


def test_a_float_tiff_is_written_as_16_bits(restored, tmp_path):
    given = tmp_path / "float.tif"
    tifffile.imwrite(
        given, (DEEP[..., :3] / 65535).astype(np.float32), photometric="rgb"
    )
    path, err = restored(given.read_bytes(), "tif", *PLAIN, to="tif")
    assert "float values are written as 16 bits" in err
    result = tifffile.imread(path)
    assert result.dtype == np.uint16
    assert close(result, enlarged(DEEP[..., :3]), 2)


@pytest.mark.parametrize("value", [255.0, -3.0, np.nan, np.inf])
def test_a_float_tiff_beyond_0_to_1_is_refused(refused_picture, tmp_path, value):
    array = np.full((6, 7, 3), 0.5, np.float32)
    array[2, 3, 1] = value
    tifffile.imwrite(tmp_path / "float.tif", array, photometric="rgb")
    line = refused_picture((tmp_path / "float.tif").read_bytes(), "tif")
    assert "need 0 to 1" in line


def tiff(array, **options):
    file = io.BytesIO()
    tifffile.imwrite(file, array, **options)
    return file.getvalue()


HALF = np.full((6, 7, 3), 0.5)
NOT_READ = [
    (HALF, "rgb", "pixels of 64-bit floats, need integers of 8 or 16 bits"),
    (HALF[..., 0], "minisblack", "pixels of 64-bit floats, need"),
    (HALF[..., 0].astype(np.complex64), "minisblack", "64-bit complex floats, need"),
    (FLAT.astype(np.uint32), "rgb", "pixels of 32-bit integers, need"),
    (FLAT.astype(np.int16), "rgb", "pixels of 16-bit signed integers, need"),
    (FLAT.astype(np.int8), "rgb", "pixels of 8-bit signed integers, need"),
    (FLAT, "cielab", "CIE Lab of 8 bits, need RGB or gray, or CIE Lab of 16"),
    (FLAT, "icclab", "ICC Lab of 8 bits, need"),
    (FLAT.astype(np.uint16), "icclab", "ICC Lab of 16 bits, need"),
    (HALF[..., 0].astype(np.float32), "miniswhite", "floats of which 0 is white"),
]


@pytest.mark.parametrize("how", [{}, {"bigtiff": True}, {"byteorder": ">"}])
@pytest.mark.parametrize(("array", "kind", "said"), NOT_READ)
def test_pixels_that_are_not_read_are_named(refused_picture, array, kind, said, how):
    assert said in refused_picture(tiff(array, photometric=kind, **how), "tif")
    if array.ndim > 2:
        planes = np.moveaxis(array, 2, 0).copy()
        how = how | {"planarconfig": "separate"}
        assert said in refused_picture(tiff(planes, photometric=kind, **how), "tif")


def test_lab_of_16_bits_keeps_them_and_is_said(restored):
    ramp = np.tile(np.linspace(0, 65535, 900), (2, 1)).round().astype(np.uint16)
    lab = np.dstack([ramp, 0 * ramp, 0 * ramp])
    path, err = restored(tiff(lab, photometric="cielab"), "tif", *PLAIN)
    assert "Lab was converted to sRGB" in err
    result = read_png(path)
    assert (result.dtype, result.min(), result.max()) == (np.uint16, 0, 65535)
    assert len(np.unique(result[..., 1])) > 800
    assert np.ptp(result.astype(int), 2).max() < 200  # gray has no a and b


@pytest.mark.parametrize("to", ["jpg", "webp"])
def test_16_bits_that_a_format_lacks_are_said(restored, to):
    path, err = restored(png(DEEP[..., :3]), "png", to=to)
    assert "16 bits were cut to the 8" in err
    with Image.open(path) as image:
        assert image.size == (96, 80)


def heic10(array):
    """A HEIC of 10 bits from uint16 (H, W, 3)."""
    import pillow_heif

    file, size = io.BytesIO(), array.shape[1::-1]
    image = pillow_heif.from_bytes(mode="RGB;16", size=size, data=array.tobytes())
    image.save(file, quality=100, chroma=444)
    return file.getvalue()


def test_a_heic_of_10_bits_is_written_as_16(restored, tmp_path):
    smooth = np.dstack([np.tile(np.linspace(0, 65535, 96), (64, 1))] * 3)
    content = heic10(smooth.round().astype(np.uint16))
    path, err = restored(content, "heic", *PLAIN)
    result = read_png(path)
    assert (err, result.dtype) == ("", np.uint16)
    assert result.max() == 65535
    assert close(result, enlarged(smooth.round().astype(np.uint16)), 700)
    (tmp_path / "a.heic").write_bytes(content)
    assert decoding.is_deep(tmp_path / "a.heic")


def test_a_cmyk_tiff_of_16_bits_stays_at_16(restored):
    file = io.BytesIO()
    tifffile.imwrite(file, DEEP, photometric="separated")
    path, err = restored(file.getvalue(), "tif", to="png")
    assert "CMYK was converted" in err
    assert read_png(path).dtype == np.uint16


# Palettes, one bit, CMYK, other formats


def test_a_palette_is_converted_and_said(photo, restored):
    image = Image.fromarray(photo(12, 16)).quantize(32)
    for kind in ("png", "gif", "tiff", "bmp"):
        path, err = restored(saved(image, kind), kind, *PLAIN)
        assert "its palette was converted to RGB" in err
        assert close(read_png(path), enlarged(np.array(image.convert("RGB"))))


def test_one_bit_is_converted_and_said(photo, restored):
    image = Image.fromarray(photo(12, 16)).convert("1")
    for kind in ("png", "tiff", "bmp"):
        path, err = restored(saved(image, kind), kind, *PLAIN)
        assert "1-bit pixels were converted to gray of 8 bits" in err
        expected = enlarged(np.array(image.convert("L")))
        assert close(read_png(path)[..., 0], expected)


@pytest.mark.parametrize(
    ("profile", "why"),
    [(b"nonsense" * 40, "damaged"), (icc_profile(P3), "for RGB, not for CMYK")],
)
def test_cmyk_whose_profile_is_of_no_use(restored, profile, why):
    image = Image.new("CMYK", (10, 8), (255, 0, 0, 0))
    _, err = restored(saved(image, "jpeg", icc_profile=profile), "jpg")
    said = "CMYK was converted to sRGB by a general profile, for its own is"
    assert err.endswith(f"{said} {why}\n")


def test_ycbcr_in_a_tiff_is_not_taken_for_rgb(photo, restored, refused_picture):
    how = {"photometric": "ycbcr", "subsampling": (1, 1), "metadata": None}
    assert "YCbCr that is not" in refused_picture(tiff(photo(8, 8), **how), "tif")
    content = saved(Image.fromarray(photo(16, 16)), "tiff", compression="jpeg")
    path, _ = restored(content, "tif", *PLAIN)
    assert close(read_png(path), enlarged(photo(16, 16)), 60)


def test_12_bits_in_a_tiff_are_named(refused_picture):
    content = tiff(FLAT[..., 0].astype(np.uint16), photometric="minisblack")
    bits = struct.pack("<HHIH", 258, 3, 1, 16)
    assert bits in content
    content = content.replace(bits, struct.pack("<HHIH", 258, 3, 1, 12))
    assert "pixels of 12-bit integers, need" in refused_picture(content, "tif")


@pytest.mark.parametrize("kind", ["png", "ppm"])
def test_no_room_for_decoded_pixels(
    photo, refused_picture, tmp_path, monkeypatch, kind
):
    words = b"P3 16 16 255 " + b" ".join(b"%d" % n for n in range(256)) * 3 + b" 0" * 2
    content = {"png": png(photo(40, 40)), "ppm": words}[kind]
    monkeypatch.setattr(decoding, "IN_MEMORY", 0)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    said = f"its pixels do not go into {tmp_path}/none: No such file or directory"
    assert said in refused_picture(content, kind)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_of_decoded_pixels(photo, refused_picture, monkeypatch):
    monkeypatch.setattr(decoding, "IN_MEMORY", 0)
    full = decoding.PixelsOnDisk("/dev/full", (40, 40, 3), "u1")
    monkeypatch.setattr(decoding, "temporary_pixels", lambda shape, dtype: full)
    line = refused_picture(png(photo(40, 40)), "png")
    assert "No space left on device; choose another by TMPDIR" in line


@pytest.mark.parametrize("kind", ["jpeg", "tiff"])
def test_cmyk_is_converted_and_said(restored, kind):
    image = Image.new("CMYK", (10, 8), (255, 0, 0, 0))
    path, err = restored(saved(image, kind), kind, *PLAIN)
    assert "CMYK was converted to sRGB" in err
    red, green, blue = read_png(path)[8, 8].astype(int)
    assert red < 90
    assert min(green, blue) > 120


def test_avif(photo, restored):
    image = pyvips.Image.new_from_array(photo(32, 40))
    content = image.heifsave_buffer(compression="av1", Q=95, subsample_mode="off")
    path, _ = restored(content, "avif", *PLAIN)
    assert close(read_png(path), enlarged(photo(32, 40)), 40)


def test_heic(photo, restored):
    import pillow_heif

    image = Image.fromarray(photo(64, 80))
    heif = pillow_heif.from_pillow(image)
    file = io.BytesIO()
    heif.save(file, quality=95)
    path, _ = restored(file.getvalue(), "heic", *PLAIN)
    assert close(read_png(path), enlarged(photo(64, 80)), 60)


def test_heic_names_the_package_that_reads_it(refused_picture, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    line = refused_picture(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "heic")
    assert "pip install pillow-heif" in line


def test_bmp(photo, restored):
    image = Image.fromarray(photo(12, 16))
    path, _ = restored(saved(image, "bmp"), "bmp", *PLAIN)
    assert close(read_png(path), enlarged(photo(12, 16)))


@pytest.mark.filterwarnings("error")
def test_the_limit_of_pillow_is_not_ours(restored, monkeypatch, photo):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # a warning above, then errors
    for size in ((10, 15), (12, 40)):
        image = Image.fromarray(photo(*size))
        assert restored(saved(image, "bmp"), "bmp")[1] == ""


def test_what_a_heic_and_a_bmp_say_is_kept(photo, restored):
    image = Image.fromarray(photo(16, 16))
    path, _ = restored(heic(image, xmp=xmp(), exif=exif(6).tobytes()), "heic")
    assert b'dc:format="mine"' in path.read_bytes()
    with Image.open(path) as result:
        assert result.getexif()[0x0110] == "Camera"
        assert result.getexif()[0x0112] == 1
    path, _ = restored(saved(image, "bmp", dpi=(300, 300)), "bmp")
    with Image.open(path) as result:
        assert result.info["dpi"] == pytest.approx((300, 300), abs=0.1)


def raw_file(*tags, first, **options):
    """A TIFF as cameras write them: a preview, and a sensor's pixels."""
    file = io.BytesIO()
    with tifffile.TiffWriter(file, **options) as tiff:
        tiff.write(first, subfiletype=1, subifds=1, extratags=tags)
        tiff.write(RAMP, photometric=32803)
    return file.getvalue()


@pytest.mark.parametrize("options", [{}, {"bigtiff": True}, {"byteorder": ">"}])
def test_a_cameras_raw_file_is_not_its_preview(photo, refused_picture, options):
    first, file = photo(6, 8), io.BytesIO()
    version = (50706, "B", 4, b"\1\4\0\0", True)
    assert "raw file" in refused_picture(raw_file(first=first, **options), "nef")
    content = raw_file(version, first=first, **options)
    assert "raw file" in refused_picture(content, "tif")
    tifffile.imwrite(file, RAMP, photometric=32803, **options)
    assert "raw file" in refused_picture(file.getvalue(), "pef")
    plain = saved(Image.fromarray(first), "tiff")
    assert "raw file" in refused_picture(plain[:8] + b"CR" + plain[10:], "cr2")


def test_a_pyramid_is_no_raw_file(photo, restored):
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as tiff:
        tiff.write(photo(12, 16), subifds=1, photometric="rgb")
        tiff.write(photo(12, 16)[::2, ::2].copy(), subfiletype=1, photometric="rgb")
    path, _ = restored(file.getvalue(), "tif", *PLAIN)
    assert close(read_png(path), enlarged(photo(12, 16)))


# Pages and frames


def test_each_page_of_a_tiff_is_restored(photo, restored, tmp_path):
    pages = [
        photo(9, 12), photo(9, 12)[::-1].copy(), photo(20, 7)[..., 0].copy(),
        DEEP[:8, :8, :3].copy(), with_hidden(photo(12, 16), 3),
    ]  # fmt: skip
    with tifffile.TiffWriter(tmp_path / "pages.tif") as file:
        for page in pages:
            kind = "minisblack" if page.ndim == 2 else "rgb"
            alpha = {"extrasamples": ["unassalpha"]} if page.shape[-1] == 4 else {}
            file.write(page, photometric=kind, resolution=(300, 300), **alpha)
    content = (tmp_path / "pages.tif").read_bytes()
    path, _ = restored(content, "tif", *PLAIN, to="tif")
    with tifffile.TiffFile(path) as file:
        assert len(file.pages) == len(pages)
        for page, result in zip(pages, file.pages):
            array = result.asarray()
            assert array.dtype == page.dtype
            assert result.tags["XResolution"].value[0] == pytest.approx(
                300 / 2.54 * result.tags["XResolution"].value[1], rel=1e-3
            )
            if page.shape[-1] == 4:
                assert close(array[..., 3], enlarged(ALPHA))
            else:
                assert close(array, enlarged(page), 2)


def test_pages_need_a_tiff(photo, tmp_path, restore):
    image = Image.fromarray(photo(9, 12))
    content = saved(image, "tiff", save_all=True, append_images=[image])
    (tmp_path / "a.tif").write_bytes(content)
    status, _, err = restore(tmp_path / "a.tif", "-o", tmp_path / "a.png")
    assert status == 2
    assert "pages, which only TIFF holds" in err
    assert not (tmp_path / "a.png").exists()


@pytest.mark.parametrize("kind", ["png", "webp", "gif"])
def test_animations_are_refused(photo, refused_picture, kind):
    frames = [Image.fromarray(photo(12, 16)).rotate(90 * i) for i in range(3)]
    content = saved(frames[0], kind, save_all=True, append_images=frames[1:])
    line = refused_picture(content, kind)
    assert "animated" in line
    assert "save its frames as pictures" in line


# What else a file holds


def mpo(photo, kind, xmp_of_second=b""):
    """A JPEG with a second picture of some kind, as phones and cameras write it."""
    first, second = Image.fromarray(photo(16, 16)), Image.new("RGB", (16, 16))
    second.encoderinfo = {"xmp": xmp_of_second}
    content = saved(first, "mpo", save_all=True, append_images=[second], quality=95)
    entries = content.index(b"MPF\0") + 4 + 50  # behind the first is the second's
    assert content[entries + 16 : entries + 20] == bytes(4)
    kind = struct.pack("<I", kind)
    return content[: entries + 16] + kind + content[entries + 20 :]


def test_a_phones_mpo_is_its_first_picture(photo, restored):
    path, err = restored(mpo(photo, 0x020002), "jpg", *PLAIN)
    assert close(read_png(path), enlarged(photo(16, 16)), 60)
    assert err.endswith("given.jpg: another picture in it was left out\n")
    assert restored(mpo(photo, 0x010002), "jpg")[1] == ""  # a preview of the same


def test_what_a_phones_second_picture_is(photo, restored):
    packet = xmp().replace(b'"mine"', b'"urn:com:apple:photo:2020:aux:hdrgainmap"')
    _, err = restored(mpo(photo, 0, packet), "jpg")
    assert err.endswith("given.jpg: its gain map for bright screens was left out\n")


def test_xmp_that_goes_on_in_more_segments(photo, restored):
    packet = xmp().replace(b" dc:format", b' xmpNote:HasExtendedXMP="ABC" dc:format')
    content = saved(Image.fromarray(photo(8, 8)), "jpeg", xmp=packet)
    segment = b"http://ns.adobe.com/xmp/extension/\0" + bytes(40)
    head = b"\xff\xe1" + struct.pack(">H", len(segment) + 2)
    tables = content.index(b"\xff\xdb")
    content = content[:tables] + head + segment + content[tables:]
    path, err = restored(content, "jpg", to="jpg")
    assert err.endswith("too long for one segment was left out\n")
    assert b'dc:format="mine"' in path.read_bytes()
    assert b"HasExtendedXMP" not in path.read_bytes()


@pytest.mark.parametrize("kind", ["jpg", "png"])
def test_thousands_of_comments_and_texts_take_no_time(photo, restored, kind):
    content = saved(Image.fromarray(photo(8, 8)), "jpeg")
    content = content[:2] + b"\xff\xfe\0\x03a" * 9000 + content[2:]
    if kind == "png":
        content = png(photo(8, 8), behind=9000 * png_chunk(b"tEXt", b"key\0a"))
    begin = time.process_time()
    path, _ = restored(content, kind)
    assert time.process_time() - begin < 10
    assert path.read_bytes().count(b"tEXt" if kind == "png" else b"iTXt") == 9000


def test_a_keyword_without_end_is_not_said_whole(photo, restored):
    endless = png_chunk(b"tEXt", b"key" * 1000)
    _, err = restored(png(photo(8, 8), before=endless), "png", to="tif")
    assert "its text (keykey" in err
    assert len(err) < 400


@pytest.mark.parametrize("promise", [b"<hdrgm:Version>", b"hdrgm:Version='"])
def test_xmp_of_many_promises_takes_no_time(promise):
    begin = time.process_time()
    decoding.xmp_of_result(promise * 20_000)
    assert time.process_time() - begin < 2


PROMISES = {
    "its gain map for bright screens": 'hdrgm:Version="1.0"',
    "its video": 'GCamera:MotionPhoto="1"',
    "its map of depth": 'GDepth:Format="RangeInverse"',
}


@pytest.mark.parametrize("what", PROMISES)
@pytest.mark.parametrize("kind", KINDS)
def test_what_xmp_promises_beside_the_picture_is_said(photo, restored, kind, what):
    packet = xmp().replace(b" dc:format", f" {PROMISES[what]} dc:format".encode())
    image = Image.fromarray(photo(8, 8))
    if kind == "png":
        content = png(photo(8, 8), before=itxt(packet))
    else:
        how = {"tiffinfo": {700: packet}} if kind == "tiff" else {"xmp": packet}
        content = saved(image, kind, **how)
    path, err = restored(content, kind, to="jpg")
    assert err.endswith(f"{what} was left out\n")
    written = path.read_bytes()
    assert b'dc:format="mine"' in written
    assert b"hdrgm:Version" not in written
    assert b'MotionPhoto="1"' not in written


def test_a_gain_map_that_a_segment_tells(photo, restored):
    content = saved(Image.fromarray(photo(8, 8)), "jpeg")
    segment = b"urn:iso:std:iso:ts:21496:-1\0\0\0\0\0"
    head = b"\xff\xe2" + struct.pack(">H", len(segment) + 2)
    _, err = restored(content[:2] + head + segment + content[2:], "jpg")
    assert err.endswith("its gain map for bright screens was left out\n")


def test_the_other_pictures_of_a_heic_and_of_a_ppm_are_said(photo, restored):
    import pillow_heif

    file = pillow_heif.from_pillow(Image.fromarray(photo(64, 64)))
    file.add_from_pillow(Image.fromarray(photo(64, 64)[::-1]))
    saved_file = io.BytesIO()
    file.save(saved_file)
    several = {"heic": saved_file.getvalue(), "ppm": 2 * ppm(FLAT, 255)}
    for kind, content in several.items():
        _, err = restored(content, kind)
        assert err.endswith("another picture in it was left out\n")


@pytest.mark.parametrize("to", ["png", "jpg", "tif", "webp"])
def test_a_preview_of_what_came_in_is_not_one_of_the_result(photo, restored, to):
    small = saved(Image.fromarray(photo(4, 6)), "jpeg")
    content = saved(Image.fromarray(photo(8, 8)), "jpeg", exif=exif(6))
    image = pyvips.Image.jpegload_buffer(content).copy()
    image.set_type(pyvips.GValue.blob_type, "jpeg-thumbnail-data", small)
    content = image.jpegsave_buffer()
    assert pyvips.Image.jpegload_buffer(content).get("jpeg-thumbnail-data") == small
    path, err = restored(content, "jpg", to=to)
    assert err == ""
    assert small not in path.read_bytes()
    with Image.open(path) as image:
        assert image.getexif()[0x0110] == "Camera"


# Sizes


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (7, 5), (3, 2), (1, 7)])
@pytest.mark.parametrize("scale", [1, 2])
def test_small_and_narrow_pictures(photo, restored, size, scale):
    path, _ = restored(png(photo(*size)), "png", scale=scale)
    assert read_png(path).shape == (size[0] * scale, size[1] * scale, 3)


def test_very_narrow_pictures(photo, restored):
    for size in ((1, 4000), (4000, 1)):
        path, _ = restored(png(photo(*size)), "png")
        assert read_png(path).shape == (size[0] * 2, size[1] * 2, 3)


def test_a_picture_on_disk_reads_as_one_in_memory(photo, tmp_path, monkeypatch):
    array = with_hidden(photo(12, 16), 9)
    for name, content in {
        "a.png": png(array),
        "turned.png": saved(turned(array, 6), "png", exif=exif(6)),
    }.items():
        (tmp_path / name).write_bytes(content)
        monkeypatch.setattr(decoding, "IN_MEMORY", 2**28)
        expected = open_picture(tmp_path / name).read(2, 3, 7, 8)
        monkeypatch.setattr(decoding, "IN_MEMORY", 0)
        picture = open_picture(tmp_path / name)
        np.testing.assert_array_equal(picture.read(2, 3, 7, 8), expected)
        file = picture.pixels.path
        assert file
        del picture


def test_a_limit_that_an_option_lifts(photo, refused_picture, restored):
    line = refused_picture(png(photo(30, 40)), "png", "--max-megapixels", "0.001")
    assert "40x30" in line
    assert "--max-megapixels" in line
    restored(png(photo(30, 40)), "png", "--max-megapixels", "0.0012")


def declared(content, height, width):
    """A JPEG that declares another size."""
    at = content.index(b"\xff\xc0") + 5
    size = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    return content[:at] + size + content[at + 4 :]


def test_a_size_that_the_bytes_cannot_fill(photo, refused_picture):
    small = saved(Image.fromarray(photo(16, 16)), "jpeg")
    line = refused_picture(declared(small, 9550, 9400), "jpg")
    assert f"declares 9400x9550 pixels, but holds {len(small)} bytes" in line
    line = refused_picture(png(photo(4, 4), declare=(20000, 20000)), "png")
    assert "declares 20000x20000" in line
    line = refused_picture(b"P6 20000 20000 255\n" + bytes(99), "ppm")
    assert "declares 20000x20000" in line


def test_a_picture_of_200_megapixels_is_read_by_parts(tmp_path):
    flat = pyvips.Image.black(14000, 14000) + 7
    flat.cast("uchar").pngsave(str(tmp_path / "huge.png"))
    picture = open_picture(tmp_path / "huge.png", channels=3)
    assert (picture.height, picture.width) == (14000, 14000)
    corner = picture.read(13990, 13995, 10, 5)
    np.testing.assert_allclose(corner, np.full((10, 5, 3), 7 / 255), rtol=1e-6)


# Damaged


@pytest.mark.parametrize("kind", ["png", "jpeg", "tiff", "webp", "gif", "bmp"])
def test_half_a_picture_is_refused(photo, refused_picture, kind):
    content = saved(Image.fromarray(photo(32, 40)), kind)
    line = refused_picture(content[: len(content) // 2], kind)
    assert "cannot be decoded" in line


def test_a_jpeg_that_lacks_its_end_but_says_it_is_whole(photo, restored):
    content = saved(Image.fromarray(photo(64, 80)), "jpeg")
    at = content.index(b"\xff\xda")
    path, err = restored(content[: (at + len(content)) // 2] + b"\xff\xd9", "jpg")
    assert "damaged, but restored" in err
    assert read_png(path).shape == (128, 160, 3)


def test_what_follows_a_jpeg_does_no_harm(photo, restored):
    content = saved(Image.fromarray(photo(16, 16)), "jpeg")
    assert restored(content + b"a phone's own data" * 99, "jpg")[1] == ""


def test_a_header_that_libvips_refuses_without_a_word(photo, refused_picture):
    line = refused_picture(png(photo(8, 8), declare=(0, 0)), "png")
    assert line.endswith("cannot be decoded: no reason is given")


def test_what_is_no_picture(refused_picture):
    assert "the file is empty" in refused_picture(b"", "png")
    assert "no picture that can be read" in refused_picture(b"hello\n", "jpg")
    svg = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'
    assert "no picture that can be read" in refused_picture(svg, "png")


def test_the_result_is_the_networks(photo, restored, small_models):
    array = photo(12, 16)
    path, _ = restored(png(array), "png")
    lq = torch.from_numpy(array / np.float32(255)).permute(2, 0, 1)[None]
    expected = to_image(reading_path(load_model(small_models[2, 3]), lq, 2, 4))
    assert close(read_png(path), expected.astype(int))
