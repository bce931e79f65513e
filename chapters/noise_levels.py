"""A photograph under noise of any level, for chapter 11's figure.

The figure computes in the reader's browser: it adds `noise` at the chosen level and
runs non-local means (Buades et al., 2005) and the network there. What Python finds for
a few levels stands beside it, to compare with.
"""

from typing import Any

import figure_data
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from swinir_lite import psnr, to_image

SPREAD = 32  # levels of the noise's picture that are one standard deviation
START = 50  # the level that the figure shows first
PATCH, REACH = 2, 6  # pixels from the middle of a patch, of the search, to its rim
STRENGTHS = 0.35, 0.45, 0.6, 0.75, 0.9, 1.1, 1.4, 1.8  # in units of sigma


def draw_noise(height: int, width: int) -> NDArray[np.uint8]:
    """White noise of deviation 1 as levels around 128, SPREAD of them to the unit."""
    values = np.random.RandomState(0).normal(128, SPREAD, (height, width, 3))
    return values.round().clip(0, 255).astype(np.uint8)


def non_local_means(noisy: NDArray, sigma: float, strength: float) -> NDArray:
    """Average (H, W, 3) over pixels whose surroundings look alike.

    `sigma` in units of the image; `strength` in units of sigma says how alike.
    """
    height, width = noisy.shape[:2]
    rim, side = PATCH + REACH, 2 * PATCH + 1
    padded = np.pad(noisy, ((rim, rim), (rim, rim), (0, 0)), mode="reflect")
    rows, columns = height + 2 * PATCH, width + 2 * PATCH

    def moved(down: int, right: int) -> NDArray:
        top, left = REACH + down, REACH + right
        return padded[top : top + rows, left : left + columns]

    inside = slice(PATCH, -PATCH)
    total, weights = np.zeros_like(noisy), np.zeros((height, width, 1))
    for down in range(-REACH, REACH + 1):
        for right in range(-REACH, REACH + 1):
            other = moved(down, right)
            squares = ((moved(0, 0) - other) ** 2).mean(axis=2) - 2 * sigma**2
            sums = np.pad(squares.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
            of_patch = sums[side:, side:] - sums[:-side, side:]
            of_patch += sums[:-side, :-side] - sums[side:, :-side]
            distance = np.maximum(of_patch / side**2, 0) / (strength * sigma) ** 2
            weight = np.exp(-distance)[..., None]
            weights += weight
            total += weight * other[inside, inside]
    return total / weights


def numbers(
    network: nn.Module, photo: NDArray[np.uint8], sigmas: list[int]
) -> dict[str, Any]:
    """What the figure needs, for a photograph (H, W, 3) and levels on 0..255."""
    noise = draw_noise(*photo.shape[:2])
    levels = [
        level_of(network, photo, (noise - 128.0) / SPREAD, sigma) for sigma in sigmas
    ]
    pictures = {"photo": photo, "noise": noise}
    pictures = {name: figure_data.picture(one) for name, one in pictures.items()}
    about = {"height": photo.shape[0], "width": photo.shape[1], "sigma": START}
    about |= {"spread": SPREAD, "patch": PATCH, "reach": REACH, "levels": levels}
    return {**about, **pictures}


def level_of(
    network: nn.Module, photo: NDArray[np.uint8], noise: NDArray, sigma: int
) -> dict[str, float]:
    """PSNR in dB with noise of one level, and without it by both ways."""
    noisy = photo / 255 + sigma / 255 * noise
    found = {
        strength: score(non_local_means(noisy, sigma / 255, strength), photo)
        for strength in STRENGTHS
    }
    strength = max(found, key=found.get)
    given = torch.from_numpy(noisy).permute(2, 0, 1)[None].float()
    with torch.no_grad():
        restored = network(given)
    scores = {"noisy": score(noisy, photo), "classical": found[strength]}
    scores["network"] = psnr(to_image(restored), photo)
    return {"sigma": sigma, "strength": strength, **scores}


def score(image: NDArray, photo: NDArray[np.uint8]) -> float:
    """PSNR in dB of an image (H, W, 3) in [0, 1], rounded to 8 bits."""
    return psnr((255 * image.clip(0, 1)).round().astype(np.uint8), photo)
