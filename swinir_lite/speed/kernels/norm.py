"""LayerNorm over the channels of each token, for rows of a few hundred bytes.

PyTorch's own kernel gives a block of threads to every row; with 60 or 180
channels most of them idle. Here one program normalises a tile of rows.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

ELEMENTS_PER_TILE = 4096


def epsilon(scale: float) -> float:
    """What PyTorch's LayerNorm adds to the variance, for features times `scale`."""
    return 1e-5 * scale**2


@triton.jit
def row_offsets(
    tile, rows, STRIDE: tl.constexpr, C_PAD: tl.constexpr, TILE: tl.constexpr
):
    row = tl.cast(tile, tl.int64) * TILE + tl.arange(0, TILE)[:, None]
    channel = tl.arange(0, C_PAD)[None, :]
    return row * STRIDE + channel, (row < rows) & (channel < STRIDE)


@triton.jit
def normalize(values, C: tl.constexpr, C_PAD: tl.constexpr, EPS: tl.constexpr):
    """LayerNorm without weight and bias, and the inverse deviation."""
    channels = (tl.arange(0, C_PAD) < C)[None, :]
    mean = tl.sum(tl.where(channels, values, 0.0), 1)[:, None] / C
    centred = tl.where(channels, values - mean, 0.0)
    inverse = tl.rsqrt(tl.sum(centred * centred, 1)[:, None] / C + EPS)
    return centred * inverse, inverse


@triton.jit
def norm_kernel(
    x, weight, bias, y, rows,
    C: tl.constexpr, STRIDE: tl.constexpr, C_PAD: tl.constexpr, TILE: tl.constexpr,
    EPS: tl.constexpr,
):  # fmt: skip
    channel = tl.arange(0, C_PAD)
    offset, inside = row_offsets(tl.program_id(0), rows, STRIDE, C_PAD, TILE)
    values = tl.load(x + offset, mask=inside, other=0.0).to(tl.float32)
    normal, _ = normalize(values, C, C_PAD, EPS)
    normal *= tl.load(weight + channel, mask=channel < C, other=0.0)[None, :]
    normal += tl.load(bias + channel, mask=channel < C, other=0.0)[None, :]
    normal = tl.where((channel < C)[None, :], normal, values)
    tl.store(y + offset, normal.to(y.dtype.element_ty), mask=inside)


@triton.jit
def norm_backward_kernel(
    x, weight, grad_y, grad_x, partial, rows,
    C: tl.constexpr, STRIDE: tl.constexpr, C_PAD: tl.constexpr, TILE: tl.constexpr,
    EPS: tl.constexpr,
):  # fmt: skip
    channel = tl.arange(0, C_PAD)
    gain = tl.load(weight + channel, mask=channel < C, other=0.0)[None, :]
    weight_sum = tl.zeros((C_PAD,), tl.float32)
    bias_sum = tl.zeros((C_PAD,), tl.float32)
    for tile in range(tl.program_id(0), tl.cdiv(rows, TILE), tl.num_programs(0)):
        offset, inside = row_offsets(tile, rows, STRIDE, C_PAD, TILE)
        values = tl.load(x + offset, mask=inside, other=0.0).to(tl.float32)
        normal, inverse = normalize(values, C, C_PAD, EPS)
        grad = tl.load(grad_y + offset, mask=inside, other=0.0).to(tl.float32)
        weight_sum += tl.sum(grad * normal, 0)
        bias_sum += tl.sum(grad, 0)
        grad *= gain
        along = tl.sum(grad * normal, 1)[:, None] / C
        mean = tl.sum(grad, 1)[:, None] / C
        grad = tl.where(
            (channel < C)[None, :], (grad - mean - normal * along) * inverse, 0.0
        )
        tl.store(grad_x + offset, grad.to(grad_x.dtype.element_ty), mask=inside)
    target = partial + tl.program_id(0) * (2 * C) + channel
    tl.store(target, weight_sum, mask=channel < C)
    tl.store(target + C, bias_sum, mask=channel < C)


def norm_constants(channels: int, scale: float) -> dict:
    channels_pad = triton.next_power_of_2(channels)
    tile = max(1, ELEMENTS_PER_TILE // channels_pad)
    return {"C": channels, "C_PAD": channels_pad, "TILE": tile, "EPS": epsilon(scale)}


def norm_forward(
    x: Tensor, weight: Tensor, bias: Tensor, dtype: torch.dtype, scale: float = 1.0
) -> Tensor:
    """Launch the forward kernel; no autograd.

    Channels of x beyond those of `weight` are spare, and stay as they are. `scale` is
    what x was multiplied by, which leaves no trace in the result.
    """
    x = x.contiguous()
    y = torch.empty_like(x, dtype=dtype)
    constants = norm_constants(weight.numel(), scale)
    rows, stride = x.numel() // x.shape[-1], x.shape[-1]
    with torch.cuda.device_of(x):
        grid = (triton.cdiv(rows, constants["TILE"]),)
        norm_kernel[grid](x, weight, bias, y, rows, STRIDE=stride, **constants)
    return y


_layer_norm = torch.library.custom_op(
    "swinir_lite::layer_norm", norm_forward, mutates_args=()
)


@_layer_norm.register_fake
def _(x, weight, bias, dtype, scale=1.0):
    return x.new_empty(x.shape, dtype=dtype)


@torch.library.custom_op("swinir_lite::layer_norm_backward", mutates_args=())
def _layer_norm_backward(
    grad: Tensor, x: Tensor, weight: Tensor, scale: float = 1.0
) -> tuple[Tensor, Tensor, Tensor]:
    grad, x = grad.contiguous(), x.contiguous()
    grad_x = torch.empty_like(x)
    channels, stride = weight.numel(), x.shape[-1]
    constants = norm_constants(channels, scale)
    rows = x.numel() // stride
    programs = min(1024, triton.cdiv(rows, constants["TILE"]))
    partial = x.new_empty(programs, 2, channels, dtype=torch.float32)
    with torch.cuda.device_of(x):
        norm_backward_kernel[(programs,)](
            x, weight, grad, grad_x, partial, rows, STRIDE=stride, **constants
        )
    sums = partial.sum(0)  # an operator's results must not share memory
    return grad_x, *(t.to(weight.dtype, copy=True) for t in sums.unbind())


@_layer_norm_backward.register_fake
def _(grad, x, weight, scale=1.0):
    return tuple(torch.empty_like(t) for t in (x, weight, weight))


def _save(ctx, inputs, output):
    ctx.save_for_backward(*inputs[:2])
    ctx.scale = inputs[4]


def _backward(ctx, grad):
    return *_layer_norm_backward(grad, *ctx.saved_tensors, ctx.scale), None, None


_layer_norm.register_autograd(_backward, setup_context=_save)


def triton_layer_norm(
    x: Tensor, weight: Tensor, bias: Tensor, dtype: torch.dtype, scale: float = 1.0
) -> Tensor:
    """`torch.nn.functional.layer_norm` over the last axis, returned in dtype.

    Channels of x beyond those of `weight`, up to a power of two, are spare: they
    stay as they are and get no gradient. `scale` is as in `norm_forward`.
    """
    # An operator of PyTorch takes the host several times as long
    plain = not (torch.is_grad_enabled() or torch.compiler.is_compiling())
    return (norm_forward if plain else _layer_norm)(x, weight, bias, dtype, scale)
