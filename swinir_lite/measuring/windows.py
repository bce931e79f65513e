"""What windows leave in a picture, and how far a pixel's influence reaches.

Derived in chapters 3 and 5.
"""

from collections.abc import Callable

import torch
from torch import Tensor


def seam(image: Tensor, window_size: int, offset: int = 0) -> float:
    """Mean step across the borders of windows over that elsewhere: (B, H, W, C).

    About 1 in a photograph, more where the windows show. `offset` is where a grid
    that was moved has its first border.
    """
    across = elsewhere = 0
    for axis in (1, 2):
        step = image.diff(dim=axis).abs().transpose(1, axis).mean(dim=(0, 2, 3))
        border = (torch.arange(len(step)) + 1 - offset) % window_size == 0
        across = across + step[border].mean()
        elsewhere = elsewhere + step[~border].mean()
    return (across / elsewhere).item()


@torch.no_grad()
def influence(
    network: Callable[[Tensor], Tensor], x: Tensor, row: int, column: int
) -> Tensor:
    """How far each output pixel moves when one input pixel does: (H, W).

    `network` takes features (B, H, W, C); the change is 1 in the first channel of
    pixel (row, column), and the answer is that of the first image.
    """
    changed = x.clone()
    changed[:, row, column, 0] += 1
    return (network(changed) - network(x)).norm(dim=-1)[0]
