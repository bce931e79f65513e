"""Load trained models, and measure them (chapter 14)."""

from pathlib import Path

import torch
from PIL import Image

from .checkpoint import UNREADABLE, load_model
from .convolutional_baseline import ResidualCNN
from .degradations import make_degradation
from .evaluate import evaluate, protocol, read_test_set, summary
from .fast import fast
from .shipped_weights import shipped_models
from .swinir import SwinIR
from .training_config import SHRINKING, load_config


def load_run(folder):
    """The averaged weights of a run, as a model, its TrainConfig and its state."""
    path = Path(folder) / "state.pt"
    if not path.is_file():
        raise FileNotFoundError(f"{folder} holds no run: there is no {path}")
    config = load_config(path.with_name("config.json"))
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except UNREADABLE as error:
        raise ValueError(f"{path} is damaged, or no run's state") from error
    model = config.make_model()
    model.load_state_dict(state["ema"])
    return model.eval(), config, state


def load_trained(source):
    """A model and the degradation that it was trained to undo.

    Args:
        source: a run's folder, or what `load_model` reads.  Files say nothing of
            their degradation: bicubic is taken for super-resolution.
    """
    if (Path(source) / "state.pt").is_file():
        model, config, _ = load_run(source)
        return model, config.degradation
    entry = shipped_models().get(str(source), {})
    return load_model(source), entry.get("degradation", {"name": "bicubic"})


def scale_and_channels(model):
    """By what the network enlarges, and the channels of its images."""
    if isinstance(model, ResidualCNN):
        return model.head[1].upscale_factor, model.conv_first.in_channels
    return model.config.scale, model.config.in_channels


def fastest(model):
    """The network as it computes fastest here: on a GPU if there is one."""
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    return fast(model) if isinstance(model, SwinIR) else model


def evaluate_on(model, degradation, folders, metrics=None):
    """Measure a model on test sets, on a GPU if there is one; print a line for each.

    Args:
        degradation: {"name": ..., options}, as in a TrainConfig.
        folders: what `read_test_set` reads.
        metrics: more measures, as for `evaluate`.

    Returns:
        {name of the folder: scores}.

    Raises:
        ValueError: for a degradation that the model cannot undo, and as
            `read_test_set`.
    """
    (scale, channels), name = scale_and_channels(model), degradation.get("name")
    if (scale > 1) != (name in SHRINKING):
        does = f"enlarges by {scale}" if scale > 1 else "does not enlarge"
        raise ValueError(f"this model {does}: say what it is to undo, not {name!r}")
    degrade = make_degradation(degradation, test=True)
    network, results = fastest(model), {}
    for folder in map(Path, folders):
        pairs = read_test_set(folder, scale, channels, degrade)
        scores = evaluate(network, pairs, *protocol(scale, channels), metrics=metrics)
        results[folder.name] = scores
        print(summary(folder.name, scores))
    return results


def sample_photographs(folder, scale=2):
    """Write crops of scikit-image's photographs to a folder, to measure on anywhere.

    Smaller ones where the network does not enlarge, so that all cost the same.
    """
    from skimage import data

    folder = Path(folder) / "samples"
    folder.mkdir(parents=True, exist_ok=True)
    side = 192 if scale > 1 else 96
    for name in ("astronaut", "chelsea", "coffee"):
        photo = getattr(data, name)()[20 : 20 + side, 120 : 120 + side]
        Image.fromarray(photo).save(folder / f"{name}.png")
    return folder
