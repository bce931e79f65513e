"""The whole of SwinIR (chapter 8)."""

from dataclasses import dataclass

import torch
from einops import rearrange
from torch import nn

from .residual_swin_transformer_block import (
    ResidualSwinTransformerBlock,
    body_convolution,
)
from .shifted_windows import attention_mask

RGB_MEAN = (0.4488, 0.4371, 0.4040)  # of DIV2K's training images
SCALES = {  # of each reconstruction head
    "pixelshuffle": (2, 3, 4, 8),
    "pixelshuffledirect": (2, 3, 4, 8),
    "nearest+conv": (2, 4),
    "none": (1,),
}


@dataclass(frozen=True)
class SwinIRConfig:
    """What distinguishes one SwinIR from another; ValueError if it does not fit."""

    in_channels: int = 3  # 3 for RGB, 1 for gray
    dim: int = 60  # channels C of the features
    depths: tuple[int, ...] = (6, 6, 6, 6)  # Swin Transformer layers of each RSTB
    num_heads: tuple[int, ...] = (6, 6, 6, 6)  # attention heads of each RSTB
    window_size: int = 8  # side M of a window, in pixels
    mlp_ratio: float = 2.0  # hidden channels of the MLPs over dim
    scale: int = 2  # 1 for denoising and JPEG artifact reduction
    upsampler: str = "pixelshuffledirect"  # the reconstruction head, a key of SCALES
    resi_connection: str = "1conv"  # or '3conv': the end of every RSTB
    img_range: float = 1.0  # what the input in [0, 1] is multiplied by

    def __post_init__(self):
        for name in ("depths", "num_heads"):  # JSON makes lists of them
            object.__setattr__(self, name, tuple(getattr(self, name)))
        check_config(self)


def check_config(config):
    """Raise ValueError for a configuration that makes no network."""
    if config.scale not in SCALES.get(config.upsampler, ()):
        raise ValueError(f"no {config.upsampler!r} x{config.scale}; there are {SCALES}")
    if config.in_channels not in (1, 3):
        raise ValueError(f"in_channels must be 1 or 3, got {config.in_channels}")
    sizes = config.dim, config.window_size - 1, *config.depths, *config.num_heads
    if not all(isinstance(n, int) and n > 0 for n in sizes):
        raise ValueError(f"sizes must be whole and > 0, windows > 1, got {config}")
    if min(round(config.dim * config.mlp_ratio), config.img_range) <= 0:
        raise ValueError(f"mlp_ratio and img_range must be > 0, got {config}")
    left_over = {config.dim % heads for heads in config.num_heads}
    if len(config.num_heads) != len(config.depths) or left_over != {0}:
        raise ValueError(f"every RSTB needs heads that divide dim, got {config}")


def reconstruction_head(config):
    """Features (B, dim, H, W) -> pixels (B, in_channels, H * scale, W * scale).

    Paper: section 3.1; chapter 8.
    """
    dim, channels, scale = config.dim, config.in_channels, config.scale
    if config.upsampler in ("none", "pixelshuffledirect"):
        last = nn.Conv2d(dim, channels * scale**2, 3, padding=1)
        return nn.Sequential(last, nn.PixelShuffle(scale))
    layers = [nn.Conv2d(dim, 64, 3, padding=1), nn.LeakyReLU(0.01)]
    for step in [3] if scale == 3 else [2] * (scale.bit_length() - 1):
        if config.upsampler == "pixelshuffle":
            layers += [nn.Conv2d(64, 64 * step**2, 3, padding=1), nn.PixelShuffle(step)]
        else:  # nearest+conv: enlarge, then repair, which avoids checkerboards
            layers += [nn.Upsample(scale_factor=step)]
            layers += [nn.Conv2d(64, 64, 3, padding=1), nn.LeakyReLU(0.2)]
    if config.upsampler == "nearest+conv":
        layers += [nn.Conv2d(64, 64, 3, padding=1), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.Conv2d(64, channels, 3, padding=1))


def pad_to_multiple(x, multiple):
    """Grow (B, C, H, W), any H, W >= 1, to multiples by reflection.  Chapter 8."""
    for axis in (2, 3):
        length = x.shape[axis]
        period = max(2 * (length - 1), 1)  # a b c d | c b a b c d
        position = torch.arange(length + -length % multiple, device=x.device) % period
        x = x.index_select(axis, torch.minimum(position, (period - position) % period))
    return x


def check_input(x, in_channels):
    """Raise TypeError or ValueError unless x is a batch of images."""
    if not torch.is_tensor(x) or not x.is_floating_point():
        got = x.dtype if torch.is_tensor(x) else type(x).__name__
        raise TypeError(f"expected a float tensor with values in [0, 1], got {got}")
    if x.ndim != 4 or x.shape[1] != in_channels or x.numel() == 0:
        expected = f"expected (B, {in_channels}, H, W) with pixels"
        raise ValueError(f"{expected}, got {tuple(x.shape)}")
    peak = 0.0 if torch.compiler.is_compiling() else x.abs().max().item()
    if not peak <= 10:  # NaN is neither above nor below
        raise ValueError(f"expected values in [0, 1], got absolute values to {peak:g}")


class SwinIR(nn.Module):
    """Image restoration with Swin Transformers (Liang et al., 2021).

    Shallow features, RSTBs with a long skip, a reconstruction head.  (B, C, H, W) in
    [0, 1] -> (B, C, H * scale, W * scale), not clamped, any H, W >= 1.  Chapter 8.
    """

    def __init__(self, config):
        super().__init__()
        if not isinstance(config, SwinIRConfig):
            raise TypeError(f"expected a SwinIRConfig, got {config!r}")
        self.config = config
        mean = torch.tensor(RGB_MEAN if config.in_channels == 3 else (0.0,))
        self.register_buffer("mean", mean.view(1, -1, 1, 1), persistent=False)
        self.conv_first = nn.Conv2d(config.in_channels, config.dim, 3, padding=1)
        self.norm_in = nn.LayerNorm(config.dim)
        shared = config.window_size, config.mlp_ratio, config.resi_connection
        self.blocks = nn.ModuleList(
            ResidualSwinTransformerBlock(config.dim, depth, heads, *shared)
            for depth, heads in zip(config.depths, config.num_heads)
        )
        self.norm_out = nn.LayerNorm(config.dim)
        self.conv_after_body = body_convolution(config.dim, config.resi_connection)
        self.head = reconstruction_head(config)
        self.apply(init_linear)

    def deep_features(self, shallow):
        """RSTBs and their closing convolution: (B, dim, H, W) -> the same."""
        window = self.config.window_size  # all layers share size and shift, so one mask
        mask = attention_mask(*shallow.shape[-2:], window, window // 2, shallow.device)
        x = self.norm_in(rearrange(shallow, "b c h w -> b h w c"))
        for block in self.blocks:
            x = block(x, mask)
        return self.conv_after_body(rearrange(self.norm_out(x), "b h w c -> b c h w"))

    def forward(self, x):
        """Restore a batch of images; raises TypeError or ValueError for other input."""
        check_input(x, self.config.in_channels)
        height, width = (side * self.config.scale for side in x.shape[-2:])
        x = pad_to_multiple(x, self.config.window_size)
        x = (x - self.mean) * self.config.img_range
        shallow = self.conv_first(x)
        restored = self.head(shallow + self.deep_features(shallow))
        if self.config.upsampler == "none":
            restored = x + restored  # the network learns what to change
        return (restored / self.config.img_range + self.mean)[:, :, :height, :width]


def init_linear(module):
    """Truncated normal weights (std 0.02) and zero biases, as in the official code."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
