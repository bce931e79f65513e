"""The images that models are measured on (chapter 14)."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from torch import Tensor

from ..image_files import find_images, raise_if_any, read_image
from ..image_restoration import imresize, to_tensor


class TestPair(NamedTuple):
    """One test image: LQ (1, C, h, w) in [0, 1] and HQ uint8 (H, W[, 3])."""

    name: str
    lq: Tensor
    hq: np.ndarray


def read_test_set(folder, scale=1, channels=3, degrade=None):
    """Read a test set; what is wrong with it is named before anything is measured.

    Args:
        folder: with HR/ and LR_bicubic/X2/ (Set5's layout), with DIV2K_valid_HR
            and DIV2K_valid_LR_bicubic/X2, or a plain folder of HQ images, whose
            LR images are then made by the MATLAB-exact bicubic.
        scale: of super-resolution; 1 for the other tasks.
        channels: 3, or 1 for a gray model.
        degrade: function uint8 image -> LQ tensor, in place of LR images.

    Returns:
        A list of TestPair; HQ is cropped to LQ's size times scale, top left.
    """
    folder = Path(folder)
    named = [folder / "HR", folder / "DIV2K_valid_HR"]
    hq_folder = next((f for f in named if f.is_dir()), folder)
    lr_folder = folder / hq_folder.name.replace("HR", "LR_bicubic") / f"X{scale}"
    if hq_folder.name == "HR":
        lr_folder = folder / "LR_bicubic" / f"X{scale}"
    from_files = degrade is None and scale > 1 and lr_folder.is_dir()
    lr_paths = {p.stem: p for p in find_images(lr_folder)} if from_files else {}
    pairs, problems = [], []
    for path in find_images(hq_folder):
        try:
            hq = read_image(path, channels)
            rows, columns = (side // scale for side in hq.shape[:2])
            hq = hq[: rows * scale, : columns * scale]
            if degrade:
                lq = degrade(hq)
            elif from_files:
                name = f"{path.stem}x{scale}"
                if name not in lr_paths:
                    raise ValueError(f"{path}: {lr_folder} has no {name}")
                lq = to_tensor(read_image(lr_paths[name], channels))
            else:
                lq = to_tensor(imresize(hq, 1 / scale))
            if lq.shape[2:] != (rows, columns):
                got = tuple(lq.shape[2:])
                raise ValueError(f"{path}: LQ is {got}, HQ implies {(rows, columns)}")
            pairs.append(TestPair(path.stem, lq, hq))
        except ValueError as error:
            problems.append(error)
    raise_if_any(problems, f"images of {folder} cannot be used")
    return pairs


def sample_photographs(folder, scale=2):
    """Write crops of scikit-image's photographs to a folder, to measure on anywhere.

    Smaller ones where the network does not enlarge, so that all cost the same.
    """
    from skimage import data

    folder = Path(folder) / "samples"
    folder.mkdir(parents=True, exist_ok=True)
    side = 192 if scale > 1 else 96
    for name in ("astronaut", "chelsea", "coffee"):
        photo = getattr(data, name)()[20 : 20 + side, 120 : 120 + side]
        Image.fromarray(photo).save(folder / f"{name}.png")
    return folder
