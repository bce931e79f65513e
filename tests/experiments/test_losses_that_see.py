"""Features and what they teach: each is what chapter 10 says of it."""

import json

import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import save_file
from skimage import data
from torch import nn

from experiments import losses_that_see as experiment
from experiments.losses_that_see import SqueezeNetFeatures

# widths of the squeeze and expand convolutions of SqueezeNet 1.0's fire modules
FIRES = {3: (96, 16, 64), 4: (128, 16, 64), 5: (128, 32, 128), 7: (256, 32, 128)}
FIRES |= {8: (256, 48, 192), 9: (384, 48, 192), 10: (384, 64, 256)}
FIRES |= {12: (512, 64, 256)}


@pytest.fixture
def state():
    """Random weights under torchvision's names."""
    torch.manual_seed(0)
    layers = {"features.0": nn.Conv2d(3, 96, 7)}
    for i, (before, squeeze, expand) in FIRES.items():
        layers[f"features.{i}.squeeze"] = nn.Conv2d(before, squeeze, 1)
        layers[f"features.{i}.expand1x1"] = nn.Conv2d(squeeze, expand, 1)
        layers[f"features.{i}.expand3x3"] = nn.Conv2d(squeeze, expand, 3)
    return {
        f"{name}.{part}": getattr(layer, part).detach()
        for name, layer in layers.items()
        for part in ("weight", "bias")
    }


def test_maps_have_the_sizes_of_squeezenet(state):
    maps = SqueezeNetFeatures(state)(torch.rand(1, 3, 128, 128))
    assert [tuple(m.shape[1:]) for m in maps] == [
        (96, 61, 61),
        (128, 30, 30),
        (256, 15, 15),
        (512, 15, 15),
    ]
    first = F.conv2d(
        x := torch.rand(1, 3, 64, 64), state["features.0.weight"],
        state["features.0.bias"], stride=2,
    )  # fmt: skip
    assert torch.equal(SqueezeNetFeatures(state, (1,))(x)[0], first.relu())


def test_an_image_has_no_distance_from_itself(state):
    image, other = torch.rand(2, 1, 3, 64, 64)
    features = SqueezeNetFeatures(state)
    assert experiment.distances(features, image, image) == [0] * 4
    assert min(experiment.distances(features, image, other)) > 0


def test_results_hold_every_change_and_every_loss(state, tmp_path, monkeypatch):
    monkeypatch.setattr(experiment, "SHOWN", {"coffee": (data.coffee, 60, 150, 2)})
    save_file(state, tmp_path / "features.safetensors")
    Image.fromarray(data.chelsea()[:96, :96]).save(tmp_path / "photo.jpg")
    out = tmp_path / "results.json"
    experiment.main(
        ["--features", str(tmp_path / "features.safetensors"), "--steps", "2",
         "--photographs", str(tmp_path), "--out", str(out)]
    )  # fmt: skip
    found = json.loads(out.read_text())
    assert set(found["changes"]) == set(experiment.textures())
    scores = found["scores"]["coffee"]
    assert list(scores) == ["bicubic", "L1", "perceptual", "GAN"]
    assert scores["L1"]["psnr"] != scores["perceptual"]["psnr"]
    with Image.open(out.with_suffix(".png")) as image:
        assert image.size == (256, 256)
