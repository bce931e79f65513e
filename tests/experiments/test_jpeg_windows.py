"""Windows against JPEG: blocks begin where the experiment says, in every run."""

import itertools
import json

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data

from experiments import jpeg_windows as experiment
from swinir_lite import to_tensor
from swinir_lite.jpeg_artifacts import blocking_effect

PHOTOS = [to_tensor(data.camera()[:200, 200:400])]


def effect(images, offset=0):
    return np.mean([
        blocking_effect(255 * image[0, offset:, offset:].numpy()) for image in images
    ])  # fmt: skip


def test_blocks_of_patches_begin_at_the_corner_or_anywhere():
    generator = torch.Generator().manual_seed(1)
    corner, hq = experiment.random_patches(PHOTOS, 8, "corner", generator)
    assert corner.shape == hq.shape == (8, 1, experiment.SIDE, experiment.SIDE)
    assert effect(corner) > effect(corner, 4)
    starts = {
        max(range(8), key=lambda o, lq=lq: effect(lq, o))
        for lq in (
            experiment.random_patches(PHOTOS, 4, "anywhere", generator)[0]
            for _ in range(6)
        )
    }
    assert len(starts) > 1


@pytest.mark.parametrize("offset", [0, 4])
def test_blocks_of_test_images_begin_offset_pixels_earlier(offset):
    lq, hq = experiment.test_pairs(data.camera(), 10, offset)
    assert lq.shape[2:] == hq.shape == (experiment.TEST_SIDE,) * 2
    assert effect(lq, (8 - offset) % 8) > 2 * effect(lq, 4 - offset)


def test_every_seed_trains_both_kinds_of_patches(tmp_path, monkeypatch):
    monkeypatch.setattr(experiment, "TEST_SIDE", 32)
    Image.fromarray(data.camera()).save(tmp_path / "camera.png")
    out = tmp_path / "windows.json"
    folders = ["--photos", str(tmp_path), "--classic5", str(tmp_path)]
    sizes = ["--windows", "7", "--steps", "2", "--batch", "1", "--dim", "4"]
    experiment.main([*folders, *sizes, "--seeds", "0", "1", "--out", str(out)])
    found = json.loads(out.read_text())
    assert [(r["blocks"], r["seed"]) for r in found["runs"]] == [
        ("corner", 0), ("anywhere", 0), ("corner", 1), ("anywhere", 1)
    ]  # fmt: skip
    assert len({run["psnr"]["10, corner"] for run in found["runs"]}) == 4
    for run in found["runs"]:
        assert set(run["psnr"]) == set(found["JPEG"]) == {
            "10, corner", "10, anywhere", "40, corner", "40, anywhere"
        }  # fmt: skip


def test_committed_runs_are_three_of_each_kind_and_repair(root):
    """Each is better than the JPEG that it is given, so that kinds can be compared."""
    found = json.loads((root / "results/jpeg_windows.json").read_text())
    kinds = [(run["window"], run["blocks"], run["seed"]) for run in found["runs"]]
    expected = itertools.product((7, 8), experiment.PLACES, range(3))
    assert sorted(kinds) == sorted(expected)
    for run in found["runs"]:
        assert all(psnr > found["JPEG"][key] for key, psnr in run["psnr"].items())
