"""The U-Net discriminator with spectral norm (chapter 10)."""

import torch.nn.functional as F
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm


def bounded_convolution(channels_in, channels_out, kernel_size=3, stride=1):
    """A convolution without bias whose weight matrix has largest singular value 1.

    Spectral normalisation: Miyato et al. (2018).  Chapter 10.
    """
    conv = nn.Conv2d(
        channels_in, channels_out, kernel_size, stride, padding=1, bias=False
    )
    return spectral_norm(conv)


def enlarge(x):
    """Double H and W of (B, C, H, W), bilinearly."""
    return F.interpolate(x, scale_factor=2, mode="bilinear")


class UNetDiscriminator(nn.Module):
    """Judge every pixel: is it of a photograph, or made by a generator?

    (B, in_channels, H, W) -> logits (B, 1, H, W), positive for real; H and W
    must be multiples of 8.  Three steps down, three up, with skip connections
    that are added: the discriminator of BSRGAN and of SwinIR's real-world
    models, after Schonfeld et al. (2020) and Wang et al. (2021).  Chapter 10.
    """

    def __init__(self, in_channels=3, dim=64):
        super().__init__()
        self.first = nn.Conv2d(in_channels, dim, 3, padding=1)
        self.down1 = bounded_convolution(dim, 2 * dim, 4, stride=2)
        self.down2 = bounded_convolution(2 * dim, 4 * dim, 4, stride=2)
        self.down3 = bounded_convolution(4 * dim, 8 * dim, 4, stride=2)
        self.up1 = bounded_convolution(8 * dim, 4 * dim)
        self.up2 = bounded_convolution(4 * dim, 2 * dim)
        self.up3 = bounded_convolution(2 * dim, dim)
        self.refine1 = bounded_convolution(dim, dim)
        self.refine2 = bounded_convolution(dim, dim)
        self.last = nn.Conv2d(dim, 1, 3, padding=1)

    def features(self, x):
        """Seven feature maps, from fine to coarse and back to (B, dim, H, W)."""
        if x.shape[-2] % 8 or x.shape[-1] % 8:
            raise ValueError(f"H and W must be multiples of 8, got {tuple(x.shape)}")
        x0 = F.leaky_relu(self.first(x), 0.2)  # (B, dim, H, W)
        x1 = F.leaky_relu(self.down1(x0), 0.2)  # (B, 2 dim, H/2, W/2)
        x2 = F.leaky_relu(self.down2(x1), 0.2)  # (B, 4 dim, H/4, W/4)
        x3 = F.leaky_relu(self.down3(x2), 0.2)  # (B, 8 dim, H/8, W/8)
        x4 = F.leaky_relu(self.up1(enlarge(x3)), 0.2) + x2
        x5 = F.leaky_relu(self.up2(enlarge(x4)), 0.2) + x1
        x6 = F.leaky_relu(self.up3(enlarge(x5)), 0.2) + x0
        return [x0, x1, x2, x3, x4, x5, x6]

    def forward(self, x):
        x = self.features(x)[-1]
        x = F.leaky_relu(self.refine1(x), 0.2)
        x = F.leaky_relu(self.refine2(x), 0.2)
        return self.last(x)
