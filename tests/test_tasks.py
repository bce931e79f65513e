"""The table of tasks: every row works, and a row is all that a new task needs."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from swinir_lite import to_tensor
from swinir_lite.errors import InputError
from swinir_lite.measuring.evaluation import evaluate_on
from swinir_lite.tasks import (
    TASKS,
    Task,
    check_scale,
    find_metrics,
    make_degradation,
)
from swinir_lite.training.config import as_json, load_config
from swinir_lite.training.engine import Trainer
from swinir_lite.training.log import read_log

OPTIONS = {"gaussian_noise": {"sigma": 25}, "jpeg": {"quality": 10}}
PHOTO = np.random.default_rng(0).integers(0, 256, (32, 48, 3), np.uint8)


@pytest.mark.parametrize("name", [name for name, task in TASKS.items() if task.train])
def test_every_degradation_trains_and_tests_at_its_scale(name):
    degradation, scale = {"name": name, **OPTIONS.get(name, {})}, TASKS[name].scale
    check_scale(degradation, scale)
    batch = make_degradation(degradation)(torch.rand(2, 3, 16, 16), torch.Generator())
    assert batch.shape == (2, 3, 16 // scale, 16 // scale)
    degrade = make_degradation(degradation, test=True)
    image = degrade(PHOTO)
    assert image.shape == (1, 3, 32 // scale, 48 // scale)
    assert torch.equal(degrade(PHOTO), image)


def test_bicubic_shrinks_as_the_network_enlarges():
    assert make_degradation({"name": "bicubic"}) is None
    for scale in (2, 3, 4, 8):
        check_scale({"name": "bicubic"}, scale)
    with pytest.raises(InputError, match=r"scale 1: .* has scale more than 1"):
        check_scale({"name": "bicubic"}, 1)


def test_an_option_may_say_the_scale():
    degradation = {"name": "real_world", "scale": 2, "group": 1}
    check_scale(degradation, 2)
    with pytest.raises(InputError, match=r"does not fit scale 4: .* has scale 2"):
        check_scale(degradation, 4)
    assert make_degradation(degradation).keywords == {"scale": 2, "group": 1}
    test = make_degradation(degradation, test=True)  # which has no groups
    assert test.keywords == {"scale": 2}


def test_metrics_are_those_of_all_tasks():
    assert list(find_metrics(["psnr_b", "lpips"])) == ["psnr_b", "lpips"]
    with pytest.raises(InputError, match=r"no metrics \['mse'\]; there are \['psnr_b'"):
        find_metrics(["mse"])


def fade(images, generator, *, contrast):
    return 0.5 + contrast * (images - 0.5)


def fade_photograph(image, *, contrast):
    return fade(to_tensor(image), None, contrast=contrast)


def mean_error(restored, true):
    return float(np.abs(restored.astype(float) - true).mean())


def test_a_new_task_is_one_row(tmp_path, monkeypatch):
    row = Task(fade, fade_photograph, metrics={"mean_error": mean_error})
    monkeypatch.setitem(TASKS, "fading", row)
    Image.fromarray(PHOTO).save(tmp_path / "photo.png")
    config = load_config(
        {
            "variant": "color_denoise",
            "architecture": {"dim": 8, "depths": [1], "num_heads": [2]},
            "data": str(tmp_path), "cache": str(tmp_path / "cache"), "device": "cpu",
            "validation": {"path": str(tmp_path)}, "patch": 8, "batch": 1, "steps": 1,
            "degradation": {"name": "fading", "contrast": 0.5}, "log_every": 1,
        }
    )  # fmt: skip
    assert load_config(json.loads(as_json(config))) == config
    trainer = Trainer(config, tmp_path / "run")
    lq, hq = trainer.sampler.batch(0)
    torch.testing.assert_close(lq, fade(hq, None, contrast=0.5))
    trainer.run()
    metrics = find_metrics(["mean_error"])
    measured = evaluate_on(trainer.ema, config.degradation, [tmp_path], metrics)
    (scores,) = measured.values()
    assert scores["mean_error"] > 0
    last = read_log(tmp_path / "run/log.jsonl")[-1]
    assert scores["psnr"] == pytest.approx(last["psnr"], abs=1e-3)
