import json

import matplotlib.pyplot as plt
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.counting import network_flops
from benchmarks.measure import difference, time_in_turn
from benchmarks.official import load_official
from benchmarks.tables import plot_roofline, roofline_points, tables
from swinir_lite import SwinIR, SwinIRConfig

TINY = {"dim": 8, "depths": (2,), "num_heads": (2,), "window_size": 4}
RESULTS = {
    "environment": {"gpu": "some GPU", "torch": "2.0", "date": "today"},
    "results": {
        "lightweight_x2 64x64": {
            "official float32": {"median_ms": 30.0, "peak_gib": 2.0},
            "ours bfloat16": {"median_ms": 1.5, "difference": {"relative": 0.004}},
        }
    },
}


@pytest.mark.parametrize(
    "changes",
    [
        {"upsampler": "pixelshuffledirect", "scale": 2},
        {"upsampler": "pixelshuffle", "scale": 4, "resi_connection": "3conv"},
        {"upsampler": "nearest+conv", "scale": 4},
        {"upsampler": "none", "scale": 1, "in_channels": 1},
    ],
)
def test_operations_are_those_that_pytorch_counts(changes):
    config = SwinIRConfig(**{**TINY, **changes})
    model, image = SwinIR(config), torch.rand(1, config.in_channels, 12, 8)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(image)
    assert network_flops(config, 12, 8) == counter.get_total_flops()


def test_another_file_than_the_official_one_is_refused(tmp_path):
    path = tmp_path / "network_swinir.py"
    path.write_text("from timm.models.layers import DropPath\nclass SwinIR: pass\n")
    with pytest.raises(ValueError, match=r"has SHA-256 .*, expected 9e143898"):
        load_official(path)
    assert load_official(path, any_file=True).__name__ == "SwinIR"


def test_functions_are_timed_in_turn():
    calls = []
    runs = {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}
    times = time_in_turn(runs, torch.device("cpu"), repeats=2, warmup=1)
    assert "".join(calls) == "ababab"
    assert times["a"]["repeats"] == 2


def test_difference_is_relative_to_the_reference():
    found = difference(torch.tensor([3.0, 4.5]), torch.tensor([3.0, 4.0]))
    assert found == {"relative": 0.1, "largest": 0.5}


def test_tables_and_roofline_hold_every_run():
    text = tables(json.loads(json.dumps(RESULTS)))
    assert "| ours bfloat16 | 1.50 | 20.0 |  | 4.0e-03 |" in text
    assert "some GPU; PyTorch 2.0; today" in text
    (_, x, slow), (_, same, quick) = roofline_points(RESULTS)
    assert x == same
    assert quick == pytest.approx(20 * slow)
    figure, axes = plt.subplots()
    plot_roofline(RESULTS, axes)
    assert len(axes.lines) == 3  # the roof and two runs
    plt.close(figure)
