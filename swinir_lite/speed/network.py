"""SwinIR at the speed of the hardware, beside the reading path (chapter 13).

``fast(model)`` wraps a SwinIR of the chapters in a module with the same
parameters and the same function, computed with fewer bytes moved.
"""

import functools
import importlib.util
import os
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..swinir import SwinIR, SwinIRConfig, check_input, pad_to_multiple
from .cpu import add_deep_features
from .window_masks import window_masks

BACKENDS = ("reference", "sdpa", "triton")


class AttentionBackend(NamedTuple):
    """What computes window attention, and why."""

    name: str
    reason: str


def attention_backend(
    device=None, name: str | None = None, config: SwinIRConfig | None = None
) -> AttentionBackend:
    """Which attention runs on a device (chapter 13).

    Args:
        device: where the tensors will be; by default CUDA if there is one.
        name: ``'reference'``, ``'sdpa'`` or ``'triton'`` to insist on one. The
            environment variable ``SWINIR_ATTENTION`` does the same.
        config: of the network, whose windows or heads may be too large for a kernel.

    Raises ValueError for an unknown name and RuntimeError for one that cannot
    run there; nothing else is chosen in its place.
    """
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(device)
    origin = "asked for by the caller"
    if name is None and (name := os.environ.get("SWINIR_ATTENTION")):
        origin = "asked for by SWINIR_ATTENTION"
    if name is None and device.type != "cuda":
        reason = f"Triton is for CUDA; on {device.type} the explicit form is quickest"
        return AttentionBackend("reference", reason)
    obstacle = _triton_obstacle(device, config)
    if name is None:
        if obstacle:
            return AttentionBackend("sdpa", obstacle)
        return AttentionBackend("triton", "fused kernels for CUDA")
    if name not in BACKENDS:
        raise ValueError(f"attention must be one of {BACKENDS}, got {name!r}")
    if name == "triton" and obstacle:
        raise RuntimeError(f"attention 'triton' cannot run: {obstacle}")
    return AttentionBackend(name, origin)


def _triton_obstacle(device: torch.device, config: SwinIRConfig | None) -> str | None:
    """Why the Triton kernels cannot run there, or None if they can."""
    interpreted = os.environ.get("TRITON_INTERPRET") == "1"  # slow, for tests
    if device.type != "cuda" and not interpreted:
        return f"it needs a CUDA device, this is {device.type}"
    if importlib.util.find_spec("triton") is None:
        return "the package triton is not installed"
    if not interpreted:
        major, minor = torch.cuda.get_device_capability(device)
        if major < 8:  # a T4 has 7.5
            found = f"this GPU has {major}.{minor}"
            return f"Triton supports compute capability 8.0 and newer, {found}"
    return _tile_obstacle(config) if config else None


def _tile_obstacle(config: SwinIRConfig) -> str | None:
    """Why a window of such a network does not fit on chip, or None if it does."""
    from .kernels.attention import MAX_HEAD_DIM, MAX_WINDOW

    side, head_dim = config.window_size, config.dim // min(config.num_heads)
    if side <= MAX_WINDOW and head_dim <= MAX_HEAD_DIM:
        return None
    return (
        f"its tiles hold windows of {MAX_WINDOW}x{MAX_WINDOW} and heads of "
        f"{MAX_HEAD_DIM} channels, here are {side}x{side} and {head_dim} channels"
    )


def _to_windows(qkv: Tensor, heads: int, window_size: int, shift: int) -> Tensor:
    """``(B, H, W, 3C)`` -> q, k, v, each ``(B, windows, h, N, d)``."""
    batch, height, width, triple = qkv.shape
    down, across = height // window_size, width // window_size
    head_dim = triple // 3 // heads
    if shift:
        qkv = torch.roll(qkv, (-shift, -shift), (1, 2))
    qkv = qkv.view(
        batch, down, window_size, across, window_size, 3, heads, head_dim
    ).permute(5, 0, 1, 3, 6, 2, 4, 7)
    return qkv.reshape(3, batch, down * across, heads, window_size**2, head_dim)


def _from_windows(x: Tensor, height: int, width: int, shift: int) -> Tensor:
    """``(B, windows, h, N, d)`` -> ``(B, H, W, C)``."""
    batch, _, heads, tokens, head_dim = x.shape
    side = int(tokens**0.5)
    x = x.view(batch, height // side, width // side, heads, side, side, head_dim)
    x = x.permute(0, 1, 4, 2, 5, 3, 6)
    x = x.reshape(batch, height, width, heads * head_dim)
    return torch.roll(x, (shift, shift), (1, 2)) if shift else x


def _reference_attention(qkv, bias, window_size, shift):
    _, height, width, _ = qkv.shape
    q, k, v = _to_windows(qkv, bias.shape[0], window_size, shift)
    scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5 + bias
    if shift:
        mask = window_masks(height, width, window_size, shift, qkv.device)
        scores = scores + mask[:, None]
    weights = scores.softmax(-1).to(v.dtype)
    return _from_windows(weights @ v, height, width, shift)


def _sdpa_attention(qkv, bias, window_size, shift):
    _, height, width, _ = qkv.shape
    q, k, v = _to_windows(qkv, bias.shape[0], window_size, shift)
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
    return _from_windows(out, height, width, shift)


def window_attention(qkv, bias, window_size, shift, backend):
    """Shifted-window attention on ``(B, H, W, 3C)`` by the named backend."""
    if backend == "triton":
        from .kernels.attention import triton_window_attention

        return triton_window_attention(qkv, bias, window_size, shift)
    explicit = {"reference": _reference_attention, "sdpa": _sdpa_attention}
    return explicit[backend](qkv, bias, window_size, shift)


def swin_layer(x, bias, weights, window_size, shift, backend):
    """One Swin Transformer layer on ``(B, H, W, C)`` as a function of tensors."""
    norm1, qkv, proj, norm2, fc1, fc2 = weights
    channels = x.shape[-1:]
    h = F.linear(F.layer_norm(x, channels, *norm1), *qkv)
    h = window_attention(h, bias, window_size, shift, backend)
    x = x + F.linear(h, *proj)
    h = F.linear(F.layer_norm(x, channels, *norm2), *fc1)
    return x + F.linear(F.gelu(h), *fc2)


@functools.cache
def compiled_layer():
    """``swin_layer`` under ``torch.compile``: once for all layers, weights and sizes.

    More often only where the shape of the code differs: with and without a shift.
    """
    return torch.compile(swin_layer, dynamic=True)


def _pair(module):
    return module.weight, module.bias


def _layer_weights(layer):
    return (
        _pair(layer.norm1), _pair(layer.attn.qkv), _pair(layer.attn.proj),
        _pair(layer.norm2), _pair(layer.mlp.fc1), _pair(layer.mlp.fc2),
    )  # fmt: skip


def _padded(x, weight, bias):
    """Operands of a convolution with channels padded to multiples of 8, for CUDA.

    Without it cuDNN takes a path half as fast. Spare channels of the input are ones,
    and the bias is the weight of the first in the middle of the kernel: that saves a
    pass over the output, and over its gradient a sum.
    """
    outputs, inputs, side = weight.shape[:3]
    spare = -inputs % 8
    if spare:
        if x.shape[-1] == inputs:
            x = F.pad(x, (0, spare), value=1.0)
        bias = F.pad(bias[:, None, None, None], (side // 2,) * 4)
        weight, bias = torch.cat([weight, bias], 1), None
    else:
        bias = F.pad(bias, (0, -outputs % 8))
    weight = F.pad(weight, (0, 0, 0, 0, 0, -weight.shape[1] % 8, 0, -outputs % 8))
    return x, weight.contiguous(memory_format=torch.channels_last), bias


def _conv(module, x, keep_spare=False):
    """A part of the reading path, made for ``(B, C, H, W)``, on ``(B, H, W, C)``.

    On CUDA ``x`` may have spare channels of ones, and with ``keep_spare`` the result
    of a convolution has spare channels of zeros.
    """
    if isinstance(module, nn.Sequential):
        for part in module[:-1]:
            x = _conv(part, x)
        return _conv(module[-1], x, keep_spare)
    if not isinstance(module, nn.Conv2d):
        return module(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    weight, bias = module.weight, module.bias
    outputs, inputs = weight.shape[:2]
    if x.is_cuda or keep_spare or x.shape[-1] > inputs:
        x, weight, bias = _padded(x, weight, bias)
    x = F.conv2d(x.permute(0, 3, 1, 2), weight, bias, padding=module.padding)
    x = x.permute(0, 2, 3, 1)
    return x if keep_spare else x[..., :outputs]


def check_without_waiting(x: Tensor, in_channels: int) -> None:
    """The model's own check, but for values on CUDA, which the host would wait for."""
    on_cuda = torch.is_tensor(x) and x.is_cuda and x.is_floating_point()
    fits = on_cuda and x.ndim == 4 and x.shape[1] == in_channels and x.numel()
    if not fits:
        check_input(x, in_channels)


class FastSwinIR(nn.Module):
    """The function of a SwinIR, in channels-last layout (chapter 13).

    Shares the model's parameters: training this module trains the model, and
    checkpoints are saved from the model.
    """

    def __init__(
        self,
        model: SwinIR,
        attention: str | None = None,
        dtype: torch.dtype | None = None,
        compiled: bool = False,
    ):
        super().__init__()
        self.model = model
        self.attention = attention
        self.dtype = dtype
        self.compiled = compiled
        self.inference = None
        self.train(model.training)

    def __getstate__(self):
        """For copies and pickles: CUDA graphs cannot be copied, and are made anew."""
        return {**self.__dict__, "inference": None}

    pad = staticmethod(pad_to_multiple)

    @property
    def config(self):
        return self.model.config

    def compute_dtype(self, device: torch.device) -> torch.dtype:
        """Type of matrix products: the one asked for, or autocast's, or the model's."""
        if self.dtype is not None:
            return self.dtype
        if torch.is_autocast_enabled(device.type):
            return torch.get_autocast_dtype(device.type)
        return self.model.norm_in.weight.dtype

    def autocast(self, x: Tensor, dtype: torch.dtype) -> torch.autocast:
        """For half precision, unless image and model are in that type already."""
        given = {x.dtype, self.model.norm_in.weight.dtype}
        needed = dtype.itemsize == 2 and given != {dtype}
        return torch.autocast(x.device.type, dtype, needed)

    def norm(self, module, x: Tensor, backend: str, dtype: torch.dtype) -> Tensor:
        if backend == "triton":
            from .kernels.norm import triton_layer_norm

            return triton_layer_norm(x, module.weight, module.bias, dtype)
        return F.layer_norm(x, x.shape[-1:], module.weight, module.bias)

    def fused_features(self, shallow: Tensor, dtype: torch.dtype) -> Tensor:
        """Shallow and deep features by fused kernels, with spare channels of ones."""
        model = self.model
        shallow = F.pad(shallow, (0, -self.config.dim % 8), value=1.0)
        x = self.fused_blocks(self.norm(model.norm_in, shallow, "triton", dtype))
        x = self.norm(model.norm_out, x, "triton", dtype)
        return shallow + _conv(model.conv_after_body, x, keep_spare=True)

    def fused_blocks(self, x: Tensor) -> Tensor:
        """All RSTBs, by kernels that hold a layer's weights on chip."""
        from .kernels.training_layer import pack_layers, triton_swin_layer

        blocks = self.model.blocks
        packed = iter(pack_layers([layer for b in blocks for layer in b.layers]))
        for block in blocks:
            residual = x
            for layer in block.layers:
                hidden = layer.mlp.fc1.out_features
                x = triton_swin_layer(
                    x, next(packed), self.config.dim, hidden, layer.window_size,
                    layer.shift,
                )  # fmt: skip
            x = residual + _conv(block.conv, x, keep_spare=True)
        return x

    def composed_blocks(self, x: Tensor, backend: str) -> Tensor:
        """All RSTBs, by PyTorch's operations around the attention."""
        layer_function = compiled_layer() if self.compiled else swin_layer
        for block in self.model.blocks:
            residual = x
            for layer in block.layers:
                x = layer_function(
                    x, layer.attn.relative_position_bias(), _layer_weights(layer),
                    layer.window_size, layer.shift, backend,
                )  # fmt: skip
            x = residual + _conv(block.conv, x)
        return x

    def _in_strips(self, x: Tensor, backend: str) -> bool:
        """Whether tensors may change in place: not for gradients nor for exporters."""
        followed = torch.is_grad_enabled() or torch.compiler.is_compiling()
        on_cpu = x.device.type == "cpu"
        return on_cpu and backend == "reference" and not (followed or self.compiled)

    def _fuses_layers(self, backend: str, dtype: torch.dtype) -> bool:
        """Whether whole layers are kernels; in float32 cuBLAS is as fast."""
        if self.compiled or backend != "triton" or dtype.itemsize > 2:
            return False
        from .kernels.training_layer import MAX_CHANNELS, MAX_HIDDEN

        config = self.config
        hidden = self.model.blocks[0].layers[0].mlp.fc1.out_features
        on_chip = config.dim <= MAX_CHANNELS and hidden <= MAX_HIDDEN
        return on_chip and len(set(config.num_heads)) == 1

    def composed_features(
        self, shallow: Tensor, backend: str, dtype: torch.dtype
    ) -> Tensor:
        model = self.model
        stored = model.norm_in.weight.dtype
        x = self.norm(model.norm_in, shallow, backend, stored)
        x = self.composed_blocks(x, backend)
        x = self.norm(model.norm_out, x, backend, dtype)
        return shallow + _conv(model.conv_after_body, x)

    def features(self, shallow: Tensor, backend: str, dtype: torch.dtype) -> Tensor:
        """Shallow and deep features together, by the path that serves this call."""
        if self._in_strips(shallow, backend):
            return add_deep_features(self.model, shallow)
        if self._fuses_layers(backend, dtype):
            return self.fused_features(shallow, dtype)
        return self.composed_features(shallow, backend, dtype)

    def differentiable(self, x: Tensor, backend: str, dtype: torch.dtype) -> Tensor:
        model, config = self.model, self.model.config
        x = (self.pad(x, config.window_size) - model.mean) * config.img_range
        shallow = _conv(model.conv_first, x.permute(0, 2, 3, 1))
        features = self.features(shallow, backend, dtype)
        if features.shape[-1] > config.dim:
            restored = _conv(model.head, features).permute(0, 3, 1, 2)
        else:
            restored = model.head(features.permute(0, 3, 1, 2))
        if config.upsampler == "none":
            restored = x + restored
        return restored / config.img_range + model.mean

    def forward(self, x: Tensor) -> Tensor:
        """Restore ``(B, C, H, W)`` in [0, 1], as the model itself does."""
        config = self.model.config
        check_without_waiting(x, config.in_channels)
        backend = attention_backend(x.device, self.attention, config).name
        dtype = self.compute_dtype(x.device)
        height, width = (side * config.scale for side in x.shape[-2:])
        if backend == "triton" and self._prepared(x, dtype):
            restored = self.packed(dtype)(x)
        else:
            with self.autocast(x, dtype):
                restored = self.differentiable(x, backend, dtype)
        return restored[:, :, :height, :width]

    def _prepared(self, x: Tensor, dtype: torch.dtype) -> bool:
        """Whether the packed forward pass serves this call."""
        followed = torch.is_grad_enabled() or torch.compiler.is_compiling()
        if self.compiled or followed or dtype.itemsize > 2:
            return False
        from .kernels.inference_layer import MAX_CHANNELS

        return x.is_cuda and self.model.config.dim <= MAX_CHANNELS

    def packed(self, dtype: torch.dtype):
        """The forward pass without gradients on CUDA, made at the first call."""
        from .cuda import CudaInference

        inference = self.inference
        if inference is None or inference.dtype != dtype:
            inference = self.inference = CudaInference(self.model, dtype)
        return inference


def fast(
    model: SwinIR,
    attention: str | None = None,
    dtype: torch.dtype | None = None,
    compiled: bool = False,
) -> FastSwinIR:
    """Wrap a model of chapter 8 in its fast path (chapter 13).

    Which path that is depends on device, type and width. On CUDA in half precision,
    networks of up to 191 channels restore images by whole layers as kernels, and
    those of up to 63 channels train by them. Wider ones, and float32, run PyTorch's
    operations around the fused attention. Windows larger than 8x8 and heads of more
    than 32 channels have SDPA in its place. Without gradients, a CPU works in strips.

    Args:
        model: parameters are shared, not copied.
        attention: backend to insist on; see ``attention_backend``.
        dtype: type of matrix products, ``torch.bfloat16`` for speed; None
            follows autocast, and without it the model's own type.
        compiled: run the layers through ``torch.compile``, around the attention,
            in place of this project's fused layers. Meant for wide models.
    """
    return FastSwinIR(model, attention, dtype, compiled)
