"""A Swin Transformer layer on a CPU, strip by strip and in place (chapter 13).

Windows do not overlap, so a layer may finish some rows of windows before it
touches the next. What a strip needs then fits into the processor's cache, and
the memory of a layer does not grow with the image.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from .swin_transformer_layer import SwinTransformerLayer
from .window_masks import mask_patterns

TOKENS_PER_STRIP = 1024


def read_rows(x: Tensor, top: int, count: int) -> Tensor:
    """Rows of ``(B, H, W, C)``, going on at the top after the last."""
    wrapped = top + count - x.shape[1]
    if wrapped <= 0:
        return x[:, top : top + count]
    return torch.cat([x[:, top:], x[:, :wrapped]], dim=1)


def write_rows(x: Tensor, top: int, rows: Tensor) -> None:
    kept = min(rows.shape[1], x.shape[1] - top)
    x[:, top : top + kept] = rows[:, :kept]
    x[:, : rows.shape[1] - kept] = rows[:, kept:]


def attend(layer: SwinTransformerLayer, x: Tensor, bias: Tensor, last: bool) -> Tensor:
    """Masked attention of the windows ``(B, rows, columns, N, C)`` of a strip.

    Explicit, since with 10 channels a head the scores of a strip, which stay in
    cache, cost less than PyTorch's fused attention. Products with v are taken
    transposed: as wide as the window, where otherwise they would be as wide as a
    head, which the matrix library does at a third of the speed.
    """
    attention = layer.attn
    qkv = F.linear(x, attention.qkv.weight, attention.qkv.bias)
    qkv = qkv.unflatten(-1, (3, attention.num_heads, -1))
    q, k, v = qkv.flatten(0, 2).permute(2, 0, 3, 1, 4).flatten(1, 2)
    scores = bias.to(q.dtype).expand(*x.shape[:3], *bias.shape).contiguous()
    if layer.shift:
        _, beside, below, corner = mask_patterns(
            layer.window_size, layer.shift, x.device
        )
        above = scores[:, :-1] if last else scores
        above[:, :, -1] += beside
        if last:
            scores[:, -1, :-1] += below
            scores[:, -1, -1] += corner
    scores = scores.flatten(0, 3)
    # Onto bias and mask, without a pass of their own
    weights = scores.baddbmm_(q, k.transpose(1, 2), alpha=attention.scale).softmax(-1)
    mixed = torch.bmm(v.transpose(1, 2), weights.transpose(1, 2))
    mixed = mixed.view(*x.shape[:3], x.shape[-1], x.shape[-2]).transpose(3, 4)
    return F.linear(mixed, attention.proj.weight, attention.proj.bias)


def swin_layer_(x: Tensor, layer: SwinTransformerLayer, bias: Tensor) -> Tensor:
    """Apply a layer of chapter 6 to ``(B, H, W, C)`` in place; no gradients.

    ``bias`` is the relative position bias ``(h, N, N)``.
    """
    batch, height, width, channels = x.shape
    side, shift = layer.window_size, layer.shift
    rows = max(1, TOKENS_PER_STRIP // (batch * side * width))
    for top in range(0, height, rows * side):
        count = min(rows * side, height - top)
        strip = read_rows(x, top + shift, count)
        strip = strip.roll(-shift, dims=2) if shift else strip
        windows = strip.view(batch, count // side, side, width // side, side, channels)
        tokens = windows.transpose(2, 3).flatten(3, 4)
        normal = layer.norm1(tokens)
        tokens = tokens + attend(layer, normal, bias, last=top + count == height)
        tokens += layer.mlp(layer.norm2(tokens))
        windows = tokens.unflatten(3, (side, side)).transpose(2, 3)
        strip = windows.reshape(strip.shape)
        write_rows(x, top + shift, strip.roll(shift, dims=2) if shift else strip)
    return x
