"""SwinIR from scratch: the code that the book's chapters build.

Some functions share their module's name, as chapter, module and test do; in
this namespace the name means the function.
"""

import os

# Threads that wait for each other spin, by default for so long that another busy
# process makes a CPU several times slower.  Torch reads this as it is loaded
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

from .checkpoint import load_model, save_model
from .convolutional_baseline import ResidualCNN
from .image_restoration import imresize, psnr, rgb_to_y, ssim, to_image, to_tensor
from .relative_position_attention import WindowAttention, relative_position_index
from .residual_swin_transformer_block import ResidualSwinTransformerBlock
from .restoring.in_memory import restore_image
from .shifted_windows import attention_mask, cyclic_shift
from .speed.network import fast, fastest
from .speed.routes import attention_backend
from .swin_transformer_layer import MLP, SwinTransformerLayer
from .swinir import SwinIR, SwinIRConfig
from .variants import VARIANTS
from .window_partition import window_partition, window_reverse

__all__ = [
    "MLP",
    "VARIANTS",
    "ResidualCNN",
    "ResidualSwinTransformerBlock",
    "SwinIR",
    "SwinIRConfig",
    "SwinTransformerLayer",
    "WindowAttention",
    "attention_backend",
    "attention_mask",
    "cyclic_shift",
    "fast",
    "fastest",
    "imresize",
    "load_model",
    "psnr",
    "relative_position_index",
    "restore_image",
    "rgb_to_y",
    "save_model",
    "ssim",
    "to_image",
    "to_tensor",
    "window_partition",
    "window_reverse",
]

__version__ = "0.1.0"
