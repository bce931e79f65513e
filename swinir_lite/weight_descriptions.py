"""What a file of weights holds, for people who were given one."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .checkpoint import read_weights
from .released_weights import released_models
from .runs import is_run
from .shipped_weights import shipped_models
from .variants import Config


@dataclass(frozen=True)
class Description:
    """The facts of some weights, in words and numbers."""

    source: str
    task: str
    scale: int
    channels: int  # of the images: 3 for RGB, 1 for gray
    parameters: int
    dtype: str  # as stored
    layout: str
    img_range: float  # what images in [0, 1] are multiplied by
    img_range_known: str  # from where
    config: Config

    def lines(self) -> list[str]:
        """One line for each fact, for the command line."""
        channels = "gray" if self.channels == 1 else "RGB"
        return [
            self.source,
            f"task        {self.task}, {channels}",
            f"scale       x{self.scale}",
            f"parameters  {self.parameters:,}",
            f"stored as   {self.dtype}, {self.layout}",
            f"img_range   {self.img_range:g} ({self.img_range_known})",
            f"network     {self.config}",
        ]


def task_of(config: Config, degradation: dict[str, Any] | None = None) -> str:
    """What a network is for, as far as is known of it."""
    degradation = degradation or {}
    if degradation.get("name") == "gaussian_noise":
        return f"denoising, sigma {degradation['sigma']}"
    if degradation.get("name") == "jpeg":
        return f"JPEG artifact reduction, quality {degradation['quality']}"
    if config.scale == 1:
        jpeg = config.img_range == 255
        return "JPEG artifact reduction" if jpeg else "restoration, such as denoising"
    head = getattr(config, "upsampler", "")
    real = degradation.get("name") == "real_world" or head == "nearest+conv"
    return "real-world super-resolution" if real else "super-resolution"


def describe_weights(source: str | Path) -> Description:
    """Read and check a file of weights, and say what it is.

    Args:
        source: what `load_model` reads.

    Raises:
        ValueError, OSError: as `load_model`.
    """
    weights = read_weights(source)
    config = weights.model.config
    entry = {**shipped_models(), **released_models()}.get(str(source), {})
    if entry:
        layout, known = "official names", "as this model was trained"
    elif is_run(source):
        layout, known = "a training run's average", "from its configuration"
    elif weights.stated:
        layout, known = "official names and a configuration", "from the file"
    else:
        layout = "official names"
        known = "assumed, as released models with such windows have it"
    types = sorted({str(value.dtype) for value in weights.state.values()})
    return Description(
        source=str(source),
        task=task_of(config, entry.get("degradation")),
        scale=config.scale,
        channels=config.in_channels,
        parameters=sum(value.numel() for value in weights.state.values()),
        dtype=", ".join(types).replace("torch.", ""),
        layout=layout,
        img_range=config.img_range,
        img_range_known=known,
        config=config,
    )
