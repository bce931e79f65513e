"""Windows against JPEG: blocks begin where the experiment says, runs are kept."""

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


def test_runs_are_kept_beside_each_other(tmp_path, monkeypatch):
    monkeypatch.setattr(experiment, "TEST_SIDE", 32)
    for name in ("photos", "tests"):
        (tmp_path / name).mkdir()
        Image.fromarray(data.camera()).save(tmp_path / name / "camera.png")
    out = tmp_path / "windows.json"
    for seed in ("0", "1", "1"):
        experiment.main(
            [
                "--photos",
                str(tmp_path / "photos"),
                "--classic5",
                str(tmp_path / "tests"),
            ]
            + ["--windows", "7", "--steps", "2", "--batch", "1", "--dim", "4"]
            + ["--seed", seed, "--out", str(out)]
        )
    runs = json.loads(out.read_text())["runs"]
    assert [(r["blocks"], r["seed"]) for r in runs] == [
        ("anywhere", 0), ("anywhere", 1), ("corner", 0), ("corner", 1)
    ]  # fmt: skip
    assert set(runs[0]["psnr"]) == {
        "10, corner", "10, anywhere", "40, corner", "40, anywhere"
    }  # fmt: skip
