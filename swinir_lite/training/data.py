"""From photographs to batches of patches (chapter 18).

Every image is decoded once, into a cache of raw pixels.  A batch is then one
indexing operation on the training device: which pixel is read decides the
crop, the flips and the rotation, so nothing waits for the host.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..cores import usable_cores
from ..errors import InputError
from ..image_files import image_size, raise_if_any, read_image
from ..image_pairs import find_pairs
from ..image_restoration import imresize
from ..whole_files import whole_file
from .download import check_disk

DIV2K_TRAINING = range(1, 801)  # the numbers of DIV2K's images
DIV2K_VALIDATION = range(801, 901)


class Photo(NamedTuple):
    """One training image: its name, its file, its size, and its LR file if any."""

    name: str
    path: Path
    height: int
    width: int
    lr_path: Path | None = None


def check_count(paths: list[Path], folder: str | Path, expected: int) -> None:
    """Raise InputError for too many or too few images to train on in a folder.

    Too many are DIV2K's 0001 to 0900, of which the last hundred are for validation.
    Other numbers than those are another data set's, as Flickr2K's 000001.
    """
    numbers = {int(p.stem) for p in paths if re.fullmatch(r"\d{4}", p.stem)}
    leaked = sorted(numbers & set(DIV2K_VALIDATION))
    others = numbers - set(DIV2K_VALIDATION)
    if leaked and others and others <= set(DIV2K_TRAINING):
        raise InputError(
            f"{len(paths)} images where 800 are expected: {leaked[0]:04d} to "
            f"{leaked[-1]:04d} are DIV2K's validation images, not for training. "
            "Some archives (KAIR's DIV2K.tar) hold both; keep 0001 to 0800."
        )
    if expected and len(paths) != expected:
        found = f"{folder} holds {len(paths)} images"
        raise InputError(f"{found} where {expected} are expected")


def find_photos(
    folder: str | Path, scale: int = 1, patch: int = 1, expected: int = 0
) -> list[Photo]:
    """List a training set and name everything that is wrong with it.

    Args:
        folder: DIV2K's root, of which the training images are taken, or any folder
            of photographs, with LR images or without, as `find_pairs` reads it.
        scale: of super-resolution; 1 for the other tasks.
        patch: side of the low-quality patches that will be cut.
        expected: how many images there must be; 0 for any number.

    Returns:
        A list of Photo.  Only headers are read.

    Raises:
        InputError: that lists images too small, unreadable, or of another number
            than expected, and HR and LR files that do not match.
    """
    pairs = find_pairs(folder, scale, "train")
    check_count([pair.hq for pair in pairs], folder, expected)
    photos, problems = [], []
    for name, path, lr_path in pairs:
        try:
            height, width = image_size(path)
            photo = Photo(name, path, height, width, lr_path)
            if min(height, width) < patch * scale:
                need = f"{patch * scale}x{patch * scale}"
                raise InputError(f"{path}: {width}x{height} is smaller than {need}")
            if photo.lr_path:
                size = image_size(photo.lr_path)
                want = (height // scale, width // scale)
                if size != want:
                    raise InputError(f"{photo.lr_path}: size {size}, HR implies {want}")
            photos.append(photo)
        except ValueError as error:
            problems.append(error)
    raise_if_any(problems, f"of the {len(pairs)} images in {folder} cannot be used")
    return photos


class FlatLayout(NamedTuple):
    """Where N images lie in one flat file of pixels: (N,) arrays."""

    start: np.ndarray  # index of the first pixel
    height: np.ndarray
    width: np.ndarray

    @classmethod
    def of(cls, heights: Sequence[int], widths: Sequence[int]) -> "FlatLayout":
        # NumPy 1 on Windows counts in 32 bits, which a large set's pixels exceed
        heights, widths = (np.asarray(a, np.int64) for a in (heights, widths))
        ends = np.cumsum(heights * widths)
        return cls(ends - heights * widths, heights, widths)

    @property
    def pixels(self) -> int:
        return int((self.height * self.width).sum())


def fill_image(job: tuple) -> str:
    """Decode one image, or shrink one, into its slice of a flat file of pixels."""
    target, start, (height, width), source, scale = job
    try:
        if isinstance(source, tuple):  # (file of pixels, first pixel, height, width)
            file, first, rows, columns = source
            image = np.load(file, mmap_mode="r")[first : first + rows * columns]
            image = image.reshape(rows, columns, 3)
            image = imresize(image[: height * scale, : width * scale], 1 / scale)
        else:
            image = read_image(source)
        if image.shape[:2] != (height, width):
            raise InputError(f"{source}: its size changed while it was read")
    except ValueError as error:
        return str(error)
    pixels = np.load(target, mmap_mode="r+")
    pixels[start : start + height * width] = image.reshape(-1, 3)
    pixels.flush()
    return ""


def fill_file(
    path: Path, layout: FlatLayout, sources: Sequence, scale: int, workers: int
) -> None:
    """Write a (pixels, 3) uint8 file from image files, or from slices of another."""
    places = zip(layout.start.tolist(), layout.height.tolist(), layout.width.tolist())
    with whole_file(path) as partial:
        shape = (layout.pixels, 3)
        check_disk(path.parent, 3 * layout.pixels)  # a mapped file would end in SIGBUS
        np.lib.format.open_memmap(partial, "w+", np.uint8, shape).flush()
        jobs = [
            (partial, start, (height, width), source, scale)
            for (start, height, width), source in zip(places, sources)
        ]
        if workers > 1 and len(jobs) >= 32:
            with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
                problems = list(pool.map(fill_image, jobs, chunksize=4))
        else:
            problems = [fill_image(job) for job in jobs]
        raise_if_any([p for p in problems if p], "images cannot be decoded")


def stamp(paths: Iterable[Path], sizes: Sequence[tuple[int, int]] = ()) -> str:
    """Hexadecimal digits that change with files' names, bytes or times, or `sizes`."""
    files = [(str(p), p.stat().st_size, p.stat().st_mtime_ns) for p in paths]
    return hashlib.sha256(repr((files, sizes)).encode()).hexdigest()[:12]


class PhotoCache:
    """The pixels of a training set, decoded once.

    Attributes:
        names: the N images' names.
        hq, hq_layout: (pixels, 3) uint8 memory map, and where each image lies.
        lq, lq_layout: the same for the low-resolution images; None for scale 1.
    """

    def __init__(
        self,
        photos: list[Photo],
        folder: str | Path,
        scale: int = 1,
        workers: int = 0,
    ):
        """Use the cache in `folder`, building first what it lacks.

        Names inside hold a hash of the images' files, so a changed training set
        gets a new cache, and changed LR images a new file in it.
        """
        workers = workers or usable_cores()
        paths = [photo.path for photo in photos]
        sizes = [(photo.height, photo.width) for photo in photos]
        folder = Path(folder) / f"{len(photos)}-images-{stamp(paths, sizes)}"
        self.names = [photo.name for photo in photos]
        self.hq_layout = FlatLayout.of(*zip(*sizes))
        folder.mkdir(parents=True, exist_ok=True)
        hq_file = folder / "HR.npy"
        if not hq_file.is_file():
            fill_file(hq_file, self.hq_layout, paths, 1, workers)
        self.hq = np.load(hq_file, mmap_mode="c")
        self.lq = self.lq_layout = None
        if scale > 1:
            self.lq_layout = FlatLayout.of(
                self.hq_layout.height // scale, self.hq_layout.width // scale
            )
            if photos[0].lr_path:
                sources = [photo.lr_path for photo in photos]
                lq_file = folder / f"LR_x{scale}-{stamp(sources)}.npy"
            else:
                places = zip(*(axis.tolist() for axis in self.hq_layout))
                sources = [(hq_file, *place) for place in places]
                lq_file = folder / f"LR_x{scale}-imresize.npy"
            if not lq_file.is_file():
                fill_file(lq_file, self.lq_layout, sources, scale, workers)
            self.lq = np.load(lq_file, mmap_mode="c")


class Crops(NamedTuple):
    """Which patches a batch holds: (B,) tensors on the scale of the LQ image."""

    image: Tensor
    top: Tensor
    left: Tensor
    flips: Tensor  # (B, 3) bool: flip rows, flip columns, transpose


class Pixels:
    """Flat uint8 pixels (P, 3) of many images, on a device, cut by `crop`."""

    def __init__(self, pixels: np.ndarray, layout: FlatLayout, device: torch.device):
        self.pixels = torch.from_numpy(pixels).to(device)
        self.start, self.width = (
            torch.from_numpy(axis).to(device) for axis in (layout.start, layout.width)
        )

    def crop(self, crops: Crops, size: int, scale: int) -> Tensor:
        """uint8 (B, size, size, 3): the patches at scale * (top, left)."""
        line = torch.arange(size, device=self.pixels.device).expand(len(crops.top), -1)
        rows, columns = (
            torch.where(crops.flips[:, axis, None], line.flip(1), line)
            for axis in (0, 1)
        )
        rows = rows + crops.top[:, None] * scale
        columns = columns + crops.left[:, None] * scale
        first = self.start[crops.image][:, None] + rows * self.width[crops.image, None]
        index = first[:, :, None] + columns[:, None, :]  # (B, size, size)
        index = torch.where(crops.flips[:, 2, None, None], index.mT, index)
        return self.pixels[index]


def luma(pixels: Tensor) -> Tensor:
    """uint8 (B, H, W, 3) -> uint8 (B, H, W, 1), exactly as Pillow's "L"."""
    red, green, blue = pixels.int().split(1, -1)
    return (19595 * red + 38470 * green + 7471 * blue + 0x8000 >> 16).byte()


class PatchSampler:
    """Random, augmented batches (lq, hq) as a pure function of (seed, step, rank).

    There is no state to save: a resumed run asks for the next step's batch,
    and a batch that went wrong can be drawn again and named.

    Every position of every image is equally likely, under each of the eight
    flips and rotations.

    Args:
        cache: PhotoCache, put on the device if it fits, else left on the host.
        scale: of super-resolution; 1 for the other tasks.
        patch: side of the low-quality patch, in pixels.
        batch: number of patches.
        channels: 3 for RGB, 1 for gray.
        degrade: function (hq, generator) -> lq; None for the cache's own LR.
    """

    def __init__(
        self,
        cache: PhotoCache,
        scale: int,
        patch: int,
        batch: int,
        device: str | torch.device = "cpu",
        channels: int = 3,
        seed: int = 0,
        rank: int = 0,
        degrade: Callable[[Tensor, torch.Generator], Tensor] | None = None,
    ):
        if degrade is None and cache.lq is None:
            raise ValueError(
                "scale 1 needs a degradation: the cache holds no LR images"
            )
        self.cache, self.scale, self.patch, self.size = cache, scale, patch, batch
        self.channels, self.degrade = channels, degrade
        self.seed, self.rank = seed, rank
        self.device = torch.device(device)
        files = [cache.hq] if degrade else [cache.hq, cache.lq]
        store = self.store = store_device(self.device, sum(f.nbytes for f in files))
        self.hq = Pixels(cache.hq, cache.hq_layout, store)
        self.lq = None if degrade else Pixels(cache.lq, cache.lq_layout, store)
        rows = torch.from_numpy(cache.hq_layout.height) // scale - patch + 1
        columns = torch.from_numpy(cache.hq_layout.width) // scale - patch + 1
        if min(rows.min(), columns.min()) < 1:
            raise InputError(f"patches of {patch} do not fit the smallest image")
        self.rows, self.columns = rows.to(store), columns.to(store)
        self.ends = (rows * columns).cumsum(0).double().to(store)
        self.picker = torch.Generator(store)
        self.generator = torch.Generator(self.device)

    def crops(self, step: int) -> Crops:
        """Which patches the batch of a step holds."""
        seed = Random(f"{self.seed}/{step}/{self.rank}").getrandbits(60)
        self.picker.manual_seed(seed)
        self.generator.manual_seed(seed + 1)
        draw = {"generator": self.picker, "device": self.store}
        place = torch.rand(3, self.size, dtype=torch.float64, **draw)
        flips = torch.randint(2, (self.size, 3), **draw).bool()
        image = torch.searchsorted(self.ends, place[0] * self.ends[-1], right=True)
        image = image.clamp_(max=len(self.ends) - 1)
        top = (place[1] * self.rows[image]).long()
        left = (place[2] * self.columns[image]).long()
        return Crops(image, top, left, flips)

    def to_batch(self, pixels: Tensor) -> Tensor:
        """uint8 (B, H, W, 3) -> float (B, C, H, W) in [0, 1] on the device."""
        if self.channels == 1:
            pixels = luma(pixels)
        if pixels.device.type != self.device.type:
            if self.device.type == "cuda":
                pixels = pixels.pin_memory()
            pixels = pixels.to(self.device, non_blocking=True)
        return pixels.permute(0, 3, 1, 2).float().div_(255)

    @torch.no_grad()
    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """(lq, hq) of a step: floats (B, C, p, p) and (B, C, p * scale, p * scale)."""
        crops, side = self.crops(step), self.patch * self.scale
        hq = self.to_batch(self.hq.crop(crops, side, self.scale))
        if self.degrade:
            return self.degrade(hq, self.generator), hq
        return self.to_batch(self.lq.crop(crops, self.patch, 1)), hq

    def describe(self, step: int) -> list[str]:
        """The batch of a step in words: 'name (top, left)' for every patch."""
        crops = self.crops(step)
        places = zip(crops.image.tolist(), crops.top.tolist(), crops.left.tolist())
        return [f"{self.cache.names[i]} ({y}, {x})" for i, y, x in places]


def store_device(device: torch.device, nbytes: int) -> torch.device:
    """Where the pixels go: to a GPU if they take less than 40% of its free memory."""
    if device.type == "cuda" and nbytes < 0.4 * torch.cuda.mem_get_info(device)[0]:
        return device
    return torch.device("cpu")
