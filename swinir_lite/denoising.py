"""Noise as the papers add it (chapter 11).

It comes twice: on one uint8 image by the official protocol, to test on, and on a
batch of float tensors (B, C, H, W) in [0, 1] on any device, to train on.
"""

import math
from functools import cache

import numpy as np
import torch

from .image_restoration import to_tensor


def add_gaussian_noise(image, *, sigma):
    """Add the noise of the official denoising protocol to one image.

    Args:
        image: uint8, (H, W) or (H, W, 3) RGB.
        sigma: standard deviation on the scale 0..255; the paper uses 15, 25, 50.

    Returns:
        A float tensor (1, C, H, W), around [0, 1] and not clipped, the same at
        every call: the seed is 0 for each image, and colour noise is drawn in
        the order (H, W, BGR), as by the official code.

    Section 4.4 of the SwinIR paper; built in chapter 11.
    """
    if not sigma >= 0:
        raise ValueError(f"sigma must be at least 0, got {sigma}")
    noise = np.random.RandomState(0).normal(0, sigma / 255, image.shape)
    if noise.ndim == 3:
        noise = noise[..., ::-1]  # BGR to RGB
    noise = torch.from_numpy(noise.reshape(*image.shape[:2], -1).copy())
    return (to_tensor(image) + noise.permute(2, 0, 1)).float()


def span(value):
    """Read a number, or a pair (low, high), as a pair."""
    low, high = value if isinstance(value, (list, tuple)) else (value, value)
    if not low <= high:
        raise ValueError(f"expected a number or (low, high), got {value}")
    return low, high


def uniform(batch, low, high, generator):
    """A random number in [low, high) for every image: (B, 1, 1, 1) on its device."""
    shape = (len(batch), 1, 1, 1)
    number = torch.rand(shape, generator=generator, device=batch.device)
    return low + (high - low) * number


def gaussian_noise(hq, generator, *, sigma):
    """Add Gaussian noise to a batch (B, C, H, W) in [0, 1]; not clipped.

    Args:
        hq: the clean images, on any device.
        generator: a torch.Generator on the same device.
        sigma: standard deviation on the scale 0..255, or (low, high): then
            every image draws its own.

    Built in chapter 11.
    """
    low, high = span(sigma)
    if not low >= 0:
        raise ValueError(f"sigma must be at least 0, got {sigma}")
    level = uniform(hq, low, high, generator) / 255
    noise = torch.randn(hq.shape, generator=generator, device=hq.device)
    return hq + level * noise


@cache
def dct_matrix(size=8, device=None):
    """The orthonormal discrete cosine transform: row k is the k-th frequency."""
    n = torch.arange(size, dtype=torch.float64)
    matrix = torch.cos(math.pi / size * (n + 0.5) * n[:, None]) * (2 / size) ** 0.5
    matrix[0] /= 2**0.5
    return matrix.float().to(device)
