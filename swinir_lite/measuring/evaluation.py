"""Restore and measure by the paper's protocol (chapter 18)."""

import os
import statistics
from collections import Counter
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import InputError, input_errors
from ..image_files import raise_if_any
from ..image_restoration import psnr, ssim, to_image
from ..speed.network import fastest
from ..tasks import Metric, check_scale, make_degradation
from .test_sets import TestPair, read_test_set

CHANNELS = ("Y", "RGB", "gray")
LEAST_SIDE = 11  # of SSIM's window


def protocol(scale: int, channels: int) -> tuple[int, str]:
    """(border, channel) for `evaluate`, as papers measure a network.

    Super-resolution on Y, without a border as wide as the scale; other tasks on
    whole images, RGB or gray.
    """
    channel = "gray" if channels == 1 else "Y" if scale > 1 else "RGB"
    return (scale if scale > 1 else 0), channel


@torch.no_grad()
def restore(
    model: nn.Module, lq: Tensor, scale: int = 1, window_size: int = 0
) -> Tensor:
    """Restore one image (1, C, h, w) on the model's device; returns it on the CPU.

    With a window size the image is first extended as the official test script
    does it: a flipped copy up to the next multiple of the window, one whole
    window further where the size already divides; copies of copies, if it is tiny.
    """
    height, width = lq.shape[2:]
    if window_size:
        for axis in (2, 3):
            length = lq.shape[axis]
            extended = (length // window_size + 1) * window_size
            position = torch.arange(extended, device=lq.device) % (2 * length)
            index = torch.minimum(position, 2 * length - 1 - position)  # abc|cba|abc
            lq = lq.index_select(axis, index)
    device = next(model.parameters(), lq).device
    restored = model(lq.to(device)).float().cpu()
    return restored[:, :, : height * scale, : width * scale]


def evaluate(
    model: nn.Module,
    pairs: list[TestPair],
    border: int,
    channel: str = "Y",
    metrics: dict[str, Metric] | None = None,
) -> dict[str, Any]:
    """PSNR and SSIM of a model on a test set.

    Args:
        model: (1, C, h, w) -> (1, C, h * s, w * s), with a `config` that has a
            `window_size`, or 0; its mode is left as it was.
        pairs: what `read_test_set` returns.
        border: pixels cut from every side; `protocol` says how many.
        channel: "Y", "RGB" or "gray"; `protocol` says which.
        metrics: more measures, name -> function (restored, hq) of uint8 images.

    Returns:
        {"psnr", "ssim", ..., "scale", "channel", "border", "images": {name: {...}}};
        the first ones are means over images.
    """
    images = measure_images(model, pairs, border, channel, metrics)
    scale = pairs[0].hq.shape[0] // pairs[0].lq.shape[2]
    return average(images, scale, border, channel)


def measure_images(
    model: nn.Module,
    pairs: list[TestPair],
    border: int,
    channel: str = "Y",
    metrics: dict[str, Metric] | None = None,
) -> dict[str, dict[str, float]]:
    """{name of the image: {metric: value}}; see `evaluate`."""
    check_sizes(pairs, border)
    y_channel = channel == "Y"
    training, images, side = model.training, {}, model.config.window_size
    model.eval()
    for name, lq, hq in pairs:
        check_channel(channel, hq)
        scale = hq.shape[0] // lq.shape[2]
        restored = to_image(restore(model, lq, scale, side))
        with input_errors(ValueError):  # such as images too small for SSIM
            scores = {
                "psnr": psnr(restored, hq, border, y_channel),
                "ssim": ssim(restored, hq, border, y_channel),
            }
            for key, metric in (metrics or {}).items():
                scores[key] = metric(restored, hq)
        images[name] = scores
    model.train(training)
    return images


def average(
    images: dict[str, dict[str, float]], scale: int, border: int, channel: str
) -> dict[str, Any]:
    """What `evaluate` returns, of the scores that `measure_images` found."""
    keys = next(iter(images.values())).keys()
    means = {k: statistics.fmean(i[k] for i in images.values()) for k in keys}
    about = {"scale": scale, "channel": channel, "border": border}
    return {**means, **about, "images": dict(sorted(images.items()))}


def check_sizes(pairs: list[TestPair], border: int) -> None:
    """Raise InputError that names images too small for SSIM without their border."""
    least = LEAST_SIDE + 2 * border
    small = [
        f"{pair.name}: {pair.hq.shape[1]}x{pair.hq.shape[0]}"
        for pair in pairs
        if min(pair.hq.shape[:2]) < least
    ]
    what = f"images are too small to measure: SSIM needs at least {least}x{least}"
    raise_if_any(small, f"{what} pixels with border {border}")


def check_channel(channel: str, image: np.ndarray) -> None:
    """Raise InputError for a channel that the images do not have."""
    if channel not in CHANNELS:
        raise InputError(f"channel must be one of {CHANNELS}, got {channel!r}")
    if (image.ndim == 2) != (channel == "gray"):
        kind = "gray" if image.ndim == 2 else "RGB"
        raise InputError(
            f"the images are {kind}, so channel {channel!r} cannot be measured: super-"
            "resolution is measured on Y of RGB, other tasks on RGB or gray. RGB lies "
            "below Y by decibels, so the two must not be compared."
        )


def summary(name: str, scores: dict[str, Any]) -> str:
    """One line for people, which says on what the numbers were measured."""
    known = ("psnr", "ssim", "scale", "channel", "border", "images")
    more = [f", {k} {value:.4f}" for k, value in scores.items() if k not in known]
    note = ""
    if scores["scale"] > 1 and scores["channel"] == "RGB":
        note = ", not comparable with papers, which measure Y"
    return (
        f"{name}: PSNR {scores['psnr']:.3f} dB, SSIM {scores['ssim']:.4f}"
        f"{''.join(more)} (on {scores['channel']}, border {scores['border']}, "
        f"{len(scores['images'])} images){note}"
    )


def on_other_channel(border: int, channel: str) -> dict[str, Metric]:
    """PSNR and SSIM on RGB beside Y, or on Y beside RGB; gray has no other."""
    if channel == "gray":
        return {}
    other = "rgb" if channel == "Y" else "y"
    where = {"crop_border": border, "y_channel": other == "y"}
    return {
        f"psnr_{other}": partial(psnr, **where),
        f"ssim_{other}": partial(ssim, **where),
    }


def table(scores: dict[str, Any]) -> str:
    """The scores of every image and their means, a line each."""
    images = scores["images"]
    keys = list(next(iter(images.values())))
    rows = [["", *keys]]
    for name, values in [*images.items(), ("mean", scores)]:
        digits = [3 if key.startswith("psnr") else 4 for key in keys]
        rows.append([name, *(f"{values[k]:.{d}f}" for k, d in zip(keys, digits))])
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])])
        for row in rows
    ]
    where = f"psnr and ssim on {scores['channel']}, border {scores['border']}"
    return "\n".join([*lines, f"({where}, scale {scores['scale']})"])


def evaluate_on(
    model: nn.Module,
    degradation: dict[str, Any],
    folders: Iterable[str | Path],
    metrics: dict[str, Metric] | None = None,
    whole: bool = False,
) -> dict[str, dict[str, Any]]:
    """Measure a model on test sets, on a GPU if there is one; print a line for each.

    Args:
        degradation: {"name": ..., options}, as in a TrainConfig.
        folders: what `read_test_set` reads.
        metrics: more measures, as for `evaluate`.
        whole: measure every pixel, where papers cut a border.

    Returns:
        {name of the folder: scores}; folders of one name have their paths.

    Raises:
        InputError: for a degradation that the model cannot undo, and as
            `read_test_set`.
    """
    scale, channels = model.config.scale, model.config.in_channels
    check_scale(degradation, scale)
    degrade = make_degradation(degradation, test=True)
    border, channel = protocol(scale, channels)
    border = 0 if whole else border
    network, results = fastest(model), {}
    for name, folder in named(folders).items():
        pairs = read_test_set(folder, scale, channels, degrade)
        results[name] = evaluate(network, pairs, border, channel, metrics)
        print(summary(name, results[name]))
    return results


def named(folders: Iterable[str | Path]) -> dict[str, Path]:
    """Folders by their names, or by their paths where two have one name: HR and HR.

    A link has its own name; "." has that of the folder which it is.
    """
    names = {path: Path(os.path.abspath(path)).name for path in map(Path, folders)}
    times = Counter(names.values())
    return {
        str(path) if times[name] > 1 else name: path for path, name in names.items()
    }
