"""The reconstruction head on (B, H, W, C), a few rows at a time (chapter 17).

Its tensors are the largest of a network: at x4 they have 16 times the pixels.
"""

import torch
from torch import Tensor, nn

CHANNELS = 64  # inside every head that enlarges features
LARGEST = 2**28  # bytes of one tensor, above which rows are taken in turn


def in_turn(head: nn.Sequential, x: Tensor) -> Tensor:
    """Pixels `(B, C, rH, rW)` of features `(B, H, W, C)`.

    Lets go of what each part was given, which the sequence itself keeps.
    """
    x = x.permute(0, 3, 1, 2)
    for part in head:
        x = part(x)
    return x


def in_strips(head: nn.Sequential, x: Tensor, scale: int) -> Tensor:
    """The same, in strips of rows if tensors would be large; no gradients.

    Each strip is computed with as many rows beyond it as the convolutions reach, of
    which none reaches further than a pixel of the features.
    """
    batch, height, width, _ = x.shape
    row = batch * width * scale**2 * CHANNELS * x.element_size()
    rows = max(1, LARGEST // row)
    if rows >= height:
        return in_turn(head, x)
    beyond = sum(isinstance(part, nn.Conv2d) for part in head)
    strips = []
    for top in range(0, height, rows):
        first = max(0, top - beyond)
        pixels = in_turn(head, x[:, first : top + rows + beyond])
        above = (top - first) * scale
        strips.append(pixels[:, :, above : above + rows * scale].clone())
    return torch.cat(strips, 2)
