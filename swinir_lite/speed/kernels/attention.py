"""Window attention as one fused Triton kernel (chapter 16).

The kernel reads q, k and v where the qkv projection left them, in
`(B, H, W, 3C)`. Cyclic shift and window partition are index arithmetic, the
attention mask is computed from token positions, and scores live and die in
registers. Nothing but the output `(B, H, W, C)` is written.

One program holds one head of one window at a time and walks over a run of
windows, so the relative position bias is loaded once for the run and, in the
backward pass, its gradient is summed in registers and written once.
"""

import math

import torch
import triton
import triton.language as tl
from torch import Tensor

from .launch import precision

LOG2_E = tl.constexpr(math.log2(math.e))  # powers of two are cheaper than of e
MASK_VALUE = tl.constexpr(-100.0)

# How many programs one launch aims at, per multiprocessor of the device. More
# programs balance better, fewer load and store the bias less often.
FORWARD_PROGRAMS_PER_SM = 8
BACKWARD_PROGRAMS_PER_SM = 4


@triton.jit
def token_rows(window, token, height, width, shift, M: tl.constexpr):
    """Row in the flat `(B*H*W)` image of each token of one shifted window.

    Also returns whether the window lies in the last row or column of windows,
    the only ones where the cyclic shift brings distant tokens together.
    """
    windows_down = height // M
    windows_across = width // M
    window_x = window % windows_across
    window_y = (window // windows_across) % windows_down
    image = window // (windows_across * windows_down)
    y = window_y * M + token // M + shift
    x = window_x * M + token % M + shift
    y = tl.where(y >= height, y - height, y)  # a modulo is many instructions
    x = tl.where(x >= width, x - width, x)
    rows = (image * height + y).to(tl.int64) * width + x
    return rows, window_y == windows_down - 1, window_x == windows_across - 1


@triton.jit
def shift_region(token, last_down, last_across, shift, M: tl.constexpr):
    """Label of the image part a token comes from; 0 away from the border."""
    below = (token // M >= M - shift) & last_down
    beside = (token % M >= M - shift) & last_across
    return below.to(tl.int32) * 2 + beside.to(tl.int32)


@triton.jit
def load_bias(bias, head, token, N: tl.constexpr):
    """Bias of one head in powers of two; -inf at keys that pad the tile."""
    query = token[:, None]
    key = token[None, :]
    inside = (query < N) & (key < N)
    values = tl.load(bias + head * N * N + query * N + key, mask=inside, other=0.0)
    return tl.where(key < N, values.to(tl.float32) * LOG2_E, float("-inf"))


@triton.jit
def masked_softmax(scores, token, last_down, last_across, shift, M: tl.constexpr):
    """Of scores in powers of two, and the inverse sums that they still lack."""
    if (shift > 0) & (last_down | last_across):
        region = shift_region(token, last_down, last_across, shift, M)
        apart = region[:, None] != region[None, :]
        scores += tl.where(apart, MASK_VALUE * LOG2_E, 0.0)
    scores = tl.exp2(scores - tl.max(scores, 1)[:, None])
    return scores, 1.0 / tl.sum(scores, 1)[:, None]


@triton.jit
def attention_weights(
    q, k, bias, token, last_down, last_across, scale, shift, M: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    scores = tl.dot(q, tl.trans(k), input_precision=PRECISION)
    scores = scores * (scale * LOG2_E) + bias
    return masked_softmax(scores, token, last_down, last_across, shift, M)


@triton.jit
def forward_kernel(
    qkv, bias, out, windows, height, width, shift, scale, windows_per_program,
    M: tl.constexpr, HEADS: tl.constexpr, D: tl.constexpr,
    N_PAD: tl.constexpr, D_PAD: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    N: tl.constexpr = M * M
    C: tl.constexpr = HEADS * D
    head = tl.program_id(0) % HEADS
    first = tl.program_id(0) // HEADS * windows_per_program
    token = tl.arange(0, N_PAD)
    channel = tl.arange(0, D_PAD)
    inside = (token < N)[:, None] & (channel < D)[None, :]
    bias_tile = load_bias(bias, head, token, N)
    for window in range(first, min(first + windows_per_program, windows)):
        rows, last_down, last_across = token_rows(
            window, token, height, width, shift, M
        )
        tile = qkv + rows[:, None] * (3 * C) + head * D + channel[None, :]
        q = tl.load(tile, mask=inside, other=0.0)
        k = tl.load(tile + C, mask=inside, other=0.0)
        v = tl.load(tile + 2 * C, mask=inside, other=0.0)
        weights, inverse = attention_weights(
            q, k, bias_tile, token, last_down, last_across, scale, shift, M, PRECISION
        )
        result = tl.dot(weights.to(v.dtype), v, input_precision=PRECISION) * inverse
        target = out + rows[:, None] * C + head * D + channel[None, :]
        tl.store(target, result.to(out.dtype.element_ty), mask=inside)


@triton.jit
def backward_kernel(
    qkv, bias, grad_out, grad_qkv, grad_bias, windows, height, width, shift, scale,
    windows_per_program,
    M: tl.constexpr, HEADS: tl.constexpr, D: tl.constexpr,
    N_PAD: tl.constexpr, D_PAD: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    N: tl.constexpr = M * M
    C: tl.constexpr = HEADS * D
    head = tl.program_id(0) % HEADS
    first = tl.program_id(0) // HEADS * windows_per_program
    token = tl.arange(0, N_PAD)
    channel = tl.arange(0, D_PAD)
    inside = (token < N)[:, None] & (channel < D)[None, :]
    bias_tile = load_bias(bias, head, token, N)
    grad_bias_tile = tl.zeros((N_PAD, N_PAD), dtype=tl.float32)
    for window in range(first, min(first + windows_per_program, windows)):
        rows, last_down, last_across = token_rows(
            window, token, height, width, shift, M
        )
        offsets = rows[:, None] * (3 * C) + head * D + channel[None, :]
        q = tl.load(qkv + offsets, mask=inside, other=0.0)
        k = tl.load(qkv + offsets + C, mask=inside, other=0.0)
        v = tl.load(qkv + offsets + 2 * C, mask=inside, other=0.0)
        grad = tl.load(
            grad_out + rows[:, None] * C + head * D + channel[None, :],
            mask=inside,
            other=0.0,
        )
        weights, inverse = attention_weights(
            q, k, bias_tile, token, last_down, last_across, scale, shift, M, PRECISION
        )
        weights *= inverse
        grad_v = tl.dot(
            tl.trans(weights.to(grad.dtype)), grad, input_precision=PRECISION
        )
        grad_weights = tl.dot(grad, tl.trans(v), input_precision=PRECISION)
        along = tl.sum(weights * grad_weights, 1)[:, None]
        grad_scores = weights * (grad_weights - along)
        # Queries that pad the tile have zero grad_out, hence zero grad_scores.
        grad_bias_tile += grad_scores
        grad_scores = grad_scores.to(q.dtype)
        grad_q = tl.dot(grad_scores, k, input_precision=PRECISION) * scale
        grad_k = tl.dot(tl.trans(grad_scores), q, input_precision=PRECISION) * scale
        element = grad_qkv.dtype.element_ty
        tl.store(grad_qkv + offsets, grad_q.to(element), mask=inside)
        tl.store(grad_qkv + offsets + C, grad_k.to(element), mask=inside)
        tl.store(grad_qkv + offsets + 2 * C, grad_v.to(element), mask=inside)
    query = token[:, None]
    key = token[None, :]
    target = grad_bias + tl.program_id(0) * N * N + query * N + key
    tl.store(target, grad_bias_tile, mask=(query < N) & (key < N))


def launch_plan(
    qkv: Tensor, heads: int, window_size: int, programs_per_sm: int
) -> tuple[int, int, int]:
    """Number of windows, of windows per program and of groups of windows."""
    batch, height, width, _ = qkv.shape
    windows = batch * (height // window_size) * (width // window_size)
    processors = 1
    if qkv.is_cuda:
        processors = torch.cuda.get_device_properties(qkv.device).multi_processor_count
    groups = max(1, min(windows, processors * programs_per_sm // heads))
    per_program = triton.cdiv(windows, groups)
    return windows, per_program, triton.cdiv(windows, per_program)


def attention_constants(qkv: Tensor, heads: int, window_size: int) -> dict:
    head_dim = qkv.shape[-1] // (3 * heads)
    return {
        "M": window_size,
        "HEADS": heads,
        "D": head_dim,
        "N_PAD": max(16, triton.next_power_of_2(window_size**2)),
        "D_PAD": max(16, triton.next_power_of_2(head_dim)),
        "PRECISION": precision(qkv),
    }


def attention_forward(
    qkv: Tensor, bias: Tensor, window_size: int, shift: int
) -> Tensor:
    """Launch the forward kernel; no autograd."""
    batch, height, width, triple = qkv.shape
    heads = bias.shape[0]
    qkv, bias = qkv.contiguous(), bias.contiguous()
    out = qkv.new_empty(batch, height, width, triple // 3)
    windows, per_program, groups = launch_plan(
        qkv, heads, window_size, FORWARD_PROGRAMS_PER_SM
    )
    constants = attention_constants(qkv, heads, window_size)
    options = {"num_warps": 4}
    if qkv.is_cuda and qkv.element_size() == 2 and constants["D_PAD"] == 16:
        options["maxnreg"] = 128  # a fourth program on every multiprocessor
    with torch.cuda.device_of(qkv):
        forward_kernel[(groups * heads,)](
            qkv, bias, out, windows, height, width, shift,
            constants["D"] ** -0.5, per_program, **constants, **options,
        )  # fmt: skip
    return out


_window_attention = torch.library.custom_op(
    "swinir_lite::window_attention", attention_forward, mutates_args=()
)


@_window_attention.register_fake
def _(qkv, bias, window_size, shift):
    return qkv.new_empty(*qkv.shape[:3], qkv.shape[3] // 3)


def attention_backward(
    grad: Tensor, qkv: Tensor, bias: Tensor, window_size: int, shift: int
) -> tuple[Tensor, Tensor]:
    """Launch the backward kernel: gradients of qkv and bias."""
    _, height, width, _ = qkv.shape
    heads, tokens = bias.shape[:2]
    grad, qkv, bias = grad.contiguous(), qkv.contiguous(), bias.contiguous()
    grad_qkv = torch.empty_like(qkv)
    windows, per_program, groups = launch_plan(
        qkv, heads, window_size, BACKWARD_PROGRAMS_PER_SM
    )
    partial = torch.empty(
        groups, heads, tokens, tokens, dtype=torch.float32, device=qkv.device
    )
    constants = attention_constants(qkv, heads, window_size)
    with torch.cuda.device_of(qkv):
        backward_kernel[(groups * heads,)](
            qkv, bias, grad, grad_qkv, partial, windows, height, width, shift,
            constants["D"] ** -0.5, per_program, **constants, num_warps=4,
        )  # fmt: skip
    return grad_qkv, partial.sum(0).to(bias.dtype)


_window_attention_backward = torch.library.custom_op(
    "swinir_lite::window_attention_backward", attention_backward, mutates_args=()
)


@_window_attention_backward.register_fake
def _(grad, qkv, bias, window_size, shift):
    return torch.empty_like(qkv), torch.empty_like(bias)


def _save(ctx, inputs, output):
    qkv, bias, ctx.window_size, ctx.shift = inputs
    ctx.save_for_backward(qkv, bias)


def _backward(ctx, grad):
    grad_qkv, grad_bias = _window_attention_backward(
        grad, *ctx.saved_tensors, ctx.window_size, ctx.shift
    )
    return grad_qkv, grad_bias, None, None


_window_attention.register_autograd(_backward, setup_context=_save)


def triton_window_attention(
    qkv: Tensor, bias: Tensor, window_size: int, shift: int
) -> Tensor:
    """Shifted-window attention of chapters 4 and 5 in one kernel.

    Args:
        qkv: output of the qkv projection, `(B, H, W, 3C)`; H and W are
            multiples of `window_size`.
        bias: relative position bias, `(h, N, N)` with `N = window_size**2`.
        window_size: side M of a window, in tokens.
        shift: cyclic shift in tokens, 0 for none.

    Returns:
        `(B, H, W, C)` in the type of `qkv`. Gradients flow to both inputs.
    """
    # An operator of PyTorch takes the host several times as long
    plain = not (torch.is_grad_enabled() or torch.compiler.is_compiling())
    attention = attention_forward if plain else _window_attention
    return attention(qkv, bias, window_size, shift)
