"""A training run's folder, read without the code that trains (chapter 18).

`config.json` says what was trained, `state.pt` holds the weights and their average.
"""

import json
from pathlib import Path
from typing import Any

from .errors import InputError
from .weight_files import read_pickle


def is_run(folder: str | Path) -> bool:
    """Whether a folder holds a run."""
    return (Path(folder) / "state.pt").is_file()


def read_run_config(folder: str | Path) -> dict[str, Any]:
    """The fields of a run's configuration.

    Raises:
        FileNotFoundError: if the folder holds no run.
        InputError: for a file that is no configuration.
    """
    if not is_run(folder):
        state = Path(folder) / "state.pt"
        raise FileNotFoundError(f"{folder} holds no run: there is no {state}")
    path = Path(folder) / "config.json"
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON: {error}") from error
    if not isinstance(fields, dict):
        raise InputError(f"{path} must hold a dict of fields")
    return fields


def read_run_state(folder: str | Path) -> dict[str, Any]:
    """What a run resumes from: "ema", its averaged weights by name, "step" and more.

    Raises:
        InputError: for a file that is damaged, or no run's state.
    """
    path = Path(folder) / "state.pt"
    try:
        state = read_pickle(path)
    except InputError as error:
        raise InputError(f"{path} is damaged, or no run's state") from error
    if not isinstance(state, dict) or not isinstance(state.get("ema"), dict):
        raise InputError(f"{path} is no run's state: it holds no averaged weights")
    return state
