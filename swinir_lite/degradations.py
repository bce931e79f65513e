"""The degradations and metrics that a training configuration can name."""

from .denoising_and_jpeg import (
    add_gaussian_noise,
    add_jpeg_artifacts,
    gaussian_noise,
    jpeg,
    psnr_b,
)
from .real_world_super_resolution import (
    degrade_photograph,
    gradient_distance,
    lpips_distance,
    real_world,
)

# (B, C, H, W) in [0, 1], generator, **options -> degraded, to train on
DEGRADATIONS = {
    "gaussian_noise": gaussian_noise,
    "jpeg": jpeg,
    "real_world": real_world,
}

# a uint8 image, **options -> (1, C, h, w), always the same, to test on
TEST_DEGRADATIONS = {
    "gaussian_noise": add_gaussian_noise,
    "jpeg": add_jpeg_artifacts,
    "real_world": degrade_photograph,
}

# two uint8 images, restored and true -> float
METRICS = {
    "psnr_b": psnr_b,
    "gradient_distance": gradient_distance,
    "lpips": lpips_distance,
}

# their LQ images are smaller; the others' are as large as the HQ images
SHRINKING = ("bicubic", "real_world")
