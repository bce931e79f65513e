"""Load trained models by name, file or run, with what they undo (chapter 18)."""

from pathlib import Path
from typing import Any

from torch import nn

from .checkpoint import load_model
from .released_weights import released_models
from .runs import is_run, read_run_config
from .shipped_weights import shipped_models

BICUBIC = {"name": "bicubic"}


def load_trained(
    source: str | Path, img_range: float | None = None
) -> tuple[nn.Module, dict[str, Any]]:
    """A model and the degradation that it was trained to undo.

    Args:
        source: what `load_model` reads.  Files say nothing of their degradation:
            bicubic is taken for super-resolution.
        img_range: as for `load_model`.
    """
    about = {**shipped_models(), **released_models()}.get(str(source), {})
    if not about and is_run(source):
        about = read_run_config(source)
    return load_model(source, img_range), about.get("degradation", BICUBIC)
