"""How many threads compute strips side by side is what was measured."""

import json

import pytest
import torch

from benchmarks import strips
from swinir_lite.speed import cpu


@pytest.mark.parametrize(
    "row", json.loads((strips.RESULTS / "strips.json").read_text())["rows"]
)
def test_threads_share_where_that_was_clearly_quicker(row):
    if row["threads"] > cpu.MOST:
        assert row["shared"] < row["side"]
    else:
        assert row["side"] < 1.2 * row["shared"]


def test_both_ways_are_measured(tmp_path, monkeypatch):
    asked, threads = [], torch.get_num_threads()

    def seconds(net, x, most):
        asked.append((most > 1, x.shape[-1], torch.get_num_threads()))
        return 0.5 if most > 1 else 1.0

    monkeypatch.setattr(strips, "seconds", seconds)
    arguments = ["--threads", "2", "--sizes", "8", "16", "--repeats", "2", "--output"]
    try:
        strips.main([*arguments, str(tmp_path / "strips.json")])
    finally:
        torch.set_num_threads(threads)
    rows = json.loads((tmp_path / "strips.json").read_text())["rows"]
    expected = {"threads": 2, "side": 500, "shared": 1000, "times shared/side": 2}
    assert rows == [{"size": 8, **expected}, {"size": 16, **expected}]
    assert asked == 3 * [(True, 8, 2), (False, 8, 2)] + 3 * [
        (True, 16, 2),
        (False, 16, 2),
    ]


def test_a_call_computes_as_asked_and_leaves_the_number_alone():
    found, before = [], cpu.MOST
    strips.seconds(lambda x: found.append(cpu.MOST), torch.zeros(1), 7)
    assert found == [7]
    assert before == cpu.MOST
