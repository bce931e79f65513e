"""Kernels as older GPUs get them: benchmarks/older.py, run where there is a GPU."""

import json
import os
import subprocess
import sys

import pytest

from swinir_lite.shipped_weights import shipped_models

pytest.importorskip("triton", reason="kernels are compiled by the package triton")


def test_kernels_for_older_gpus_run_on_a_newer_one(root):
    """As PTX of 7.5 and 8.0: equal to float64 there, and without a GPU assembled."""
    without = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.older", "--check"]
    checked = subprocess.run(
        [*command, "--capabilities", "75", "80"],
        cwd=root, env=without, capture_output=True, text=True,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stderr


def test_float16_stays_near_float32_on_every_image_that_was_tried(root):
    """The committed runs on a GPU: 52 dB or more, on eight files of nine that ship."""
    text = (root / "benchmarks/results/h200_types.json").read_text()
    found, files = json.loads(text)["float16"], set()
    for name, run in found.items():
        assert run["least_db"] >= 52
        kind, _, network = name.partition(", ")[0].partition(" ")
        if kind == "shipped":
            files.add(shipped_models()[network]["file"])
    assert len(files) >= 8
