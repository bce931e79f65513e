"""How large a tile may be, and by how much tiles overlap."""

import math

import psutil
import torch
from torch import nn

from ..variants import Config
from .patience import SMALLEST_TILE

# Pixels of a tile at most: on a CPU larger ones save little time and cost memory
LARGEST = {"cpu": 7 * 2**16, "cuda": 2**21}
BAND_BYTES = 2**28  # of the restored rows that a row of tiles covers
# Feature maps of the network's width that are in memory at once, in float32
FEATURE_MAPS = {"cpu": 7, "cuda": 30}
# By what tiles must overlap for at most 1/255 of difference from one tile, in pixels.
# Measured with the shipped models, of 24 layers, by `benchmarks.restoring`
OVERLAPS = {"bicubic": 64, "jpeg": 96, "gaussian_noise": 128, "real_world": 128}
MEASURED_LAYERS = 24


def default_overlap(network: nn.Module, degradation: str | None = None) -> int:
    """By how many pixels of the input neighbouring tiles share, unless told.

    Args:
        network: what `fastest` returns. Deeper ones than were measured look further.
        degradation: the name of what the network undoes, if that is known.
    """
    layers = sum(getattr(network.config, "depths", ()))
    measured = OVERLAPS.get(degradation, max(OVERLAPS.values()))
    return math.ceil(measured * max(1, layers / MEASURED_LAYERS))


def bytes_of_pixel(config: Config, device: torch.device) -> int:
    """Memory that a network needs for every pixel of a tile, roughly."""
    maps = FEATURE_MAPS.get(device.type, FEATURE_MAPS["cuda"])
    wide = getattr(config, "upsampler", "") in ("pixelshuffle", "nearest+conv")
    head = 3 * (64 if wide else config.in_channels) * config.scale**2
    return 4 * (maps * config.dim + head)


def free_memory(device: torch.device) -> int:
    """Bytes that can be had on a device."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        reserved = torch.cuda.memory_reserved(device)
        return free + reserved - torch.cuda.memory_allocated(device)
    return psutil.virtual_memory().available


def pixels_at_once(network: nn.Module) -> int:
    """How many pixels a tile may have, from what is free now."""
    device = next(network.parameters()).device
    fitting = free_memory(device) // 2 // bytes_of_pixel(network.config, device)
    return min(fitting, LARGEST.get(device.type, LARGEST["cpu"]))


def tiles_along(length: int, tile: int, overlap: int) -> int:
    """How many tiles cover a side."""
    return 1 if tile >= length else math.ceil((length - overlap) / (tile - overlap))


def choose_tile(
    network: nn.Module, size: tuple[int, int], overlap: int
) -> tuple[int, int]:
    """Height and width of the tiles by which a picture takes the least time.

    Args:
        network: what `fastest` returns.
        size: height and width of the picture.
        overlap: pixels that neighbours share at least.
    """
    config, (height, width) = network.config, size
    area = pixels_at_once(network)
    row_bytes = 4 * config.in_channels * config.scale**2 * width
    tallest = overlap + max(BAND_BYTES // row_bytes, overlap)
    least = max(2 * overlap, SMALLEST_TILE)
    best, fewest = (least, least), math.inf
    for count in range(1, 1 + tiles_along(height, least, overlap)):
        tall = math.ceil((height + (count - 1) * overlap) / count)
        wide = min(area // tall, width)
        if tall > tallest or (wide <= overlap and wide < width):
            continue
        pixels = count * tall * wide * tiles_along(width, wide, overlap)
        if pixels < fewest:
            best, fewest = (tall, wide), pixels
    return best
