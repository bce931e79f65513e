"""The practical degradation model of real-world super-resolution (chapter 13).

After BSRGAN (Zhang et al., 2021): blurs, resizing, noise and JPEG in random
order and strength, so that what a network learns to undo covers what happens to
photographs on their way to a reader.
"""

import random
import zlib
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F

from .denoising import uniform
from .image_restoration import prepare_pair, to_tensor
from .jpeg_artifacts import compress, constant

MODES = ("bilinear", "bicubic", "area")  # of resizing


@dataclass(frozen=True)
class Draw:
    """Where a chain of degradations gets its random numbers, and where it ends.

    `pick` chooses sizes, kinds and the order on the host, for a whole group of
    images, so that nothing waits for the device; `generator` draws strengths
    and noise on the device, for every image its own.
    """

    generator: torch.Generator
    pick: random.Random
    scale: int  # how far the shuffled steps shrink the images
    size: tuple[int, int]  # (height, width) in the end

    def uniform(self, images, low, high):
        """A number for every image: (B, 1, 1, 1)."""
        return uniform(images, low, high, self.generator)

    def normal(self, images, shape):
        """Standard normal noise on the images' device."""
        return torch.randn(shape, generator=self.generator, device=images.device)

    def kernel_side(self):
        """An odd number of pixels from 7 to 25."""
        return self.pick.randrange(7, 26, 2)


def gaussian_kernels(deviation_x, deviation_y, angle, side):
    """Gaussian blur kernels that sum to 1: (B, 1, side, side).

    Standard deviations in pixels along two axes that are turned by `angle` in
    radians; all three are tensors (B, 1, 1, 1).
    """
    line = torch.arange(side, device=angle.device) - side // 2
    x, y = line.view(1, 1, 1, -1), line.view(1, 1, -1, 1)
    along = (x * angle.cos() + y * angle.sin()) / deviation_x
    across = (y * angle.cos() - x * angle.sin()) / deviation_y
    kernels = torch.exp(-(along.square() + across.square()) / 2)
    return kernels / kernels.sum((2, 3), keepdim=True)


def filter_each(images, kernels):
    """Filter every image of (B, C, H, W) by its own kernel of (B, 1, k, k), k odd."""
    batch, channels = images.shape[:2]
    margin = kernels.shape[-1] // 2
    padded = F.pad(images, (margin,) * 4, mode="replicate").flatten(0, 1)
    kernels = kernels.repeat_interleave(channels, 0)
    filtered = F.conv2d(padded[None], kernels, groups=batch * channels)[0]
    return filtered.unflatten(0, (batch, channels))


def isotropic_blur(images, draw):
    """Blur like a lens out of focus: equally wide in every direction."""
    deviation = draw.uniform(images, 0.1, 2 + 0.2 * draw.scale)
    angle = torch.zeros_like(deviation)
    side = draw.kernel_side()
    return filter_each(images, gaussian_kernels(deviation, deviation, angle, side))


def anisotropic_blur(images, draw):
    """Blur like a moving hand: wider in one direction than across it."""
    variances = [draw.uniform(images, 0.01, 4 + draw.scale) for _ in range(2)]
    angle = draw.uniform(images, 0, torch.pi)
    deviations = [variance.sqrt() for variance in variances]
    kernels = gaussian_kernels(*deviations, angle, draw.kernel_side())
    return filter_each(images, kernels)


def resize(images, size, mode):
    """Resize (B, C, H, W) to size (h, w) by one of MODES, without antialiasing.

    "area" is the mean of the pixels that a new one covers; it is for shrinking,
    and gives way to bilinear where a side grows.
    """
    if mode == "area" and any(a > b for a, b in zip(size, images.shape[-2:])):
        mode = "bilinear"
    return F.interpolate(images, size, mode=mode)


def random_resize(images, draw):
    """Shrink by a random factor, up to twice what the scale asks for."""
    factor = draw.pick.uniform(1, 2 * draw.scale)
    size = [max(round(side / factor), 1) for side in images.shape[-2:]]
    return resize(images, size, draw.pick.choice(MODES))


def final_resize(images, draw):
    """Bring the images to their final size."""
    return resize(images, draw.size, draw.pick.choice(MODES))


def mixed_gaussian_noise(images, draw):
    """Gaussian noise with sigma 2 to 25 of 255: in colour, in gray, or between.

    Between means that every channel is a random mixture of the same draws.
    """
    noise = draw.normal(images, images.shape)
    kind = draw.pick.choices(("colour", "gray", "between"), (0.4, 0.4, 0.2))[0]
    if kind == "gray":
        noise = noise[:, :1]
    elif kind == "between":
        mixture = draw.normal(images, (len(images), 3, 3))
        mixture = F.normalize(mixture, dim=2)  # keeps each channel's variance at 1
        noise = torch.einsum("bij,bjhw->bihw", mixture, noise)
    return images + noise * draw.uniform(images, 2, 25) / 255


def poisson_noise(images, draw):
    """Shot noise, as if white were 100 to 10,000 photons; half of it in gray."""
    photons = 10 ** draw.uniform(images, 2, 4)
    light = images.clamp(0, 1)
    if draw.pick.random() < 0.5:
        light = light.mean(1, keepdim=True)
    noise = torch.poisson(light * photons, generator=draw.generator) / photons - light
    return images + noise


def bayer_masks(images):
    """Which colour each pixel of an RGGB sensor sees: (3, H, W) of 0 and 1."""
    rows, columns = (
        torch.arange(n, device=images.device) % 2 for n in images.shape[-2:]
    )
    rows = rows[:, None]
    red, blue = (1 - rows) * (1 - columns), rows * columns
    return torch.stack([red, 1 - red - blue, blue]).to(images.dtype)


def camera_noise(images, draw):
    """Noise of a sensor as it looks after a camera's processing.

    Photographs (B, 3, H, W) are taken back to raw light (tone curve and white
    balance undone, one colour kept at each pixel), get shot and read noise of
    the strengths that Brooks et al. (2019) measured, and are developed again.
    """
    gains = [draw.uniform(images, *span) for span in ((1.9, 2.4), (1, 1), (1.5, 1.9))]
    gains = torch.cat(gains, 1)  # (B, 3, 1, 1): red, green, blue
    light = images.clamp(0, 1) ** 2.2 / gains
    log_shot = draw.uniform(images, -9.2, -4.4)  # natural logarithms of variances
    log_read = 2.18 * log_shot + 1.2 + 0.26 * draw.normal(images, log_shot.shape)
    deviation = (light * log_shot.exp() + log_read.exp()).sqrt()
    raw = light + deviation * draw.normal(images, images.shape)
    masks = bayer_masks(images).expand_as(images)
    tent = constant((0.25, 0.5, 0.25), images.device)
    tent = torch.outer(tent, tent).expand(len(images), 1, 3, 3)
    colours = filter_each(raw * masks, tent) / filter_each(masks, tent)
    return (colours * gains).clamp(0, 1) ** (1 / 2.2)


def jpeg_noise(images, draw):
    """JPEG of a quality from 30 to 95."""
    return compress(images, draw.uniform(images, 30, 96).floor().view(-1))


CHANCES = {  # how often a step of the shuffled part is taken
    isotropic_blur: 1.0,
    anisotropic_blur: 1.0,
    random_resize: 0.75,
    final_resize: 1.0,
    mixed_gaussian_noise: 1.0,
    poisson_noise: 0.5,
    camera_noise: 0.25,
    jpeg_noise: 0.9,
}


def shuffled_steps(pick):
    """The steps of one chain in random order, the final resizing after the other."""
    steps = list(CHANCES)
    pick.shuffle(steps)
    first, second = sorted(map(steps.index, (random_resize, final_resize)))
    steps[first], steps[second] = random_resize, final_resize
    return [step for step in steps if pick.random() < CHANCES[step]]


def clean_resize(images, draw):
    """Bring the images to their final size as a careful program does."""
    return F.interpolate(images, draw.size, mode="bicubic", antialias=True)


def milder(steps, pick):
    """A chain's steps for a photograph with little wrong: three in ten, the end clean.

    The photograph always shrinks.
    """
    kept = [s for s in steps if s is final_resize or pick.random() < 0.3]
    return [clean_resize if step is final_resize else step for step in kept]


def degradation_steps(images, generator, scale=4, mild=0.0):
    """Degrade a group of images step by step; yield (name, images) after each.

    Args:
        images: (B, 3, H, W) in [0, 1]; H and W are multiples of `scale`.
        generator: a torch.Generator on the images' device, which decides all.
        scale: how many times smaller the last images are.
        mild: the share of groups to which most steps are not done.

    The group shares order, kinds and sizes; strengths and noise are drawn for
    each image.  Built in chapter 13.
    """
    height, width = images.shape[-2:]
    if images.shape[1] != 3 or height % scale or width % scale:
        expected = f"(B, 3, H, W) with sides that are multiples of {scale}"
        raise ValueError(f"expected {expected}, got {tuple(images.shape)}")
    pick = random.Random(generator.get_state().numpy().tobytes())
    size = height // scale, width // scale
    if scale == 4 and pick.random() < 0.25:
        images = resize(images, (height // 2, width // 2), pick.choice(MODES))
        scale = 2
        yield "half size", images
    draw = Draw(generator, pick, scale, size)
    steps = [*shuffled_steps(pick), jpeg_noise]  # photographs end as JPEG files
    if mild and pick.random() < mild:
        steps = milder(steps, pick)
        draw.uniform(images, 0, 1)  # else a group that draws nothing repeats itself
    for step in steps:
        images = step(images, draw).clamp(0, 1)
        yield step.__name__.replace("_", " "), images


@torch.no_grad()
def real_world(hq, generator, *, scale=4, group=8, mild=0.0):
    """Degrade a batch (B, 3, H, W) in [0, 1] to (B, 3, H / scale, W / scale).

    Args:
        hq: photographs; H and W are multiples of `scale`.
        generator: a torch.Generator on the same device, which decides all.
        group: how many images share one chain; fewer is more varied and slower.
        mild: the share of groups to which most steps are not done.  A network that
            is trained without them takes fine texture for damage.

    Built in chapter 13.
    """
    degraded = []
    for images in hq.split(group):
        *_, (_, images) = degradation_steps(images, generator, scale, mild)
        degraded.append(images)
    return torch.cat(degraded)


def degrade_photograph(image, *, scale=4, seed=0):
    """Degrade one uint8 image (H, W, 3) for testing: float (1, 3, H/scale, W/scale).

    The same image and seed always give the same result; every image gets a
    chain of its own.  Sides are cut to multiples of `scale`.  Chapter 13.
    """
    height, width = (side - side % scale for side in image.shape[:2])
    image = image[:height, :width]
    generator = torch.Generator().manual_seed(zlib.crc32(image.tobytes()) + seed)
    return real_world(to_tensor(image), generator, scale=scale)


def gradient_sizes(image):
    """How much neighbouring pixels of (H, W, C) differ, from least to most."""
    differences = [np.abs(np.diff(image, axis=axis)).ravel() for axis in (0, 1)]
    return np.sort(np.concatenate(differences))


def gradient_distance(restored, target):
    """How unlike the edges and textures of two images are, in levels of Y.

    The Wasserstein distance between the distributions of the differences of
    neighbouring pixels: a smoothed image lacks large differences, a noisy one
    small ones.  It ignores where in the image they are.  Arguments as for `psnr`.
    Chapter 13.
    """
    images = prepare_pair(restored, target, 0, True)
    return float(np.abs(np.subtract(*map(gradient_sizes, images))).mean())


@cache
def lpips_network():
    """The network of the optional package lpips, which fetches its weights once."""
    try:
        from lpips import LPIPS
    except ModuleNotFoundError as error:
        needed = "LPIPS needs the package lpips: pip install lpips"
        raise ModuleNotFoundError(needed, name="lpips") from error
    return LPIPS(net="alex", verbose=False).eval()


@torch.no_grad()
def lpips_distance(restored, target):
    """How different two RGB images look: 0 for equal ones, about 1 at most.

    Arguments as for `psnr`.  LPIPS (Zhang et al., 2018) on AlexNet's features;
    needs the optional package lpips.  Chapter 13.
    """
    images = prepare_pair(restored, target, 0, False)
    images = [torch.from_numpy(x / 127.5 - 1).float().permute(2, 0, 1) for x in images]
    return float(lpips_network()(images[0][None], images[1][None]))
