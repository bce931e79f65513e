"""What benchmarks of types and processors rest on."""

import argparse
import json

import pytest
import torch
from torch import nn

from benchmarks import float16, processors
from benchmarks.measure import limit, without_gradients
from benchmarks.official import keep_masks
from swinir_lite import SwinIR, SwinIRConfig

TINY = {"dim": 12, "depths": (1,), "num_heads": (2,), "window_size": 4}


@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("ours float32", 1e-5), ("official float16, masks kept", 4e-3),
        ("ours bfloat16", 2e-2), ("ours", 2e-2),
    ],
)  # fmt: skip
def test_a_run_may_be_off_by_the_rounding_of_its_type(name, most):
    assert limit(name) == most


def test_autocast_is_to_the_type_that_was_named():
    found = []
    module = nn.Linear(2, 2)

    def run(x):
        found.append(module(x).dtype)

    x = torch.ones(1, 2)
    for autocast in (False, True, torch.float16):
        without_gradients(run, x, autocast=autocast)()
    assert found == [torch.float32, torch.bfloat16, torch.float16]


def test_masks_are_kept_for_every_size():
    class Layer(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight, self.sizes = nn.Parameter(torch.ones(1)), []

        def calculate_mask(self, size):
            self.sizes.append(size)
            return torch.ones(size)

    network = keep_masks(nn.Sequential(Layer()))
    for size in ((2, 3), (2, 3), (3, 2), (2, 3)):
        assert network[0].calculate_mask(size).shape == size
    assert network[0].sizes == [(2, 3), (3, 2)]


def test_images_are_of_every_kind_and_the_same_each_time():
    color, gray = (float16.images(channels, 16) for channels in (3, 1))
    assert {"black", "white", "noise", *float16.PHOTOGRAPHS} <= {*color}
    for name, image in color.items():
        assert image.shape == (3, 16, 16)
        assert torch.equal(gray[name], image[:1])
        assert image.min() >= 0
        assert image.max() <= 1
    assert torch.equal(color["noise"], float16.images(3, 16)["noise"])


def test_decibels_are_high_in_float16_and_a_value_beyond_it_is_an_error(monkeypatch):
    pytest.importorskip("triton", reason="the kernels need the package triton")
    monkeypatch.setattr(float16, "SIDES", (8,))
    monkeypatch.setattr(float16, "PHOTOGRAPHS", ("chelsea",))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = SwinIR(SwinIRConfig(**TINY)).eval().to(device)
    found = float16.decibels(model, "composed", device)
    assert min(found.values()) > float16.LEAST_DB
    with torch.no_grad():
        model.blocks[0].layers[0].mlp.fc2.weight.fill_(1e8)
    with pytest.raises(RuntimeWarning, match="once more in float32"):
        float16.decibels(model, "composed", device)


def test_cases_of_a_processor_are_named_and_written_each(tmp_path, monkeypatch):
    ran = []

    def case(args, instructions, spin):
        ran.append((instructions, spin))
        times = {"official float32": 30.0, "ours float32": 10.0}
        return {name: {"median_ms": ms} for name, ms in times.items()}

    monkeypatch.setattr(processors, "case", case)
    monkeypatch.setattr(processors, "has", lambda flag: flag == "avx2")
    monkeypatch.setattr(processors, "BUSY", 1)
    path = tmp_path / "found.json"
    processors.measure(argparse.Namespace(threads=2), path)
    results = json.loads(path.read_text())["results"]
    assert [*results] == [
        "AVX2, quiet, spin briefly", "AVX2, quiet, spin long",
        "AVX2, beside 1 busy processes, spin briefly",
        "AVX2, beside 1 busy processes, spin long",
    ]  # fmt: skip
    assert ran == 2 * [("AVX2", "10000"), ("AVX2", "300000")]
    assert {run["times as fast"] for run in results.values()} == {3.0}
