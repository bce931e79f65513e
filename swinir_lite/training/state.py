"""What a run resumes from: one file, whole, and of the same run (chapter 14)."""

import hashlib
from dataclasses import asdict

import torch

from ..checkpoint import UNREADABLE
from ..whole_files import whole_file

# The fields of TrainConfig that may differ when a run is resumed
MAY_CHANGE = {"data", "cache", "device", "graph", "initial_weights", "validation",
              "validate_every", "checkpoint_every", "log_every"}  # fmt: skip


def fingerprint(cache):
    """Number and hash of a training set's names and sizes, wherever its files lie."""
    layout = cache.hq_layout
    images = list(zip(cache.names, layout.height.tolist(), layout.width.tolist()))
    return f"{len(images)}, {hashlib.sha256(repr(images).encode()).hexdigest()[:12]}"


def identity(config, cache, processes):
    """What a run is: with any of it changed, the next step would be another."""
    fields = {k: v for k, v in asdict(config).items() if k not in MAY_CHANGE}
    return {**fields, "processes": processes, "photographs": fingerprint(cache)}


def write_state(path, state):
    """Write all of a file, or on a crash leave the one that was there before."""
    with whole_file(path) as partial:
        torch.save(state, partial)


def read_state(path, run, device):
    """Read the state of a run.

    Args:
        path: `state.pt` in the run's folder.
        run: the run's `identity`, which must be that of the file.
        device: where the tensors go.

    Raises:
        ValueError: for a damaged file, and for the state of another run.
    """
    try:
        state = torch.load(path, map_location=device, weights_only=True)
        saved = state["run"]
    except (*UNREADABLE, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} is damaged, or no run's state: remove it to start anew"
        ) from error
    changes = [
        f"{name}: {saved.get(name)} -> {run.get(name)}"
        for name in sorted(saved.keys() | run.keys())
        if saved.get(name) != run.get(name)
    ]
    if changes:
        raise ValueError(f"not the run in {path.parent}: {'; '.join(changes)}")
    return state
