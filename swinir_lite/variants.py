"""SwinIR's configurations by readable names (chapter 8).

RELEASED holds the authors' models, VARIANTS also our own, which are of the
lightweight size.  Weights that ship with the package have the names of their
configurations.
"""

from dataclasses import replace

from .swinir import SwinIRConfig

LIGHTWEIGHT = {"dim": 60, "depths": (6,) * 4, "num_heads": (6,) * 4}
MEDIUM = {"dim": 180, "depths": (6,) * 6, "num_heads": (6,) * 6}
LARGE = {"dim": 240, "depths": (6,) * 9, "num_heads": (8,) * 9}
CLASSICAL = {**MEDIUM, "upsampler": "pixelshuffle"}
REAL_WORLD = {"upsampler": "nearest+conv"}
RESTORATION = {**MEDIUM, "scale": 1, "upsampler": "none"}
JPEG = {**RESTORATION, "window_size": 7, "img_range": 255.0}

RELEASED = {
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
LEVELS = {  # the noise's sigma, or JPEG's quality, that a task is measured at
    "gray_denoise": (15, 25, 50),
    "color_denoise": (15, 25, 50),
    "gray_jpeg": (10, 20, 30, 40),
    "color_jpeg": (10, 20, 30, 40),
}

VARIANTS = RELEASED | {
    f"{task}_{level}": replace(RELEASED[task], **LIGHTWEIGHT)
    for task, levels in LEVELS.items()
    for level in levels
}
# With the smaller head of lightweight_x4: nearest+conv would not ship in 2 MB
for name in ("lightweight_real_world_x4", "lightweight_real_world_x4_gan"):
    VARIANTS[name] = RELEASED["lightweight_x4"]
