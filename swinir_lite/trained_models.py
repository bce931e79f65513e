"""Load trained models by name, file or run (chapter 14)."""

from pathlib import Path

import torch

from .checkpoint import UNREADABLE, load_model
from .convolutional_baseline import ResidualCNN
from .shipped_weights import shipped_models
from .training.config import load_config


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
