"""SwinIR at the speed of the hardware, beside the reading path (chapter 13).

``fast(model)`` wraps a SwinIR of the chapters in a module with the same
parameters and the same function, computed with fewer bytes moved.
"""

import os
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .shifted_windows import attention_mask
from .swinir import SwinIR, pad_to_multiple

BACKENDS = ("reference", "sdpa", "triton")


class AttentionBackend(NamedTuple):
    """What computes window attention, and why."""

    name: str
    reason: str


def attention_backend(device=None, name: str | None = None) -> AttentionBackend:
    """Which attention runs on a device (chapter 13).

    Args:
        device: where the tensors will be; by default CUDA if there is one.
        name: ``'reference'``, ``'sdpa'`` or ``'triton'`` to insist on one. The
            environment variable ``SWINIR_ATTENTION`` does the same.

    Raises ValueError for an unknown name and RuntimeError for one that cannot
    run on the device; nothing else is chosen in its place.
    """
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(device)
    origin = "asked for by the caller"
    if name is None and (name := os.environ.get("SWINIR_ATTENTION")):
        origin = "asked for by SWINIR_ATTENTION"
    obstacle = _triton_obstacle(device)
    if name is None:
        if obstacle:
            return AttentionBackend("sdpa", obstacle)
        return AttentionBackend("triton", "fused kernel for CUDA devices")
    if name not in BACKENDS:
        raise ValueError(f"attention must be one of {BACKENDS}, got {name!r}")
    if name == "triton" and obstacle:
        raise RuntimeError(f"attention 'triton' cannot run: {obstacle}")
    return AttentionBackend(name, origin)


def _triton_obstacle(device: torch.device) -> str | None:
    """Why the Triton kernel cannot run on a device, or None if it can."""
    interpreted = os.environ.get("TRITON_INTERPRET") == "1"
    if device.type != "cuda" and not interpreted:
        return f"Triton needs a CUDA device, this is {device.type}"
    try:
        import triton  # noqa: F401
    except ImportError:
        return "the package triton is not installed"
    if interpreted or torch.cuda.get_device_capability(device) >= (7, 0):
        return None
    return "Triton needs compute capability 7.0 or newer"


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
        mask = attention_mask(height, width, window_size, shift, qkv.device)
        scores = scores + mask[:, None]
    weights = scores.softmax(-1).to(v.dtype)
    return _from_windows(weights @ v, height, width, shift)


def _sdpa_attention(qkv, bias, window_size, shift):
    _, height, width, _ = qkv.shape
    q, k, v = _to_windows(qkv, bias.shape[0], window_size, shift)
    bias = bias.to(qkv.dtype)[None, None]
    if shift:
        mask = attention_mask(height, width, window_size, shift, qkv.device)
        bias = bias + mask[:, None].to(qkv.dtype)
    head_dim = q.shape[-1]
    if qkv.is_cuda and head_dim % 8:
        # CUDA's fused kernels want heads of a multiple of 8 channels.
        q, k, v = (F.pad(t, (0, -head_dim % 8)) for t in (q, k, v))
    bias = bias.expand(*q.shape[:3], *bias.shape[-2:])
    out = F.scaled_dot_product_attention(q, k, v, bias, scale=head_dim**-0.5)
    return _from_windows(out[..., :head_dim], height, width, shift)


def window_attention(qkv, bias, window_size, shift, backend):
    """Shifted-window attention on ``(B, H, W, 3C)`` by the named backend."""
    if backend == "triton":
        from .triton_attention import triton_window_attention

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


def _pair(module):
    return module.weight, module.bias


def _layer_weights(layer):
    return (
        _pair(layer.norm1), _pair(layer.attn.qkv), _pair(layer.attn.proj),
        _pair(layer.norm2), _pair(layer.mlp.fc1), _pair(layer.mlp.fc2),
    )  # fmt: skip


def _conv(module, x):
    """A convolution of the reading path applied to ``(B, H, W, C)``.

    Channels are padded with zeros to a multiple of 8, without which cuDNN takes
    a path half as fast.
    """
    if isinstance(module, nn.Sequential):
        for part in module:
            x = _conv(part, x) if isinstance(part, nn.Conv2d) else part(x)
        return x
    weight, bias = module.weight, module.bias
    outputs, inputs = weight.shape[:2]
    if x.is_cuda:
        weight = F.pad(weight, (0, 0, 0, 0, 0, -inputs % 8, 0, -outputs % 8))
        weight = weight.contiguous(memory_format=torch.channels_last)
        bias = F.pad(bias, (0, -outputs % 8))
        x = F.pad(x, (0, -inputs % 8))
    x = F.conv2d(x.permute(0, 3, 1, 2), weight, bias, padding=module.padding)
    return x.permute(0, 2, 3, 1)[..., :outputs]


class FastSwinIR(nn.Module):
    """The function of a SwinIR, in channels-last layout (chapter 13).

    Shares the model's parameters: training this module trains the model, and
    checkpoints are saved from the model.
    """

    def __init__(self, model: SwinIR, attention: str | None = None, compile=None):
        super().__init__()
        self.model = model
        self.attention = attention
        self.swin_layer = swin_layer
        if compile:
            self.swin_layer = torch.compile(swin_layer)

    def fused_layers(self, block, x: Tensor, dtype) -> Tensor:
        from .triton_layer import pack_layers, triton_swin_layer

        for layer, packed in zip(block.layers, pack_layers(block.layers)):
            hidden = layer.mlp.fc1.out_features
            x = triton_swin_layer(
                x, packed, hidden, layer.window_size, layer.shift, dtype
            )
        return x

    def deep_features(self, x: Tensor, backend: str) -> Tensor:
        model = self.model
        dtype = x.dtype
        if torch.is_autocast_enabled(x.device.type):
            dtype = torch.get_autocast_dtype(x.device.type)
        # In float32 the fused layers would not be faster than cuBLAS.
        fused = backend == "triton" and model.config.dim < 64
        fused = fused and dtype != torch.float32
        x = F.layer_norm(x, x.shape[-1:], *_pair(model.norm_in))
        for block in model.blocks:
            residual = x
            if fused:
                x = self.fused_layers(block, x, dtype)
                x = residual + _conv(block.conv, x)
                continue
            for layer in block.layers:
                x = self.swin_layer(
                    x, layer.attn.relative_position_bias(), _layer_weights(layer),
                    layer.window_size, layer.shift, backend,
                )  # fmt: skip
            x = residual + _conv(block.conv, x)
        x = F.layer_norm(x, x.shape[-1:], *_pair(model.norm_out))
        return _conv(model.conv_after_body, x)

    def forward(self, x: Tensor) -> Tensor:
        """Restore ``(B, C, H, W)`` in [0, 1], as the model itself does."""
        model, config = self.model, self.model.config
        backend = attention_backend(x.device, self.attention).name
        height, width = x.shape[-2:]
        x = pad_to_multiple(x, config.window_size)
        x = (x - model.mean) * config.img_range
        x = x.contiguous(memory_format=torch.channels_last)
        shallow = model.conv_first(x).permute(0, 2, 3, 1)
        deep = shallow + self.deep_features(shallow, backend)
        restored = model.head(deep.permute(0, 3, 1, 2))
        if config.upsampler == "none":
            restored = x + restored
        restored = restored / config.img_range + model.mean
        return restored[:, :, : height * config.scale, : width * config.scale]


def fast(model: SwinIR, attention: str | None = None, compile=None) -> FastSwinIR:
    return FastSwinIR(model, attention, compile)
