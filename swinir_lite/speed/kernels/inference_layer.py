"""Inference of Swin Transformer layers of up to 255 channels (chapter 16).

A layer is two kernels, and between them only mixed values reach memory::

    attend: LayerNorm, qkv projection, attention  a head of a window  x        -> mixed
    tail:   projection, residual, LayerNorm, MLP  token by token      x, mixed -> y

A head of a window needs a few of the projection's rows: they stay on chip while
a program walks over windows. LayerNorm is folded into them: subtracting the mean
of channels is linear, so weights with the mean of each row taken off do it, and
what is left is one factor a token, the inverse deviation, which the kernel that
wrote the token has left beside it.

The weights of a tail of 180 channels do not fit on chip, so a program keeps its
tokens there, in chunks of channels, and streams the weights past them.

Features are stored with their channels padded by zeros to a multiple of 8,
which convolutions want, so no kernel between two layers moves them.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from .attention import launch_plan, masked_softmax, token_rows
from .chunks import CHUNK, chunks
from .inference_packing import InferenceWeights
from .launch import Launch, precision, shared_memory
from .norm import epsilon
from .training_layer import gaussian, with_one


@triton.jit
def load_weight(
    weight, STRIDE: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr
):
    """A block of a row-major matrix, transposed."""
    row = tl.arange(0, ROWS)[None, :]
    column = tl.arange(0, COLUMNS)[:, None]
    return tl.load(weight + row * STRIDE + column)


@triton.jit
def halves(x, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """Left and right half of a matrix."""
    x = tl.reshape(x, (ROWS, 2, COLUMNS // 2))
    return tl.split(tl.permute(x, (0, 2, 1)))


@triton.jit
def attend_kernel(
    x, inverse, weight, bias, position_bias, mixed, windows, height, width, shift,
    windows_per_program,
    STRIDE: tl.constexpr, CHUNKS: tl.constexpr, M: tl.constexpr,
    HEADS: tl.constexpr, N_PAD: tl.constexpr, D_PAD: tl.constexpr,
    D_STORED: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    element: tl.constexpr = mixed.dtype.element_ty
    N: tl.constexpr = M * M
    WIDTH: tl.constexpr = 4 * D_PAD  # q, k, v and a spare fourth
    head = tl.program_id(0) % HEADS
    first = tl.program_id(0) // HEADS * windows_per_program
    token = tl.arange(0, N_PAD)
    channel = tl.arange(0, D_PAD)
    matrices = ()
    for c in tl.static_range(CHUNKS):
        source = weight + head * (WIDTH * CHUNKS * CHUNK) + c * CHUNK
        matrices = matrices + (load_weight(source, CHUNKS * CHUNK, WIDTH, CHUNK),)
    qkv_bias = tl.load(bias + head * WIDTH + tl.arange(0, WIDTH))[None, :]
    pair = token[:, None] * N_PAD + token[None, :]
    position = tl.load(position_bias + head * (N_PAD * N_PAD) + pair)
    for window in range(first, min(first + windows_per_program, windows)):
        rows, last_down, last_across = token_rows(
            window, token, height, width, shift, M
        )
        factor = tl.load(inverse + rows, mask=token < N, other=0.0)[:, None]
        qkv = tl.zeros((N_PAD, WIDTH), tl.float32)
        for c in tl.static_range(CHUNKS):
            part = c * CHUNK + tl.arange(0, CHUNK)[None, :]
            inside = (token < N)[:, None] & (part < STRIDE)
            tile = tl.load(x + rows[:, None] * STRIDE + part, mask=inside, other=0.0)
            qkv = tl.dot(tile, matrices[c], qkv, input_precision=PRECISION)
        qkv = (qkv * factor + qkv_bias).to(element)
        qk, v = halves(qkv, N_PAD, WIDTH)
        q, k = halves(qk, N_PAD, WIDTH // 2)
        v, _ = halves(v, N_PAD, WIDTH // 2)
        # Products are added onto the bias
        scores = tl.dot(q, tl.trans(k), position, input_precision=PRECISION)
        weights, total = masked_softmax(scores, token, last_down, last_across, shift, M)
        result = tl.dot(weights.to(element), v, input_precision=PRECISION) * total
        target = mixed + rows[:, None] * (HEADS * D_STORED) + head * D_STORED
        inside = (token < N)[:, None] & (channel < D_STORED)[None, :]
        tl.store(target + channel[None, :], result.to(element), mask=inside)


@triton.jit
def load_chunks(x, first, tokens, STRIDE: tl.constexpr, CHUNKS: tl.constexpr,
                TILE: tl.constexpr):  # fmt: skip
    token = tl.arange(0, TILE)[:, None]
    start = x + tl.cast(first, tl.int64) * STRIDE
    chunks = ()
    for k in tl.static_range(CHUNKS):
        channel = k * CHUNK + tl.arange(0, CHUNK)[None, :]
        inside = (first + token < tokens) & (channel < STRIDE)
        chunk = tl.load(start + token * STRIDE + channel, mask=inside, other=0.0)
        chunks = chunks + (chunk,)
    return chunks


@triton.jit
def moments(chunks, C: tl.constexpr, CHUNKS: tl.constexpr, EPS: tl.constexpr):
    """Mean and inverse deviation over channels; spare ones are zero."""
    total = tl.sum(chunks[0], 1)
    for k in tl.static_range(1, CHUNKS):
        total += tl.sum(chunks[k], 1)
    mean = (total / C)[:, None]
    square = tl.zeros_like(total)
    for k in tl.static_range(CHUNKS):
        channel = k * CHUNK + tl.arange(0, CHUNK)[None, :]
        centred = tl.where(channel < C, chunks[k] - mean, 0.0)
        square += tl.sum(centred * centred, 1)
    return mean, tl.rsqrt(square / C + EPS)


@triton.jit
def normalize_chunks(
    chunks, C: tl.constexpr, CHUNKS: tl.constexpr, EPS: tl.constexpr, element
):
    """LayerNorm without weight and bias, and a one in the spare channel."""
    mean, inverse = moments(chunks, C, CHUNKS, EPS)
    normal = ()
    for k in tl.static_range(CHUNKS):
        chunk = ((chunks[k] - mean) * inverse[:, None]).to(element)
        normal = normal + (with_one(chunk, C - k * CHUNK, CHUNK),)
    return normal


@triton.jit
def gelu(x, element):
    """x times the distribution of the standard normal."""
    if element == tl.float32:
        _, below = gaussian(x)
        return x * below
    # A polynomial, within 2e-4 everywhere: a few multiplications take less time than
    # an exponential, and half precision would not show more digits.
    inner = tl.minimum(tl.maximum(x, -4.0), 4.0)
    square = inner * inner
    slope = 4.776382411e-05 + square * (-1.588824148e-06 + square * 2.258815357e-08)
    slope = 8.763687685e-03 + square * (-8.121868013e-04 + square * slope)
    slope = 0.3978702724 + square * (-6.455440074e-02 + square * slope)
    return x * (0.5 + inner * slope)


@triton.jit
def store_features(y, inverse, chunks, first, tokens, C: tl.constexpr,
                   STRIDE: tl.constexpr, CHUNKS: tl.constexpr, EPS: tl.constexpr,
                   TILE: tl.constexpr):  # fmt: skip
    """Features, and their inverse deviation for the next layer's norm."""
    token = tl.arange(0, TILE)
    start = y + tl.cast(first, tl.int64) * STRIDE
    for k in tl.static_range(CHUNKS):
        channel = k * CHUNK + tl.arange(0, CHUNK)[None, :]
        inside = (first + token < tokens)[:, None] & (channel < STRIDE)
        target = start + token[:, None] * STRIDE + channel
        tl.store(target, chunks[k].to(y.dtype.element_ty), mask=inside)
    _, deviation = moments(chunks, C, CHUNKS, EPS)
    tl.store(inverse + first + token, deviation, mask=first + token < tokens)


@triton.jit
def deviation_kernel(
    x, inverse, tokens,
    C: tl.constexpr, STRIDE: tl.constexpr, CHUNKS: tl.constexpr, TILE: tl.constexpr,
    EPS: tl.constexpr,
):  # fmt: skip
    first = tl.program_id(0) * TILE
    floats = ()
    loaded = load_chunks(x, first, tokens, STRIDE, CHUNKS, TILE)
    for k in tl.static_range(CHUNKS):
        floats = floats + (loaded[k].to(tl.float32),)
    _, deviation = moments(floats, C, CHUNKS, EPS)
    token = first + tl.arange(0, TILE)
    tl.store(inverse + token, deviation, mask=token < tokens)


@triton.jit
def add_kernel(
    x, change, bias, y, inverse, tokens,
    C: tl.constexpr, STRIDE: tl.constexpr, CHUNKS: tl.constexpr, TILE: tl.constexpr,
    EPS: tl.constexpr,
):  # fmt: skip
    """End of a block: residual, result of the convolution and its bias."""
    first = tl.program_id(0) * TILE
    residual = load_chunks(x, first, tokens, STRIDE, CHUNKS, TILE)
    added = load_chunks(change, first, tokens, STRIDE, CHUNKS, TILE)
    sums = ()
    for k in tl.static_range(CHUNKS):
        channel = k * CHUNK + tl.arange(0, CHUNK)
        offset = tl.load(bias + channel, mask=channel < STRIDE, other=0.0)[None, :]
        total = residual[k].to(tl.float32) + added[k].to(tl.float32) + offset
        sums = sums + (total,)
    store_features(y, inverse, sums, first, tokens, C, STRIDE, CHUNKS, EPS, TILE)


@triton.jit
def tail_kernel(
    x, mixed, proj, fc1, fc2, y, inverse, tokens,
    C: tl.constexpr, STRIDE: tl.constexpr, MIXED: tl.constexpr, SPARE: tl.constexpr,
    HIDDEN: tl.constexpr, HIDDEN_PAD: tl.constexpr,
    CHUNKS: tl.constexpr, TILE: tl.constexpr, PRECISION: tl.constexpr,
    EPS: tl.constexpr,
):  # fmt: skip
    element: tl.constexpr = mixed.dtype.element_ty
    WIDTH: tl.constexpr = CHUNKS * CHUNK
    first = tl.program_id(0) * TILE
    loaded = load_chunks(mixed, first, tokens, MIXED, CHUNKS, TILE)
    values = ()
    for k in tl.static_range(CHUNKS):
        values = values + (with_one(loaded[k], SPARE - k * CHUNK, CHUNK),)
    residual = load_chunks(x, first, tokens, STRIDE, CHUNKS, TILE)
    middle = ()
    for j in tl.static_range(CHUNKS):
        result = residual[j].to(tl.float32)
        for k in tl.static_range(CHUNKS):
            matrix = load_weight(
                proj + j * (CHUNK * WIDTH) + k * CHUNK, WIDTH, CHUNK, CHUNK
            )
            result = tl.dot(values[k], matrix, result, input_precision=PRECISION)
        middle = middle + (result,)
    normal = normalize_chunks(middle, C, CHUNKS, EPS, element)
    for i in range(0, HIDDEN_PAD, CHUNK):
        hidden = tl.zeros((TILE, CHUNK), tl.float32)
        for k in tl.static_range(CHUNKS):
            matrix = load_weight(fc1 + i * WIDTH + k * CHUNK, WIDTH, CHUNK, CHUNK)
            hidden = tl.dot(normal[k], matrix, hidden, input_precision=PRECISION)
        active = gelu(hidden, element).to(element)
        active = with_one(active, HIDDEN - i, CHUNK)
        sums = ()
        for j in tl.static_range(CHUNKS):
            source = fc2 + j * (CHUNK * HIDDEN_PAD) + i
            matrix = load_weight(source, HIDDEN_PAD, CHUNK, CHUNK)
            total = tl.dot(active, matrix, middle[j], input_precision=PRECISION)
            sums = sums + (total,)
        middle = sums
    store_features(y, inverse, middle, first, tokens, C, STRIDE, CHUNKS, EPS, TILE)


# By chunks of channels. A program's tile is a window, and attend's programs share the
# registers of a multiprocessor
ATTEND = {
    1: Launch(64, 4, 3, 4), 2: Launch(64, 4, 1, 4), 3: Launch(64, 4, 1, 4),
    4: Launch(64, 4, 1, 3),
}  # fmt: skip
ATTEND_FLOAT32 = Launch(64, 4, 1, 2)
TAIL = {
    1: Launch(64, 4, 1), 2: Launch(128, 8, 3), 3: Launch(128, 8, 3),
    4: Launch(128, 8, 2),
}  # fmt: skip
SMALL_TAIL = Launch(64, 4, 1)  # 40 KiB for four chunks; not tuned
TAIL_FLOAT32 = Launch(64, 4, 1)
ADD = Launch(32, 4, 1)


def _shape(x: Tensor, channels: int, scale: float) -> dict:
    shape = {"C": channels, "STRIDE": x.shape[-1], "CHUNKS": chunks(channels)}
    return shape | {"EPS": epsilon(scale)}


def _attend(
    x, inverse, packed: InferenceWeights, channels, window_size, shift
) -> Tensor:
    x, inverse = x.contiguous(), inverse.contiguous()
    batch, height, width, _ = x.shape
    heads, _, head_dim, _ = packed.qkv.shape
    launch = attend_launch(x, chunks(channels))
    windows, per_program, groups = launch_plan(
        x, heads, window_size, launch.programs_per_sm
    )
    mixed = x.new_empty(batch, height, width, heads * packed.stored)
    options = {"maxnreg": registers(launch)} if x.is_cuda else {}
    attend_kernel[(groups * heads,)](
        x, inverse, packed.qkv, packed.qkv_bias, packed.position_bias, mixed,
        windows, height, width, shift, per_program,
        M=window_size, HEADS=heads, D_PAD=head_dim,
        N_PAD=packed.position_bias.shape[-1], D_STORED=packed.stored,
        PRECISION=precision(x), STRIDE=x.shape[-1], CHUNKS=chunks(channels),
        num_warps=launch.warps, num_stages=launch.stages, **options,
    )  # fmt: skip
    return mixed


def _tail(x, mixed, packed: InferenceWeights, channels) -> tuple[Tensor, Tensor]:
    x = x.contiguous()
    tokens = x.numel() // x.shape[-1]
    launch = tail_launch(x, chunks(channels))
    y, inverse = torch.empty_like(x), _inverse_of(x)
    tail_kernel[(triton.cdiv(tokens, launch.tile),)](
        x, mixed, packed.proj, packed.fc1, packed.fc2, y, inverse, tokens,
        MIXED=mixed.shape[-1], SPARE=packed.spare,
        HIDDEN=packed.hidden, HIDDEN_PAD=packed.fc2.shape[1],
        TILE=launch.tile,
        PRECISION=precision(x), **_shape(x, channels, packed.scale),
        num_warps=launch.warps, num_stages=launch.stages,
    )  # fmt: skip
    return y, inverse


def attend_launch(x: Tensor, chunks: int) -> Launch:
    return ATTEND_FLOAT32 if x.dtype == torch.float32 else ATTEND[chunks]


def registers(launch: Launch) -> int:
    """Most that a thread may have, so that all programs fit on a multiprocessor."""
    threads = 32 * launch.warps * launch.programs_per_sm
    return min(255, 65536 // threads // 8 * 8)


def tail_launch(x: Tensor, chunks: int) -> Launch:
    """The tuned one, unless a GPU has too little memory for four chunks."""
    if x.dtype == torch.float32:
        return TAIL_FLOAT32
    fits = chunks < 4 or shared_memory(x) >= 227 * 1024
    return TAIL[chunks] if fits else SMALL_TAIL


def _inverse_of(x: Tensor) -> Tensor:
    return x.new_empty(x.shape[:-1], dtype=torch.float32)


def inference_layer(
    x: Tensor,
    inverse: Tensor,
    packed: InferenceWeights,
    channels: int,
    window_size: int,
    shift: int,
) -> tuple[Tensor, Tensor]:
    """The Swin Transformer layer of chapter 6 in two kernels; no gradients.

    `x` is `(B, H, W, C')`: `channels` features, at most `MAX_INFERENCE_CHANNELS`, and
    zeros, in the type that the layer is packed in. `inverse` is the inverse
    deviation of each token over its channels, `(B, H, W)` in float32. Returns
    both for the next layer.
    """
    with torch.cuda.device_of(x):
        mixed = _attend(x, inverse, packed, channels, window_size, shift)
        return _tail(x, mixed, packed, channels)


def inverse_deviation(x: Tensor, channels: int, scale: float = 1.0) -> Tensor:
    """Of each token of `(B, H, W, C')` over its channels, `(B, H, W)`.

    `scale` is what they were multiplied by.
    """
    x = x.contiguous()
    tokens = x.numel() // x.shape[-1]
    inverse = _inverse_of(x)
    with torch.cuda.device_of(x):
        deviation_kernel[(triton.cdiv(tokens, ADD.tile),)](
            x, inverse, tokens, TILE=ADD.tile, **_shape(x, channels, scale),
            num_warps=ADD.warps, num_stages=ADD.stages,
        )  # fmt: skip
    return inverse


def add_features(
    x: Tensor, change: Tensor, bias: Tensor, channels: int, scale: float = 1.0
) -> tuple[Tensor, Tensor]:
    """`x + change + bias` in one pass, and its inverse deviation as above."""
    # A convolution that is not cuDNN's returns channels first, also of channels last
    x, change = x.contiguous(), change.contiguous()
    tokens = x.numel() // x.shape[-1]
    y, inverse = torch.empty_like(x), _inverse_of(x)
    with torch.cuda.device_of(x):
        add_kernel[(triton.cdiv(tokens, ADD.tile),)](
            x, change, bias, y, inverse, tokens, TILE=ADD.tile,
            **_shape(x, channels, scale), num_warps=ADD.warps, num_stages=ADD.stages,
        )  # fmt: skip
    return y, inverse
