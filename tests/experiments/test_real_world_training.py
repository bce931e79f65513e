"""Training of the real-world models: what its perceptual loss sees, and mixtures."""

import json

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from skimage import data

from experiments.real_world_training import (
    LOSSES,
    SHIFT,
    SqueezeNetCriterion,
    cut_alike,
    gan_config,
    main,
)
from swinir_lite import load_model
from swinir_lite.runs import read_run_state
from swinir_lite.training.config import load_config

from .test_losses_that_see import state  # noqa: F401

TINY = {
    "dim": 12, "depths": [2], "num_heads": [2], "upsampler": "nearest+conv"
}  # fmt: skip


@pytest.fixture
def features(state, tmp_path):  # noqa: F811
    path = tmp_path / "features.safetensors"
    save_file({k: v.contiguous() for k, v in state.items()}, path)
    return path


def test_images_are_cut_at_one_place_that_changes():
    torch.manual_seed(0)
    image = torch.arange(2 * 12 * 14.0).view(1, 2, 12, 14)
    places = set()
    for _ in range(40):
        first, second = cut_alike([image, image + 0.5])
        assert first.shape == (1, 2, 12 - SHIFT, 14 - SHIFT)
        assert torch.equal(second - first, torch.full_like(first, 0.5))
        places.add(first[0, 0, 0, 0].item())
    assert len(places) > 10


def test_the_perceptual_loss_sees_differences_alone(features):
    criterion = SqueezeNetCriterion(LOSSES, features)
    image, other = torch.rand(2, 1, 3, 64, 64)
    assert criterion.term("perceptual", image, image) == 0
    assert criterion.term("perceptual", image, other) > 0
    assert criterion(image, other).keys() == LOSSES.keys()


def test_the_configuration_is_the_presets_but_for_losses_and_overrides():
    config = gan_config(["patch=48", "losses.l1=0.5"])
    assert config.losses == LOSSES | {"l1": 0.5}
    assert config.patch == 48
    assert config.degradation == load_config("real_world_gan").degradation


def test_runs_are_trained_and_mixed(features, tmp_path):
    folder = tmp_path / "photographs"
    folder.mkdir()
    Image.fromarray(data.chelsea()[:128, :128]).save(folder / "cat.png")
    small = [
        f"data={folder}", f"cache={tmp_path / 'cache'}", "device=cpu", "steps=2",
        "minutes=0", "patch=16", "batch=2", "warmup=0", "validation={}",
        "initial_weights=", f"architecture={json.dumps(TINY)}", "log_every=1",
        "validate_every=1", "checkpoint_every=1", "losses.adversarial.dim=4",
    ]  # fmt: skip
    for name, seed in (("gan", 0), ("psnr", 1)):
        out = str(tmp_path / name)
        main(["--features", str(features), "--out", out, "--set", *small,
              f"seed={seed}"])  # fmt: skip
    gan, psnr = (read_run_state(tmp_path / name)["ema"] for name in ("gan", "psnr"))
    given = str(tmp_path / "gan"), str(tmp_path / "psnr"), "0.25"
    main(["--features", str(features), "--out", str(tmp_path / "mixed"),
          "--mix", *given])  # fmt: skip
    for name, value in load_model(tmp_path / "mixed").named_parameters():
        expected = 0.25 * gan[name] + 0.75 * psnr[name]
        torch.testing.assert_close(value.detach(), expected)
