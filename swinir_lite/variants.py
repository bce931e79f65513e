"""Configurations by readable names, and networks from them (chapter 8).

RELEASED holds the authors' models, VARIANTS also our own, which are of the
lightweight size.  Weights that ship with the package have the names of their
configurations.
"""

import reprlib
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, ClassVar

from torch import nn

from .convolutional_baseline import ResidualCNN
from .errors import InputError, input_errors
from .swinir import SwinIR, SwinIRConfig

LIGHTWEIGHT = {"dim": 60, "depths": (6,) * 4, "num_heads": (6,) * 4}
MEDIUM = {"dim": 180, "depths": (6,) * 6, "num_heads": (6,) * 6}
LARGE = {"dim": 240, "depths": (6,) * 9, "num_heads": (8,) * 9}
CLASSICAL = {**MEDIUM, "upsampler": "pixelshuffle"}
REAL_WORLD = {"upsampler": "nearest+conv"}
RESTORATION = {**MEDIUM, "scale": 1, "upsampler": "none"}
JPEG = {**RESTORATION, "window_size": 7, "img_range": 255.0}

RELEASED = {
    "classical_x2": SwinIRConfig(**CLASSICAL, scale=2),
    "classical_x3": SwinIRConfig(**CLASSICAL, scale=3),
    "classical_x4": SwinIRConfig(**CLASSICAL, scale=4),
    "classical_x8": SwinIRConfig(**CLASSICAL, scale=8),
    "lightweight_x2": SwinIRConfig(**LIGHTWEIGHT, scale=2),
    "lightweight_x3": SwinIRConfig(**LIGHTWEIGHT, scale=3),
    "lightweight_x4": SwinIRConfig(**LIGHTWEIGHT, scale=4),
    "real_world_x2": SwinIRConfig(**MEDIUM, **REAL_WORLD, scale=2),
    "real_world_x4": SwinIRConfig(**MEDIUM, **REAL_WORLD, scale=4),
    "real_world_large_x4": SwinIRConfig(
        **LARGE, **REAL_WORLD, scale=4, resi_connection="3conv"
    ),
    "gray_denoise": SwinIRConfig(**RESTORATION, in_channels=1),
    "color_denoise": SwinIRConfig(**RESTORATION),
    "gray_jpeg": SwinIRConfig(**JPEG, in_channels=1),
    "color_jpeg": SwinIRConfig(**JPEG),
}
LEVELS = {  # the noise's sigma, or JPEG's quality, that a task is measured at
    "gray_denoise": (15, 25, 50),
    "color_denoise": (15, 25, 50),
    "gray_jpeg": (10, 20, 30, 40),
    "color_jpeg": (10, 20, 30, 40),
}

VARIANTS = RELEASED | {
    f"{task}_{level}": replace(RELEASED[task], **LIGHTWEIGHT)
    for task, levels in LEVELS.items()
    for level in levels
}
for name in ("lightweight_real_world_x4", "lightweight_real_world_x4_gan"):
    VARIANTS[name] = replace(RELEASED["lightweight_x4"], **REAL_WORLD)


@dataclass(frozen=True)
class ResidualCNNConfig:
    """What distinguishes one ResidualCNN from another; ValueError if it does not fit.

    It is asked for its facts as a SwinIRConfig is.
    """

    in_channels: int = 3
    dim: int = 32
    num_blocks: int = 4
    scale: int = 2
    window_size: ClassVar[int] = 0  # a convolution has no windows
    img_range: ClassVar[float] = 1.0

    def __post_init__(self):
        if min(asdict(self).values()) < 1:
            raise ValueError(f"sizes must be > 0, got {self}")


Config = SwinIRConfig | ResidualCNNConfig
CONFIGS: dict[str, Config] = {**VARIANTS, "residual_cnn": ResidualCNNConfig()}


# What the types of a configuration's fields accept, in words and as a test
FIELDS = {
    int: ("a whole number", lambda value: type(value) is int),
    float: (
        "a number below a billion",  # so that none is infinite, nor a product of two
        lambda value: type(value) in (int, float) and abs(value) < 1e9,
    ),
    str: ("text", lambda value: isinstance(value, str)),
    tuple[int, ...]: (
        "a list of whole numbers",
        lambda value: isinstance(value, list | tuple) and {*map(type, value)} <= {int},
    ),
}


def make_config(variant: str, architecture: dict[str, Any]) -> Config:
    """The configuration of a network, as files and training runs describe it.

    Args:
        variant: a key of VARIANTS, or "residual_cnn".
        architecture: the fields that differ from the variant's, as JSON holds them.

    Raises:
        InputError: for an unknown variant or field, for a value of another type, and
            for values that make no network.
    """
    if not isinstance(variant, str) or variant not in CONFIGS:
        given = reprlib.repr(variant)
        raise InputError(f"no variant {given}; there are {', '.join(CONFIGS)}")
    if not isinstance(architecture, dict):
        given = reprlib.repr(architecture)
        raise InputError(f"architecture must be a dict of fields, got {given}")
    base = CONFIGS[variant]
    types = {field.name: field.type for field in fields(base)}
    for name, value in architecture.items():
        if name not in types:
            given = reprlib.repr(name)
            raise InputError(f"architecture has no {given}; there are {list(types)}")
        expected, accepts = FIELDS[types[name]]
        if not accepts(value):
            given = reprlib.repr(value)
            raise InputError(f"architecture.{name} must be {expected}, got {given}")
    with input_errors(ValueError, OverflowError):
        return replace(base, **architecture)


def make_network(config: Config) -> nn.Module:
    """The network of a configuration, with freshly drawn weights and `.config`."""
    if isinstance(config, SwinIRConfig):
        return SwinIR(config)
    model = ResidualCNN(**asdict(config))
    model.config = config
    return model
