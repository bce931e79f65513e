"""The tasks: what can be undone, how it is trained and tested, what measures it.

To add one, add a row to TASKS.
"""

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from inspect import signature

import numpy as np
from torch import Tensor

from .denoising import add_gaussian_noise, gaussian_noise
from .errors import InputError
from .jpeg_artifacts import add_jpeg_artifacts, jpeg, psnr_b
from .real_world_super_resolution import (
    degrade_photograph,
    gradient_distance,
    lpips_distance,
    real_world,
)

Metric = Callable[[np.ndarray, np.ndarray], float]  # of uint8 images, restored and true


@dataclass(frozen=True)
class Task:
    """A degradation that a network learns to undo.

    The keyword-only arguments of its functions are the options that a configuration
    gives beside the name. Both functions are None where LQ images are files, or
    made from HQ images by MATLAB's bicubic.
    """

    # (B, C, H, W) in [0, 1], generator, **options -> degraded, to train on
    train: Callable[..., Tensor] | None = None
    # uint8 image, **options -> LQ (1, C, h, w), always the same, to test on
    test: Callable[..., Tensor] | None = None
    # How many times smaller LQ images are, unless an option `scale` says otherwise;
    # None: as many times as the network enlarges
    scale: int | None = 1
    # What is measured beside PSNR and SSIM, where it is asked for
    metrics: dict[str, Metric] = field(default_factory=dict)

    def fits(self, scale: int, options: dict) -> bool:
        """Whether a network that enlarges by `scale` undoes this."""
        shrinks_by = options.get("scale", self.scale)
        return scale > 1 if shrinks_by is None else scale == shrinks_by


TASKS = {
    "bicubic": Task(scale=None),
    "gaussian_noise": Task(gaussian_noise, add_gaussian_noise),
    "jpeg": Task(jpeg, add_jpeg_artifacts, metrics={"psnr_b": psnr_b}),
    "real_world": Task(
        real_world,
        degrade_photograph,
        scale=4,
        metrics={"gradient_distance": gradient_distance, "lpips": lpips_distance},
    ),
}


def find_metrics(names: Iterable[str]) -> dict[str, Metric]:
    """Metrics of any task, by name; InputError for one that there is not."""
    known = {k: metric for task in TASKS.values() for k, metric in task.metrics.items()}
    if unknown := sorted(set(names) - known.keys()):
        raise InputError(f"no metrics {unknown}; there are {list(known)}")
    return {name: known[name] for name in names}


def find_task(degradation: dict) -> tuple[str, Task, dict]:
    """The name, the row of TASKS and the options of {"name": ..., options}.

    Raises:
        InputError: for a name that is missing or unknown.
    """
    options = dict(degradation)
    name = options.pop("name", None)
    if name is None:
        raise InputError(f"degradation needs a name, got {degradation}")
    if not isinstance(name, str) or name not in TASKS:
        raise InputError(f"no degradation {name!r}; there are {', '.join(TASKS)}")
    return name, TASKS[name], options


def check_scale(degradation: dict, scale: int) -> None:
    """Raise InputError for what a network that enlarges by `scale` does not undo."""
    name, task, options = find_task(degradation)
    if not task.fits(scale, options):
        needed = options.get("scale", task.scale) or "more than 1"
        raise InputError(
            f"degradation {name!r} does not fit scale {scale}: "
            f"what undoes it has scale {needed}"
        )


def is_number(value: object) -> bool:
    """Whether a value of a configuration is a finite number."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and abs(value) <= sys.float_info.max  # not NaN, nor a longer integer


def keyword_options(function: Callable) -> dict[str, bool]:
    """{name: whether it must be given} of a function's keyword-only arguments."""
    parameters = signature(function).parameters.values()
    return {
        p.name: p.default is p.empty for p in parameters if p.kind is p.KEYWORD_ONLY
    }


def check_options(name: str, options: dict, known: dict, test: bool) -> None:
    """Raise InputError for what a degradation does not know, lacks or cannot use.

    `known` is {option: whether it must be given}.
    """
    what = f"degradation {name!r}"
    if unknown := sorted(options.keys() - known):
        raise InputError(f"{what} has no option {unknown[0]!r}; it has {list(known)}")
    if missing := [k for k, needed in known.items() if needed and k not in options]:
        raise InputError(f"{what} needs a value for {missing[0]!r}")
    for key, value in options.items():
        pair = not test and isinstance(value, list | tuple) and len(value) == 2
        if not all(is_number(v) for v in (value if pair else [value])):
            form = "one number to validate or test" if test else "a number or a pair"
            raise InputError(f"{what} needs {form} for {key!r}, got {value!r}")


def make_degradation(degradation: dict, test: bool = False) -> Callable | None:
    """A configured degradation as a function, or None for bicubic LR images.

    Args:
        degradation: {"name": ..., keyword arguments}.
        test: return a function uint8 image -> LQ tensor (1, C, h, w) that follows
            the official test protocol, instead of (hq, generator) -> lq. Options
            that only training has are left out.

    Raises:
        InputError: for an unknown name or option, one that is missing, or a value
            that is no number; to train, pairs (low, high) will do.
    """
    name, task, options = find_task(degradation)
    function = task.test if test else task.train
    if function is None:
        check_options(name, options, {}, test)
        return None
    known = keyword_options(function)
    if test:
        dropped = keyword_options(task.train).keys() - known
        options = {k: v for k, v in options.items() if k not in dropped}
    check_options(name, options, known, test)
    return partial(function, **options)
