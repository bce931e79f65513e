"""JPEG artifacts and the measure that sees them (chapter 12, appendix A2).

The degradation comes twice: on one uint8 image by the real codec, to test on, and
on a batch of float tensors (B, C, H, W) in [0, 1] on any device, to train on.
"""

import io
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from PIL import Image

from .denoising import dct_matrix, span, uniform
from .image_restoration import prepare_pair, rgb_to_y, to_tensor


def y_image(image):
    """Return the Y channel of an RGB image, rounded to uint8 (H, W).

    The ground truth of gray JPEG artifact reduction where the test image has
    colour (chapter 12).
    """
    return rgb_to_y(image).round().astype(np.uint8)


def add_jpeg_artifacts(image, *, quality):
    """Encode one image as a JPEG file and decode it again, with Pillow.

    Args:
        image: uint8, (H, W), or (H, W, 3) RGB, whose chroma is halved (4:2:0).
        quality: 1..100; the paper uses 10, 20, 30, 40.

    Returns:
        A float tensor (1, C, H, W) in [0, 1] on the 8-bit grid.  Pillow and
        OpenCV, which the official code calls, both use libjpeg-turbo with the
        same tables and sampling, and decode to the same pixels.

    Section 4.3 of the SwinIR paper; built in chapter 12.
    """
    check_quality(quality, quality)
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality, subsampling="4:2:0")
    return to_tensor(np.array(Image.open(file)))


def check_quality(low, high):
    """Raise ValueError unless all qualities from low to high are JPEG's."""
    if not (low >= 1 and high <= 100):
        raise ValueError(f"JPEG quality must be in 1..100, got {low}..{high}")


# Annex K of the JPEG standard: how coarsely each frequency is stored at quality 50
LUMA_TABLE = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
CHROMA_TABLE = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *((99,) * 8,) * 4,
)


@cache
def constant(values, device):
    """Numbers as a tensor, copied to a device once: for each copy the host waits."""
    return torch.tensor(values, dtype=torch.float32, device=device)


def quantisation_tables(base, quality):
    """Scale an 8x8 table to qualities (B,) as libjpeg does: (B, 8, 8), whole."""
    base = constant(base, quality.device)
    quality = quality.float().view(-1, 1, 1)
    percent = torch.where(quality < 50, (5000 / quality).floor(), 200 - 2 * quality)
    return ((base * percent + 50) / 100).floor().clamp(1, 255)


def transform_columns(matrix, blocks):
    """matrix @ blocks without a matmul, which TF32 or autocast would round."""
    return (matrix[:, :, None] * blocks[..., None, :, :]).sum(-2)


def transform_blocks(matrix, blocks):
    """matrix @ block @ matrix.T for every block of (..., 8, 8)."""
    return transform_columns(matrix, transform_columns(matrix, blocks).mT).mT


def quantise_blocks(channel, tables):
    """What JPEG leaves of a channel (B, H, W) in 0..255; H, W multiples of 8.

    Every 8x8 block goes to frequencies, is divided by its image's table (B, 8, 8),
    rounded (here information is lost) and goes back to pixels.  Chapter 12.
    """
    dct = dct_matrix(8, channel.device)
    tables = tables[:, None, None]
    blocks = rearrange(channel - 128, "b (h p) (w q) -> b h w p q", p=8, q=8)
    frequencies = transform_blocks(dct, blocks)
    frequencies = (frequencies * 8).round() / 8  # libjpeg's DCT has 3 binary places
    levels = frequencies / tables
    levels = levels.sign() * (levels.abs() + 0.5).floor()  # halves away from zero
    blocks = transform_blocks(dct.T, levels * tables)
    pixels = rearrange(blocks, "b h w p q -> b (h p) (w q)") + 128
    return (pixels + 0.501).floor().clamp(0, 255)  # halves up, even if a float is off


def rgb_to_ycbcr(rgb):
    """RGB (B, 3, H, W) in 0..255 to the full-range YCbCr of JPEG files, rounded.

    In whole numbers over 65536, as libjpeg does it: ties of Cb and Cr, which
    colours near gray make often, go down.
    """
    red, green, blue = rgb.int().unbind(1)
    y = (19595 * red + 38470 * green + 7471 * blue + 32768) >> 16
    cb = (-11058 * red - 21710 * green + 32768 * blue + 32767) >> 16
    cr = (32768 * red - 27439 * green - 5329 * blue + 32767) >> 16
    return torch.stack([y, cb + 128, cr + 128], 1).float()


def ycbcr_to_rgb(ycbcr):
    """The inverse of rgb_to_ycbcr, rounded and clamped to 0..255."""
    y, cb, cr = ycbcr.int().unbind(1)
    cb, cr = cb - 128, cr - 128
    red = y + ((91881 * cr + 32768) >> 16)
    green = y + ((-22553 * cb - 46802 * cr + 32768) >> 16)
    blue = y + ((116130 * cb + 32768) >> 16)
    return torch.stack([red, green, blue], 1).clamp(0, 255).float()


def halve(chroma):
    """Mean of 2x2 pixels, rounded up and down in turns: (B, C, H, W) -> half."""
    bias = constant((0.25, 0.5), chroma.device)  # libjpeg's dither
    bias = bias.repeat(chroma.shape[-1] // 4 + 1)[: chroma.shape[-1] // 2]
    return (F.avg_pool2d(chroma, 2) + bias).floor()


def double(chroma):
    """Bilinear enlargement by 2, rounded as by libjpeg: (B, C, H, W) -> double."""
    enlarged = F.interpolate(chroma, scale_factor=2, mode="bilinear")
    bias = constant((8 / 16, 7 / 16), chroma.device)
    return (enlarged + bias.repeat(chroma.shape[-1])).floor()


def jpeg(hq, generator, *, quality):
    """Put JPEG artifacts on a batch (B, 1 or 3, H, W), on its own device.

    Args:
        hq: images in [0, 1]; they are rounded to 8 bits first.
        generator: a torch.Generator on the same device.
        quality: 1..100, or (low, high): then every image draws its own.

    Built in chapter 12.
    """
    low, high = span(quality)
    check_quality(low, high)
    return compress(hq, uniform(hq, low, high + 1, generator).floor().view(-1))


@torch.no_grad()
def compress(hq, quality):
    """What libjpeg would decode, without a file: (B, 1 or 3, H, W) -> the same.

    Args:
        hq: images in [0, 1], any H and W, rounded to 8 bits first.  Chroma is
            halved (4:2:0).
        quality: (B,), 1..100, on the device of `hq`.

    Returns:
        Images in [0, 1] on the 8-bit grid, without gradient.  A few pixels in a
        hundred differ from libjpeg's, by the rounding of its integer DCT.

    Built in chapter 12.
    """
    batch, channels, height, width = hq.shape
    if channels not in (1, 3):
        raise ValueError(f"expected (B, 1 or 3, H, W), got {tuple(hq.shape)}")
    pixels = hq.float().clamp(0, 1).mul(255).round()
    pixels = F.pad(pixels, (0, -width % 16, 0, -height % 16), mode="replicate")
    if channels == 3:
        pixels = rgb_to_ycbcr(pixels)
    luma = quantise_blocks(pixels[:, 0], quantisation_tables(LUMA_TABLE, quality))
    luma = luma[:, None, :height, :width]
    if channels == 1:
        return luma / 255
    tables = quantisation_tables(CHROMA_TABLE, quality).repeat_interleave(2, 0)
    chroma = quantise_blocks(halve(pixels[:, 1:]).flatten(0, 1), tables)
    chroma = chroma[:, : (height + 1) // 2, : (width + 1) // 2]
    chroma = double(chroma.unflatten(0, (batch, 2)))[:, :, :height, :width]
    return ycbcr_to_rgb(torch.cat([luma, chroma], 1)) / 255


def blocking_effect(image):
    """How much more neighbours differ across 8x8 blocks than within: (H, W) -> float.

    The factor BEF of Yim and Bovik (2011), 0 where blocks do not show.  The official
    code counts one border too few on a side that is no multiple of 8.
    """
    across, within = [], []
    for rows in (image, image.T):
        squares = np.diff(rows, axis=1) ** 2
        at_border = np.arange(squares.shape[1]) % 8 == 7
        across.append(squares[:, at_border].ravel())
        within.append(squares[:, ~at_border].ravel())
    excess = np.concatenate(across).mean() - np.concatenate(within).mean()
    return max(excess, 0.0) * np.log2(8) / np.log2(min(image.shape))


def psnr_b(restored, target, crop_border=0, y_channel=False):
    """PSNR that also counts visible blocks: 255^2 over MSE + BEF, in decibels.

    Arguments and errors as for `psnr`; not symmetric, for the blocks are looked
    for in `restored`.  The images must measure at least 16x16 after the crop.
    The mean over channels of the metric by Yim and Bovik (2011).  Chapter 12.
    """
    restored, target = prepare_pair(restored, target, crop_border, y_channel)
    if min(restored.shape[:2]) < 16:
        raise ValueError(f"PSNR-B needs at least 16x16, got {restored.shape[:2]}")
    error = np.mean((restored - target) ** 2, axis=(0, 1))
    blocks = [blocking_effect(channel) for channel in np.moveaxis(restored, 2, 0)]
    with np.errstate(divide="ignore"):  # infinite for equal images without blocks
        return float(np.mean(10 * np.log10(255**2 / (error + blocks))))
