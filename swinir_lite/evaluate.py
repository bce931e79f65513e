"""Measure a model on the benchmark sets by the paper's protocol (chapter 14)."""

import statistics
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .data import find_images, raise_if_any, read_image
from .image_restoration import imresize, psnr, ssim, to_image, to_tensor

CHANNELS = ("Y", "RGB", "gray")


class TestPair(NamedTuple):
    """One test image: LQ (1, C, h, w) in [0, 1] and HQ uint8 (H, W[, 3])."""

    name: str
    lq: Tensor
    hq: np.ndarray


def read_test_set(folder, scale=1, channels=3, degrade=None):
    """Read a test set; what is wrong with it is named before anything is measured.

    Args:
        folder: with HR/ and LR_bicubic/X2/ (Set5's layout), with DIV2K_valid_HR
            and DIV2K_valid_LR_bicubic/X2, or a plain folder of HQ images, whose
            LR images are then made by the MATLAB-exact bicubic.
        scale: of super-resolution; 1 for the other tasks.
        channels: 3, or 1 for a gray model.
        degrade: function uint8 image -> LQ tensor, in place of LR images.

    Returns:
        A list of TestPair; HQ is cropped to LQ's size times scale, top left.
    """
    folder = Path(folder)
    named = [folder / "HR", folder / "DIV2K_valid_HR"]
    hq_folder = next((f for f in named if f.is_dir()), folder)
    lr_folder = folder / hq_folder.name.replace("HR", "LR_bicubic") / f"X{scale}"
    if hq_folder.name == "HR":
        lr_folder = folder / "LR_bicubic" / f"X{scale}"
    from_files = degrade is None and scale > 1 and lr_folder.is_dir()
    lr_paths = {p.stem: p for p in find_images(lr_folder)} if from_files else {}
    pairs, problems = [], []
    for path in find_images(hq_folder):
        try:
            hq = read_image(path, channels)
            rows, columns = (side // scale for side in hq.shape[:2])
            hq = hq[: rows * scale, : columns * scale]
            if degrade:
                lq = degrade(hq)
            elif from_files:
                name = f"{path.stem}x{scale}"
                if name not in lr_paths:
                    raise ValueError(f"{path}: {lr_folder} has no {name}")
                lq = to_tensor(read_image(lr_paths[name], channels))
            else:
                lq = to_tensor(imresize(hq, 1 / scale))
            if lq.shape[2:] != (rows, columns):
                got = tuple(lq.shape[2:])
                raise ValueError(f"{path}: LQ is {got}, HQ implies {(rows, columns)}")
            pairs.append(TestPair(path.stem, lq, hq))
        except ValueError as error:
            problems.append(error)
    raise_if_any(problems, f"images of {folder} cannot be used")
    return pairs


def protocol(scale, channels):
    """(border, channel) for `evaluate`, as papers measure a network.

    Super-resolution on Y, without a border as wide as the scale; other tasks on
    whole images, RGB or gray.
    """
    channel = "gray" if channels == 1 else "Y" if scale > 1 else "RGB"
    return (scale if scale > 1 else 0), channel


def window_size(model):
    """The side of a SwinIR's windows; 0 for a network without windows."""
    return getattr(getattr(model, "config", None), "window_size", 0)


@torch.no_grad()
def restore(model, lq, scale=1, window_size=0):
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
    device = next(model.parameters()).device
    restored = model(lq.to(device)).float().cpu()
    return restored[:, :, : height * scale, : width * scale]


def evaluate(model, pairs, border, channel="Y", metrics=None):
    """PSNR and SSIM of a model on a test set.

    Args:
        model: (1, C, h, w) -> (1, C, h * s, w * s); its mode is left as it was.
        pairs: what `read_test_set` returns.
        border: pixels cut from every side; `protocol` says how many.
        channel: "Y", "RGB" or "gray"; `protocol` says which.
        metrics: more measures, name -> function (restored, hq) of uint8 images.

    Returns:
        {"psnr", "ssim", ..., "scale", "channel", "border", "images": {name: {...}}};
        the first ones are means over images.
    """
    check_channel(channel, pairs[0].hq)
    y_channel = channel == "Y"
    training, images, side = model.training, {}, window_size(model)
    model.eval()
    for name, lq, hq in pairs:
        scale = hq.shape[0] // lq.shape[2]
        restored = to_image(restore(model, lq, scale, side))
        scores = {
            "psnr": psnr(restored, hq, border, y_channel),
            "ssim": ssim(restored, hq, border, y_channel),
        }
        for key, metric in (metrics or {}).items():
            scores[key] = metric(restored, hq)
        images[name] = scores
    model.train(training)
    keys = next(iter(images.values())).keys()
    means = {k: statistics.fmean(i[k] for i in images.values()) for k in keys}
    about = {"scale": scale, "channel": channel, "border": border}
    return {**means, **about, "images": images}


def check_channel(channel, image):
    """Raise ValueError for a channel that the images do not have."""
    if channel not in CHANNELS:
        raise ValueError(f"channel must be one of {CHANNELS}, got {channel!r}")
    if (image.ndim == 2) != (channel == "gray"):
        kind = "gray" if image.ndim == 2 else "RGB"
        raise ValueError(
            f"the images are {kind}, so channel {channel!r} cannot be measured: super-"
            "resolution is measured on Y of RGB, other tasks on RGB or gray. RGB lies "
            "below Y by decibels, so the two must not be compared."
        )


def summary(name, scores):
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
