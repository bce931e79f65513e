"""The masks of shifted windows, without building one for every window (chapter 13)."""

from functools import cache

import torch
from torch import Tensor

from .shifted_windows import attention_mask


@cache
def mask_patterns(window_size: int, shift: int, device: torch.device) -> Tensor:
    """The four masks that there are, ``(4, N, N)``, at any size of the image.

    Of windows inside, in the last column, in the last row, and in the corner.
    """
    side = 2 * window_size
    return attention_mask(side, side, window_size, shift, device)


def window_masks(height, width, window_size, shift, device) -> Tensor:
    """``attention_mask`` of chapter 5, put together from the patterns."""
    if torch.compiler.is_compiling():  # which computes it where it is added
        return attention_mask(height, width, window_size, shift, device)
    down, across = height // window_size, width // window_size
    last_down = torch.arange(down, device=device) == down - 1
    last_across = torch.arange(across, device=device) == across - 1
    pattern = 2 * last_down[:, None] + last_across[None, :]
    return mask_patterns(window_size, shift, device)[pattern.flatten()]
