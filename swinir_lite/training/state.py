"""What a run resumes from: one file, whole, and of the same run (chapter 18)."""

import hashlib
import math
from dataclasses import asdict
from pathlib import Path

import torch

from ..errors import InputError
from ..weight_files import UNREADABLE, write_pickle
from ..whole_files import whole_file
from .config import TrainConfig
from .data import PhotoCache

# The fields of TrainConfig that may differ when a run is resumed
MAY_CHANGE = {"data", "cache", "device", "graph", "initial_weights", "validation",
              "validate_every", "checkpoint_every", "log_every"}  # fmt: skip

# Those that may also differ when a finished run goes on
LENGTH = {"steps", "minutes"}


def fingerprint(cache: PhotoCache) -> str:
    """Number and hash of a training set's names and sizes, wherever its files lie."""
    layout = cache.hq_layout
    images = list(zip(cache.names, layout.height.tolist(), layout.width.tolist()))
    return f"{len(images)}, {hashlib.sha256(repr(images).encode()).hexdigest()[:12]}"


def identity(config: TrainConfig, cache: PhotoCache, processes: int) -> dict:
    """What a run is: with any of it changed, the next step would be another."""
    fields = {k: v for k, v in asdict(config).items() if k not in MAY_CHANGE}
    return {**fields, "processes": processes, "photographs": fingerprint(cache)}


def write_state(path: Path, state: dict) -> None:
    """Write all of a file, or on a crash leave the one that was there before."""
    with whole_file(path) as partial:
        write_pickle(state, partial)


def is_longer(run: dict, state: dict) -> bool:
    """Whether a run, by its identity, goes on where a finished one's state ends."""
    further = run["steps"] > state["step"] or 60 * run["minutes"] > state["seconds"]
    return state["step"] >= state["total"] and further


def read_state(path: Path, run: dict, device: torch.device) -> dict:
    """Read the state of a run.

    A finished run may go on: its `steps` or `minutes` may have grown.

    Args:
        path: `state.pt` in the run's folder.
        run: the run's `identity`, which must be that of the file.
        device: where the tensors go.

    Raises:
        InputError: for a damaged file, and for the state of another run.
        OSError: if it cannot be opened.
    """
    with path.open("rb") as file:
        try:
            state = torch.load(file, map_location=device, weights_only=True)
            saved = state["run"]
        except (*UNREADABLE, OSError) as error:  # the latter of a file cut short
            raise InputError(
                f"{path} is damaged, or no run's state: remove it to start anew"
            ) from error
    changed = {k for k in saved.keys() | run.keys() if saved.get(k) != run.get(k)}
    if changed and changed <= LENGTH and is_longer(run, state):
        return {**state, "total": run["steps"] or math.inf}
    changes = [f"{k}: {saved.get(k)} -> {run.get(k)}" for k in sorted(changed)]
    if changes:
        raise InputError(f"not the run in {path.parent}: {'; '.join(changes)}")
    return state
