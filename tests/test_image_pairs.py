"""HR and LR images are told apart, whatever their folders are called."""

from pathlib import Path

import pytest
from PIL import Image

from swinir_lite.errors import InputError
from swinir_lite.image_pairs import find_pairs
from swinir_lite.measuring.test_sets import read_test_set
from swinir_lite.training.data import find_photos


def make(folder, sizes, suffix="", ending=".png"):
    """A folder of gray images, {name: (width, height)}."""
    folder.mkdir(parents=True)
    for name, size in sizes.items():
        Image.new("L", size, 99).save(folder / f"{name}{suffix}{ending}")


HR = {"0001": (48, 36), "0002": (24, 60)}


def smaller(times):
    return {
        name: (width // times, height // times) for name, (width, height) in HR.items()
    }


LAYOUTS = {  # HR folder, {scale: (LR folder, its names' suffix)}
    "Set5": ("HR", {2: ("LR_bicubic/X2", "x2"), 3: ("LR_bicubic/X3", "x3")}),
    "BasicSR": ("GTmod12", {2: ("LRbicx2", ""), 3: ("LRbicx3", "")}),
    "two letters": ("trainH", {2: ("trainL", "")}),
    "inside one another": (".", {2: ("small", "x2")}),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_folders_are_paired_by_names_and_sizes(tmp_path, layout):
    originals, others = LAYOUTS[layout]
    root = tmp_path / "set"
    make(root / originals, HR)
    for scale, (folder, suffix) in others.items():
        make(root / folder, smaller(scale), suffix)
    for scale, (folder, suffix) in others.items():
        pairs = find_pairs(root, scale)
        assert [p.name for p in pairs] == ["0001", "0002"]
        assert [p.hq for p in pairs] == [root / originals / f"{n}.png" for n in HR]
        lr = [root / folder / f"{name}{suffix}.png" for name in HR]
        assert [p.lr for p in pairs] == lr
        assert [p.lr_path for p in find_photos(root, scale, 4)] == lr
        tested = read_test_set(root, scale)
        assert [tuple(p.lq.shape[2:]) for p in tested] == [
            size[::-1] for size in smaller(scale).values()
        ]
    assert [p.hq.parent for p in find_pairs(root)] == [root / originals] * 2
    with pytest.raises(InputError, match="LR images 8 times smaller beside it, got no"):
        find_pairs(root, 8)


def test_of_divk_the_part_that_is_asked_for_is_taken(tmp_path):
    for split in ("train", "valid"):
        make(tmp_path / f"DIV2K_{split}_HR", HR)
        make(tmp_path / f"DIV2K_{split}_LR_bicubic/X2", smaller(2), "x2")
    for split in ("train", "valid"):
        folders = {p.relative_to(tmp_path).parts[0] for pair in find_pairs(
            tmp_path, 2, split) for p in pair[1:]}  # fmt: skip
        assert folders == {f"DIV2K_{split}_HR", f"DIV2K_{split}_LR_bicubic"}


def test_without_equal_names_all_are_originals(tmp_path):
    make(tmp_path / "city", {"a": (8, 8)})
    make(tmp_path / "forest", {"b": (4, 4)})
    assert [p[0::2] for p in find_pairs(tmp_path, 2)] == [("a", None), ("b", None)]


@pytest.mark.parametrize("scale", [1, 2])
@pytest.mark.parametrize(
    ("second", "message"),
    [
        (HR, "hold images of the same names that are no HR and LR images: rename"),
        ({"0001": (24, 18), "0007": (9, 9)}, "images are (not in|in only one of)"),
        ({"0001": (48, 30)}, "that are no HR and LR images"),
    ],
)
def test_equal_names_that_make_no_pairs_are_refused(tmp_path, second, message, scale):
    make(tmp_path / "city", HR)
    make(tmp_path / "forest", second)
    for read in (find_pairs, find_photos, read_test_set):
        with pytest.raises(ValueError, match=message):
            read(tmp_path, scale)


def test_two_folders_of_one_scale_are_refused(tmp_path):
    make(tmp_path / "HR", HR)
    for name in ("LR_bicubic", "LR_mild"):
        make(tmp_path / name / "X2", smaller(2), "x2")
    with pytest.raises(InputError, match=r"got .*LR_bicubic.X2, .*LR_mild.X2; give"):
        find_pairs(tmp_path, 2)


def test_equal_names_in_one_folder_are_two_images(tmp_path):
    make(tmp_path / "photos", HR)
    Image.new("L", (24, 24)).save(tmp_path / "photos/0001.jpg")
    names = [pair.name for pair in read_test_set(tmp_path / "photos", 2)]
    assert names == ["0001.jpg", "0001.png", "0002"]
    make(tmp_path / "small", smaller(2))
    with pytest.raises(ValueError, match=r"0001\.jpg and 0001\.png"):
        find_pairs(tmp_path, 2)


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such folder of images"):
        find_pairs(Path(tmp_path / "absent"))
