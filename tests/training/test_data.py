"""The training set's checks, its cache, and the batches cut from it."""

import os
import struct
import zlib
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image

import swinir_lite.training.data as module
from swinir_lite import imresize
from swinir_lite.errors import InputError
from swinir_lite.image_files import image_size, read_image
from swinir_lite.training.config import load_config
from swinir_lite.training.data import (
    FlatLayout,
    PatchSampler,
    PhotoCache,
    find_photos,
    luma,
)
from swinir_lite.training.datasets import read_manifest

SIZES = [(40, 52), (36, 36), (61, 45)]  # height, width


def write_photo(path, height, width, seed=0, channels=3):
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (height, width, 3) if channels == 3 else (height, width)
    pixels = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def photos(tmp_path):
    """A folder of photographs, one of them gray, one in a folder of its own."""
    folder = tmp_path / "photos"
    for i, (height, width) in enumerate(SIZES):
        name = folder / ("inner" if i == 1 else "") / f"photo{i}.png"
        write_photo(name, height, width, i, channels=1 if i == 2 else 3)
    return folder


@pytest.fixture
def div2k(tmp_path):
    """DIV2K's layout, whose LR images are not what imresize would make."""
    folder = tmp_path / "DIV2K"
    for i, (height, width) in enumerate(SIZES, 1):
        write_photo(folder / f"DIV2K_train_HR/{i:04d}.png", height, width, i)
        lr = folder / f"DIV2K_train_LR_bicubic/X2/{i:04d}x2.png"
        write_photo(lr, height // 2, width // 2, 10 + i)
    return folder


def make_sampler(folder, tmp_path, scale=2, patch=12, batch=16, **options):
    found = find_photos(folder, scale, patch)
    cache = PhotoCache(found, tmp_path / "cache", scale, workers=1)
    return PatchSampler(cache, scale, patch, batch, **options), found


def cut(image, top, left, side, flips):
    """The reference: slice, flip and transpose one image."""
    patch = image[top : top + side, left : left + side]
    patch = patch[::-1] if flips[0] else patch
    patch = patch[:, ::-1] if flips[1] else patch
    return patch.transpose(1, 0, 2) if flips[2] else patch


@pytest.mark.parametrize("layout", ["photos", "div2k"])
def test_batches_are_crops_flipped_and_turned(layout, request, tmp_path):
    sampler, found = make_sampler(request.getfixturevalue(layout), tmp_path)
    lq, hq = sampler.batch(5)
    assert lq.shape == (16, 3, 12, 12)
    assert hq.shape == (16, 3, 24, 24)
    crops = sampler.crops(5)
    for i in range(16):
        photo, flips = found[crops.image[i]], crops.flips[i].tolist()
        top, left = int(crops.top[i]), int(crops.left[i])
        hr = read_image(photo.path)
        hr = hr[: photo.height // 2 * 2, : photo.width // 2 * 2]
        lr = read_image(photo.lr_path) if photo.lr_path else imresize(hr, 1 / 2)
        for batch, image, scale in ((hq, hr, 2), (lq, lr, 1)):
            patch = cut(image, top * scale, left * scale, 12 * scale, flips)
            pixels = (batch[i] * 255).round().byte().permute(1, 2, 0).numpy()
            assert np.array_equal(pixels, patch)


def test_every_place_and_turn_is_equally_likely(photos, tmp_path):
    sampler, found = make_sampler(photos, tmp_path, batch=40_000)
    crops = sampler.crops(0)
    rows = torch.tensor([photo.height // 2 - 11 for photo in found])
    columns = torch.tensor([photo.width // 2 - 11 for photo in found])
    assert (crops.top < rows[crops.image]).all()
    assert (crops.left < columns[crops.image]).all()
    place = (crops.image * 100 + crops.top) * 100 + crops.left
    turn = (crops.flips * torch.tensor([1, 2, 4])).sum(1)
    for draws, kinds in ((place, int((rows * columns).sum())), (turn, 8)):
        counts = draws.unique(return_counts=True)[1]
        assert len(counts) == kinds
        expected = 40_000 / kinds
        assert ((counts - expected).abs() < 6 * expected**0.5).all()


def test_a_batch_depends_on_seed_step_and_rank_alone(photos, tmp_path):
    def batch(step, **options):
        return make_sampler(photos, tmp_path, **options)[0].batch(step)[1]

    sampler, _ = make_sampler(photos, tmp_path)
    later = sampler.batch(7)[1]
    sampler.batch(2)
    assert torch.equal(sampler.batch(7)[1], later)  # whatever came before
    assert torch.equal(batch(7), later)
    for other in (batch(8), batch(7, seed=1), batch(7, rank=1)):
        assert not torch.equal(other, later)


def test_degradation_gets_the_clean_patch_and_a_seeded_generator(photos, tmp_path):
    def degrade(hq, generator):
        return hq + torch.randn(hq.shape, generator=generator)

    options = {"scale": 1, "patch": 32, "degrade": degrade, "channels": 1}
    sampler, _ = make_sampler(photos, tmp_path, **options)
    (lq, hq), (again, _) = sampler.batch(3), sampler.batch(3)
    assert hq.shape == (16, 1, 32, 32)
    assert torch.equal(lq, again)
    assert not torch.equal(lq - hq, sampler.batch(4)[0] - sampler.batch(4)[1])
    assert abs((lq - hq).std() - 1) < 0.05


def test_luma_is_pillows():
    pixels = np.random.default_rng(0).integers(0, 256, (1, 200, 200, 3), np.uint8)
    gray = np.asarray(Image.fromarray(pixels[0]).convert("L"))
    assert np.array_equal(luma(torch.from_numpy(pixels))[0, ..., 0].numpy(), gray)


def test_images_are_decoded_once(photos, tmp_path, monkeypatch):
    first, found = make_sampler(photos, tmp_path)
    monkeypatch.setattr(module, "read_image", lambda path: pytest.fail("decoded"))
    monkeypatch.setattr(module, "imresize", lambda *_: pytest.fail("resized"))
    again, _ = make_sampler(photos, tmp_path)
    assert torch.equal(first.batch(0)[0], again.batch(0)[0])
    monkeypatch.undo()
    os.utime(found[0].path, (1, 1))  # a file that changed makes a cache of its own
    make_sampler(photos, tmp_path)
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_other_lr_images_are_not_taken_from_an_old_cache(div2k, tmp_path):
    def lq(folder):
        photos = find_photos(folder, 2, 12)
        return np.array(PhotoCache(photos, tmp_path / "cache", 2, workers=1).lq)

    from_files, made = lq(div2k), lq(div2k / "DIV2K_train_HR")
    assert not np.array_equal(made, from_files)
    assert np.array_equal(lq(div2k), from_files)  # the same HR files and cache
    write_photo(div2k / "DIV2K_train_LR_bicubic/X2/0002x2.png", 18, 18, seed=99)
    renewed = lq(div2k)
    assert not np.array_equal(renewed, from_files)
    assert not np.array_equal(renewed, made)


@pytest.mark.parametrize("suffix", ["jpg", "png"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_photographs_are_turned_upright(tmp_path, orientation, suffix):
    corners = np.array([[0, 80], [160, 240], [40, 200]], np.uint8)  # upright
    upright = corners.repeat(16, 0).repeat(16, 1)
    stored = {
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1],
        5: upright.T, 6: upright.T[::-1], 7: upright.T[::-1, ::-1],
        8: upright.T[:, ::-1],
    }[orientation]  # fmt: skip
    exif, path = Image.Exif(), tmp_path / f"photo.{suffix}"
    exif[ExifTags.Base.Orientation] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).save(path, exif=exif)
    assert image_size(path) == upright.shape
    assert np.abs(read_image(path, 1).astype(int) - upright).max() <= 3  # of JPEG
    cache = PhotoCache(find_photos(tmp_path), tmp_path / "cache", workers=1)
    assert np.abs(cache.hq[:, 0].reshape(upright.shape).astype(int) - upright).max() < 4


def test_a_turned_tiff_is_refused(tmp_path):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 1
    Image.new("L", (8, 8)).save(tmp_path / "a.tif", exif=exif)
    assert image_size(tmp_path / "a.tif") == (8, 8)
    exif[ExifTags.Base.Orientation] = 6
    Image.new("L", (8, 8)).save(tmp_path / "a.tif", exif=exif)
    with pytest.raises(ValueError, match=r"a\.tif: a TIFF .* save it upright first"):
        read_image(tmp_path / "a.tif")


def test_damaged_exif_says_nothing(tmp_path):
    pixels = np.zeros((16, 24, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=b"Exif\0\0nonsense")
    assert image_size(tmp_path / "a.png") == (16, 24)
    assert np.array_equal(read_image(tmp_path / "a.png"), pixels)


def test_many_processes_build_the_same_cache(tmp_path):
    for i in range(33):
        write_photo(tmp_path / f"photos/{i}.png", 20 + i, 24, i)
    found = find_photos(tmp_path / "photos", 2, 8)
    one = PhotoCache(found, tmp_path / "one", 2, workers=1)
    two = PhotoCache(found, tmp_path / "two", 2, workers=2)
    assert np.array_equal(one.hq, two.hq)
    assert np.array_equal(one.lq, two.lq)


def test_what_cannot_be_used_is_named_before_training(photos):
    write_photo(photos / "small.png", 40, 20)
    (photos / "text.png").write_text("not an image")
    Image.new("I;16", (64, 64)).save(photos / "deep.png")
    Image.new("RGBA", (64, 64)).save(photos / "alpha.png")
    with pytest.raises(
        ValueError, match=r"4 of the 7 images .* cannot be used"
    ) as info:
        find_photos(photos, 2, 12)
    message = str(info.value)
    assert "small.png: 20x40 is smaller than 24x24" in message
    assert "text.png: cannot identify" in message
    need = "need 8-bit RGB or gray"
    assert f"deep.png: mode I;16, {need}; scale its values to 8 bits" in message
    assert f"alpha.png: mode RGBA, {need}; convert it first, as by Pillow" in message


def write_deep_png(path, side=16):
    """A PNG of 16 bits a channel, which Pillow opens as plain RGB."""

    def chunk(name, data):
        check = zlib.crc32(name + data)
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", side, side, 16, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(side * (1 + 6 * side)))
    parts = chunk(b"IHDR", header), chunk(b"IDAT", pixels), chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


def test_colour_of_16_bits_is_not_cut_to_8(tmp_path):
    write_deep_png(tmp_path / "deep.png")
    with Image.open(tmp_path / "deep.png") as image:
        assert image.mode == "RGB"
    with pytest.raises(ValueError, match=r"deep\.png: 16 bits a channel, need 8"):
        read_image(tmp_path / "deep.png")


def test_a_truncated_file_leaves_no_cache(photos, tmp_path):
    whole = (photos / "photo0.png").read_bytes()
    (photos / "photo0.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(
        ValueError, match=r"1 images cannot be decoded:\n .*photo0\.png"
    ):
        make_sampler(photos, tmp_path)
    assert not list((tmp_path / "cache").rglob("*.npy"))


def test_hr_and_lr_must_match(div2k):
    lr = div2k / "DIV2K_train_LR_bicubic/X2"
    write_photo(lr / "0002x2.png", 18, 17)
    with pytest.raises(ValueError, match=r"0002x2\.png: size \(18, 17\), HR implies"):
        find_photos(div2k, 2, 8)
    (lr / "0002x2.png").rename(lr / "0007x2.png")
    with pytest.raises(
        ValueError, match=r"2 images are in only one .*\n  0002\n  0007"
    ):
        find_photos(div2k, 2, 8)
    with pytest.raises(InputError, match="needs one folder of LR images 3 times smal"):
        find_photos(div2k, 3, 8)


def test_900_images_where_800_are_expected(tmp_path):
    folder = tmp_path / "DIV2K_train_HR"
    folder.mkdir()
    for i in range(1, 901):
        (folder / f"{i:04d}.png").touch()
    with pytest.raises(ValueError, match=r"900 images where 800 .* 0801 to 0900 are"):
        find_photos(tmp_path, 2, 8)
    for i in range(701, 901):
        (folder / f"{i:04d}.png").unlink()
    holds = "holds 700 images where 800 are expected"
    with pytest.raises(ValueError, match=holds):
        find_photos(tmp_path, 2, 8, expected=800)


@pytest.mark.parametrize(
    ("first", "last", "digits"), [(799, 802, 6), (801, 802, 4), (799, 901, 4)]
)
def test_other_numbered_data_sets_are_accepted(tmp_path, first, last, digits):
    for i in range(first, last + 1):
        (tmp_path / f"{i:0{digits}d}.png").touch()
    with pytest.raises(ValueError, match=r"images in .* cannot be used"):
        find_photos(tmp_path)  # it got as far as to the empty files


def test_empty_and_missing_folders(tmp_path):
    with pytest.raises(ValueError, match="holds no images"):
        find_photos(tmp_path)
    hint = r"no such folder of images: .*absent .*swinir_lite download div2k set5"
    with pytest.raises(FileNotFoundError, match=hint):
        find_photos(tmp_path / "absent")


def test_our_lr_is_div2ks(shared, tmp_path):
    hr = read_image(shared / "data/DIV2K/DIV2K_train_HR/0004.png")
    lr = read_image(shared / "data/DIV2K/DIV2K_train_LR_bicubic/X2/0004x2.png")
    assert np.array_equal(imresize(hr[:400], 1 / 2)[:190], lr[:190])


def test_the_small_download_is_what_the_t4_preset_trains_on(tmp_path):
    config = load_config("t4")
    (archive,) = read_manifest()["div2k_small"]["archives"]
    assert archive["folder"].startswith(config.data.removeprefix("data/") + "/")
    assert archive["images"] == config.expected_images
    assert archive["bytes"] < 0.5e9  # a notebook's first minutes
    folder = tmp_path / archive["folder"]
    folder.mkdir(parents=True)
    for number in (1, 800):  # images that are LR elsewhere are the photographs here
        Image.new("RGB", (680, 452)).save(folder / f"{number:04d}x3.png")
    small = tmp_path / config.data.removeprefix("data/")
    photos = find_photos(small, config.scale, config.patch)
    assert [photo.lr_path for photo in photos] == [None, None]


def test_a_cache_that_the_disk_has_no_room_for_is_not_begun(
    tmp_path, photos, monkeypatch
):
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=1000))
    with pytest.raises(OSError, match=r"has 0\.0 MB free, \d.* are needed"):
        PhotoCache(find_photos(photos), tmp_path / "cache", workers=1)
    assert not list((tmp_path / "cache").rglob("*.npy"))


def test_places_reach_beyond_32_bits():
    sides = np.full(3, 50_000, np.int32)  # as NumPy 1 makes them on Windows
    layout = FlatLayout.of(sides, sides)
    assert layout.start.tolist() == [0, 2_500_000_000, 5_000_000_000]
    assert layout.pixels == 7_500_000_000
