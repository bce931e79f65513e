"""The real-world measurement: what is degraded, and what its numbers are means of."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data

from experiments import real_world as experiment
from experiments.real_world import GAN_TRAINED, PSNR_TRAINED, central_crop, main
from swinir_lite import imresize, load_model, psnr, to_image
from swinir_lite.image_files import read_image
from swinir_lite.real_world_super_resolution import degrade_photograph
from swinir_lite.shipped_weights import shipped_models


@pytest.fixture
def div2k(tmp_path):
    folder = tmp_path / "DIV2K_valid_HR"
    folder.mkdir()
    for name, photo in (("0801", data.chelsea()), ("0802", data.coffee())):
        Image.fromarray(photo[:131, :120]).save(folder / f"{name}.png")
    return tmp_path


def test_the_crop_is_the_middle():
    image = np.arange(7 * 8).reshape(7, 8)
    assert central_crop(image, 2).tolist() == [[19, 20], [27, 28]]


def test_bicubic_and_a_model_are_measured_on_the_same_chains(div2k):
    out = div2k / "scores.json"
    options = ["--side", "64", "--models", "lightweight_x4", "--seeds", "0", "3"]
    main(["--div2k", str(div2k), *options, "--out", str(out)])
    measured = json.loads(out.read_text())
    assert measured["images"] == ["0801", "0802"]
    expected = []
    for name in measured["images"]:
        image = read_image(div2k / f"DIV2K_valid_HR/{name}.png")[33:97, 28:92]
        for seed in (0, 3):
            lq = to_image(degrade_photograph(image, seed=seed))
            expected.append(psnr(imresize(lq, 4), image, 4, True))
    scores = measured["scores"]
    assert scores["bicubic"]["psnr"] == pytest.approx(np.mean(expected))
    assert scores.keys() == {"bicubic", "lightweight_x4"}
    assert scores["bicubic"] != scores["lightweight_x4"]
    weights = {name: entry["sha256"] for name, entry in shipped_models().items()}
    assert measured["weights"] == {"lightweight_x4": weights["lightweight_x4"]}


def test_the_crops_can_be_kept(div2k):
    main(["--div2k", str(div2k), "--side", "64", "--crops", str(div2k / "crops")])
    kept = read_image(div2k / "crops/0802.png")
    assert np.array_equal(kept, data.coffee()[33:97, 28:92])


def test_mixtures_lie_between_the_weights_that_ship():
    first, shipped = load_model(PSNR_TRAINED), load_model(GAN_TRAINED).state_dict()
    found = experiment.mixture(0.25).state_dict()
    for name, value in first.state_dict().items():
        expected = 0.75 * value + 0.25 * shipped[name]
        torch.testing.assert_close(found[name], expected)
