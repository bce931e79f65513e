"""Bicubic interpolation as a model, to measure others against (chapter 1)."""

from types import SimpleNamespace

from torch import Tensor, nn

from ..image_restoration import imresize, to_image, to_tensor


class Bicubic(nn.Module):
    """Enlarges one image (1, C, h, w) by `scale`, as MATLAB's `imresize` does."""

    def __init__(self, scale: int = 2):
        super().__init__()
        self.config = SimpleNamespace(scale=scale, in_channels=3, window_size=0)

    def forward(self, x: Tensor) -> Tensor:
        return to_tensor(imresize(to_image(x), self.config.scale))
