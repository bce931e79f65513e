"""Inference of Swin Transformer layers of up to 191 channels (chapter 13).

The cut into head, attention and tail is that of ``triton_layer.py``. The weights
of 180 channels do not fit on chip, so a program keeps its tokens there, in
chunks of 64 channels, and streams the weights past them. Weights are packed as
there, padded to whole chunks, in the type of the matrix products.

Features are stored with their channels padded by zeros to a multiple of 8,
which convolutions want, so no kernel between two layers moves them.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
import triton
import triton.language as tl
from torch import Tensor

from .swin_transformer_layer import SwinTransformerLayer
from .triton_attention import run_forward
from .triton_layer import fold_norm, gaussian, with_one

CHUNK = 64
MAX_CHANNELS = 3 * CHUNK - 1


@triton.jit
def load_chunks(x, first, tokens, STRIDE: tl.constexpr, CHUNKS: tl.constexpr,
                TILE: tl.constexpr):  # fmt: skip
    token = tl.arange(0, TILE)[:, None]
    start = x + tl.cast(first, tl.int64) * STRIDE
    chunks = ()
    for k in tl.static_range(CHUNKS):
        channel = k * 64 + tl.arange(0, 64)[None, :]
        inside = (first + token < tokens) & (channel < STRIDE)
        chunk = tl.load(start + token * STRIDE + channel, mask=inside, other=0.0)
        chunks = chunks + (chunk,)
    return chunks


@triton.jit
def normalize_chunks(chunks, C: tl.constexpr, CHUNKS: tl.constexpr, element):
    """LayerNorm without weight and bias, and a one in the spare channel."""
    total = tl.sum(chunks[0], 1)
    for k in tl.static_range(1, CHUNKS):
        total += tl.sum(chunks[k], 1)
    mean = (total / C)[:, None]
    square = tl.zeros_like(total)
    for k in tl.static_range(CHUNKS):
        channel = k * 64 + tl.arange(0, 64)[None, :]
        centred = tl.where(channel < C, chunks[k] - mean, 0.0)
        square += tl.sum(centred * centred, 1)
    inverse = tl.rsqrt(square / C + 1e-5)[:, None]
    normal = ()
    for k in tl.static_range(CHUNKS):
        chunk = ((chunks[k] - mean) * inverse).to(element)
        normal = normal + (with_one(chunk, C - k * 64, 64),)
    return normal


@triton.jit
def load_weight(weight, STRIDE: tl.constexpr):
    """A transposed 64 x 64 block of a row-major matrix."""
    row = tl.arange(0, 64)[None, :]
    column = tl.arange(0, 64)[:, None]
    return tl.load(weight + row * STRIDE + column)


@triton.jit
def head_kernel(
    x, weight, qkv, tokens,
    C: tl.constexpr, STRIDE: tl.constexpr, CHUNKS: tl.constexpr,
    TILE: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    element: tl.constexpr = qkv.dtype.element_ty
    WIDTH: tl.constexpr = CHUNKS * 64
    first = tl.program_id(0) * TILE
    values = load_chunks(x, first, tokens, STRIDE, CHUNKS, TILE)
    floats = ()
    for k in tl.static_range(CHUNKS):
        floats = floats + (values[k].to(tl.float32),)
    normal = normalize_chunks(floats, C, CHUNKS, element)
    token = tl.arange(0, TILE)[:, None]
    start = qkv + tl.cast(first, tl.int64) * (3 * C)
    for part in range(3 * CHUNKS):  # chunks of q, then of k, then of v
        block = weight + part * (64 * WIDTH)
        result = tl.zeros((TILE, 64), tl.float32)
        for k in tl.static_range(CHUNKS):
            matrix = load_weight(block + k * 64, WIDTH)
            result = tl.dot(normal[k], matrix, result, input_precision=PRECISION)
        channel = part % CHUNKS * 64 + tl.arange(0, 64)[None, :]
        inside = (first + token < tokens) & (channel < C)
        target = start + token * (3 * C) + part // CHUNKS * C + channel
        tl.store(target, result.to(element), mask=inside)


@triton.jit
def tail_kernel(
    x, mixed, proj, fc1, fc2, y, tokens, hidden_chunks,
    C: tl.constexpr, STRIDE: tl.constexpr, HIDDEN: tl.constexpr,
    CHUNKS: tl.constexpr, TILE: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    element: tl.constexpr = mixed.dtype.element_ty
    WIDTH: tl.constexpr = CHUNKS * 64
    first = tl.program_id(0) * TILE
    loaded = load_chunks(mixed, first, tokens, C, CHUNKS, TILE)
    values = ()
    for k in tl.static_range(CHUNKS):
        values = values + (with_one(loaded[k], C - k * 64, 64),)
    residual = load_chunks(x, first, tokens, STRIDE, CHUNKS, TILE)
    middle = ()
    for j in tl.static_range(CHUNKS):
        result = residual[j].to(tl.float32)
        for k in tl.static_range(CHUNKS):
            matrix = load_weight(proj + j * (64 * WIDTH) + k * 64, WIDTH)
            result = tl.dot(values[k], matrix, result, input_precision=PRECISION)
        middle = middle + (result,)
    normal = normalize_chunks(middle, C, CHUNKS, element)
    for i in range(hidden_chunks):
        hidden = tl.zeros((TILE, 64), tl.float32)
        for k in tl.static_range(CHUNKS):
            matrix = load_weight(fc1 + i * (64 * WIDTH) + k * 64, WIDTH)
            hidden = tl.dot(normal[k], matrix, hidden, input_precision=PRECISION)
        _, below = gaussian(hidden)
        active = (hidden * below).to(element)
        active = with_one(active, HIDDEN - i * 64, 64)
        sums = ()
        for j in tl.static_range(CHUNKS):
            matrix = load_weight(fc2 + (j * hidden_chunks + i) * (64 * 64), 64)
            total = tl.dot(active, matrix, middle[j], input_precision=PRECISION)
            sums = sums + (total,)
        middle = sums
    token = tl.arange(0, TILE)[:, None]
    start = y + tl.cast(first, tl.int64) * STRIDE
    for j in tl.static_range(CHUNKS):
        channel = j * 64 + tl.arange(0, 64)[None, :]
        inside = (first + token < tokens) & (channel < STRIDE)
        result = middle[j].to(y.dtype.element_ty)  # zero in spare channels
        tl.store(start + token * STRIDE + channel, result, mask=inside)


def _pad_matrix(weight: Tensor, bias: Tensor) -> Tensor:
    """Append the bias as a column, then zeros up to whole chunks."""
    matrix = torch.cat([weight, bias[..., None]], dim=-1)
    rows, columns = matrix.shape[-2:]
    return F.pad(matrix, (0, -columns % CHUNK, 0, -rows % CHUNK))


class PackedLayer(NamedTuple):
    """Weights of one layer as the kernels read them."""

    qkv: Tensor  # (3, C', C'), C' channels being whole chunks
    proj: Tensor  # (C', C')
    fc1: Tensor  # (hidden', C')
    fc2: Tensor  # blocks of 64 x 64: output chunk, hidden chunk, 64, 64
    bias: Tensor  # (h, N, N), float32
    hidden: int  # channels inside the MLP, without padding


def pack_layer(layer: SwinTransformerLayer, dtype: torch.dtype) -> PackedLayer:
    attention, mlp = layer.attn, layer.mlp
    channels = attention.proj.out_features

    def fold(linear, norm):
        return fold_norm(linear.weight, linear.bias, norm.weight, norm.bias)

    weight, bias = fold(attention.qkv, layer.norm1)
    qkv = _pad_matrix(*(t.unflatten(0, (3, channels)) for t in (weight, bias)))
    proj = _pad_matrix(attention.proj.weight, attention.proj.bias)
    fc1 = _pad_matrix(*fold(mlp.fc1, layer.norm2))
    fc2 = _pad_matrix(mlp.fc2.weight, mlp.fc2.bias)
    fc2 = fc2.unflatten(0, (-1, CHUNK)).unflatten(2, (-1, CHUNK)).transpose(1, 2)
    matrices = (t.to(dtype).contiguous() for t in (qkv, proj, fc1, fc2))
    bias = attention.relative_position_bias().float().contiguous()
    return PackedLayer(*matrices, bias, mlp.fc1.out_features)


class Launch(NamedTuple):
    """How a kernel is launched: found by measurement on an H200."""

    tile: int  # tokens
    warps: int
    stages: int


def launches(chunks: int) -> tuple[Launch, Launch]:
    """Of head and tail."""
    if chunks == 1:
        return Launch(64, 4, 3), Launch(64, 4, 3)
    return Launch(64, 4, 3), Launch(128, 8, 3)


def swin_layer(
    x: Tensor, packed: PackedLayer, channels: int, window_size: int, shift: int
) -> Tensor:
    """The Swin Transformer layer of chapter 6 in three kernels; no gradients.

    ``x`` is ``(B, H, W, C')``: ``channels`` features, at most ``MAX_CHANNELS``,
    and zeros. Its type is kept.
    """
    tokens = x.numel() // x.shape[-1]
    chunks = triton.cdiv(channels + 1, CHUNK)
    constants = {
        "C": channels,
        "STRIDE": x.shape[-1],
        "CHUNKS": chunks,
        "PRECISION": "ieee" if packed.qkv.dtype == torch.float32 else "tf32",
    }
    head, tail = launches(chunks)
    qkv = x.new_empty(*x.shape[:3], 3 * channels, dtype=packed.qkv.dtype)
    y = torch.empty_like(x)
    with torch.cuda.device_of(x):
        head_kernel[(triton.cdiv(tokens, head.tile),)](
            x, packed.qkv, qkv, tokens, TILE=head.tile, **constants,
            num_warps=head.warps, num_stages=head.stages,
        )  # fmt: skip
        mixed = run_forward(qkv, packed.bias, window_size, shift)
        tail_kernel[(triton.cdiv(tokens, tail.tile),)](
            x, mixed, packed.proj, packed.fc1, packed.fc2, y, tokens,
            packed.fc1.shape[0] // CHUNK, HIDDEN=packed.hidden, TILE=tail.tile,
            **constants, num_warps=tail.warps, num_stages=tail.stages,
        )  # fmt: skip
    return y
