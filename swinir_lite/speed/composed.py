"""A Swin Transformer layer of PyTorch's operations, on (B, H, W, C) (chapter 17).

The attention in it is explicit, PyTorch's scaled_dot_product_attention, or this
project's fused kernel.
"""

import functools
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .window_masks import window_masks

LayerWeights = tuple[tuple[Tensor, Tensor], ...]


def to_windows(qkv: Tensor, heads: int, window_size: int, shift: int) -> Tensor:
    """`(B, H, W, 3C)` -> q, k, v, each `(B, windows, h, N, d)`."""
    batch, height, width, triple = qkv.shape
    down, across = height // window_size, width // window_size
    head_dim = triple // 3 // heads
    if shift:
        qkv = torch.roll(qkv, (-shift, -shift), (1, 2))
    qkv = qkv.view(
        batch, down, window_size, across, window_size, 3, heads, head_dim
    ).permute(5, 0, 1, 3, 6, 2, 4, 7)
    return qkv.reshape(3, batch, down * across, heads, window_size**2, head_dim)


def from_windows(x: Tensor, height: int, width: int, shift: int) -> Tensor:
    """`(B, windows, h, N, d)` -> `(B, H, W, C)`."""
    batch, _, heads, tokens, head_dim = x.shape
    side = int(tokens**0.5)
    x = x.view(batch, height // side, width // side, heads, side, side, head_dim)
    x = x.permute(0, 1, 4, 2, 5, 3, 6)
    x = x.reshape(batch, height, width, heads * head_dim)
    return torch.roll(x, (shift, shift), (1, 2)) if shift else x


def reference_attention(
    qkv: Tensor, bias: Tensor, window_size: int, shift: int
) -> Tensor:
    """Explicit, as in chapters 4 and 5; arguments as of `window_attention`."""
    _, height, width, _ = qkv.shape
    q, k, v = to_windows(qkv, bias.shape[0], window_size, shift)
    scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5 + bias
    if shift:
        mask = window_masks(height, width, window_size, shift, qkv.device)
        scores = scores + mask[:, None]
    weights = scores.softmax(-1).to(v.dtype)
    return from_windows(weights @ v, height, width, shift)


def sdpa_attention(qkv: Tensor, bias: Tensor, window_size: int, shift: int) -> Tensor:
    """By scaled_dot_product_attention; arguments as of `window_attention`."""
    _, height, width, _ = qkv.shape
    q, k, v = to_windows(qkv, bias.shape[0], window_size, shift)
    # CUDA's fused kernels want a mask whose rows lie in order; the bias is permuted
    bias = bias.to(qkv.dtype).contiguous()[None, None]
    if shift:
        mask = window_masks(height, width, window_size, shift, qkv.device)
        bias = bias + mask[:, None].to(qkv.dtype)
    head_dim = q.shape[-1]
    if qkv.is_cuda and head_dim % 8:
        # ... heads of a multiple of 8 channels
        q, k, v = (F.pad(t, (0, -head_dim % 8)) for t in (q, k, v))
    bias = bias.expand(*q.shape[:3], *bias.shape[-2:])
    # ... and four axes
    flat = (t.flatten(0, 1) for t in (q, k, v, bias))
    out = F.scaled_dot_product_attention(*flat, scale=head_dim**-0.5)
    out = out.unflatten(0, q.shape[:2])[..., :head_dim]
    return from_windows(out, height, width, shift)


def window_attention(
    qkv: Tensor, bias: Tensor, window_size: int, shift: int, backend: str
) -> Tensor:
    """Shifted-window attention by the named backend.

    `qkv` is `(B, H, W, 3C)`, H and W multiples of `window_size`; `bias` the relative
    position bias, `(h, N, N)`. Returns `(B, H, W, C)`.
    """
    if backend == "triton":
        from .kernels.attention import triton_window_attention

        return triton_window_attention(qkv, bias, window_size, shift)
    explicit = {"reference": reference_attention, "sdpa": sdpa_attention}
    return explicit[backend](qkv, bias, window_size, shift)


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor, backend: str) -> Tensor:
    """Over the last axis: beside the fused attention by a kernel of its own.

    On CUDA it takes a tenth of the time of PyTorch's, whose blocks of threads are wide
    for such rows, and writes what autocast would convert to. A compiler fuses its own.
    """
    if backend != "triton" or torch.compiler.is_compiling():
        return F.layer_norm(x, x.shape[-1:], weight, bias)
    from .kernels.norm import triton_layer_norm

    device = x.device.type
    autocast = torch.is_autocast_enabled(device)
    dtype = torch.get_autocast_dtype(device) if autocast else x.dtype
    return triton_layer_norm(x, weight, bias, dtype)


def swin_layer(
    x: Tensor,
    bias: Tensor,
    weights: LayerWeights,
    window_size: int,
    shift: int,
    backend: str,
) -> Tensor:
    """One Swin Transformer layer on `(B, H, W, C)` as a function of tensors.

    `weights` are those of `layer_weights`, the rest as in `window_attention`.
    """
    norm1, qkv, proj, norm2, fc1, fc2 = weights
    h = F.linear(layer_norm(x, *norm1, backend), *qkv)
    h = window_attention(h, bias, window_size, shift, backend)
    x = x + F.linear(h, *proj)
    h = F.linear(layer_norm(x, *norm2, backend), *fc1)
    return x + F.linear(F.gelu(h), *fc2)


@functools.cache
def compiled_layer() -> Callable[..., Tensor]:
    """`swin_layer` under `torch.compile`: once for all layers, weights and sizes.

    More often only where the shape of the code differs: with and without a shift.
    """
    return torch.compile(swin_layer, dynamic=True)


def pair(module: nn.Module) -> tuple[Tensor, Tensor]:
    return module.weight, module.bias


def layer_weights(layer: nn.Module) -> LayerWeights:
    """Weight and bias of the norms and linear layers of a layer of chapter 6."""
    return (
        pair(layer.norm1), pair(layer.attn.qkv), pair(layer.attn.proj),
        pair(layer.norm2), pair(layer.mlp.fc1), pair(layer.mlp.fc2),
    )  # fmt: skip
