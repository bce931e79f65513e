"""A residual convolutional network for super-resolution (chapter 2)."""

from torch import nn


class ResidualConvBlock(nn.Module):
    """x + conv(relu(conv(x))) on (B, dim, H, W): EDSR's block (Lim et al., 2017)."""

    def __init__(self, dim):
        super().__init__()
        self.conv1 = nn.Conv2d(dim, dim, 3, padding=1)
        self.conv2 = nn.Conv2d(dim, dim, 3, padding=1)

    def forward(self, x):
        return x + self.conv2(self.conv1(x).relu())


class ResidualCNN(nn.Module):
    """The convolutional baseline that SwinIR is compared with.

    Shallow features by one 3x3 convolution, `num_blocks` residual blocks, a
    convolution with a long skip, then pixel shuffle (chapter 2).

    Shapes: (B, in_channels, H, W) -> (B, in_channels, H * scale, W * scale),
    values in [0, 1] by convention.
    """

    def __init__(self, in_channels=3, dim=32, num_blocks=4, scale=2):
        super().__init__()
        self.conv_first = nn.Conv2d(in_channels, dim, 3, padding=1)
        self.blocks = nn.Sequential(
            *[ResidualConvBlock(dim) for _ in range(num_blocks)]
        )
        self.conv_after_body = nn.Conv2d(dim, dim, 3, padding=1)
        self.head = nn.Sequential(
            nn.Conv2d(dim, in_channels * scale**2, 3, padding=1),
            nn.PixelShuffle(scale),
        )

    def forward(self, x):
        shallow = self.conv_first(x)
        deep = self.conv_after_body(self.blocks(shallow)) + shallow
        return self.head(deep)
