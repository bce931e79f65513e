"""Weights of a Swin Transformer layer as the inference kernels read them (chapter 16).

Padded to the sides of tiles, with what can be computed beforehand multiplied in.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
import triton
from torch import Tensor, nn

from ..limits import CHUNK
from .chunks import chunks
from .training_layer import fold_norm


def _pad(matrix: Tensor, rows: int = CHUNK) -> Tensor:
    """Zeros up to a multiple of rows, and of columns to whole chunks."""
    height, width = matrix.shape[-2:]
    return F.pad(matrix, (0, -width % CHUNK, 0, -height % rows))


def _tile(size: int) -> int:
    """Side of the tile that holds it."""
    return max(16, triton.next_power_of_2(size))


def _with_bias(weight: Tensor, bias: Tensor) -> Tensor:
    """The factor of the spare channel, which is one, is the bias."""
    return torch.cat([weight, bias[:, None]], dim=1)


class InferenceWeights(NamedTuple):
    """Weights of one layer as the kernels read them."""

    qkv: Tensor  # (h, 4, d', C'): C' channels are whole chunks, d' a power of two
    qkv_bias: Tensor  # (h, 4, d'), float32; the fourth is zero
    position_bias: Tensor  # (h, N', N'), float32, -inf at keys that pad
    proj: Tensor  # (C', C')
    fc1: Tensor  # (hidden', C')
    fc2: Tensor  # (C', hidden')
    hidden: int  # channels inside the MLP, without padding
    stored: int  # mixed channels a head, with padding or without
    spare: int  # mixed channel that stands for the bias
    scale: float  # what features are multiplied by


def _pack_projection(layer: nn.Module) -> tuple[Tensor, Tensor]:
    """Weight and bias of LayerNorm and qkv, head by head; q is scaled for scores."""
    linear, heads = layer.attn.qkv, layer.attn.num_heads
    weight, bias = fold_norm(linear.weight, linear.bias, *layer.norm1.parameters())
    weight = weight - weight.mean(1, keepdim=True)  # takes off a token's mean
    weight = weight.unflatten(0, (3, heads, -1)).transpose(0, 1)
    bias = bias.unflatten(0, (3, heads, -1)).transpose(0, 1)
    scale = torch.ones_like(bias)
    scale[:, 0] = layer.attn.scale * math.log2(math.e)
    weight, bias = weight * scale[..., None], bias * scale
    head_dim = _tile(bias.shape[-1])
    weight = F.pad(_pad(weight, head_dim), (0, 0, 0, 0, 0, 1))
    return weight, F.pad(bias, (0, head_dim - bias.shape[-1], 0, 1))


def _pack_position_bias(bias: Tensor) -> Tensor:
    """`(h, N, N)` in powers of two, padded to the tile of the scores."""
    tokens = bias.shape[-1]
    spare = _tile(tokens) - tokens
    bias = F.pad(bias.float() * math.log2(math.e), (0, spare), value=-math.inf)
    return F.pad(bias, (0, 0, 0, spare)).contiguous()


def _pack_mixing(layer: nn.Module, scale: float) -> tuple[Tensor, int, int]:
    """Weight and bias of the projection, for mixed values as they are stored.

    Heads of 30 channels are stored as 32 where that needs no more chunks: writes
    are then whole sectors of memory. Returns the weight, the channels stored a
    head, and the spare channel that holds the bias.
    """
    proj, heads = layer.attn.proj, layer.attn.num_heads
    weight = scale * proj.weight.unflatten(1, (heads, -1))
    head_dim = weight.shape[-1]
    padded = _tile(head_dim)
    stored = padded if heads * padded <= chunks(proj.in_features) * CHUNK else head_dim
    spare = head_dim if stored > head_dim else proj.in_features
    weight = F.pad(weight, (0, stored - head_dim)).flatten(1)
    weight = _pad(weight)
    weight[: len(proj.bias), spare] = scale * proj.bias
    return weight, stored, spare


def pack_for_inference(
    layer: nn.Module, dtype: torch.dtype, scale: float = 1.0
) -> InferenceWeights:
    """Weights of a Swin Transformer layer of chapter 6, in `dtype`.

    `scale` is what features are multiplied by, and with them all that is added to them.
    """
    attention, mlp = layer.attn, layer.mlp
    qkv, qkv_bias = _pack_projection(layer)
    proj, stored, spare = _pack_mixing(layer, scale)
    fc1 = fold_norm(mlp.fc1.weight, mlp.fc1.bias, *layer.norm2.parameters())
    fc1 = _pad(_with_bias(*fc1))
    fc2 = _pad(scale * _with_bias(mlp.fc2.weight, mlp.fc2.bias))
    position_bias = _pack_position_bias(attention.relative_position_bias())
    return InferenceWeights(
        qkv.to(dtype).contiguous(), qkv_bias.float().contiguous(), position_bias,
        proj.to(dtype), fc1.to(dtype), fc2.to(dtype),
        mlp.fc1.out_features, stored, spare, scale,
    )  # fmt: skip
