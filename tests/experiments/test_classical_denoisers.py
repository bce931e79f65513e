"""Classical denoisers: each does what its name says, at its best strength."""

import json

import numpy as np
import pytest
from PIL import Image
from skimage import data

from experiments import classical_denoisers as experiment
from swinir_lite import psnr
from swinir_lite.denoising import add_gaussian_noise

GRAY, COLOUR = data.camera()[40:88, 150:198], data.astronaut()[20:68, 150:198]


@pytest.mark.parametrize("clean", [GRAY, COLOUR], ids=["gray", "colour"])
@pytest.mark.parametrize("method", experiment.METHODS)
def test_every_method_takes_noise_away(method, clean):
    noisy = add_gaussian_noise(clean, sigma=40)
    restored, strength = experiment.best_of(method, noisy, clean, 40)
    assert restored.shape == clean.shape
    assert restored.dtype == np.uint8
    assert psnr(restored, clean) > psnr(noisy, clean) + 2
    assert strength in experiment.METHODS[method][1]


def test_the_best_strength_is_the_best(monkeypatch):
    strengths = (0.2, 0.7, 3.0)
    function, _ = experiment.METHODS["non-local means"]
    monkeypatch.setitem(experiment.METHODS, "non-local means", (function, strengths))
    noisy = add_gaussian_noise(GRAY, sigma=25)
    best = experiment.best_of("non-local means", noisy, GRAY, 25)
    assert best[1] == 0.7


def test_results_are_kept_from_run_to_run(tmp_path):
    Image.fromarray(GRAY).save(tmp_path / "01.png")
    out = tmp_path / "results/denoisers.json"
    out.parent.mkdir()
    common = ["--set12", str(tmp_path), "--out", str(out)]
    for sigma in ("15", "50"):
        experiment.main([*common, "--methods", "wavelets", "--sigmas", sigma])
    found = json.loads(out.read_text())["wavelets"]
    assert found["15"]["psnr"] > found["50"]["psnr"]
    assert set(found["15"]["strengths"]) == {"01"}
