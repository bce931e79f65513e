"""A Swin Transformer layer on a CPU, strip by strip and in place (chapter 13).

Windows do not overlap, so a layer may finish some rows of windows before it
touches the next. What a strip needs then fits into the processor's cache, and
the memory of a layer does not grow with the image.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from .shifted_windows import attention_mask
from .swin_transformer_layer import SwinTransformerLayer

TOKENS_PER_STRIP = 4096


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

    First as if no window needed a mask, then those that do once more: the last
    column and, in the last strip, the last row. Cheaper than a mask for each.
    """
    attention = layer.attn
    heads, head_dim = attention.num_heads, x.shape[-1] // attention.num_heads
    qkv = F.linear(x, attention.qkv.weight, attention.qkv.bias)
    qkv = qkv.unflatten(-1, (3, heads, head_dim))

    def mix(windows, mask):
        q, k, v = windows.flatten(0, 2).permute(2, 0, 3, 1, 4)
        mask = (bias + mask).expand(q.shape[0], -1, -1, -1)
        mixed = F.scaled_dot_product_attention(q, k, v, mask, scale=attention.scale)
        return mixed.transpose(1, 2).reshape(*windows.shape[:4], x.shape[-1])

    mixed = mix(qkv, torch.zeros((), dtype=bias.dtype))
    if layer.shift:
        side = 2 * layer.window_size
        masks = attention_mask(side, side, layer.window_size, layer.shift)
        _, beside, below, corner = masks.to(bias.dtype)
        mixed[:, :, -1:] = mix(qkv[:, :, -1:], beside)
        if last:
            mixed[:, -1:] = mix(qkv[:, -1:], below)
            mixed[:, -1:, -1:] = mix(qkv[:, -1:, -1:], corner)
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
        strip = read_rows(x, top + shift, count).roll(-shift, dims=2)
        windows = strip.view(batch, count // side, side, width // side, side, channels)
        tokens = windows.transpose(2, 3).flatten(3, 4)
        normal = layer.norm1(tokens)
        tokens = tokens + attend(layer, normal, bias, last=top + count == height)
        tokens += layer.mlp(layer.norm2(tokens))
        windows = tokens.unflatten(3, (side, side)).transpose(2, 3)
        write_rows(x, top + shift, windows.reshape(strip.shape).roll(shift, dims=2))
    return x
