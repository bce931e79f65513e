"""The table of paths by GPU, and what is counted for a T4."""

import subprocess
import sys

import pytest
import torch

from benchmarks import paths
from benchmarks.counting import composed_bytes, moved_bytes, t4_ms
from swinir_lite import VARIANTS, SwinIRConfig, SwinTransformerLayer
from swinir_lite.speed import composed

WITHOUT_TRITON = """
import sys
sys.modules["triton"] = None  # as on Windows and macOS
from benchmarks import counting, paths
print(*(row[3] for row in paths.rows()))
"""


def test_the_table_needs_no_triton(root):
    command = [sys.executable, "-c", WITHOUT_TRITON]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[0] == "float16"  # of a T4


def test_the_table_says_what_routes_choose():
    by_name = {name: rest for name, *rest in paths.rows()}
    assert len(by_name) == len(paths.GPUS)
    kind, *chosen = by_name["T4, RTX 20"][2:]
    assert kind == "float16"
    assert chosen == ["composed"] * 3
    kind, half, exact, training = by_name["H100, H200"][2:]
    assert (kind, half) == ("bfloat16", "inference kernels")
    assert exact.split(", ") == ["inference kernels", "composed", "composed"]
    assert training.split(", ") == ["training kernels", "composed", "composed"]


def test_bytes_of_a_composed_layer_are_those_that_its_operations_move(monkeypatch):
    """In float32, with an attention that reads q, k and v and writes its values."""

    def attend(qkv, *_):
        return qkv.new_empty(*qkv.shape[:3], qkv.shape[3] // 3).copy_(
            qkv[..., : qkv.shape[3] // 3]
        )

    monkeypatch.setattr(composed, "window_attention", attend)
    config = SwinIRConfig(dim=64, num_heads=(4,) * 4)
    layer = SwinTransformerLayer(64, 4, 8).to("meta")
    x = torch.empty(1, 96, 96, 64, device="meta")
    weights = composed.layer_weights(layer)

    def run(x):
        return composed.swin_layer(x, None, weights, 8, 0, "reference")

    unit = x.numel() * 4
    moved = moved_bytes(run, x) / unit
    counted = composed_bytes(config, 96 * 96, half=False) / unit
    assert counted - 1 < moved < counted  # this attention reads a third of q, k and v


def test_a_t4_multiplies_float16_eight_times_as_fast_but_for_attention():
    light = VARIANTS["lightweight_x2"]
    exact, half = (t4_ms(light, 360, 640, kind) for kind in ("float32", "float16"))
    assert exact["attention"] == half["attention"]
    assert exact["other products"] == pytest.approx(8 * half["other products"], rel=0.1)
    assert 1.5 < exact["bytes"] / half["bytes"] < 2
    assert exact["attention"] == pytest.approx(
        10.5 * 1.6, rel=0.02
    )  # heads of 10 as 16
