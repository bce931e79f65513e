"""The degradations and metrics that a training configuration can name."""

import math
from functools import partial
from inspect import signature

from .denoising_and_jpeg import (
    add_gaussian_noise,
    add_jpeg_artifacts,
    gaussian_noise,
    jpeg,
    psnr_b,
)
from .real_world_super_resolution import (
    degrade_photograph,
    gradient_distance,
    lpips_distance,
    real_world,
)

# Degradations whose LQ images are smaller; the others' are as large as the HQ images
SHRINKING = ("bicubic", "real_world")

# (B, C, H, W) in [0, 1], generator, **options -> degraded, to train on
DEGRADATIONS = {
    "gaussian_noise": gaussian_noise,
    "jpeg": jpeg,
    "real_world": real_world,
}

# a uint8 image, **options -> (1, C, h, w), always the same, to test on
TEST_DEGRADATIONS = {
    "gaussian_noise": add_gaussian_noise,
    "jpeg": add_jpeg_artifacts,
    "real_world": degrade_photograph,
}

# two uint8 images, restored and true -> float
METRICS = {
    "psnr_b": psnr_b,
    "gradient_distance": gradient_distance,
    "lpips": lpips_distance,
}


def is_number(value):
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value)


def keyword_options(function):
    """{name: whether it must be given} of a function's keyword-only arguments."""
    parameters = signature(function).parameters.values()
    return {
        p.name: p.default is p.empty for p in parameters if p.kind is p.KEYWORD_ONLY
    }


def check_options(name, options, known, test):
    """Raise ValueError for what a degradation does not know, lacks or cannot use.

    `known` is {option: whether it must be given}.
    """
    what = f"degradation {name!r}"
    if unknown := sorted(options.keys() - known):
        raise ValueError(f"{what} has no option {unknown[0]!r}; it has {list(known)}")
    if missing := [k for k, needed in known.items() if needed and k not in options]:
        raise ValueError(f"{what} needs a value for {missing[0]!r}")
    for key, value in options.items():
        pair = not test and isinstance(value, list | tuple) and len(value) == 2
        if not all(is_number(v) for v in (value if pair else [value])):
            form = "one number to validate or test" if test else "a number or a pair"
            raise ValueError(f"{what} needs {form} for {key!r}, got {value!r}")


def make_degradation(options, test=False):
    """A configured degradation as a function, or None for bicubic LR images.

    Args:
        options: {"name": ..., keyword arguments}.
        test: return a function uint8 image -> LQ tensor (1, C, h, w) that follows
            the official test protocol, instead of (hq, generator) -> lq.  Options
            that only training has are left out.

    Raises:
        ValueError: for an unknown name or option, one that is missing, or a value
            that is no number; to train, pairs (low, high) will do.
    """
    options = dict(options)
    name = options.pop("name", None)
    if name == "bicubic":
        check_options(name, options, {}, test)
        return None
    if name not in DEGRADATIONS:
        names = ", ".join(["bicubic", *DEGRADATIONS])
        raise ValueError(f"no degradation {name!r}; there are {names}")
    function = (TEST_DEGRADATIONS if test else DEGRADATIONS)[name]
    known = keyword_options(function)
    if test:
        dropped = keyword_options(DEGRADATIONS[name]).keys() - known
        options = {k: v for k, v in options.items() if k not in dropped}
    check_options(name, options, known, test)
    return partial(function, **options)
