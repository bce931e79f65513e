"""Each ablation takes away what it says, on both paths, and nothing else."""

import json
import tarfile
from dataclasses import asdict

import numpy as np
import pytest
import torch
from PIL import Image

from experiments.ablations import (
    EXPERIMENTS,
    build,
    main,
    parse_arguments,
    remove_final_convolutions,
    remove_position_bias,
    remove_shift,
)
from swinir_lite import SwinIR, SwinIRConfig
from swinir_lite.speed.network import fast
from swinir_lite.training.engine import Trainer
from swinir_lite.training.muon import make_optimizers

TINY = ["architecture.dim=8", "architecture.num_heads=[2,2,2,2]", "device=cpu"]
DIFFERENCES = {  # from the run named full: fields of the configuration
    "full": set(),
    "no_shift": set(),
    "no_bias": set(),
    "no_final_convolution": set(),
    "fewer_layers": {"architecture"},
    "full_seed_1": {"seed"},
    "jpeg_window_8": {
        "variant", "architecture", "degradation", "losses", "validation",
    },
    "jpeg_window_7": {
        "variant", "architecture", "degradation", "losses", "validation", "patch",
    },
}  # fmt: skip


def made(name, *settings):
    options = ["--data", "photos", "--out", "runs", "--set", *TINY, *settings]
    return build(EXPERIMENTS[name], parse_arguments(options))


def tiny(**changes):
    """A small network all of whose weights matter."""
    torch.manual_seed(0)
    config = {"dim": 8, "depths": (2, 2), "num_heads": (2, 2), "window_size": 4}
    model = SwinIR(SwinIRConfig(**{**config, **changes}))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    return model


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_runs_differ_in_what_they_are_for_only(name):
    full, config = asdict(made("full")[0]), asdict(made(name)[0])
    assert {key for key in full if config[key] != full[key]} == DIFFERENCES[name]


def test_the_two_jpeg_runs_differ_in_the_window_and_in_the_patch_that_fits_it():
    seven, eight = (made(f"jpeg_window_{side}")[0] for side in (7, 8))
    assert (seven.patch % 7, eight.patch % 8) == (0, 0)
    assert seven.model_config.img_range == eight.model_config.img_range == 255
    architectures = [{**c.architecture, "window_size": None} for c in (seven, eight)]
    assert architectures[0] == architectures[1]


@pytest.mark.parametrize("name", EXPERIMENTS)
@pytest.mark.parametrize("attention", ["reference", "sdpa"])
def test_the_fast_path_follows(name, attention):
    config, model = made(name)
    image = torch.rand(1, config.in_channels, 9, 16)
    results = []
    for network in (model, fast(model, attention)):
        model.zero_grad()
        restored = network(image)
        restored.square().mean().backward()
        learned = [p.grad for p in model.parameters() if p.grad is not None]
        results.append([restored.detach(), *learned])
    assert len(results[0]) == 1 + sum(p.requires_grad for p in model.parameters())
    for reference, value in zip(*results, strict=True):
        torch.testing.assert_close(value, reference, rtol=1e-3, atol=1e-5)
    with torch.no_grad():
        torch.testing.assert_close(fast(model, attention)(image), results[0][0])


def leaks_into_the_next_window(block):
    """Whether what the first window puts out depends on the second one's pixels."""
    features = torch.randn(1, 4, 8, 8, requires_grad=True)  # two windows
    block(features)[:, :, :4].sum().backward()
    return bool(features.grad[:, :, 4:].any())


def test_without_shift_no_layer_looks_into_another_window():
    model = tiny()
    remove_final_convolutions(model)
    assert leaks_into_the_next_window(model.blocks[1])
    remove_shift(model)
    assert not leaks_into_the_next_window(model.blocks[1])


def test_without_bias_attention_does_not_see_where_pixels_are():
    model, order = tiny(), torch.randperm(16)
    attention, tokens = model.blocks[1].layers[1].attn, torch.randn(3, 16, 8)

    def order_matters():
        moved = attention(tokens[:, order])
        return not torch.allclose(moved, attention(tokens)[:, order], atol=1e-5)

    assert order_matters()
    remove_position_bias(model)
    assert not order_matters()


def test_without_its_convolution_a_block_is_its_layers_and_the_residual():
    model = tiny()
    before = sum(p.numel() for p in model.parameters() if p.requires_grad)
    remove_final_convolutions(model)
    after = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert before - after == len(model.blocks) * (9 * 8 * 8 + 8)
    x = torch.randn(1, 8, 8, 8)
    block = model.blocks[0]
    torch.testing.assert_close(block(x), x + block.layers[1](block.layers[0](x)))


def test_frozen_convolutions_stay_as_they_are_through_an_update():
    model = tiny()
    remove_final_convolutions(model)
    before = [block.conv.weight.clone() for block in model.blocks]
    optimizers = make_optimizers(model, "muon", 1e-2, (0.9, 0.99))
    model(torch.rand(1, 3, 8, 8)).square().mean().backward()
    for optimizer in optimizers:
        optimizer.step()
    for block, weight in zip(model.blocks, before):
        assert torch.equal(block.conv.weight, weight)


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(2):
        pixels = np.random.default_rng(i).integers(0, 256, (48, 48, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    return folder


def test_biases_stay_at_zero_while_all_else_learns(photos, tmp_path):
    settings = ["minutes=0", "steps=3", "warmup=0", "batch=2", "patch=8", "log_every=1"]
    settings += [f"data={photos}", f"cache={tmp_path / 'cache'}"]
    config, model = made("no_bias", "architecture.depths=[1,1,1,1]", *settings)
    start = {name: p.clone() for name, p in model.named_parameters()}
    config = type(config)(**{**asdict(config), "validation": {}})
    Trainer(config, tmp_path / "run", model=model).run()
    for name, value in model.named_parameters():
        if "bias_table" in name:
            assert not value.any()
        else:
            assert not torch.equal(value, start[name]), name


def test_one_failure_does_not_stop_the_other_runs(photos, tmp_path):
    out, archive = tmp_path / "runs", tmp_path / "runs.tar.gz"
    options = ["--data", photos, "--cache", tmp_path / "cache", "--set5", photos,
               "--set14", photos, "--classic5", tmp_path / "none", "--out", out,
               "--archive", archive, "--only", "jpeg_window_7", "no_shift",
               "--set", *TINY, "architecture.depths=[2,1,1,1]", "minutes=0",
               "steps=2", "batch=1", "patch=7", "log_every=1"]  # fmt: skip
    with pytest.raises(SystemExit, match=r"failed: jpeg_window_7$"):
        main([str(option) for option in options])
    results = json.loads((out / "no_shift/results.json").read_text())
    assert results["steps"] == 2
    assert results["scores"]["Set5"]["psnr"] > 0
    files = {"config.json", "log.jsonl", "results.json"}
    assert {path.name for path in (out / "no_shift").iterdir()} == files
    with tarfile.open(archive) as kept:
        assert {f"./no_shift/{name}" for name in files} <= set(kept.getnames())
