"""Make a finished run a model that ships with the package (chapter 19)."""

import re
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from safetensors.torch import save_file
from torch import nn

from ..checkpoint import load_model, save_model
from ..convolutional_baseline import ResidualCNN
from ..errors import InputError
from ..measuring.evaluation import evaluate_on
from ..measuring.test_sets import sample_photographs
from ..runs import read_run_config, read_run_state
from ..shipped_weights import LICENCE, add_to_manifest
from ..tasks import Metric
from .config import TrainConfig, load_config
from .log import read_log


def save_half(
    model: nn.Module, config: TrainConfig, path: str | Path
) -> tuple[nn.Module, dict]:
    """Save in half precision; the model as it loads, and its configuration."""
    if isinstance(model, ResidualCNN):
        half = {k: v.half().contiguous() for k, v in model.state_dict().items()}
        save_file(half, path)
        model.load_state_dict({k: v.float() for k, v in half.items()})
        return model, config.architecture
    save_model(model, path, torch.float16)
    return load_model(path), asdict(model.config)


def ship(
    run: str | Path,
    name: str,
    test_sets: Iterable[str | Path],
    data: str,
    degradations: list[dict] | None = None,
    metrics: dict[str, Metric] | None = None,
    minutes_before: float = 0.0,
) -> dict[str, dict]:
    """Make a finished run's averaged weights a model that ships, in half precision.

    What the manifest says of PSNR and SSIM is measured on the file itself.

    Args:
        run: the run's folder.
        name: by which `load_model` will find it.
        test_sets: folders to measure it on, beside the sample photographs.
        data: in words, what it was trained on.
        degradations: to measure it on, where they are not the training's: the
            levels, say, of a model for a range of them.  Each of several has a
            name of its own, which ends with its level; they share the file.
        metrics: more measures, as for `evaluate`.
        minutes_before: GPU minutes of the weights that the run started from, and of
            those that they started from.

    Returns:
        The manifest's entries by name; their results are named by test set.

    Raises:
        InputError: for a name that is none, and as `evaluate_on`.
    """
    if not re.fullmatch(r"\w[\w-]*", name):
        raise InputError(f"a model's name has letters, digits, _ and -, not {name!r}")
    config, state = load_config(read_run_config(run)), read_run_state(run)
    model = load_model(run)
    start = next(r for r in read_log(Path(run) / "log.jsonl") if r["event"] == "start")
    training = {
        "data": data, "device": start["device"], "date": start["date"],
        "processes": start["processes"], "minutes": round(state["seconds"] / 60, 2),
        "minutes_before": minutes_before,
        "iterations": state["step"], "seed": config.seed, "config": asdict(config),
    }  # fmt: skip
    degradations, entries = degradations or [config.degradation], {}
    with TemporaryDirectory() as temporary:
        path = Path(temporary) / f"{name}.safetensors"
        model, own = save_half(model, config, path)
        folders = [sample_photographs(temporary, config.scale), *test_sets]
        for degradation in degradations:
            level = [str(v) for k, v in degradation.items() if k != "name"]
            key = "_".join([name, *level]) if len(degradations) > 1 else name
            results = evaluate_on(model, degradation, folders, metrics)
            for scores in results.values():
                del scores["images"]
            entries[key] = {
                "variant": config.variant, "config": own, "degradation": degradation,
                "losses": config.losses, "results": results, "training": training,
                "licence": LICENCE,
            }  # fmt: skip
        content = path.read_bytes()
    add_to_manifest(path.name, content, entries)
    return entries
