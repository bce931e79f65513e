"""Let information cross window borders (chapter 5)."""

import torch

from .window_partition import window_partition


def cyclic_shift(x, shift):
    """Roll (B, H, W, C) up and left by `shift` pixels; a negative shift undoes it."""
    return torch.roll(x, shifts=(-shift, -shift), dims=(1, 2))


def attention_mask(height, width, window_size, shift, device=None):
    """Say which pixels may see each other in each window of a shifted image.

    After the cyclic shift the last `shift` rows and columns come from the opposite
    edge.  Two pixels of a window are neighbours in the image if both or neither came
    round, by rows and by columns.  Returns (nW, N, N) float32: 0 for neighbours, -100
    for others; ValueError for a shift outside 1..M-1.  Paper: section 3.2; chapter 5.
    """
    if not 0 < shift < window_size:
        raise ValueError(f"shift must lie in 1..{window_size - 1}, got {shift}")

    def came_round(length):
        return torch.arange(length, device=device) >= length - shift

    regions = 2 * came_round(height)[:, None] + came_round(width)[None, :]  # (H, W)
    regions = window_partition(regions[None, :, :, None], window_size)
    regions = regions.flatten(start_dim=1)  # (nW, N)
    return -100.0 * (regions[:, :, None] != regions[:, None, :]).float()
