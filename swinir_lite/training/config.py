"""Everything that a training run depends on, as data (chapter 18)."""

import json
import math
from collections.abc import Iterable
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch

from ..errors import InputError, input_errors
from ..losses import check_losses
from ..swinir import check_input
from ..tasks import check_scale, is_number, make_degradation
from ..variants import Config, make_config, make_network

PRESETS = Path(__file__).parent / "presets"
SCHEDULES = ("cosine", "halving")
OPTIMIZERS = ("adam", "muon")
PRECISIONS = ("auto", "fp32", "bf16", "fp16")
LARGEST = torch.finfo(torch.float32).max  # what optimisers compute with
DEVICES = ("auto", "cpu", "cuda")
KINDS = {str: "text", bool: "true or false", int: "a whole number", float: "a number",
         tuple: "a list of numbers", dict: "a dict of options"}  # fmt: skip


def checked(name: str, value: Any, default: Any) -> Any:
    """The value of a field; InputError if it is of another kind than the default."""
    kind = type(default)
    if kind is tuple:
        fits = isinstance(value, list | tuple) and all(is_number(v) for v in value)
    elif kind in (int, float):
        fits = is_number(value) and value == kind(value)
    else:
        fits = isinstance(value, kind)
    if not fits:
        raise InputError(f"{name} must be {KINDS[kind]}, got {value!r}")
    return kind(value) if kind in (int, tuple) else value


@dataclass(frozen=True)
class TrainConfig:
    """A training run; raises InputError for what cannot be trained.

    A run is as long as `steps` says, or as `minutes` of training allow.  Minutes
    count what steps take, from their data to their update.  They leave out what
    stands before a leg's second step, which is mostly compiling, and validation and
    checkpoints.  In the log, `seconds` are counted as the minutes are, and
    `wall_seconds` are all that passed while a Trainer was at work on the run.
    """

    # The network
    variant: str = "lightweight_x2"  # a key of VARIANTS, or "residual_cnn"
    architecture: dict = field(default_factory=dict)  # what differs from the variant
    initial_weights: str = ""  # a file, or the name of a shipped model

    # The task
    data: str = "data/DIV2K"  # DIV2K's root, or any folder of photographs
    expected_images: int = 0  # refuse another number; 0 accepts any
    degradation: dict = field(default_factory=lambda: {"name": "bicubic"})
    losses: dict = field(default_factory=lambda: {"l1": 1.0})  # name -> weight
    patch: int = 64  # side of the low-quality patch, in pixels
    batch: int = 32  # patches in a step, over all devices

    # The optimisation
    steps: int = 0
    minutes: float = 0.0
    optimizer: str = "adam"  # or "muon"
    lr: float = 1e-3  # the peak
    betas: tuple[float, float] = (0.9, 0.999)
    warmup: int = 0  # steps over which lr grows from 0
    schedule: str = "cosine"
    ema: float = 0.999  # decay of the averaged weights
    clip: float = 0.0  # largest norm of the gradient; 0 does not clip
    seed: int = 0

    # What is measured on the way, and when
    validation: dict = field(default_factory=dict)  # {"path": ..., options}
    validate_every: int = 1000
    checkpoint_every: int = 1000
    log_every: int = 50

    # The machine
    # auto: bf16 where the device has it; fp16 with a scaled loss on a T4; else fp32
    precision: str = "auto"
    cache: str = "runs/cache"  # where decoded images are kept
    device: str = "auto"  # "cuda" where there is one, else "cpu"
    graph: bool = True  # replay the step as a CUDA graph

    def __post_init__(self):
        for name, default in defaults().items():
            value = checked(name, getattr(self, name), default)
            object.__setattr__(self, name, value)
        self.check_choices()
        self.check_numbers()
        self.check_task()

    def check_choices(self) -> None:
        """Raise InputError for a word that is not among those there are."""
        for name, allowed in (
            ("optimizer", OPTIMIZERS),
            ("schedule", SCHEDULES),
            ("precision", PRECISIONS),
            ("device", DEVICES),
        ):
            if (value := getattr(self, name)) not in allowed:
                raise InputError(f"{name} must be one of {allowed}, got {value!r}")

    def check_numbers(self) -> None:
        """Raise InputError for a number out of its range."""
        if min(self.steps, self.minutes) < 0 or (self.steps > 0) == (self.minutes > 0):
            given = f"steps {self.steps} and minutes {self.minutes}"
            raise InputError(f"give steps or minutes, and 0 for the other: got {given}")
        every = "validate_every", "checkpoint_every", "log_every"
        for name in ("patch", "batch", *every):
            if (value := getattr(self, name)) < 1:
                raise InputError(f"{name} must be at least 1, got {value}")
        for name in every:
            if getattr(self, name) % self.log_every:
                raise InputError(f"{name} must be a multiple of log_every")
        if not 0 <= self.ema < 1 or self.lr <= 0 or self.warmup < 0 or self.clip < 0:
            raise InputError("need 0 <= ema < 1, lr > 0, warmup >= 0 and clip >= 0")
        if self.lr > LARGEST:
            raise InputError(f"lr must be at most {LARGEST:g}, got {self.lr:g}")
        if not -(2**63) <= self.seed < 2**64:
            raise InputError(f"seed must have at most 64 bits, got {self.seed}")
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise InputError(f"betas must be two numbers in [0, 1), got {self.betas}")

    def check_task(self) -> None:
        """Raise InputError for a network, degradation or test set that cannot be."""
        scale = self.model_config.scale  # InputError for a network that cannot be
        with input_errors(ValueError):
            check_losses(self.losses, self.in_channels)
        check_scale(self.degradation, scale)
        if degrade := make_degradation(self.degradation):
            side = self.patch * scale
            with input_errors(ValueError):  # for values that it cannot use
                clean = torch.zeros(1, self.in_channels, side, side)
                check_input(degrade(clean, torch.Generator()), self.in_channels)
        if self.validation:
            if not isinstance(self.validation.get("path"), str):
                raise InputError(f"validation needs a path, got {self.validation}")
            make_degradation(self.test_degradation, test=True)

    @property
    def test_degradation(self) -> dict:
        """What the validation images suffer.

        Options beside their path come before the training's: one noise level, say,
        of a range.
        """
        options = {**self.degradation, **self.validation}
        return {k: v for k, v in options.items() if k != "path"}

    @property
    def model_config(self) -> Config:
        """The configuration of the network."""
        return make_config(self.variant, self.architecture)

    @property
    def scale(self) -> int:
        return self.model_config.scale

    @property
    def in_channels(self) -> int:
        return self.model_config.in_channels

    def make_model(self) -> torch.nn.Module:
        """The network, with freshly drawn weights."""
        return make_network(self.model_config)

    def lr_at(self, step: int, total: int) -> float:
        """The learning rate of a step (from 0) in a run of `total` steps."""
        progress = min(step / total, 1.0)
        warm = min(1.0, (step + 1) / self.warmup) if self.warmup else 1.0
        if self.schedule == "cosine":
            factor = (1 + math.cos(math.pi * progress)) / 2
        else:  # halving, where the paper does: at 250,000 steps of 500,000, ...
            factor = 0.5 ** sum(progress >= at for at in (0.5, 0.8, 0.9, 0.95))
        return self.lr * warm * factor


def defaults() -> dict[str, Any]:
    """{field: default} of TrainConfig."""
    return {
        f.name: f.default if f.default_factory is MISSING else f.default_factory()
        for f in fields(TrainConfig)
    }


def read_fields(source: str | Path) -> dict[str, Any]:
    """The dict in a preset's or another JSON file."""
    preset = PRESETS / f"{source}.json"
    path = preset if preset.is_file() else Path(source)
    if not path.is_file():
        names = ", ".join(sorted(p.stem for p in PRESETS.glob("*.json")))
        raise InputError(f"no configuration {source!r}: no such file, nor {names}")
    try:
        values = json.loads(path.read_text())
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON: {error}") from error
    if not isinstance(values, dict):
        raise InputError(f"{path} must hold a dict of fields, not {values!r}")
    return values


def override(values: Any, keys: list[str], value: Any, name: str) -> dict[str, Any]:
    """The dict `values` with an entry changed, which `keys` lead to."""
    key, *inner = keys
    if not isinstance(values, dict):
        raise InputError(f"cannot set {name}: what it is a part of is {values!r}")
    if inner:
        value = override(values.get(key, {}), inner, value, name)
    return {**values, key: value}


def load_config(
    source: str | Path | dict, overrides: Iterable[str] = ()
) -> TrainConfig:
    """Read a configuration: a preset's name, a JSON file, or a dict.

    Args:
        source: "paper", "speedrun", a path, or a dict of fields.
        overrides: strings such as "lr=2e-3" or "degradation.sigma=[0, 50]".

    Raises:
        InputError: for an unknown field or preset, or a file that cannot be read.
    """
    known = defaults()
    values = dict(source if isinstance(source, dict) else read_fields(source))
    for text in overrides:
        name, separator, given = text.partition("=")
        if not separator:
            raise InputError(f"expected key=value, got {text!r}")
        try:
            value = json.loads(given)
        except (ValueError, RecursionError):
            value = given  # a plain word needs no quotes
        if isinstance(known.get(name), str) and not isinstance(value, str):
            value = given  # a folder may be called 2024
        values = override({**known, **values}, name.split("."), value, name)
    if unknown := sorted(values.keys() - known):
        raise InputError(f"unknown fields {unknown}; there are {sorted(known)}")
    return TrainConfig(**values)


def as_json(config: TrainConfig) -> str:
    """The configuration as text that `load_config` reads back."""
    return json.dumps(asdict(config), indent=2)
