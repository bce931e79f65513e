"""Which pixels of the input decide a pixel, and a detail, of the output (chapter 14).

Needs scikit-image, which the package itself does not.
"""

from itertools import pairwise

import numpy as np
import torch
from skimage.filters import gaussian


def effective_receptive_field(network, images, row, column):
    """Share of each input pixel in |d output / d input|: (B, C, H, W) -> (H, W).

    Luo et al., 2016.  The output is the block of pixels that belongs to the input
    pixel (row, column); gradients are averaged over images and channels.
    """
    images = images.clone().requires_grad_()
    output = network(images)
    scale = output.shape[2] // images.shape[2]
    rows, columns = (slice(scale * i, scale * (i + 1)) for i in (row, column))
    (gradient,) = torch.autograd.grad(output[:, :, rows, columns].sum(), images)
    field = gradient.abs().sum(1).mean(0)
    return field / field.sum()


def detail(output):
    """Sum of the absolute differences of neighbouring pixels: (1, C, a, b) -> ()."""
    return output.diff(dim=2).abs().sum() + output.diff(dim=3).abs().sum()


def blur_path(image, steps, sigma):
    """From blurred to sharp: (1, C, H, W) -> (steps + 1, C, H, W)."""
    pixels = image[0].permute(1, 2, 0).numpy()
    sigmas = np.linspace(sigma, 0, steps + 1)
    path = [gaussian(pixels, s, channel_axis=-1) if s else pixels for s in sigmas]
    return torch.tensor(np.stack(path), dtype=torch.float32).permute(0, 3, 1, 2)


def local_attribution_map(network, image, area, steps=10, sigma=1.2):
    """Each input value's part in the detail of an output area: (C, H, W).

    Gu and Dong, 2021.  `area` are the slices of the output, `sigma` is the blur from
    which the path to the image (1, C, H, W) starts, in pixels.
    """
    path = blur_path(image, steps, sigma)
    parts = torch.zeros_like(image[0])
    for start, end in pairwise(path):
        middle = ((start + end) / 2)[None].requires_grad_()
        (gradient,) = torch.autograd.grad(detail(network(middle)[area]), middle)
        parts += gradient[0] * (end - start)
    return parts


def diffusion_index(parts):
    """100 * (1 - Gini coefficient) of |parts|: (C, H, W) -> (), channels summed."""
    values = parts.abs().sum(0).flatten().sort().values
    n = len(values)
    rank = torch.arange(1, n + 1)
    return 100 * (1 - ((2 * rank - n - 1) * values).sum() / (n * values.sum()))
