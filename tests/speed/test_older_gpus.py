"""Kernels as older GPUs get them: benchmarks/older.py, run where there is a GPU."""

import json
import os
import subprocess
import sys
from itertools import product

import pytest

from swinir_lite.shipped_weights import shipped_models
from swinir_lite.variants import RELEASED

pytest.importorskip("triton", reason="kernels are compiled by the package triton")
from benchmarks.older import failures


def test_kernels_for_older_gpus_run_on_a_newer_one(root):
    """As PTX of 7.5 and 8.0: equal to float64 there, and without a GPU assembled."""
    without = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.older", "--check"]
    checked = subprocess.run(
        [*command, "--capabilities", "75", "80"],
        cwd=root, env=without, capture_output=True, text=True,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stderr


def committed(root, name):
    return json.loads((root / f"benchmarks/results/{name}.json").read_text())["results"]


def test_every_variant_ran_by_kernels_made_for_a_t4(root):
    """The committed run on a GPU: outputs and gradients equal to float64."""
    found = committed(root, "h200_older")["75"]
    assert found.pop("kernels")
    assert not failures({"75": found})
    kinds = {tuple(name.split(", ")) for name in found}
    expected = product(RELEASED, ["composed"], ["float32", "float16"])
    assert kinds == set(expected)
    assert max(run["gradients"]["all"] for run in found.values()) < 0.005


def test_float16_stays_near_float32_on_every_image_that_was_tried(root):
    """The committed run on a GPU: 52 dB or more, of all that ships or was released."""
    found = committed(root, "h200_float16")
    files = {entry["file"]: name for name, entry in shipped_models().items()}
    names = [f"shipped {name}" for name in files.values()]
    names += [f"released {name}" for name in RELEASED]
    assert set(found) == {
        f"{name}, {path}"
        for name in names
        for path in ("inference kernels", "composed")
    }
    assert min(min(images.values()) for images in found.values()) >= 52
