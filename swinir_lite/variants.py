"""Every released SwinIR configuration by a readable name (chapter 8)."""

from .swinir import SwinIRConfig

LIGHTWEIGHT = {"dim": 60, "depths": (6,) * 4, "num_heads": (6,) * 4}
MEDIUM = {"dim": 180, "depths": (6,) * 6, "num_heads": (6,) * 6}
LARGE = {"dim": 240, "depths": (6,) * 9, "num_heads": (8,) * 9}
CLASSICAL = {**MEDIUM, "upsampler": "pixelshuffle"}
REAL_WORLD = {"upsampler": "nearest+conv"}
RESTORATION = {**MEDIUM, "scale": 1, "upsampler": "none"}
JPEG = {**RESTORATION, "window_size": 7, "img_range": 255.0}

VARIANTS = {
    "classical_x2": SwinIRConfig(**CLASSICAL, scale=2),
    "classical_x3": SwinIRConfig(**CLASSICAL, scale=3),
    "classical_x4": SwinIRConfig(**CLASSICAL, scale=4),
    "classical_x8": SwinIRConfig(**CLASSICAL, scale=8),
    "lightweight_x2": SwinIRConfig(**LIGHTWEIGHT, scale=2),
    "lightweight_x3": SwinIRConfig(**LIGHTWEIGHT, scale=3),
    "lightweight_x4": SwinIRConfig(**LIGHTWEIGHT, scale=4),
    "real_world_x2": SwinIRConfig(**MEDIUM, **REAL_WORLD, scale=2),
    "real_world_x4": SwinIRConfig(**MEDIUM, **REAL_WORLD, scale=4),
    "real_world_large_x4": SwinIRConfig(
        **LARGE, **REAL_WORLD, scale=4, resi_connection="3conv"
    ),
    "gray_denoise": SwinIRConfig(**RESTORATION, in_channels=1),
    "color_denoise": SwinIRConfig(**RESTORATION),
    "gray_jpeg": SwinIRConfig(**JPEG, in_channels=1),
    "color_jpeg": SwinIRConfig(**JPEG),
}
