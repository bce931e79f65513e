"""Each ablation takes away what it says, on both paths, and nothing else."""

import json
from dataclasses import asdict

import numpy as np
import pytest
import torch
from PIL import Image

from experiments.short_runs import (
    EXPERIMENTS,
    PARTS,
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
    "fewer_layers": {"architecture"},
    "adam": {"optimizer", "lr"},
    "muon": {"lr"},
    "cnn": {"variant", "architecture", "optimizer", "lr", "steps"},
    "raw_weights": {"ema"},
    "halving": {"schedule"},
    "charbonnier": {"losses"},
    "patch_96": {"patch", "steps"},
    "batch_32": {"batch", "lr", "steps"},
    "batch_32_same_rate": {"batch", "steps"},
    "float16": {"precision"},
    "float32": {"precision"},
}


def made(name, *settings, seed=0):
    options = ["--data", "photos", "--sets", "Set5", "--set", *TINY, *settings]
    return build(name, seed, parse_arguments(options))


def tiny(**changes):
    """A small network all of whose weights matter."""
    torch.manual_seed(0)
    config = {"dim": 8, "depths": (2, 2), "num_heads": (2, 2), "window_size": 4}
    model = SwinIR(SwinIRConfig(**{**config, **changes}))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    return model


def configuration(name):
    """Of a run at its full size."""
    return build(name, 0, parse_arguments(["--data", "photos", "--sets", "Set5"]))[0]


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_runs_differ_in_what_they_are_for_only(name):
    full, config = (asdict(configuration(n)) for n in ("full", name))
    different = {key for key in full if config[key] != full[key]}
    kind = name if name in DIFFERENCES else name.split("_")[0]
    assert different <= DIFFERENCES.get(kind, set())
    assert different or name in PARTS


def test_runs_take_the_same_time_whatever_a_step_costs():
    times = [e.cost * configuration(name).steps for name, e in EXPERIMENTS.items()]
    assert max(times) < 1.001 * min(times)


def test_seeds_draw_other_weights():
    first, again, other = (made("full", seed=seed)[1] for seed in (0, 0, 1))
    weights = [m.conv_first.weight for m in (first, again, other)]
    assert torch.equal(*weights[:2])
    assert not torch.equal(*weights[1:])


@pytest.mark.parametrize("name", PARTS)
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
    settings = ["steps=3", "warmup=0", "batch=2", "patch=8", "log_every=1"]
    settings += [f"data={photos}", f"cache={tmp_path / 'cache'}"]
    config, model = made("no_bias", "architecture.depths=[1,1,1,1]", *settings)
    start = {name: p.clone() for name, p in model.named_parameters()}
    Trainer(config, tmp_path / "run", model=model).run()
    for name, value in model.named_parameters():
        if "bias_table" in name:
            assert not value.any()
        else:
            assert not torch.equal(value, start[name]), name


def test_one_failure_does_not_stop_the_rest_and_seeds_join_those_before(
    photos, tmp_path
):
    options = ["--data", photos, "--cache", tmp_path / "cache", "--sets", photos,
               "--steps", 2, "--out", tmp_path / "runs", "--set", *TINY,
               "architecture.depths=[2,1,1,1]", "batch=1", "patch=8",
               "log_every=1"]  # fmt: skip
    options = [str(option) for option in options]
    main(["--only", "no_shift", "--seeds", "1", *options])
    with pytest.raises(SystemExit, match=r"failed: cnn_adam_0.001 0$"):
        main(["--only", "cnn_adam_0.001", "no_shift", "--seeds", "0", *options])
    (path,) = (tmp_path / "runs").iterdir()
    found = json.loads(path.read_text())
    assert (path.name, found["removed"]) == ("no_shift.json", "remove_shift")
    assert [run["seed"] for run in found["runs"]] == [0, 1]
    for run in found["runs"]:
        assert (run["steps"], run["photographs"]) == (2, 2)
    first, second = (run["scores"]["photos"]["psnr"] for run in found["runs"])
    assert first != second


def test_committed_runs_are_of_these_experiments(root):
    files = sorted((root / "results/short_runs").glob("*.json"))
    assert {path.stem for path in files} >= set(PARTS)
    for path in files:
        found, experiment = json.loads(path.read_text()), EXPERIMENTS[path.stem]
        assert found["removed"] == experiment.remove.__name__
        assert found["fields"] == experiment.fields
        assert {run["steps"] for run in found["runs"]} == {
            round(2000 / experiment.cost)
        }
        assert {run["photographs"] for run in found["runs"]} == {1164}
