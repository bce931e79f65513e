"""Compiled for a GPU that need not be there."""

import json
import os
import subprocess
import sys

import pytest

from benchmarks.instructions import Instruction, loop_of, straight_way

TOKENS, CHUNK, STEP = 64, 64, 16  # of a window, of channels, of one product


@pytest.fixture(scope="module")
def light(tmp_path_factory):
    """In a process without Triton's interpreter, which compiles nothing."""
    path = tmp_path_factory.mktemp("kernels") / "kernels.json"
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    command = [sys.executable, "-m", "benchmarks.instructions", "--output", str(path)]
    subprocess.run(command, env=environment, check=True, capture_output=True)
    return json.loads(path.read_text())["results"]["lightweight_x2"]


def test_kernels_are_counted_as_they_are_written(light):
    attend, tail = light["attend"], light["tail"]
    threads = 32 * attend["warps"]
    assert attend["exponentials"] * threads == TOKENS**2
    assert tail["exponentials"] == 0  # GELU is a polynomial
    assert 4 * threads * attend["registers a thread"] <= 65536
    # proj, fc1 and fc2 are 1 + 2 + 2 squares of a chunk
    assert tail["compiled for"]["HIDDEN_PAD"] == 2 * CHUNK
    assert tail["instructions"]["matrix products"] >= 5 * CHUNK // STEP


def test_branches_ahead_are_taken_and_loops_are_found():
    code = [Instruction(0, "A", None), Instruction(16, "BRA", 48)]
    code += [Instruction(32, "B", None), Instruction(48, "C", None)]
    code += [Instruction(64, "BRA", 16), Instruction(80, "EXIT", None)]
    loop = loop_of(code)
    assert [i.address for i in loop] == [16, 32, 48, 64]
    assert [i.address for i in straight_way(loop)] == [16, 48, 64]
    assert loop_of(code[:4]) == []
