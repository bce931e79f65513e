"""How libraries resize beside MATLAB: python -m experiments.resizers --help

Shrinks photographs by every library's antialiased or plain bicubic function and
enlarges what MATLAB's function shrank; measures both. Needs OpenCV, which the book
does not: `pip install opencv-python-headless`. What it writes is committed; appendix
A3 reads it.
"""

import argparse
import statistics
from collections.abc import Callable
from datetime import date
from importlib.metadata import version
from pathlib import Path

import numpy as np
import PIL
import skimage
import torch
import torch.nn.functional as F
from PIL import Image
from skimage import data
from skimage.transform import resize
from torch import nn

from swinir_lite import fast, imresize, load_model, psnr, to_image, to_tensor
from swinir_lite.measuring.evaluation import restore
from swinir_lite.standard_json import to_json
from swinir_lite.whole_files import whole_file

Size = tuple[int, int]  # height, width


def by_pillow(image: np.ndarray, size: Size) -> np.ndarray:
    resized = Image.fromarray(image).resize(size[::-1], Image.Resampling.BICUBIC)
    return np.asarray(resized)


def by_torch(image: np.ndarray, size: Size, antialias: bool) -> np.ndarray:
    options = {"size": size, "mode": "bicubic", "antialias": antialias}
    return to_image(F.interpolate(to_tensor(image), **options))


def by_opencv(image: np.ndarray, size: Size, method: str) -> np.ndarray:
    import cv2  # the one library that the book does not need

    return cv2.resize(image, size[::-1], interpolation=getattr(cv2, method))


def by_skimage(image: np.ndarray, size: Size) -> np.ndarray:
    smaller = size[0] < image.shape[0]
    resized = resize(image / 255, size, order=3, anti_aliasing=smaller)
    return (resized * 255).round().clip(0, 255).astype(np.uint8)


METHODS: dict[str, Callable[[np.ndarray, Size], np.ndarray]] = {
    "MATLAB's (imresize)": lambda image, size: imresize(image, size[0] / len(image)),
    "Pillow, BICUBIC": by_pillow,
    "torch, antialias=True": lambda image, size: by_torch(image, size, True),
    "torch, default": lambda image, size: by_torch(image, size, False),
    "OpenCV, INTER_CUBIC": lambda image, size: by_opencv(image, size, "INTER_CUBIC"),
    "OpenCV, INTER_AREA": lambda image, size: by_opencv(image, size, "INTER_AREA"),
    "scikit-image, anti_aliasing": by_skimage,
}


def photographs(side: int) -> dict[str, np.ndarray]:
    """Parts (side, side, 3) of scikit-image's photographs, none learned from."""
    return {
        "astronaut": data.astronaut()[:side, 128 : 128 + side],
        "chelsea": data.chelsea()[40 : 40 + side, 100 : 100 + side],
        "coffee": data.coffee()[100 : 100 + side, 200 : 200 + side],
    }


def measure(
    method: Callable, photo: np.ndarray, scale: int, model: nn.Module
) -> dict[str, float]:
    """PSNR in dB on Y after the network and after plain enlargement, and distances."""
    size = tuple(side // scale for side in photo.shape[:2])
    right = imresize(photo, 1 / scale)
    small, large = method(photo, size), method(right, photo.shape[:2])
    restored = to_image(restore(model, to_tensor(small), scale, 8))
    distance = np.abs(small.astype(int) - right)
    return {
        "network": psnr(restored, photo, scale, True),
        "enlarged": psnr(large, photo, scale, True),
        "differ": float((distance > 0).mean()),
        "levels": float(distance.mean()),
    }


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m experiments.resizers")
    parser.add_argument("--side", type=int, default=240, help="of the photographs")
    parser.add_argument("--scales", type=int, nargs="+", default=[2, 4])
    parser.add_argument("--out", type=Path, default="results/resizers.json")
    args = parser.parse_args(arguments)
    results = {}
    for scale in args.scales:
        model = fast(load_model(f"lightweight_x{scale}"))
        for name, method in METHODS.items():
            found = [
                measure(method, photo, scale, model)
                for photo in photographs(args.side).values()
            ]
            means = {k: statistics.fmean(f[k] for f in found) for k in found[0]}
            results.setdefault(f"x{scale}", {})[name] = means
            print(scale, name, {k: round(v, 3) for k, v in means.items()}, flush=True)
    about = {
        "date": str(date.today()),
        "versions": {
            "Pillow": PIL.__version__,
            "torch": torch.__version__,
            "OpenCV": version("opencv-python-headless"),
            "scikit-image": skimage.__version__,
        },
        "photographs": {"side": args.side, "names": list(photographs(args.side))},
        "results": results,
    }
    with whole_file(args.out) as partial:
        partial.write_text(to_json(about, indent=1) + "\n")


if __name__ == "__main__":
    main()
