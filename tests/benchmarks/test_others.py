import pytest
import torch

from benchmarks import others
from swinir_lite.errors import InputError

NETWORK = """
from torch import nn
class Small(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.layer = nn.Conv2d(3, channels, 3, padding=1)
    def forward(self, x):
        return self.layer(x)
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "small.py"
    path.write_text(NETWORK)
    return path


def test_a_file_class_and_arguments_are_told_apart(file):
    other = others.parse_other(f"{file}:Small:{{'channels': 5}}")
    assert other == (file, "Small", {"channels": 5})
    assert others.parse_other("net.py:A").arguments == {}


@pytest.mark.parametrize("text", ["net.py", "net.py:", "net.py:A:5", "net.py:A:{x}"])
def test_what_names_no_network_is_refused(text):
    with pytest.raises(InputError, match=r"a network is file\.py:Class"):
        others.parse_other(text)


def test_a_missing_file_or_class_is_said(file, tmp_path):
    device = torch.device("cpu")
    with pytest.raises(InputError, match="no file"):
        others.build(others.Other(tmp_path / "none.py", "Small", {}), device)
    with pytest.raises(InputError, match="no class Large"):
        others.build(others.Other(file, "Large", {}), device)


def test_the_best_mode_is_the_quickest_that_is_right(file, monkeypatch):
    network = others.build(others.Other(file, "Small", {"channels": 3}), "cpu")
    monkeypatch.setattr(torch, "compile", lambda network: lambda x: network(x) + 1)
    found = others.time_modes(network, torch.rand(1, 3, 8, 8), repeats=2)
    wrong = [name for name in found if "compiled" in name]
    assert [("failed" in found[name]) for name in wrong] == [True]
    best = found.pop("best")
    assert best["mode"] not in wrong
    assert found[best["mode"]]["median_ms"] == best["median_ms"]
