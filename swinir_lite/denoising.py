"""Noise as the papers add it, and BM3D, which takes it away (chapter 11).

Noise comes twice: on one uint8 image by the official protocol, to test on, and on a
batch of float tensors (B, C, H, W) in [0, 1] on any device, to train on.
"""

import math
from functools import cache
from itertools import product

import numpy as np
import torch
import torch.nn.functional as F

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


def haar_matrix(size):
    """Orthonormal Haar wavelets of `size` numbers, a power of two: (size, size)."""
    rows = torch.ones(1, 1)
    while len(rows) < size:
        coarse = torch.kron(rows, torch.tensor([1.0, 1.0]))
        fine = torch.kron(torch.eye(len(rows)), torch.tensor([1.0, -1.0]))
        rows = torch.cat([coarse, fine]) / 2**0.5
    return rows


def similar_blocks(image, count, step=4, reach=16):
    """Places of the 8x8 blocks most like every block of a grid, itself first.

    Args:
        image: (H, W); a block has the place of its corner, row * (W - 7) + column.
        count: how many blocks make a group.
        step: pixels from one block of the grid to the next.
        reach: how many pixels away blocks are looked for.

    Returns:
        (count, R) places for R blocks of the grid.
    """
    height, width = image.shape
    wide = F.pad(image, (reach,) * 4, value=math.inf)
    moves = list(product(range(2 * reach + 1), repeat=2))
    distances = torch.cat([
        F.avg_pool2d((wide[y : y + height, x : x + width] - image)[None] ** 2, 8, step)
        for y, x in moves
    ])  # fmt: skip
    distances[len(moves) // 2] = -1  # a block comes first even among its equals
    nearest = distances.topk(count, 0, largest=False).indices  # (count, rows, columns)
    y, x = torch.tensor(moves).T - reach
    rows = step * torch.arange(distances.shape[1])[:, None] + y[nearest]
    columns = step * torch.arange(distances.shape[2]) + x[nearest]
    return (rows * (width - 7) + columns).flatten(1)


def transform_groups(groups, rows, inverse=False):
    """Spectra of groups (C, 64, count, R): `rows` within a block, Haar across."""
    block = torch.kron(rows, rows)  # columns and rows of a block at once: (64, 64)
    across = haar_matrix(groups.shape[2])
    if inverse:
        block, across = block.T, across.T
    return torch.einsum("ij,cjnr,mn->cimr", block, groups, across)


def filter_groups(noisy, places, sigma, basic=None):
    """Filter every group, and average the blocks where they overlap.

    Args:
        noisy: (C, H, W).
        places: (count, R), from `similar_blocks`.
        sigma: standard deviation of the noise, on the scale of `noisy`.
        basic: a first estimate (C, H, W), or None. Without it small coefficients are
            dropped; with it each shrinks as its energy in the estimate says.
    """

    height, width = noisy.shape[1:]
    rows = haar_matrix(8) if basic is None else dct_matrix(8)

    def spectra(image):
        return transform_groups(F.unfold(image[:, None], 8)[:, :, places], rows)

    def overlap(blocks):
        sums = torch.zeros(len(noisy), 64, (height - 7) * (width - 7))
        sums.index_add_(2, places.flatten(), blocks.flatten(2))
        return F.fold(sums, (height, width), 8)[:, 0]

    spectrum = spectra(noisy)
    if basic is None:
        keep = (spectrum.abs() > 2.7 * sigma).float()
    else:
        energy = spectra(basic) ** 2
        keep = energy / (energy + sigma**2)
    blocks = transform_groups(keep * spectrum, rows, inverse=True)
    trust = 1 / keep.square().sum((1, 2), keepdim=True).clamp(min=1)
    return overlap(trust * blocks) / overlap(trust.expand_as(blocks))


def bm3d(noisy, *, sigma):
    """Remove Gaussian noise as BM3D does, without learning.

    Args:
        noisy: (1, C, H, W) around [0, 1], 1 or 3 channels, at least 8x8.
        sigma: standard deviation of the noise on the scale 0..255, above 0.

    Returns:
        (1, C, H, W).

    The method of Dabov et al. (2007) with Haar wavelets in the first pass and
    cosines in the second, and groups of 16 and 32 blocks.  Colours are filtered as
    brightness and two differences, in groups found by the brightness.  Built in
    chapter 11.
    """
    if not sigma > 0:
        raise ValueError(f"sigma must be above 0, got {sigma}")
    if noisy.shape[0] != 1 or noisy.shape[1] not in (1, 3) or min(noisy.shape[2:]) < 8:
        shape = tuple(noisy.shape)
        raise ValueError(f"expected (1, 1 or 3, H, W), at least 8x8, got {shape}")
    height, width = noisy.shape[2:]
    rows = torch.tensor([[1.0, 1, 1], [1, 0, -1], [1, -2, 1]])  # brightness first
    colours = F.normalize(rows[: noisy.shape[1], : noisy.shape[1]])
    image = F.pad(noisy, (0, -width % 4, 0, -height % 4), mode="replicate")[0]
    image = torch.einsum("ij,jhw->ihw", colours, image)
    basic = filter_groups(image, similar_blocks(image[0], 16), sigma / 255)
    places = similar_blocks(basic[0], 32)
    image = filter_groups(image, places, sigma / 255, basic)
    return torch.einsum("ji,jhw->ihw", colours, image)[None, :, :height, :width]
