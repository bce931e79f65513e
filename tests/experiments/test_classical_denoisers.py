"""Classical denoisers: each does what its name says, at its best strength."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data

from experiments import classical_denoisers as experiment
from swinir_lite import psnr, to_image
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
    assert 0 < strength < 2


@pytest.mark.parametrize("told", [12, 50], ids=["too little", "too much"])
@pytest.mark.parametrize("method", experiment.METHODS)
def test_the_best_strength_is_at_no_edge(method, told):
    """Whatever sigma it is told, a tenth more and a tenth less are worse."""
    noisy = add_gaussian_noise(GRAY, sigma=40)
    restored, strength = experiment.best_of(method, noisy, GRAY, told)
    function, _ = experiment.METHODS[method]
    for neighbour in (strength - 0.1, strength + 0.1):
        other = to_image(function(noisy, told, neighbour))
        assert psnr(other, GRAY) <= psnr(restored, GRAY)


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


def test_committed_results_have_no_gaps():
    root = Path(__file__).parents[2]
    found = json.loads((root / "results/classical_denoisers.json").read_text())
    assert list(found) == list(experiment.METHODS)
    for levels in found.values():
        assert set(levels) == {str(sigma) for sigma in experiment.SIGMAS}
    colour = json.loads((root / "results/color_baselines.json").read_text())
    for scores in colour["color_denoise"].values():
        assert {"non-local means", "BM3D"} < set(scores)
