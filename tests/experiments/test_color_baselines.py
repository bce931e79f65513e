"""The colour models beside simpler methods: each is what its name says."""

import json
import statistics

import pytest
from PIL import Image
from skimage import data

from experiments import color_baselines
from swinir_lite import load_model, psnr, to_image
from swinir_lite.denoising import add_gaussian_noise
from swinir_lite.jpeg_artifacts import add_jpeg_artifacts
from swinir_lite.measuring.evaluation import evaluate
from swinir_lite.measuring.test_sets import read_test_set


@pytest.fixture
def photographs(tmp_path):
    for name, photo in (("0801", data.chelsea()), ("0802", data.coffee())):
        Image.fromarray(photo[:32, 50:82]).save(tmp_path / f"{name}.png")
    return tmp_path


def test_methods_are_measured_on_the_same_images(photographs, monkeypatch):
    monkeypatch.setattr(color_baselines, "SIGMAS", (25,))
    monkeypatch.setattr(color_baselines, "QUALITIES", (10,))
    out = photographs / "scores.json"
    color_baselines.main(
        ["--div2k", str(photographs), "--side", "32", "--out", str(out)]
    )
    measured = json.loads(out.read_text())
    assert measured["images"] == ["0801", "0802"]
    for task, level, damaged, damage in (
        ("color_denoise", "25", "noisy", lambda hq: add_gaussian_noise(hq, sigma=25)),
        ("color_jpeg", "10", "JPEG", lambda hq: add_jpeg_artifacts(hq, quality=10)),
    ):
        scores = measured[task][level]
        pairs = read_test_set(photographs, degrade=damage)
        mean = statistics.fmean(psnr(to_image(p.lq), p.hq) for p in pairs)
        assert scores[damaged]["psnr"] == pytest.approx(mean)
        model = load_model(f"{task}_{level}")
        expected = evaluate(model, pairs, border=0, channel="RGB")
        assert scores["colour model"]["psnr"] == pytest.approx(expected["psnr"], 1e-3)
        assert len({method["psnr"] for method in scores.values()}) == len(scores)
