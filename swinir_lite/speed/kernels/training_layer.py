"""A Swin Transformer layer of few channels in three Triton kernels (chapter 17).

With 60 channels a layer is bound by the bytes it moves: an intermediate that
reaches memory costs more than computing it. So the layer is cut where tokens
meet and nowhere else::

    head: LayerNorm, qkv projection           token by token    x        -> qkv
    attention (attention.py)                 window by window  qkv      -> mixed
    tail: projection, residual, LayerNorm,    token by token    x, mixed -> y
          MLP, residual

A kernel keeps its weights on chip and walks over tiles of tokens. The backward
kernels compute the forward pass of their tile again and sum weight gradients in
registers: a program writes its sums once, at the end.

Tiles have power-of-two sides, so 60 channels are computed as 64, and the spare
ones are put to use: activations hold a one in the first, so a weight matrix
whose column there is the bias adds it, and its gradient comes out there.
`pack_for_training` builds such matrices, with LayerNorm's own weight and bias
multiplied in.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
import triton
import triton.language as tl
from torch import Tensor, nn

from .attention import attention_backward, attention_forward
from .launch import Launch, precision, shared_memory
from .norm import epsilon, normalize


@triton.jit
def load_matrix(
    source, ROWS: tl.constexpr, COLUMNS: tl.constexpr, STRIDE: tl.constexpr, element
):
    row = tl.arange(0, ROWS)[:, None]
    column = tl.arange(0, COLUMNS)[None, :]
    return tl.load(source + row * STRIDE + column).to(element)


@triton.jit
def store_matrix(
    target, values, ROWS: tl.constexpr, COLUMNS: tl.constexpr, STRIDE: tl.constexpr
):
    row = tl.arange(0, ROWS)[:, None]
    column = tl.arange(0, COLUMNS)[None, :]
    tl.store(target + row * STRIDE + column, values)


@triton.jit
def tile_offsets(tile, tokens, STRIDE: tl.constexpr, C: tl.constexpr,
                 C_PAD: tl.constexpr, TILE: tl.constexpr):  # fmt: skip
    """Where a tile starts, the offsets of its elements, and which are real."""
    token = tl.arange(0, TILE)[:, None]
    channel = tl.arange(0, C_PAD)[None, :]
    inside = (tile * TILE + token < tokens) & (channel < C)
    start = tl.cast(tile, tl.int64) * (TILE * STRIDE)
    return start, token * STRIDE + channel, inside


@triton.jit
def with_one(x, C: tl.constexpr, C_PAD: tl.constexpr):
    """Set the first spare channel to one, the factor of the bias."""
    one = tl.full((1,), 1.0, x.dtype)
    return tl.where((tl.arange(0, C_PAD) == C)[None, :], one, x)


@triton.jit
def normalize_backward(grad, normal, inverse, C: tl.constexpr, C_PAD: tl.constexpr):
    channels = (tl.arange(0, C_PAD) < C)[None, :]
    grad = tl.where(channels, grad, 0.0)
    along = tl.sum(grad * normal, 1)[:, None] / C
    mean = tl.sum(grad, 1)[:, None] / C
    return tl.where(channels, (grad - mean - normal * along) * inverse, 0.0)


@triton.jit
def gaussian(x):
    """Density and cumulative distribution of the standard normal, for GELU.

    The distribution is formula 26.2.17 of Abramowitz and Stegun, 7.5e-8 from
    the truth; it shares its exponential with the density, and is a third of the
    instructions of an error function.
    """
    density = tl.exp2(x * x * -0.7213475204444817) * 0.3989422804014327
    root = tl.rsqrt(1.0 + 0.2316419 * tl.abs(x))  # cheaper than a division
    t = root * root
    tail = t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429)))
    tail = density * t * (0.319381530 + tail)
    return density, tl.where(x > 0, 1.0 - tail, tail)


@triton.jit
def training_head_kernel(
    x, qkv_weight, qkv, tokens,
    C: tl.constexpr, STRIDE: tl.constexpr, C_PAD: tl.constexpr, TILE: tl.constexpr,
    PRECISION: tl.constexpr, EPS: tl.constexpr,
):  # fmt: skip
    element: tl.constexpr = qkv.dtype.element_ty
    q_weight = load_matrix(qkv_weight, C_PAD, C_PAD, C_PAD, element)
    k_weight = load_matrix(qkv_weight + C_PAD * C_PAD, C_PAD, C_PAD, C_PAD, element)
    v_weight = load_matrix(qkv_weight + 2 * C_PAD * C_PAD, C_PAD, C_PAD, C_PAD, element)
    for tile in range(tl.program_id(0), tl.cdiv(tokens, TILE), tl.num_programs(0)):
        start, offset, inside = tile_offsets(tile, tokens, STRIDE, C, C_PAD, TILE)
        values = tl.load(x + start + offset, mask=inside, other=0.0).to(tl.float32)
        normal, _ = normalize(values, C, C_PAD, EPS)
        normal = with_one(normal, C, C_PAD).to(element)
        q = tl.dot(normal, tl.trans(q_weight), input_precision=PRECISION)
        k = tl.dot(normal, tl.trans(k_weight), input_precision=PRECISION)
        v = tl.dot(normal, tl.trans(v_weight), input_precision=PRECISION)
        start, offset, inside = tile_offsets(tile, tokens, 3 * C, C, C_PAD, TILE)
        target = qkv + start + offset
        tl.store(target, q.to(element), mask=inside)
        tl.store(target + C, k.to(element), mask=inside)
        tl.store(target + 2 * C, v.to(element), mask=inside)


@triton.jit
def head_backward_kernel(
    x, grad_qkv, grad_y, qkv_weight, grad_x, grad_weight, tokens,
    C: tl.constexpr, STRIDE: tl.constexpr, C_PAD: tl.constexpr, TILE: tl.constexpr,
    PRECISION: tl.constexpr, EPS: tl.constexpr,
):  # fmt: skip
    element: tl.constexpr = grad_qkv.dtype.element_ty
    q_weight = load_matrix(qkv_weight, C_PAD, C_PAD, C_PAD, element)
    k_weight = load_matrix(qkv_weight + C_PAD * C_PAD, C_PAD, C_PAD, C_PAD, element)
    v_weight = load_matrix(qkv_weight + 2 * C_PAD * C_PAD, C_PAD, C_PAD, C_PAD, element)
    q_sum = tl.zeros((C_PAD, C_PAD), tl.float32)
    k_sum = tl.zeros((C_PAD, C_PAD), tl.float32)
    v_sum = tl.zeros((C_PAD, C_PAD), tl.float32)
    for tile in range(tl.program_id(0), tl.cdiv(tokens, TILE), tl.num_programs(0)):
        start, offset, inside = tile_offsets(tile, tokens, 3 * C, C, C_PAD, TILE)
        source = grad_qkv + start + offset
        grad_q = tl.load(source, mask=inside, other=0.0)
        grad_k = tl.load(source + C, mask=inside, other=0.0)
        grad_v = tl.load(source + 2 * C, mask=inside, other=0.0)
        start, offset, inside = tile_offsets(tile, tokens, STRIDE, C, C_PAD, TILE)
        values = tl.load(x + start + offset, mask=inside, other=0.0).to(tl.float32)
        normal, inverse = normalize(values, C, C_PAD, EPS)
        biased = with_one(normal, C, C_PAD).to(element)
        q_sum = tl.dot(tl.trans(grad_q), biased, q_sum, input_precision=PRECISION)
        k_sum = tl.dot(tl.trans(grad_k), biased, k_sum, input_precision=PRECISION)
        v_sum = tl.dot(tl.trans(grad_v), biased, v_sum, input_precision=PRECISION)
        grad = tl.dot(grad_q, q_weight, input_precision=PRECISION)
        grad = tl.dot(grad_k, k_weight, grad, input_precision=PRECISION)
        grad = tl.dot(grad_v, v_weight, grad, input_precision=PRECISION)
        grad = normalize_backward(grad, normal, inverse, C, C_PAD)
        grad += tl.load(grad_y + start + offset, mask=inside, other=0.0)
        start, offset, inside = tile_offsets(tile, tokens, STRIDE, STRIDE, C_PAD, TILE)
        tl.store(grad_x + start + offset, grad.to(x.dtype.element_ty), mask=inside)
    target = grad_weight + tl.program_id(0) * (3 * C_PAD * C_PAD)
    store_matrix(target, q_sum, C_PAD, C_PAD, C_PAD)
    store_matrix(target + C_PAD * C_PAD, k_sum, C_PAD, C_PAD, C_PAD)
    store_matrix(target + 2 * C_PAD * C_PAD, v_sum, C_PAD, C_PAD, C_PAD)


@triton.jit
def training_tail_kernel(
    x, mixed, proj_weight, fc1_weight, fc2_weight, y, tokens,
    C: tl.constexpr, STRIDE: tl.constexpr, HIDDEN: tl.constexpr, C_PAD: tl.constexpr,
    HIDDEN_PAD: tl.constexpr, TILE: tl.constexpr, PRECISION: tl.constexpr,
    EPS: tl.constexpr,
):  # fmt: skip
    element: tl.constexpr = mixed.dtype.element_ty
    proj = load_matrix(proj_weight, C_PAD, C_PAD, C_PAD, element)
    fc1 = load_matrix(fc1_weight, HIDDEN_PAD, C_PAD, C_PAD, element)
    fc2 = load_matrix(fc2_weight, C_PAD, HIDDEN_PAD, HIDDEN_PAD, element)
    for tile in range(tl.program_id(0), tl.cdiv(tokens, TILE), tl.num_programs(0)):
        start, offset, inside = tile_offsets(tile, tokens, C, C, C_PAD, TILE)
        values = tl.load(mixed + start + offset, mask=inside, other=0.0)
        values = with_one(values, C, C_PAD)
        middle = tl.dot(values, tl.trans(proj), input_precision=PRECISION)
        start, offset, inside = tile_offsets(tile, tokens, STRIDE, STRIDE, C_PAD, TILE)
        middle += tl.load(x + start + offset, mask=inside, other=0.0)
        normal, _ = normalize(middle, C, C_PAD, EPS)
        normal = with_one(normal, C, C_PAD).to(element)
        hidden = tl.dot(normal, tl.trans(fc1), input_precision=PRECISION)
        _, below = gaussian(hidden)
        hidden = with_one((hidden * below).to(element), HIDDEN, HIDDEN_PAD)
        result = tl.dot(hidden, tl.trans(fc2), middle, input_precision=PRECISION)
        tl.store(y + start + offset, result.to(y.dtype.element_ty), mask=inside)


@triton.jit
def mlp_backward_half(
    biased, grad, fc1, fc2, fc1_sum, fc2_sum, grad_normal,
    ONE: tl.constexpr, HALF: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Forward and backward of the MLP through one half of its hidden channels.

    Halves, because the whole does not fit into registers beside the sums.
    """
    hidden = tl.dot(biased, tl.trans(fc1), input_precision=PRECISION)
    density, below = gaussian(hidden)
    active = with_one((hidden * below).to(biased.dtype), ONE, HALF)
    fc2_sum = tl.dot(tl.trans(grad), active, fc2_sum, input_precision=PRECISION)
    grad_hidden = tl.dot(grad, fc2, input_precision=PRECISION)
    grad_hidden = (grad_hidden * (below + hidden * density)).to(biased.dtype)
    fc1_sum = tl.dot(tl.trans(grad_hidden), biased, fc1_sum, input_precision=PRECISION)
    grad_normal = tl.dot(grad_hidden, fc1, grad_normal, input_precision=PRECISION)
    return fc1_sum, fc2_sum, grad_normal


@triton.jit
def tail_backward_kernel(
    x, mixed, grad_y, proj_weight, fc1_weight, fc2_weight, grad_x, grad_mixed,
    grad_weight, tokens,
    C: tl.constexpr, STRIDE: tl.constexpr, HIDDEN: tl.constexpr, C_PAD: tl.constexpr,
    HIDDEN_PAD: tl.constexpr, TILE: tl.constexpr, PRECISION: tl.constexpr,
    EPS: tl.constexpr,
):  # fmt: skip
    element: tl.constexpr = mixed.dtype.element_ty
    HALF: tl.constexpr = HIDDEN_PAD // 2
    proj = load_matrix(proj_weight, C_PAD, C_PAD, C_PAD, element)
    fc1_a = load_matrix(fc1_weight, HALF, C_PAD, C_PAD, element)
    fc1_b = load_matrix(fc1_weight + HALF * C_PAD, HALF, C_PAD, C_PAD, element)
    fc2_a = load_matrix(fc2_weight, C_PAD, HALF, HIDDEN_PAD, element)
    fc2_b = load_matrix(fc2_weight + HALF, C_PAD, HALF, HIDDEN_PAD, element)
    proj_sum = tl.zeros((C_PAD, C_PAD), tl.float32)
    fc1_a_sum = tl.zeros((HALF, C_PAD), tl.float32)
    fc1_b_sum = tl.zeros((HALF, C_PAD), tl.float32)
    fc2_a_sum = tl.zeros((C_PAD, HALF), tl.float32)
    fc2_b_sum = tl.zeros((C_PAD, HALF), tl.float32)
    for tile in range(tl.program_id(0), tl.cdiv(tokens, TILE), tl.num_programs(0)):
        start, offset, inside = tile_offsets(tile, tokens, C, C, C_PAD, TILE)
        # Forward, as in training_tail_kernel.
        values = tl.load(mixed + start + offset, mask=inside, other=0.0)
        values = with_one(values, C, C_PAD)
        middle = tl.dot(values, tl.trans(proj), input_precision=PRECISION)
        start, offset, inside = tile_offsets(tile, tokens, STRIDE, C, C_PAD, TILE)
        middle += tl.load(x + start + offset, mask=inside, other=0.0)
        normal, inverse = normalize(middle, C, C_PAD, EPS)
        biased = with_one(normal, C, C_PAD).to(element)
        # Backward through the MLP.
        grad = tl.load(grad_y + start + offset, mask=inside, other=0.0).to(tl.float32)
        grad_low = grad.to(element)
        grad_normal = tl.zeros((TILE, C_PAD), tl.float32)
        fc1_a_sum, fc2_a_sum, grad_normal = mlp_backward_half(
            biased, grad_low, fc1_a, fc2_a, fc1_a_sum, fc2_a_sum, grad_normal,
            HIDDEN, HALF, PRECISION,
        )  # fmt: skip
        fc1_b_sum, fc2_b_sum, grad_normal = mlp_backward_half(
            biased, grad_low, fc1_b, fc2_b, fc1_b_sum, fc2_b_sum, grad_normal,
            HIDDEN - HALF, HALF, PRECISION,
        )  # fmt: skip
        grad += normalize_backward(grad_normal, normal, inverse, C, C_PAD)
        start, offset, inside = tile_offsets(tile, tokens, STRIDE, STRIDE, C_PAD, TILE)
        tl.store(grad_x + start + offset, grad.to(x.dtype.element_ty), mask=inside)
        # Backward through the projection.
        grad_low = grad.to(element)
        proj_sum = tl.dot(
            tl.trans(grad_low), values, proj_sum, input_precision=PRECISION
        )
        grad_values = tl.dot(grad_low, proj, input_precision=PRECISION)
        start, offset, inside = tile_offsets(tile, tokens, C, C, C_PAD, TILE)
        tl.store(grad_mixed + start + offset, grad_values.to(element), mask=inside)
    target = grad_weight + tl.program_id(0) * (C_PAD * (C_PAD + 2 * HIDDEN_PAD))
    store_matrix(target, proj_sum, C_PAD, C_PAD, C_PAD)
    target += C_PAD * C_PAD
    store_matrix(target, fc1_a_sum, HALF, C_PAD, C_PAD)
    store_matrix(target + HALF * C_PAD, fc1_b_sum, HALF, C_PAD, C_PAD)
    target += C_PAD * HIDDEN_PAD
    store_matrix(target, fc2_a_sum, C_PAD, HALF, HIDDEN_PAD)
    store_matrix(target + HALF, fc2_b_sum, C_PAD, HALF, HIDDEN_PAD)


class TrainingWeights(NamedTuple):
    """Weights of one layer as the kernels read them, in float32."""

    weights: Tensor  # the four matrices one after the other: see _matrices
    bias: Tensor  # relative position bias, (h, N, N)


def _paddings(channels: int, hidden: int) -> tuple[int, int]:
    return triton.next_power_of_2(channels + 1), triton.next_power_of_2(hidden + 1)


def _matrices(weights: Tensor, channels: int, hidden: int) -> tuple[Tensor, ...]:
    """qkv (three matrices), proj, fc1 and fc2, each (outputs, inputs), flat."""
    channels, hidden = _paddings(channels, hidden)
    sizes = [3 * channels**2, channels**2, hidden * channels, channels * hidden]
    return weights.split(sizes, dim=-1)


def _pad_matrix(weight: Tensor, bias: Tensor, rows: int, columns: int) -> Tensor:
    """Append the bias as a column, then zeros up to (rows, columns)."""
    matrix = torch.cat([weight, bias[..., None]], dim=-1)
    height, width = matrix.shape[-2:]
    return F.pad(matrix, (0, columns - width, 0, rows - height))


def fold_norm(
    linear_weight: Tensor, linear_bias: Tensor, norm_weight: Tensor, norm_bias: Tensor
) -> tuple[Tensor, Tensor]:
    """Weight and bias of linear(norm(x)) as a linear map of the bare norm."""
    bias = linear_bias + (linear_weight * norm_bias[..., None, :]).sum(-1)
    return linear_weight * norm_weight[..., None, :], bias


def pack_for_training(
    layers: list[nn.Module], scale: float = 1.0
) -> list[TrainingWeights]:
    """Packed weights of Swin Transformer layers of one shape.

    Differentiable, and done for all layers in one go: a few small launches. `scale` is
    what features are multiplied by, and with them all that is added to them.
    """
    named = [dict(layer.named_parameters()) for layer in layers]

    def stack(name):
        return torch.stack([parameters[name] for parameters in named]).float()

    def linear(name, scale=1.0):
        return scale * stack(f"{name}.weight"), scale * stack(f"{name}.bias")

    with torch.autocast("cuda", enabled=False):
        qkv = fold_norm(*linear("attn.qkv"), *linear("norm1"))
        fc1 = fold_norm(*linear("mlp.fc1"), *linear("norm2"))
        hidden, channels = fc1[0].shape[-2:]
        qkv = [t.unflatten(1, (3, channels)) for t in qkv]
        channels, hidden = _paddings(channels, hidden)
        matrices = (
            _pad_matrix(*qkv, channels, channels),
            _pad_matrix(*linear("attn.proj", scale), channels, channels),
            _pad_matrix(*fc1, hidden, channels),
            _pad_matrix(*linear("mlp.fc2", scale), channels, hidden),
        )
        weights = torch.cat([m.flatten(1) for m in matrices], dim=1)
        index = layers[0].attn.relative_position_index
        tables = stack("attn.relative_position_bias_table").transpose(1, 2)
        bias = tables.index_select(2, index.flatten()).unflatten(2, index.shape)
    # unbind, not indexing: its gradient is one stack.
    return [TrainingWeights(*pair) for pair in zip(weights.unbind(), bias.unbind())]


HEAD = Launch(64, 4, 1, 3)
TAIL = Launch(64, 4, 1, 2)
HEAD_BACKWARD = Launch(64, 4, 1, 2)
TAIL_BACKWARD = Launch(128, 8, 1, 1)  # takes up to 116 KiB of shared memory
SMALL_TAIL_BACKWARD = Launch(64, 8, 1, 1)  # 92 KiB; not tuned


def tail_backward_launch(x: Tensor) -> Launch:
    """The tuned one, unless the GPU is one of those with 99 KiB, such as an L4."""
    fits = shared_memory(x) >= 128 * 1024
    return TAIL_BACKWARD if fits else SMALL_TAIL_BACKWARD


def _programs(x: Tensor, launch: Launch) -> int:
    tokens = x.numel() // x.shape[-1]
    processors = 2
    if x.is_cuda:
        properties = torch.cuda.get_device_properties(x.device)
        processors = properties.multi_processor_count
    return min(triton.cdiv(tokens, launch.tile), processors * launch.programs_per_sm)


def _run(
    kernel, launch: Launch, channels: int, scale: float, x: Tensor, *tensors,
    hidden=None,
):  # fmt: skip
    constants = {"C": channels, "C_PAD": triton.next_power_of_2(channels + 1)}
    constants |= {"STRIDE": x.shape[-1], "EPS": epsilon(scale)}
    if hidden is not None:
        constants["HIDDEN"] = hidden
        constants["HIDDEN_PAD"] = triton.next_power_of_2(hidden + 1)
    with torch.cuda.device_of(x):
        kernel[(_programs(x, launch),)](
            x, *tensors, x.numel() // x.shape[-1], TILE=launch.tile,
            PRECISION=precision(x), **constants,
            num_warps=launch.warps, num_stages=launch.stages,
        )  # fmt: skip


@torch.library.custom_op("swinir_lite::training_layer", mutates_args=())
def _training_layer(
    x: Tensor, weights: Tensor, bias: Tensor, channels: int, hidden: int,
    window_size: int, shift: int, scale: float,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    x = x.contiguous()
    qkv_weight, proj, fc1, fc2 = _matrices(weights, channels, hidden)
    qkv = x.new_empty(*x.shape[:3], 3 * channels)
    _run(training_head_kernel, HEAD, channels, scale, x, qkv_weight, qkv)
    mixed = attention_forward(qkv, bias, window_size, shift)
    y = torch.empty_like(x)
    _run(
        training_tail_kernel, TAIL, channels, scale, x, mixed, proj, fc1, fc2, y,
        hidden=hidden,
    )  # fmt: skip
    return y, qkv, mixed


@_training_layer.register_fake
def _(x, weights, bias, channels, hidden, window_size, shift, scale):
    qkv, mixed = (x.new_empty(*x.shape[:3], n * channels) for n in (3, 1))
    return x.new_empty(x.shape), qkv, mixed


@torch.library.custom_op("swinir_lite::training_layer_backward", mutates_args=())
def _training_layer_backward(
    grad: Tensor, x: Tensor, qkv: Tensor, mixed: Tensor, weights: Tensor, bias: Tensor,
    channels: int, hidden: int, window_size: int, shift: int, scale: float,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    x, grad = x.contiguous(), grad.contiguous()
    qkv_weight, proj, fc1, fc2 = _matrices(weights, channels, hidden)

    def sums(launch, size):  # one row a program
        return weights.new_empty(_programs(x, launch), size)

    tail_launch = tail_backward_launch(x)
    tail_sums = sums(tail_launch, weights.numel() - qkv_weight.numel())
    grad_middle, grad_mixed = torch.empty_like(x), torch.empty_like(mixed)
    _run(
        tail_backward_kernel, tail_launch, channels, scale, x, mixed, grad, proj, fc1,
        fc2, grad_middle, grad_mixed, tail_sums, hidden=hidden,
    )  # fmt: skip
    grad_qkv, grad_bias = attention_backward(grad_mixed, qkv, bias, window_size, shift)
    head_sums = sums(HEAD_BACKWARD, qkv_weight.numel())
    grad_x = torch.empty_like(x)
    _run(
        head_backward_kernel, HEAD_BACKWARD, channels, scale, x, grad_qkv,
        grad_middle, qkv_weight, grad_x, head_sums,
    )  # fmt: skip
    return grad_x, torch.cat([head_sums.sum(0), tail_sums.sum(0)]), grad_bias


@_training_layer_backward.register_fake
def _(grad, x, qkv, mixed, weights, bias, channels, hidden, window_size, shift, scale):
    return tuple(torch.empty_like(t) for t in (x, weights, bias))


def _save(ctx, inputs, output):
    x, weights, bias, *ctx.constants = inputs
    ctx.save_for_backward(x, *output[1:], weights, bias)
    ctx.set_materialize_grads(False)


def _backward(ctx, grad, grad_qkv, grad_mixed):
    grads = _training_layer_backward(grad, *ctx.saved_tensors, *ctx.constants)
    return *grads, None, None, None, None, None


_training_layer.register_autograd(_backward, setup_context=_save)


def training_layer(
    x: Tensor,
    packed: TrainingWeights,
    channels: int,
    hidden: int,
    window_size: int,
    shift: int,
    scale: float = 1.0,
) -> Tensor:
    """The Swin Transformer layer of chapter 6 in three kernels.

    Args:
        x: `(B, H, W, C')`: C features, at most `MAX_TRAINING_CHANNELS`, then any number
            of spare channels up to a power of two, which are left as they are and get
            no gradient; H and W are multiples of `window_size`. Their type is that
            of all features and of the operands of matrix products; sums, norms and
            softmax are float32.
        packed: the layer's weights, of `pack_for_training`.
        channels: C.
        hidden: channels inside the MLP.
        window_size, shift: in tokens; shift 0 for none.
        scale: what features are multiplied by, here and in `pack_for_training`.
    """
    return _training_layer(x, *packed, channels, hidden, window_size, shift, scale)[0]
