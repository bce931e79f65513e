"""Multi-head self-attention inside a window (chapter 4)."""

import torch
from einops import rearrange
from torch import nn


def relative_position_index(window_size):
    """Which row of the bias table each pair of pixels in a window uses.

    Returns (N, N) integers, N = M * M: pixels i and j that lie (rows, columns)
    apart share the row (rows + M - 1) * (2M - 1) + (columns + M - 1).  Chapter 4.
    """
    side = torch.arange(window_size)
    positions = torch.cartesian_prod(side, side)  # (N, 2): row and column of a pixel
    offset = positions[:, None] - positions[None, :]  # (N, N, 2), from 1-M to M-1
    rows, columns = (offset + window_size - 1).unbind(-1)
    return rows * (2 * window_size - 1) + columns


class WindowAttention(nn.Module):
    """softmax(Q K^T / sqrt(d) + B) V in every window, for each of h heads.

    `dim` is the number of channels C, of which each head gets d = C / h.
    Paper: section 3.2; chapter 4, and chapter 5 for the mask.
    """

    def __init__(self, dim, window_size, num_heads):
        super().__init__()
        if num_heads < 1 or dim % num_heads:
            raise ValueError(f"num_heads {num_heads} does not divide dim {dim}")
        self.num_heads = num_heads
        self.scale = (dim // num_heads) ** -0.5
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        table = torch.zeros((2 * window_size - 1) ** 2, num_heads)
        self.relative_position_bias_table = nn.Parameter(table)
        index = relative_position_index(window_size)
        self.register_buffer("relative_position_index", index, persistent=False)
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)

    def relative_position_bias(self):
        """Look the bias of every pair up in the table: (h, N, N)."""
        bias = self.relative_position_bias_table[self.relative_position_index]
        return rearrange(bias, "i j h -> h i j")

    def forward(self, x, mask=None):
        """Attend within each window: (B * nW, N, C) -> the same.

        `mask` (nW, N, N) is added to the scores: 0 where two pixels may see
        each other, -100 where not.  Without it all may.
        """
        q, k, v = rearrange(
            self.qkv(x), "b n (qkv h d) -> qkv b h n d", qkv=3, h=self.num_heads
        )
        scores = self.scale * q @ k.transpose(-2, -1)  # (B * nW, h, N, N)
        scores = scores + self.relative_position_bias()
        if mask is not None:
            # one mask for each window of an image, the same for every image
            scores = rearrange(scores, "(b w) h i j -> b w h i j", w=mask.shape[0])
            scores = rearrange(scores + mask[:, None], "b w h i j -> (b w) h i j")
        weights = scores.softmax(dim=-1)
        return self.proj(rearrange(weights @ v, "b h n d -> b n (h d)"))
