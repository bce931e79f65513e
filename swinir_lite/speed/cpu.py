"""SwinIR on a CPU without gradients, strip by strip and in place (appendix A4).

Windows do not overlap, so a layer may finish some rows of windows before it
touches the next. What it needs meanwhile then fits into the processor's cache,
and its memory does not grow with the image. Strips are computed side by side, each
by one thread.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..relative_position_attention import WindowAttention
from ..swin_transformer_layer import SwinTransformerLayer
from ..swinir import SwinIR
from .side_by_side import SideBySide, side_by_side
from .window_masks import mask_patterns, window_patterns

# Tokens of a strip, as far as a row of windows has no more
COMPUTED_ALONE, SHARED = 2048, 4096  # by one thread, by all
# Threads side by side, which take turns to call PyTorch. More of them are quicker when
# they share operations: benchmarks/results/strips.json
MOST = 4
LOG2_E = math.log2(math.e)


class Buffers(NamedTuple):
    """The largest tensors of a strip, which the strips of a thread overwrite.

    Memory given back and asked for again arrives in pages that the system has to
    clear first, which takes longer than to compute what is written there.
    """

    qkv: Tensor
    scores: Tensor


class Strips(NamedTuple):
    """How large strips are, the threads that take them, and the buffers of each."""

    tokens: int
    threads: SideBySide
    buffers: list[Buffers]

    def rows(self, x: Tensor, multiple: int) -> int:
        """How many rows of `(B, H, W, C)` make a strip, some multiple.

        No more tokens than asked for, as far as that is possible, and as many strips
        for each thread, of which none should wait for another's last.
        """
        count = x.shape[1] // multiple
        most = max(1, self.tokens // (multiple * x.shape[0] * x.shape[2]))
        if not self.threads.suffice(count):
            return multiple * most
        rounds = math.ceil(count / (most * self.threads.count))
        return multiple * math.ceil(count / (rounds * self.threads.count))


@contextmanager
def strips_of(x: Tensor, tokens_at_once: int | None) -> Iterator[Strips]:
    """Of features `(B, H, W, C)`, by as many threads as PyTorch has."""
    count = torch.get_num_threads()
    count = count if count <= MOST else 1
    tokens = tokens_at_once or (COMPUTED_ALONE if count > 1 else SHARED)
    with side_by_side(count) as threads:
        empty = (Buffers(x.new_empty(0), x.new_empty(0)) for _ in range(count))
        yield Strips(tokens, threads, list(empty))


def read_rows(x: Tensor, top: int, count: int) -> Tensor:
    """Rows of `(B, H, W, C)`, going on at the top after the last."""
    wrapped = top + count - x.shape[1]
    if wrapped <= 0:
        return x[:, top : top + count]
    return torch.cat([x[:, top:], x[:, :wrapped]], dim=1)


def write_rows(x: Tensor, top: int, rows: Tensor) -> None:
    """The inverse of `read_rows`."""
    kept = min(rows.shape[1], x.shape[1] - top)
    x[:, top : top + kept] = rows[:, :kept]
    x[:, : rows.shape[1] - kept] = rows[:, kept:]


def linear(x: Tensor, layer: nn.Linear) -> Tensor:
    """A linear layer on windows `(n, N, C)`, as a convolution of 1x1.

    The same sums by another library, oneDNN. On the AMD processor of the benchmark
    it takes half the time of MKL, to which PyTorch gives matrix products.
    """
    image = x[None].permute(0, 3, 1, 2)
    weight = layer.weight[:, :, None, None]
    return F.conv2d(image, weight, layer.bias)[0].permute(1, 2, 0)


def project_(qkv: Tensor, attention: WindowAttention, x: Tensor) -> Tensor:
    """q, k and v of windows `(n, N, C)`, each `(n * h, d, N)`, in place.

    A product for each window, which leaves its heads one after the other. One for all
    windows would have to be put into that order by a copy, and the network took a
    tenth longer.
    """
    count, tokens, channels = x.shape
    weights = attention.qkv.weight.to(x.dtype).view(3, 1, channels, channels)
    biases = attention.qkv.bias.to(x.dtype).view(3, 1, channels, 1)
    qkv.resize_(3, count, channels, tokens)
    for part, weight, bias in zip(qkv, weights, biases):
        torch.baddbmm(bias, weight.expand(count, -1, -1), x.transpose(1, 2), out=part)
    return qkv.view(3, count * attention.num_heads, -1, tokens)


def attend(attention: WindowAttention, x: Tensor, buffers: Buffers) -> Tensor:
    """Attention in windows `(n, N, C)`; bias and mask are in `buffers.scores`.

    Explicit, since scores stay in cache. They have a row for each key, not for
    each query: softmax then takes its sums over whole rows, and the product with v
    is as wide as a window, not as a head, which took three times as long where it
    was measured. So did powers of e, four times as long as those of two. Sums
    divide the product with v, whose 10 channels a head are fewer than 64 weights.
    """
    count, tokens, channels = x.shape
    q, k, v = project_(buffers.qkv, attention, x)
    scores = buffers.scores.flatten(0, 1)
    scores.baddbmm_(k.transpose(1, 2), q, alpha=LOG2_E * attention.scale)
    weights = scores.sub_(scores.amax(1, keepdim=True)).exp2_()
    mixed = torch.bmm(v, weights, out=q)  # (n * h, d, N)
    mixed /= weights.sum(1, keepdim=True)
    mixed = mixed.view(count, channels, tokens).transpose(1, 2).contiguous()
    return linear(mixed, attention.proj)


def masked_biases(layer: SwinTransformerLayer, x: Tensor) -> Tensor:
    """Relative position bias and the masks: `(4, h, N, N)`, or 1 without a shift.

    For powers of two, with a row for each key, as `attend` wants them.
    """
    bias = LOG2_E * layer.attn.relative_position_bias()[None]
    if layer.shift:
        masks = mask_patterns(layer.window_size, layer.shift, x.device)
        bias = bias + LOG2_E * masks[:, None]
    return bias.transpose(2, 3).contiguous().to(x.dtype)


def layer_on_windows_(
    tokens: Tensor, layer: SwinTransformerLayer, buffers: Buffers
) -> None:
    """Apply a layer to windows `(n, N, C)` in place."""
    tokens += attend(layer.attn, layer.norm1(tokens), buffers)
    hidden = layer.mlp.act(linear(layer.norm2(tokens), layer.mlp.fc1))
    tokens += linear(hidden, layer.mlp.fc2)


def layer_in_strips_(x: Tensor, layer: SwinTransformerLayer, strips: Strips) -> Tensor:
    """Apply a layer of chapter 6 to `(B, H, W, C)` in place; no gradients."""
    batch, height, width, channels = x.shape
    side, shift = layer.window_size, layer.shift
    down, across = height // side, width // side
    biases = masked_biases(layer, x)
    patterns = window_patterns(down, across, x.device).expand(batch, down, across)
    patterns = patterns if shift else torch.zeros_like(patterns)
    step = strips.rows(x, side)

    def apply(top: int, i: int) -> None:
        """To one strip. No other reads or writes its rows: strips are disjoint."""
        buffers = strips.buffers[i]
        count = min(step, height - top)
        strip = read_rows(x, top + shift, count)
        strip = strip.roll(-shift, dims=2) if shift else strip
        windows = strip.view(batch, count // side, side, across, side, channels)
        # A copy even where one window across leaves the order as it is, since a
        # strip cannot be written to where it is still read
        tokens = windows.transpose(2, 3).clone(memory_format=torch.contiguous_format)
        tokens = tokens.view(-1, side**2, channels)
        kinds = patterns[:, top // side : (top + count) // side].flatten()
        # One row of windows may be too many: a wide image, or a batch
        parts = math.ceil(tokens.shape[0] * side**2 / strips.tokens)
        for some, kind in zip(tokens.chunk(parts), kinds.chunk(parts)):
            buffers.scores.resize_(len(kind), *biases.shape[1:])
            torch.index_select(biases, 0, kind, out=buffers.scores)
            layer_on_windows_(some, layer, buffers)
        windows = tokens.view(batch, count // side, across, side, side, channels)
        strip = windows.transpose(2, 3).reshape(strip.shape)
        write_rows(x, top + shift, strip.roll(shift, dims=2) if shift else strip)

    strips.threads.each(apply, range(0, height, step))
    return x


def add_convolution_(
    total: Tensor, x: Tensor, module: nn.Module, strips: Strips
) -> None:
    """Add what convolutions make of `(B, H, W, C)` to `total`, strip by strip."""
    *first, last = module if isinstance(module, nn.Sequential) else [module]
    with strips.threads.sharing():
        for part in first:
            x = part(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    height, border = x.shape[1], last.padding[0]
    step = strips.rows(x, 1)

    def add(top: int, _: int) -> None:
        """To one strip of `total`; nothing writes to `x`, where strips overlap."""
        bottom = min(top + step, height)
        above, below = max(0, top - border), min(height, bottom + border)
        zeros = above - (top - border), bottom + border - below
        rows = F.pad(x[:, above:below], (0, 0, 0, 0, *zeros)).permute(0, 3, 1, 2)
        rows = F.conv2d(rows, last.weight, last.bias, padding=(0, border))
        total[:, top:bottom] += rows.permute(0, 2, 3, 1)

    strips.threads.each(add, range(0, height, step))


def deep_features(model: SwinIR, shallow: Tensor, strips: Strips) -> Tensor:
    """RSTBs and the norm after them: `(B, H, W, C)` -> the same."""
    x = model.norm_in(shallow)
    inside = torch.empty_like(x)
    for block in model.blocks:
        inside.copy_(x)
        for layer in block.layers:
            layer_in_strips_(inside, layer, strips)
        add_convolution_(x, inside, block.conv, strips)
    return model.norm_out(x)


@torch.inference_mode()
def add_deep_features(
    model: SwinIR, shallow: Tensor, tokens_at_once: int | None = None
) -> Tensor:
    """The long skip: `(B, H, W, C)` and what the RSTBs make of it, added."""
    total = shallow.clone(memory_format=torch.contiguous_format)
    with strips_of(total, tokens_at_once) as strips:
        deep = deep_features(model, total, strips)
        add_convolution_(total, deep, model.conv_after_body, strips)
    return total
