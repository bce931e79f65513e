"""Which original images a folder holds, and which smaller ones belong to them."""

import re
import statistics
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from .errors import InputError
from .image_files import find_images, image_size, raise_if_any

SCALE_SUFFIX = re.compile(r"x[2348]$")  # of DIV2K's LR images: 0001x2.png


class ImagePair(NamedTuple):
    """An original (HQ) image's name and file, and its LR file where there is one."""

    name: str
    hq: Path
    lr: Path | None = None


def pair_name(path: Path) -> str:
    """What an HR file and its LR file have in common: 0001.png and 0001x2.png."""
    return SCALE_SUFFIX.sub("", path.stem)


def by_folder(paths: list[Path]) -> dict[Path, dict[str, Path]]:
    """{folder: {pair name: file}}; InputError for two of a name in one folder."""
    folders, repeated = {}, []
    for path in paths:
        files = folders.setdefault(path.parent, {})
        if pair_name(path) in files:
            repeated.append(f"{files[pair_name(path)]} and {path.name}")
        files[pair_name(path)] = path
    raise_if_any(repeated, "images have the name of another, which LR images go by")
    return folders


def area(path: Path) -> int:
    """Pixels of an image; 0 where it cannot be read, which its reader will say."""
    try:
        height, width = image_size(path)
    except ValueError:
        return 0
    return height * width


def times_smaller(files: dict[str, Path], originals: dict[str, Path]) -> int:
    """By which factor most images of a folder are smaller than the originals."""
    ratios = []
    for name in files.keys() & originals.keys():
        small, large = area(files[name]), area(originals[name])
        if small and large:
            ratios.append((large / small) ** 0.5)
    return round(statistics.median(ratios)) if ratios else 0


def pair_folders(folders: dict[Path, dict[str, Path]], scale: int) -> list[ImagePair]:
    """Pairs out of folders that hold images of the same names, in several sizes."""
    top = max(folders, key=lambda f: statistics.fmean(map(area, folders[f].values())))
    originals, smaller = folders.pop(top), {}
    for folder, files in folders.items():
        factor = times_smaller(files, originals)
        if factor < 2:
            raise InputError(
                f"{top} and {folder} hold images of the same names that are no HR and "
                "LR images: rename them, or give one of the folders"
            )
        smaller.setdefault(factor, []).append(folder)
    if scale == 1:
        names = {name for files in folders.values() for name in files}
        raise_if_any(sorted(names - originals.keys()), f"images are not in {top}")
        return [ImagePair(path.stem, path) for path in originals.values()]
    if len(found := smaller.get(scale, [])) != 1:
        raise InputError(
            f"{top} needs one folder of LR images {scale} times smaller beside it, got "
            f"{', '.join(map(str, found)) or 'none'}; give {top} to have them made"
        )
    (lr_folder,) = found
    unmatched = sorted(originals.keys() ^ folders[lr_folder].keys())
    raise_if_any(unmatched, f"images are in only one of {top} and {lr_folder}")
    return [
        ImagePair(path.stem, path, folders[lr_folder][name])
        for name, path in originals.items()
    ]


def find_pairs(folder: str | Path, scale: int = 1, split: str = "") -> list[ImagePair]:
    """The images of a training or test set, told apart by their names and sizes.

    Where folders hold images of the same names, as Set5's HR and LR_bicubic/X2 or
    GTmod12 and LRbicx2, the largest are the originals and those `scale` times
    smaller their LR images. An LR image has the name of its HR image, or that and
    the scale: 0001x2. Where no name is in two folders all images are originals.

    Args:
        folder: is searched with all folders in it.
        scale: of super-resolution; 1 for the other tasks, which need no LR images.
        split: "train" or "valid": take that part alone, if this is DIV2K's root.

    Raises:
        InputError: for equal names that make no pairs, for images without a partner
            and for LR images of other scales only.
        FileNotFoundError: if there is no such folder.
    """
    folder = Path(folder)
    paths = find_images(folder)
    if (folder / f"DIV2K_{split}_HR").is_dir():
        part = f"DIV2K_{split}_"
        paths = [p for p in paths if p.relative_to(folder).parts[0].startswith(part)]
    names = [(pair_name(path), path.parent) for path in paths]
    if len({name for name, _ in names}) < len(set(names)):  # in two folders
        return pair_folders(by_folder(paths), scale)
    times = Counter(path.stem for path in paths)
    return [
        ImagePair(path.stem if times[path.stem] == 1 else path.name, path)
        for path in paths
    ]
