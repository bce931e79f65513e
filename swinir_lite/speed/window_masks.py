"""The masks of shifted windows, without building one for every window (chapter 15)."""

from functools import cache

import torch
from torch import Tensor

from ..shifted_windows import attention_mask


@cache
@torch.inference_mode(False)  # kept, so the next call may be one with gradients
def mask_patterns(window_size: int, shift: int, device: torch.device) -> Tensor:
    """The four masks that there are, `(4, N, N)`, at any size of the image.

    Of windows inside, in the last column, in the last row, and in the corner.
    """
    side = 2 * window_size
    return attention_mask(side, side, window_size, shift, device)


def window_patterns(down: int, across: int, device: torch.device) -> Tensor:
    """Which of the four masks each window needs: `(down, across)` integers."""
    last_down = torch.arange(down, device=device) == down - 1
    last_across = torch.arange(across, device=device) == across - 1
    return 2 * last_down[:, None] + last_across[None, :]


def window_masks(
    height: int, width: int, window_size: int, shift: int, device: torch.device
) -> Tensor:
    """`attention_mask` of chapter 5, put together from the patterns."""
    if torch.compiler.is_compiling():  # which computes it where it is added
        return attention_mask(height, width, window_size, shift, device)
    pattern = window_patterns(height // window_size, width // window_size, device)
    return mask_patterns(window_size, shift, device)[pattern.flatten()]
