"""Let information cross window borders (chapter 5)."""

import torch

from .window_partition import window_partition


def cyclic_shift(x, shift):
    """Roll (B, H, W, C) up and left by `shift` pixels; a negative shift undoes it."""
    return torch.roll(x, shifts=(-shift, -shift), dims=(1, 2))


def attention_mask(height, width, window_size, shift, device=None):
    """Say which pixels may see each other in each window of a shifted image.

    After the cyclic shift the last row and column of windows hold pixels from
    opposite sides of the image.  Rows fall into three bands (untouched, moved
    within the last windows, wrapped around), columns likewise; only pixels of
    the same bands are true neighbours.  Returns (nW, N, N) float32: 0 among
    those, -100 across.  Paper: section 3.2; chapter 5.
    """
    if not 0 < shift < window_size:
        raise ValueError(f"shift must lie in 1..{window_size - 1}, got {shift}")

    def bands(length):
        position = torch.arange(length, device=device)
        return (position >= length - window_size).int() + (position >= length - shift)

    regions = 3 * bands(height)[:, None] + bands(width)[None, :]
    regions = window_partition(regions[None, :, :, None], window_size)
    regions = regions.flatten(start_dim=1)  # (nW, N)
    return -100.0 * (regions[:, :, None] != regions[:, None, :]).float()
