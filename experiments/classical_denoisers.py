"""Denoisers that learn nothing: python -m experiments.classical_denoisers --help

Measures total variation, wavelets, non-local means and BM3D on a test set, each at the
strength that suits each image best. What it writes is committed; chapter 11 reads it.
"""

import argparse
import json
import statistics
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import torch
from skimage.restoration import (
    denoise_nl_means,
    denoise_tv_chambolle,
    denoise_wavelet,
)
from torch import Tensor

from swinir_lite import psnr, ssim, to_image
from swinir_lite.denoising import add_gaussian_noise, bm3d
from swinir_lite.image_files import find_images, read_image
from swinir_lite.standard_json import to_json
from swinir_lite.whole_files import whole_file

SIGMAS = (15, 25, 50)


def on_arrays(function: Callable[..., np.ndarray], noisy: Tensor, **options) -> Tensor:
    """Apply a function of scikit-image to (1, C, H, W)."""
    pixels = noisy[0].permute(1, 2, 0).numpy()
    result = function(pixels, channel_axis=-1, **options).reshape(pixels.shape)
    return torch.from_numpy(result).permute(2, 0, 1)[None].float()


def total_variation(noisy: Tensor, sigma: float, strength: float) -> Tensor:
    return on_arrays(denoise_tv_chambolle, noisy, weight=strength * sigma / 255)


def wavelets(noisy: Tensor, sigma: float, strength: float) -> Tensor:
    options = {"sigma": strength * sigma / 255, "rescale_sigma": True}
    return on_arrays(denoise_wavelet, noisy, **options)


def non_local_means(noisy: Tensor, sigma: float, strength: float) -> Tensor:
    """With larger patches, from further away, where the noise is strong."""
    size, distance = (5, 6) if sigma < 35 else (7, 11)
    options = {"patch_size": size, "patch_distance": distance, "sigma": sigma / 255}
    return on_arrays(denoise_nl_means, noisy, h=strength * sigma / 255, **options)


def block_matching(noisy: Tensor, sigma: float, strength: float) -> Tensor:
    return bm3d(noisy, sigma=strength * sigma)


# name: (denoiser, its usual strength in tenths of sigma)
METHODS = {
    "total variation": (total_variation, 7),
    "wavelets": (wavelets, 10),
    "non-local means": (non_local_means, 7),
    "BM3D": (block_matching, 10),
}


def best_of(
    method: str, noisy: Tensor, clean: np.ndarray, sigma: float
) -> tuple[np.ndarray, float]:
    """The uint8 result nearest to the clean image, and the strength that gave it.

    Climbs from the usual strength in steps of a tenth of sigma, so that a tenth more
    and a tenth less are both worse, wherever the best one lies.
    """
    function, usual = METHODS[method]

    @cache
    def result(tenths: int) -> tuple[float, np.ndarray]:
        restored = to_image(function(noisy, sigma, tenths / 10))
        return psnr(restored, clean), restored

    best = usual
    for step in (1, -1):
        while best + step > 0 and result(best + step)[0] > result(best)[0]:
            best += step
    return result(best)[1], best / 10


def measure(method: str, images: dict[str, np.ndarray], sigma: int) -> dict:
    """Mean scores over images, and the strength that was best for each."""
    scores, strengths = [], {}
    for name, clean in images.items():
        noisy = add_gaussian_noise(clean, sigma=sigma)
        restored, strengths[name] = best_of(method, noisy, clean, sigma)
        scores.append((psnr(restored, clean), ssim(restored, clean)))
    means = (statistics.fmean(values) for values in zip(*scores))
    return {**dict(zip(("psnr", "ssim"), means)), "strengths": strengths}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m experiments.classical_denoisers")
    parser.add_argument(
        "--set12", default="data/testsets/Set12", help="or other gray images"
    )
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--sigmas", nargs="+", type=int, default=SIGMAS)
    parser.add_argument("--out", type=Path, default="results/classical_denoisers.json")
    args = parser.parse_args(arguments)
    images = {
        path.stem: read_image(path, channels=1) for path in find_images(args.set12)
    }
    results = json.loads(args.out.read_text()) if args.out.exists() else {}
    for method in args.methods:
        for sigma in args.sigmas:
            found = measure(method, images, sigma)
            results.setdefault(method, {})[str(sigma)] = found
            print(method, sigma, f"{found['psnr']:.2f} dB", found["strengths"])
            with whole_file(args.out) as partial:
                partial.write_text(to_json(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
