"""The images that models are measured on (chapter 18)."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from torch import Tensor

from ..errors import InputError
from ..image_files import find_images, raise_if_any, read_image
from ..image_pairs import ImagePair, by_folder, find_pairs, times_smaller
from ..image_restoration import imresize, to_tensor
from ..swinir import check_input
from ..whole_files import whole_file


class TestPair(NamedTuple):
    """One test image: LQ (1, C, h, w) in [0, 1] and HQ uint8 (H, W[, 3])."""

    name: str
    lq: Tensor
    hq: np.ndarray


def read_test_set(
    folder: str | Path,
    scale: int = 1,
    channels: int = 3,
    degrade: Callable[[np.ndarray], Tensor] | None = None,
) -> list[TestPair]:
    """Read a test set; what is wrong with it is named before anything is measured.

    Args:
        folder: of HQ images, with folders of LR images beside them or without, as
            `find_pairs` tells them apart; where there are none, they are made by
            the MATLAB-exact bicubic. Of DIV2K's root, the validation images.
        scale: of super-resolution; 1 for the other tasks.
        channels: 3, or 1 for a gray model.
        degrade: function uint8 image -> LQ tensor, in place of LR images.

    Returns:
        A list of TestPair; HQ is cropped to LQ's size times scale, top left.

    Raises:
        InputError: that lists images that cannot be used; and as `find_pairs`.
    """
    files = find_pairs(folder, 1 if degrade else scale, "valid")
    return read_files(files, folder, scale, channels, degrade)


def read_pairs(
    hq_folder: str | Path,
    lq_folder: str | Path | None = None,
    scale: int = 1,
    channels: int = 3,
    degrade: Callable[[np.ndarray], Tensor] | None = None,
) -> list[TestPair]:
    """Read a test set of two folders, whose files belong together by their names.

    Args:
        hq_folder: of originals.
        lq_folder: of low-quality images under the names of the originals, or those
            and the scale, as 0001x2.png; without it they are made.
        scale, channels, degrade: as for `read_test_set`.

    Raises:
        InputError: as `read_test_set`, and for images in only one of the folders.
    """
    originals = named_files(hq_folder)
    lq = named_files(lq_folder) if lq_folder else dict.fromkeys(originals)
    raise_if_any(
        sorted(originals.keys() ^ lq.keys()),
        f"images are in only one of {hq_folder} and {lq_folder}",
    )
    files = [ImagePair(path.stem, path, lq[name]) for name, path in originals.items()]
    return read_files(files, hq_folder, scale, channels, degrade)


def scale_between(hq_folder: str | Path, lq_folder: str | Path) -> int:
    """By which factor the images of one folder are larger than those of another."""
    return times_smaller(named_files(lq_folder), named_files(hq_folder))


def named_files(folder: str | Path) -> dict[str, Path]:
    """{what an HR file and its LR file have in common: file}, of one folder."""
    folders = by_folder(find_images(folder))
    if len(folders) > 1:
        inner = [str(path) for path in folders if path != Path(folder)]
        own = ", or move them elsewhere" if len(inner) < len(folders) else ""
        raise InputError(f"{folder} holds folders of images: give one of {inner}{own}")
    return next(iter(folders.values()))


def read_files(
    files: list[ImagePair],
    folder: str | Path,
    scale: int,
    channels: int,
    degrade: Callable[[np.ndarray], Tensor] | None,
) -> list[TestPair]:
    """Read pairs of files, the LQ images of which are made where there are none."""
    pairs, problems = [], []
    for name, path, lr_path in files:
        try:
            hq = read_image(path, channels)
            rows, columns = (side // scale for side in hq.shape[:2])
            if not rows or not columns:
                side = f"{hq.shape[1]}x{hq.shape[0]}"
                raise InputError(f"{side} is smaller than {scale}x{scale}")
            hq = hq[: rows * scale, : columns * scale]
            if degrade:
                lq = degrade(hq)
            elif lr_path:
                lq = to_tensor(read_image(lr_path, channels))
            else:
                lq = to_tensor(imresize(hq, 1 / scale))
            if lq.shape[2:] != (rows, columns):
                got = tuple(lq.shape[2:])
                raise InputError(f"LQ is {got}, HQ implies {(rows, columns)}")
            check_input(lq, channels)  # noise may lead out of what networks take
            pairs.append(TestPair(name, lq, hq))
        except ValueError as error:
            known = str(error).startswith((str(path), str(lr_path)))
            problems.append(error if known else f"{path}: {error}")
    raise_if_any(problems, f"images of {folder} cannot be used")
    return pairs


def sample_photographs(folder: str | Path, scale: int = 2) -> Path:
    """Write crops of scikit-image's photographs to a folder, to measure on anywhere.

    Smaller ones where the network does not enlarge, so that all cost the same.
    """
    from skimage import data

    folder = Path(folder) / "samples"
    folder.mkdir(parents=True, exist_ok=True)
    side = 192 if scale > 1 else 96
    for name in ("astronaut", "chelsea", "coffee"):
        photo = getattr(data, name)()[20 : 20 + side, 120 : 120 + side]
        with whole_file(folder / f"{name}.png") as partial:
            Image.fromarray(photo).save(partial, "PNG")
    return folder
