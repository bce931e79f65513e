"""The residual Swin Transformer block, RSTB (chapter 7)."""

from einops import rearrange
from torch import nn

from .swin_transformer_layer import SwinTransformerLayer


def body_convolution(dim, kind):
    """The end of an RSTB and of the body: (B, dim, H, W) -> the same (chapter 7)."""
    if kind == "1conv":
        return nn.Conv2d(dim, dim, 3, padding=1)
    if kind == "3conv":  # fewer parameters, for the large model
        return nn.Sequential(
            nn.Conv2d(dim, dim // 4, 3, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(dim // 4, dim // 4, 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(dim // 4, dim, 3, padding=1),
        )
    raise ValueError(f"unknown convolution {kind!r}, expected '1conv' or '3conv'")


class ResidualSwinTransformerBlock(nn.Module):
    """x + conv(layers(x)), `depth` layers alternating between no shift and M // 2.

    The arguments are those of `SwinTransformerLayer` and `body_convolution`.
    Paper: section 3.2; chapter 7.
    """

    def __init__(
        self, dim, depth, num_heads, window_size, mlp_ratio=2.0, resi_connection="1conv"
    ):
        super().__init__()
        shifts = [0 if i % 2 == 0 else window_size // 2 for i in range(depth)]
        self.layers = nn.ModuleList(
            SwinTransformerLayer(dim, num_heads, window_size, s, mlp_ratio)
            for s in shifts
        )
        self.conv = body_convolution(dim, resi_connection)

    def forward(self, x, mask=None):
        """(B, H, W, C) -> the same; `mask` as in `SwinTransformerLayer`."""
        features = x
        for layer in self.layers:
            features = layer(features, mask)
        features = self.conv(rearrange(features, "b h w c -> b c h w"))
        return x + rearrange(features, "b c h w -> b h w c")
