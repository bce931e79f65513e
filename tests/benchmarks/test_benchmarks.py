import json
import math

import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import breakdown, speed
from benchmarks.comparisons import wrong_losses
from benchmarks.counting import (
    layer_bytes,
    moved_bytes,
    network_flops,
    padded_pixels,
)
from benchmarks.measure import compare, difference, run_section, time_in_turn
from benchmarks.official import load_official, randomize
from benchmarks.tables import (
    current,
    gpu_goals,
    load,
    profile_table,
    tables,
)
from benchmarks.tables import section as tables_of
from swinir_lite import SwinIR, SwinIRConfig
from swinir_lite.speed.network import FastSwinIR

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


def test_tables_hold_every_run():
    text = tables(json.loads(json.dumps(RESULTS)))
    assert "| ours bfloat16 | 1.50 | 20.0 |  | 4.0e-03 |" in text
    assert "some GPU; PyTorch 2.0; today" in text


def gpu_results(light=5.0, training=21.0):
    def runs(ms):
        return {"median_ms": ms, "peak_gib": 4.0}

    sections = {
        "lightweight_x2 360x640": {
            "official float32": runs(500.0),
            "ours bfloat16": runs(light),
        },
        "classical_x4 360x640": {
            "official float32": runs(800.0),
            "ours bfloat16": runs(46.0),
        },
        "training lightweight_x2": {
            "official float32": runs(200.0),
            "ours bfloat16, CUDA graph": runs(training),
            "ours bfloat16, no graph": runs(training),
        },
        "set5": {"float32": {"psnr": 38.0}, "bfloat16": {"psnr": 37.995}},
        "growth lightweight_x2": {
            "512x512": {"median_ms": 6.0, "ns_per_pixel": 20.0},
            "2048x2048": {"median_ms": 100.0, "ns_per_pixel": 22.5},
        },
    }
    machine = {"gpu": "some GPU", "torch": "2.0", "date": "today"}
    return {"environment": machine, "results": sections}


def test_goals_say_what_was_missed():
    lines = gpu_goals(gpu_results()).splitlines()[2:]
    verdicts = [line.split("|")[-2].strip() for line in lines]
    short = "reached, short of the aim"
    assert verdicts == [
        "aim reached", "**missed**", short, "aim reached", short, "**missed**",
    ]  # fmt: skip
    assert "| 500.0 ms | 5.00 ms | 100.0 |" in lines[0]


def test_a_failed_section_is_recorded_and_said():
    def fails():
        raise RuntimeError("out of memory")

    found = gpu_results()
    section = run_section(fails, torch.device("cpu"))
    assert section == {"error": {"type": "RuntimeError", "message": "out of memory"}}
    for name in found["results"]:
        found["results"][name] = section
    lines = gpu_goals(found).splitlines()[2:]
    assert all("failed: RuntimeError: out of memory" in line for line in lines)
    assert "failed: RuntimeError: out of memory" in tables(found)


def test_a_run_with_a_wrong_output_is_timed_but_not_counted():
    def run(value, shift=0.0):
        return lambda: torch.tensor([value, 1.0]) + shift

    def fails():
        raise RuntimeError("out of memory")

    runs = {"right": run(1.0), "ours float32": run(1.0, 1e-4)}
    runs |= {"ours bfloat16": run(1.0, 1e-3), "nan": run(torch.nan), "raises": fails}
    found = compare(runs, torch.device("cpu"), 2, "right")
    assert {name for name in found if "failed" in found[name]} == {
        "ours float32", "nan", "raises",
    }  # fmt: skip
    assert {name for name in found if "median_ms" in found[name]} == set(runs) - {
        "raises"
    }
    results = {"environment": {}, "results": {"some": found}}
    assert set(tables_of("some", results)) == {"right", "ours bfloat16"}
    goals = gpu_results()
    goals["results"]["lightweight_x2 360x640"]["ours bfloat16"] = found["raises"]
    line = gpu_goals(goals).splitlines()[2]
    assert "failed: RuntimeError: out of memory" in line
    assert "reached" not in line


def test_only_some_sections_measured_again_keep_the_others(tmp_path, monkeypatch):
    def sections(args, results):
        yield "first", lambda: {"run": {"median_ms": 1.0 if args.only else 2.0}}
        yield "second", lambda: {"run": {"median_ms": 3.0, "failed": "NaN"}}
        yield "third", "needs --set5"

    path = tmp_path / "cpu.json"
    monkeypatch.setattr(speed, "sections_cpu", sections)
    arguments = ["speed", "--output", str(path), "--threads", "1"]
    monkeypatch.setattr("sys.argv", arguments)
    with pytest.raises(SystemExit, match="second, run: NaN"):
        speed.main()
    found = json.loads(path.read_text())
    assert found["results"]["third"] == {"not run": "needs --set5"}
    assert "third was not run: needs --set5" in tables(found)
    monkeypatch.setattr("sys.argv", [*arguments, "--only", "first"])
    speed.main()
    again = json.loads(path.read_text())
    assert again["results"].pop("first") == {"run": {"median_ms": 1.0}}
    assert found["results"].pop("first") == {"run": {"median_ms": 2.0}}
    assert again["results"] == found["results"]
    assert list(again["measured apart"]) == ["first"]


def test_what_is_not_there_is_said():
    found = gpu_results()
    del found["results"]["lightweight_x2 360x640"]
    assert "not measured yet" in gpu_goals(found).splitlines()[2]


def test_a_run_of_earlier_code_leads_to_what_replaced_it():
    """float32 gained kernels after h200.json; chapter 15 showed the old time once."""
    newer = load("h200_types")["results"]
    for file in ("h200", "h200_house"):
        for name in ("lightweight_x2 360x640", "classical_x4 360x640"):
            found = current(name, "ours float32", load(file))
            times = [run["median_ms"] for run in newer[name].values()]
            assert found["median_ms"] in times
    official = current("lightweight_x2 360x640", "official float32",
                              load("h200"))  # fmt: skip
    assert official["median_ms"] > 600


def test_a_disturbed_run_is_neither_shown_nor_compared_with():
    found = gpu_results()
    runs = found["results"]["lightweight_x2 360x640"]
    runs["official float32"]["disturbed"] = "busy"
    assert "500" not in gpu_goals(found) + tables(found)


def test_outputs_are_compared_without_tf32_and_timed_with_it():
    seen = []

    def run():
        seen.append(torch.backends.cudnn.allow_tf32)
        return torch.ones(1)

    found = compare({"a": run, "b": run}, torch.device("cpu"), 2, "a")
    assert found["b"]["difference"]["largest"] == 0
    assert seen == [False] * 8 + [True] * 6  # four calls each, then three


def test_losses_that_part_or_are_not_finite_are_wrong():
    assert wrong_losses([0.5, 0.4], [0.501, 0.401], "ours bfloat16") is None
    assert wrong_losses([0.5, 0.5], [0.5, 0.4], "ours bfloat16")
    assert wrong_losses([0.5, math.nan], [0.5, 0.5], "ours bfloat16")


def test_gradients_are_compared_without_the_kink_of_leaky_relu(monkeypatch):
    def kinks(model):
        return sum(isinstance(part, torch.nn.LeakyReLU) for part in model.modules())

    config = SwinIRConfig(**{**TINY, "upsampler": "nearest+conv", "scale": 4})
    model, seen = SwinIR(config).eval(), []
    monkeypatch.setattr(
        breakdown,
        "gradient",
        lambda n, *a, f=breakdown.gradient: seen.append(n) or f(n, *a),
    )
    found = breakdown.equality_of(model, torch.rand(1, 3, 4, 4))
    assert len(seen) == 5
    assert not any(kinks(network) for network in seen)
    assert kinks(model) == 4
    assert not [run["failed"] for run in found.values() if "failed" in run]


def test_gradients_in_float16_are_compared_where_blocks_have_an_activation():
    """A smooth one does not hand on the factor by which features are kept smaller."""
    torch.manual_seed(0)
    changes = {"upsampler": "nearest+conv", "scale": 4, "resi_connection": "3conv"}
    model = breakdown.without_kinks(randomize(SwinIR(SwinIRConfig(**TINY | changes))))
    image, parameters = torch.rand(1, 3, 16, 24), [*model.parameters()]
    quick = FastSwinIR(model, "reference", torch.float16, "composed")
    weights = torch.randn(1, 3, 64, 96)
    found, expected = (
        breakdown.gradient(network, parameters, image, weights)[1]
        for network in (quick, model)
    )
    assert breakdown.relative_errors(found, expected)["median"] < 0.02


def test_equality_finds_a_wrong_network(monkeypatch):
    args = speed.parse([])
    model = SwinIR(SwinIRConfig(**TINY)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    monkeypatch.setattr(breakdown, "build_pair", lambda *a: (None, model))
    found = breakdown.equality(args, ["lightweight_x2"], 9, 6)
    assert len(found) == 6
    assert not [run["failed"] for run in found.values() if "failed" in run]
    with monkeypatch.context() as patch:
        patch.setattr(
            FastSwinIR, "pad", lambda self, x, side: 1.001 * F.pad(x, (0, 2, 0, 3))
        )
        found = breakdown.equality(args, ["lightweight_x2"], 9, 6)
    assert "relative difference" in found["lightweight_x2, ours float32"]["failed"]
    assert "failed" not in found["lightweight_x2, chapters float32"]


def test_profile_adds_kernels_of_one_name():
    entry = {"ms": 1.25, "launches": 2}
    hidden = "void at::native::(anonymous namespace)::add<2>(x)"
    kernels = {"void at::native::add<1>(x)": entry, hidden: entry}
    profile = {"kernels": kernels, "everything else": entry, "busy_ms": 3.75}
    text = profile_table({**profile, "launches": 6}, total_ms=5.0)
    assert "| `add` | 4 | 2.50 |" in text
    assert "| **GPU busy** | **6** | **3.75** |" in text


def test_the_fused_layer_moves_what_its_two_kernels_read_and_write():
    config = SwinIRConfig(**TINY)
    x, mixed = 1, 1  # in units of the features
    attend, tail = x + mixed, x + mixed + x
    tokens = padded_pixels(config, 9, 5)
    assert tokens == 12 * 8
    unit = tokens * config.dim * 2
    assert layer_bytes(config, tokens) == (attend + tail) * unit


def test_bytes_are_counted_where_tensors_are_read_and_written():
    a = torch.zeros(1000, 10)  # 40,000 bytes
    assert moved_bytes(lambda x: (x + x).T, a) == 3 * 40_000
    assert moved_bytes(lambda x: x.T.contiguous(), a) == 2 * 40_000
    row = torch.zeros(10).expand(1000, 10)  # read once
    assert moved_bytes(lambda x: x.clone(), row) == 40 + 40_000
