"""One level against all: every training gets its own noise, and all are measured."""

import json

import pytest
import torch
from PIL import Image
from skimage import data

from experiments import blind_denoising as experiment
from swinir_lite import psnr, to_tensor
from swinir_lite.denoising import add_gaussian_noise

PHOTOS = [to_tensor(data.camera()[:200, 200:400])]


def test_a_fresh_denoiser_adds_to_its_input():
    model = experiment.SmallDenoiser()
    for parameter in model.correction.head.parameters():
        torch.nn.init.zeros_(parameter)
    noisy = torch.rand(1, 1, 8, 8)
    assert torch.equal(model(noisy), noisy)


def test_a_short_training_takes_noise_away_and_seeds_differ():
    image = data.camera()[200:264, 100:164]
    noisy = add_gaussian_noise(image, sigma=50)
    restored = [experiment.train(50, PHOTOS, 40, seed)(noisy) for seed in (0, 0, 1)]
    assert psnr(restored[0], image) > psnr(noisy, image) + 3
    assert torch.equal(restored[0], restored[1])
    assert not torch.equal(restored[0], restored[2])


def test_all_trainings_are_measured_at_all_levels(tmp_path, monkeypatch):
    Image.fromarray(data.camera()[:64, :64]).save(tmp_path / "camera.png")
    asked = []
    monkeypatch.setattr(
        experiment,
        "train",
        lambda sigma, *_: asked.append(sigma) or torch.nn.Identity(),
    )
    out = tmp_path / "found.json"
    folders = ["--photos", str(tmp_path), "--set12", str(tmp_path)]
    experiment.main([*folders, "--seeds", "0", "1", "--out", str(out)])
    assert asked == 2 * [25, (5, 55)]
    found = json.loads(out.read_text())["runs"]
    assert len(found) == 4
    for run in found:
        assert run["psnr"]["15"] > run["psnr"]["25"] > run["psnr"]["50"]
        assert run["psnr"]["25"] == pytest.approx(20.2, abs=1)
