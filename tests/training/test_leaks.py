"""Test images are found among training photographs, and nothing else is."""

import numpy as np
import pytest
from PIL import Image, ImageOps
from skimage import data

from swinir_lite.__main__ import main
from swinir_lite.training.leaks import find_leaks

TESTS = {"cat": data.chelsea(), "astronaut": data.astronaut()[:400, 60:460]}
OTHERS = ("coffee", "rocket", "immunohistochemistry")


@pytest.fixture
def tests(tmp_path):
    folder = tmp_path / "tests"
    folder.mkdir()
    for name, pixels in TESTS.items():
        Image.fromarray(pixels).save(folder / f"{name}.png")
    return folder


@pytest.fixture
def train(tmp_path):
    folder = tmp_path / "train"
    folder.mkdir()
    for name in OTHERS:
        Image.fromarray(getattr(data, name)()).save(folder / f"{name}.png")
    return folder


def inside_a_larger_one(test):
    canvas = Image.fromarray(data.coffee()).resize((900, 600))
    canvas.paste(test.resize((test.width * 9 // 10, test.height * 9 // 10)), (170, 90))
    return canvas


def overlapping(test):
    """Its right part, beside something else."""
    canvas = Image.fromarray(data.rocket()[:, :480]).resize((500, 400))
    part = test.crop((test.width // 5, 0, test.width, test.height))
    canvas.paste(part.resize((380, 380 * part.height // part.width)), (0, 20))
    return canvas


COPIES = {  # what makes a training photograph of a test image
    "as it is": lambda test: test,
    "half as large": lambda test: test.resize((test.width // 2, test.height // 2)),
    "mirrored": ImageOps.mirror,
    "gray": lambda test: test.convert("L"),
    "a part, enlarged": lambda test: test.crop((40, 30, 290, 230)).resize((400, 320)),
    "inside a larger one": inside_a_larger_one,
    "a part, beside another": overlapping,
    "all at once": lambda test: ImageOps.mirror(test.crop((20, 10, 320, 270))).resize(
        (330, 286)
    ),
}


@pytest.mark.parametrize("name", TESTS)
@pytest.mark.parametrize("copy", COPIES)
def test_copies_are_found_and_other_photographs_are_not(tests, train, copy, name):
    photo = train / "copy.jpg"
    COPIES[copy](Image.fromarray(TESTS[name])).save(photo, quality=70)
    (leak,) = find_leaks(sorted(train.iterdir()), sorted(tests.iterdir()))
    assert (leak.photo, leak.test) == (photo, tests / f"{name}.png")


def test_flat_pictures_are_like_nothing(tests, tmp_path):
    gradient = np.linspace(0, 255, 300).astype(np.uint8)[:, None].repeat(200, 1)
    for name, pixels in (
        ("flat", np.full((300, 200), 90, np.uint8)),
        ("sky", gradient),
    ):
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    photos = [tmp_path / "flat.png", tmp_path / "sky.png"]
    assert not list(find_leaks(photos, [*tests.iterdir(), *photos[:1]]))


def test_the_known_leaks_of_the_photographs_at_hand(shared):
    photos = [
        shared / f"data/train/shard0/bsds_train_{number}.jpg"
        for number in (302003, 12003, 12074)
    ]
    sets = shared / "data/testsets"
    tests = [sets / "Set5/HR/woman.png", sets / "Set12/04.png", sets / "Set12/01.png"]
    found = [(leak.photo, leak.test) for leak in find_leaks(photos, tests)]
    assert found == list(zip(photos[:2], tests[:2]))


def test_the_command_names_leaks_and_says_so_by_its_status(tests, train, capsys):
    arguments = ["leaks", "--train", str(train), "--tests", str(tests)]
    main(arguments)
    assert "3 photographs share nothing with 2 test images" in capsys.readouterr().out
    Image.fromarray(TESTS["cat"]).save(train / "cat.jpg")
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 1
    printed = capsys.readouterr().out
    assert f"{train / 'cat.jpg'}: shares a part with {tests / 'cat.png'}" in printed
    assert "1 of 4 photographs" in printed


def test_a_soft_picture_is_found_in_itself(tmp_path):
    y, x = np.mgrid[:300, :240]
    soft = 128 + 90 * np.sin(x / 23 + y / 31) * np.cos(y / 19 - x / 47)
    Image.fromarray(soft.astype(np.uint8)).save(tmp_path / "soft.png")
    (leak,) = find_leaks([tmp_path / "soft.png"], [tmp_path / "soft.png"])
    assert leak.correlation > 0.95
