"""Colour models beside simpler methods: python -m experiments.color_baselines --help

Measures the damaged images themselves, two classical denoisers, the gray model and
the colour model on the middle of DIV2K's validation images.  What it writes is
committed; chapters 11 and 12 read it.
"""

import argparse
import statistics
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from swinir_lite import fast, load_model, psnr, ssim, to_image
from swinir_lite.denoising import add_gaussian_noise
from swinir_lite.jpeg_artifacts import (
    add_jpeg_artifacts,
    psnr_b,
    rgb_to_ycbcr,
    ycbcr_to_rgb,
)
from swinir_lite.measuring.evaluation import restore
from swinir_lite.standard_json import to_json
from swinir_lite.whole_files import whole_file

from .classical_denoisers import best_of
from .real_world import read_crops

SIGMAS, QUALITIES = (15, 25, 50), (10, 20, 30, 40)


@cache
def load_fast(name: str) -> nn.Module:
    """A shipped model, loaded once."""
    return fast(load_model(name))


def run(model: nn.Module, lq: Tensor) -> Tensor:
    """Restore (B, C, H, W), padded as in every evaluation."""
    return restore(model, lq, window_size=model.config.window_size)


def denoised(clean: np.ndarray, sigma: int) -> dict[str, np.ndarray]:
    """{method: uint8 image} for one crop (H, W, 3) and one noise level."""
    lq = add_gaussian_noise(clean, sigma=sigma)
    gray, color = (load_fast(f"{kind}_denoise_{sigma}") for kind in ("gray", "color"))
    channels = run(gray, lq.transpose(0, 1)).transpose(0, 1)  # three gray images
    return {
        "noisy": to_image(lq),
        **{m: best_of(m, lq, clean, sigma)[0] for m in ("non-local means", "BM3D")},
        "gray model, each channel": to_image(channels),
        "colour model": to_image(run(color, lq)),
    }


def repaired(clean: np.ndarray, quality: int) -> dict[str, np.ndarray]:
    """{method: uint8 image} for one crop (H, W, 3) and one JPEG quality."""
    lq = add_jpeg_artifacts(clean, quality=quality)
    gray, color = (load_fast(f"{kind}_jpeg_{quality}") for kind in ("gray", "color"))
    ycbcr = rgb_to_ycbcr(255 * lq)
    luma = (255 * run(gray, ycbcr[:, :1] / 255)).clamp(0, 255).round()
    only_luma = ycbcr_to_rgb(torch.cat([luma, ycbcr[:, 1:]], 1)) / 255
    return {
        "JPEG": to_image(lq),
        "gray model, Y alone": to_image(only_luma),
        "colour model": to_image(run(color, lq)),
    }


def score(restored: np.ndarray, clean: np.ndarray) -> dict[str, float]:
    """On RGB, as the paper measures colour."""
    metrics = {"psnr": psnr, "ssim": ssim, "psnr_b": psnr_b}
    return {key: metric(restored, clean) for key, metric in metrics.items()}


def measure(
    crops: dict[str, np.ndarray], methods: Callable, levels: Iterable[int]
) -> dict[str, dict]:
    """Means over the crops: {level: {method: scores}}."""
    means = {}
    for level in levels:
        scores = {}
        for clean in crops.values():
            for name, image in methods(clean, level).items():
                scores.setdefault(name, []).append(score(image, clean))
        means[str(level)] = {
            name: {key: statistics.fmean(s[key] for s in each) for key in each[0]}
            for name, each in scores.items()
        }
    return means


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m experiments.color_baselines")
    parser.add_argument("--div2k", default="data/DIV2K", help="or other photographs")
    parser.add_argument("--side", type=int, default=128, help="of the central crops")
    parser.add_argument("--out", type=Path, default="results/color_baselines.json")
    args = parser.parse_args(arguments)
    crops = read_crops(args.div2k, args.side)
    results = {
        "images": list(crops),
        "side": args.side,
        "color_denoise": measure(crops, denoised, SIGMAS),
        "color_jpeg": measure(crops, repaired, QUALITIES),
    }
    with whole_file(args.out) as partial:
        partial.write_text(to_json(results, indent=2) + "\n")
    for task in ("color_denoise", "color_jpeg"):
        for level, methods in results[task].items():
            for name, means in methods.items():
                print(task, level, name, *(f"{k} {v:.3f}" for k, v in means.items()))


if __name__ == "__main__":
    main()
