"""Pictures that nobody meant to make: restored, or refused in a line."""

import json
import os
import subprocess
import sys

from .pictures import MUTATIONS

SMALL, ALL = 100, 2000  # `make fuzz` sets FUZZ=all
COUNT = ALL if os.environ.get("FUZZ") == "all" else SMALL


def test_mutated_pictures_raise_only_documented_errors(root):
    command = [sys.executable, "-m", "tests.fuzz.pictures", str(COUNT)]
    result = subprocess.run(
        command, cwd=root, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr[-2000:]
    assert result.stderr == ""
    found = json.loads(result.stdout)
    for outcome, number in sorted(found["outcomes"].items()):
        print(f"{outcome}: {number}")
    assert not found["wrong"], "\n".join(found["wrong"])
    assert sum(found["outcomes"].values()) == COUNT
    assert {name.split(":")[0] for name in found["outcomes"]} == {
        mutation.__name__ for mutation in MUTATIONS
    }
    assert found["left"] == []
    assert found["grown_mib"] < 512
