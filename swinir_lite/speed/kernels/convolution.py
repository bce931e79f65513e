"""The end of a network: pixel shuffle, and the last convolution in float32.

A pixel shuffle of features is a copy of rows of channels, if these are ordered
(row, column, channel) before it; the bias of the convolution before it is added on
the way, which saves a pass over the largest tensor of the network.

The last convolution has many channels in and a few out. cuDNN returns the type it is
given. Pixels in bfloat16 would be off by up to half a step of 1/255, and features
copied to float32 first cost more than the convolution. Here features are read as they
are and sums are written as they are.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
import triton
import triton.language as tl
from torch import Tensor, nn

from .chunks import CHUNK
from .launch import precision

TILE = 128  # pixels of one row


@triton.jit
def shuffle_kernel(
    x, bias, y, width,
    FACTOR: tl.constexpr, C: tl.constexpr, C_PAD: tl.constexpr, TILE: tl.constexpr,
):  # fmt: skip
    """One program: a tile of a row of the result."""
    row = tl.cast(tl.program_id(0), tl.int64)
    column = tl.program_id(1) * TILE + tl.arange(0, TILE)[:, None]
    channel = tl.arange(0, C_PAD)[None, :]
    inside = (column < width) & (channel < C)
    pixel = row // FACTOR * (width // FACTOR) + column // FACTOR
    part = (row % FACTOR * FACTOR + column % FACTOR) * C + channel
    values = tl.load(x + pixel * (FACTOR * FACTOR * C) + part, mask=inside, other=0.0)
    values += tl.load(bias + part, mask=inside, other=0.0)
    tl.store(y + (row * width + column) * C + channel, values, mask=inside)


def pixel_shuffle(x: Tensor, bias: Tensor, factor: int) -> Tensor:
    """`x + bias` of `(B, H, W, r * r * C)` as `(B, r * H, r * W, C)`."""
    x = x.contiguous()
    batch, height, width, parts = x.shape
    height, width, channels = height * factor, width * factor, parts // factor**2
    y = x.new_empty(batch, height, width, channels)
    with torch.cuda.device_of(x):
        # Rows of all images are one after the other, before as after. They are the
        # first axis, the only one of a launch that may have more than 65,535 programs
        shuffle_kernel[(batch * height, triton.cdiv(width, TILE))](
            x, bias, y, width, FACTOR=factor, C=channels,
            C_PAD=triton.next_power_of_2(channels), TILE=TILE,
        )  # fmt: skip
    return y


@triton.jit
def convolution_kernel(
    x, weight, bias, y, height, width,
    STRIDE: tl.constexpr, CHUNKS: tl.constexpr, OUTPUTS: tl.constexpr,
    OUTPUTS_PAD: tl.constexpr, TILE: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """One program: a tile of a row, by 3 x 3 taps and chunks of channels."""
    column = tl.program_id(1) * TILE + tl.arange(0, TILE)[:, None]
    row = tl.program_id(0) + tl.zeros((TILE, 1), tl.int32)
    image = tl.cast(tl.program_id(2), tl.int64) * height
    channel = tl.arange(0, CHUNK)[None, :]
    output = tl.arange(0, OUTPUTS_PAD)[None, :]
    source = weight + tl.arange(0, CHUNK)[:, None] * OUTPUTS_PAD + output
    total = tl.zeros((TILE, OUTPUTS_PAD), tl.float32)
    for tap in tl.static_range(9):
        above = row + tap // 3 - 1
        beside = column + tap % 3 - 1
        inside = (above >= 0) & (above < height) & (beside >= 0) & (beside < width)
        start = x + (image + above) * width * STRIDE + beside * STRIDE
        for k in tl.static_range(CHUNKS):
            mask = inside & (k * CHUNK + channel < STRIDE)
            values = tl.load(start + k * CHUNK + channel, mask=mask, other=0.0)
            matrix = tl.load(source + (tap * CHUNKS + k) * (CHUNK * OUTPUTS_PAD))
            total = tl.dot(values, matrix, total, input_precision=PRECISION)
    real = output < OUTPUTS
    total += tl.load(bias + output, mask=real, other=0.0)
    image = tl.cast(tl.program_id(2), tl.int64) * OUTPUTS
    target = y + (image + output) * height * width + row * width + column
    tl.store(target, total, mask=real & (column < width))


class LastConvolution(NamedTuple):
    """Weight and bias of the last convolution as its kernel reads them."""

    weight: Tensor  # (9, C', outputs'), C' whole chunks
    bias: Tensor  # (outputs,), float32


def pack_last_convolution(conv: nn.Conv2d, dtype: torch.dtype) -> LastConvolution:
    """For `last_convolution` of features in `dtype`."""
    outputs, inputs = conv.weight.shape[:2]
    weight = conv.weight.permute(2, 3, 1, 0).flatten(0, 1)
    outputs_pad = max(16, triton.next_power_of_2(outputs))
    weight = F.pad(weight, (0, outputs_pad - outputs, 0, -inputs % CHUNK.value))
    return LastConvolution(weight.to(dtype).contiguous(), conv.bias.float().clone())


def last_convolution(x: Tensor, packed: LastConvolution) -> Tensor:
    """3 x 3 convolution of `(B, H, W, C)` to `(B, outputs, H, W)` in float32."""
    x = x.contiguous()
    batch, height, width, stride = x.shape
    outputs = packed.bias.numel()
    y = x.new_empty(batch, outputs, height, width, dtype=torch.float32)
    with torch.cuda.device_of(x):
        # Rows first: see pixel_shuffle
        convolution_kernel[(height, triton.cdiv(width, TILE), batch)](
            x, *packed, y, height, width, STRIDE=stride,
            CHUNKS=packed.weight.shape[1] // CHUNK.value, OUTPUTS=outputs,
            OUTPUTS_PAD=packed.weight.shape[2], TILE=TILE,
            PRECISION=precision(x), num_warps=4,
        )  # fmt: skip
    return y
