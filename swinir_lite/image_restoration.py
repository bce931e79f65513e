"""Degrade an image and measure its restoration (chapter 1).

Images are uint8 arrays of shape (H, W) or (H, W, 3), RGB, as Pillow gives
them; tensors are float, (C, H, W) or (1, C, H, W), with values in [0, 1].
"""

import numpy as np
import torch
import torch.nn.functional as F


def check_image(image):
    """Raise a TypeError or ValueError unless `image` is (H, W) or (H, W, C) uint8."""
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        got = getattr(image, "dtype", type(image).__name__)
        raise TypeError(f"expected a uint8 array, got {got}")
    if image.ndim not in (2, 3) or image.size == 0:
        raise ValueError(f"expected shape (H, W) or (H, W, C), got {image.shape}")


def to_tensor(image):
    """Turn a uint8 image (H, W) or (H, W, C) into a float tensor (1, C, H, W).

    Values go from 0..255 to [0, 1].  Built in chapter 1.
    """
    check_image(image)
    pixels = torch.from_numpy(np.ascontiguousarray(image)).float() / 255
    return pixels[None, None] if image.ndim == 2 else pixels.permute(2, 0, 1)[None]


def to_image(tensor):
    """Turn a tensor (1, C, H, W) or (C, H, W) in [0, 1] into a uint8 image.

    Values are clamped and rounded as the paper's protocol asks; NaN and
    infinity are refused.  The result is (H, W) for one channel, else
    (H, W, C).  Built in chapter 1.
    """
    if not torch.is_tensor(tensor) or not tensor.is_floating_point():
        got = getattr(tensor, "dtype", type(tensor).__name__)
        raise TypeError(f"expected a float tensor, got {got}")
    if tensor.ndim == 4 and len(tensor) == 1:
        tensor = tensor[0]
    if tensor.ndim != 3 or tensor.numel() == 0:
        shape = tuple(tensor.shape)
        raise ValueError(f"expected shape (1, C, H, W) or (C, H, W), got {shape}")
    if not tensor.isfinite().all():
        raise ValueError("expected finite values, got NaN or infinity")
    pixels = tensor.detach().float().clamp(0, 1).mul(255).round().byte()
    pixels = pixels.permute(1, 2, 0).cpu().numpy()
    return pixels[..., 0] if pixels.shape[2] == 1 else pixels


def cubic(x):
    """Keys' cubic convolution kernel with a = -0.5, zero for |x| >= 2."""
    x = np.abs(x)
    near = 1.5 * x**3 - 2.5 * x**2 + 1
    far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))


def resize_rows(image, scale):
    """Resize the first axis of a float array by `scale` (antialiased bicubic)."""
    rows_in = image.shape[0]
    rows_out = int(np.ceil(rows_in * scale))
    stretch = min(scale, 1.0)  # shrinking widens the kernel: that is the antialiasing
    reach = 2 / stretch
    centre = (np.arange(rows_out) + 0.5) / scale - 0.5
    first = np.floor(centre - reach).astype(int)
    taps = first[:, None] + np.arange(int(np.ceil(2 * reach)) + 2)
    weights = cubic((centre[:, None] - taps) * stretch)
    weights /= weights.sum(axis=1, keepdims=True)
    taps = taps % (2 * rows_in)  # symmetric edges: a b c | c b a
    taps = np.where(taps < rows_in, taps, 2 * rows_in - 1 - taps)
    one_row = (-1,) + (1,) * (image.ndim - 1)
    return sum(w.reshape(one_row) * image[t] for w, t in zip(weights.T, taps.T))


def imresize(image, scale):
    """Resize an image as MATLAB's `imresize(image, scale, 'bicubic')` does.

    Args:
        image: (H, W) or (H, W, C) array, uint8 or float.
        scale: factor > 0; below 1 the kernel is widened against aliasing.

    Returns:
        (ceil(H * scale), ceil(W * scale)[, C]) of the same kind.  uint8 images
        are rounded after each of the two passes, which makes them bit-exact
        with the low-resolution images of the super-resolution benchmarks.

    Raises:
        ValueError: for a wrong rank, an empty image, or a scale that is not
            positive and finite.

    Built in chapter 1; the kernel is from Keys (1981).
    """
    image = np.asarray(image)
    if image.ndim not in (2, 3) or image.size == 0:
        raise ValueError(f"expected shape (H, W) or (H, W, C), got {image.shape}")
    if not 0 < scale < np.inf:
        raise ValueError(f"scale must be positive and finite, got {scale}")
    for axis in (0, 1):
        resized = resize_rows(image.astype(np.float64).swapaxes(0, axis), scale)
        resized = resized.swapaxes(0, axis)
        if image.dtype == np.uint8:
            resized = np.floor(resized + 0.5).clip(0, 255).astype(np.uint8)
        image = resized
    return image


def rgb_to_y(image):
    """Return the luma (H, W), float64 in 16..235, of a uint8 RGB image (H, W, 3).

    ITU-R BT.601, not rounded: the channel on which super-resolution is
    measured (chapter 1).
    """
    check_image(image)
    if image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"expected an RGB image (H, W, 3), got {image.shape}")
    return image @ np.array([65.481, 128.553, 24.966]) / 255 + 16


def prepare_pair(a, b, crop_border, y_channel):
    """Bring two images to float64 (H, W, C) on the scale 0..255, ready to compare."""
    a, b = (to_image(x) if torch.is_tensor(x) else np.asarray(x) for x in (a, b))
    check_image(a)
    check_image(b)
    if a.shape != b.shape:
        raise ValueError(f"images differ in shape: {a.shape} and {b.shape}")
    height, width = a.shape[:2]
    if crop_border < 0 or 2 * crop_border >= min(height, width):
        raise ValueError(f"crop_border {crop_border} does not fit {height}x{width}")
    rows = slice(crop_border, height - crop_border)
    columns = slice(crop_border, width - crop_border)
    a, b = (x[rows, columns] for x in (a, b))
    if y_channel:
        a, b = rgb_to_y(a), rgb_to_y(b)
    return tuple(x.astype(np.float64).reshape(*x.shape[:2], -1) for x in (a, b))


def psnr(a, b, crop_border=0, y_channel=False):
    """Peak signal-to-noise ratio of two images in decibels, peak 255.

    Args:
        a, b: uint8 images (H, W) or (H, W, 3), or tensors (1, C, H, W) or
            (C, H, W) in [0, 1], which are clamped and rounded to uint8 first.
        crop_border: pixels cut from each side; super-resolution by s cuts s.
        y_channel: compare the luma of RGB images instead of all channels.

    Returns:
        A float, infinite for equal images.

    Raises:
        TypeError, ValueError: for a wrong dtype, shapes that differ, or tensors
            with NaN or infinity.

    Protocol of section 4 of the SwinIR paper; built in chapter 1.
    """
    a, b = prepare_pair(a, b, crop_border, y_channel)
    mse = np.mean((a - b) ** 2)
    return float("inf") if mse == 0 else float(10 * np.log10(255**2 / mse))


def gaussian_window(size=11, sigma=1.5):
    """The (size, size) Gaussian that weighs SSIM's local statistics; sums to 1."""
    x = torch.arange(size, dtype=torch.float64) - size // 2
    line = torch.exp(-(x**2) / (2 * sigma**2))
    return torch.outer(line, line) / line.sum() ** 2


def ssim(a, b, crop_border=0, y_channel=False):
    """Structural similarity of two images, at most 1.

    Arguments and errors as for `psnr`; the images must measure at least 11x11
    after the crop.  Gaussian window 11x11 with sigma 1.5, valid region, mean
    over channels: Wang et al. (2004).  Built in chapter 1.
    """
    a, b = prepare_pair(a, b, crop_border, y_channel)
    if min(a.shape[:2]) < 11:
        raise ValueError(f"SSIM needs at least 11x11 pixels, got {a.shape[:2]}")
    a, b = (torch.from_numpy(x).permute(2, 0, 1)[:, None] for x in (a, b))
    window = gaussian_window()[None, None]
    mean_a, mean_b = F.conv2d(a, window), F.conv2d(b, window)
    var_a = F.conv2d(a * a, window) - mean_a**2
    var_b = F.conv2d(b * b, window) - mean_b**2
    covariance = F.conv2d(a * b, window) - mean_a * mean_b
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    structure = (2 * covariance + c2) / (var_a + var_b + c2)
    return float((luminance * structure).mean())
