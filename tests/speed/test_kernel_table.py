"""The committed table of compiled kernels: benchmarks/kernels.py, without a GPU."""

import json
import os
import subprocess
import sys
from unittest.mock import Mock

import pytest

pytest.importorskip("triton", reason="kernels are compiled by the package triton")

from benchmarks import kernels

LIMITS = {"75": 64, "80": 163, "86": 99, "89": 99, "90": 227, "100": 227}  # KiB
ATTENTION_AND_NORM = (
    "forward_kernel",
    "backward_kernel",
    "norm_kernel",
    "norm_backward_kernel",
)
INFERENCE = {
    "attend_kernel", "tail_kernel", "add_kernel", "deviation_kernel", "shuffle_kernel",
    "convolution_kernel",
}  # fmt: skip
TRAINING = {
    "training_head_kernel", "training_tail_kernel", "head_backward_kernel",
    "tail_backward_kernel",
}  # fmt: skip


@pytest.fixture
def table(root):
    return json.loads((root / "benchmarks/results/kernels.json").read_text())


def test_every_kernel_fits_into_a_processor(table):
    assert set(table) == set(LIMITS)
    for capability, rows in table.items():
        for line, taken in rows.items():
            assert 0 <= taken <= 1024 * LIMITS[capability], (capability, line)
        compiled = {tuple(line.split()[:2]) for line in rows}
        for kernel in ATTENTION_AND_NORM:
            for kind in ("fp32", "fp16", "bf16"):
                of_kind = {k for k, types in compiled if types.startswith(kind)}
                assert kernel in of_kind, (capability, kernel, kind)
        names = {kernel for kernel, _ in compiled}
        assert capability == "75" or names >= INFERENCE | TRAINING


def test_the_table_is_of_the_kernels_as_they_are(root):
    """Every launch is in it, and the tightest compile to what it says."""
    without = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.kernels", "--check"]
    checked = subprocess.run(
        command, cwd=root, env=without, capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stderr


def stopped(capability):
    raise KeyboardInterrupt


def test_a_table_that_is_stopped_keeps_its_rows(tmp_path, monkeypatch):
    """Also those that come after the one during which somebody gives up."""
    made = {name: Mock(shared=lambda capability: 2) for name in "ac"}
    made["b"] = Mock(shared=stopped)
    monkeypatch.setattr(kernels, "launches", lambda c: dict(sorted(made.items())))
    table = tmp_path / "kernels.json"
    table.write_text('{"80": {"c": 1}}')
    with pytest.raises(KeyboardInterrupt):
        kernels.make([80], table, resume=True)
    assert json.loads(table.read_text()) == {"80": {"a": 2, "c": 1}}
