"""Real-world x4 beside bicubic: python -m experiments.real_world --help

Measures models on DIV2K's validation images, degraded as real_world training
degrades, under fixed seeds.  What it writes is committed; chapter 13 reads it.
"""

import argparse
import statistics
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from swinir_lite import fast, imresize, load_model, psnr, ssim, to_image
from swinir_lite.image_files import read_image
from swinir_lite.image_pairs import find_pairs
from swinir_lite.measuring.evaluation import restore
from swinir_lite.real_world_super_resolution import (
    degrade_photograph,
    gradient_distance,
)
from swinir_lite.shipped_weights import shipped_models
from swinir_lite.standard_json import to_json
from swinir_lite.whole_files import whole_file

MODELS = (
    "lightweight_x4",
    "lightweight_real_world_x4",
    "lightweight_real_world_x4_gan",
)


def central_crop(image: np.ndarray, side: int) -> np.ndarray:
    """The middle (side, side) of an image (H, W, 3)."""
    top, left = ((length - side) // 2 for length in image.shape[:2])
    return image[top : top + side, left : left + side]


def read_crops(folder: str | Path, side: int) -> dict[str, np.ndarray]:
    """{name: uint8 crop} of DIV2K's validation images, or of any folder's."""
    pairs = find_pairs(folder, split="valid")
    return {pair.name: central_crop(read_image(pair.hq), side) for pair in pairs}


def enlargers(models: Iterable[str], scale: int = 4) -> dict[str, Callable]:
    """{name: function LQ (1, 3, h, w) -> uint8 image}, bicubic among them."""
    functions = {"bicubic": lambda lq: imresize(to_image(lq), scale)}
    for name in models:
        model = fast(load_model(name))
        window = model.config.window_size
        functions[name] = lambda lq, model=model, window=window: to_image(
            restore(model, lq, scale, window)
        )
    return functions


def score(restored: np.ndarray, truth: np.ndarray, scale: int = 4) -> dict[str, float]:
    """By the paper's protocol for super-resolution, and the gradients' distance."""
    return {
        "psnr": psnr(restored, truth, scale, y_channel=True),
        "ssim": ssim(restored, truth, scale, y_channel=True),
        "gradient_distance": gradient_distance(restored, truth),
    }


def measure(
    crops: dict[str, np.ndarray], models: Iterable[str], seeds: Iterable[int]
) -> dict[str, dict[str, float]]:
    """Means over all crops and seeds: {model: scores}."""
    functions, scores = enlargers(models), {}
    for image in crops.values():
        for seed in seeds:
            lq = degrade_photograph(image, seed=seed)
            for name, enlarge in functions.items():
                scores.setdefault(name, []).append(score(enlarge(lq), image))
    return {
        name: {key: statistics.fmean(s[key] for s in each) for key in each[0]}
        for name, each in scores.items()
    }


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m experiments.real_world")
    parser.add_argument("--div2k", default="data/DIV2K", help="or other photographs")
    parser.add_argument("--side", type=int, default=512, help="of the central crops")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--models", nargs="*", default=MODELS, help="beside bicubic")
    parser.add_argument("--crops", type=Path, help="write the crops here, and stop")
    parser.add_argument("--out", type=Path, default="results/real_world_x4.json")
    args = parser.parse_args(arguments)
    crops = read_crops(args.div2k, args.side)
    if args.crops:
        args.crops.mkdir(parents=True, exist_ok=True)
        for name, image in crops.items():
            Image.fromarray(image).save(args.crops / f"{name}.png")
        return
    shipped = shipped_models()
    about = {
        "images": list(crops),
        "side": args.side,
        "seeds": args.seeds,
        "weights": {name: shipped[name]["sha256"] for name in args.models},
    }
    scores = measure(crops, args.models, args.seeds)
    with whole_file(args.out) as partial:
        partial.write_text(to_json({**about, "scores": scores}, indent=2) + "\n")
    for name, means in scores.items():
        print(name, *(f"{key} {value:.3f}" for key, value in means.items()))


if __name__ == "__main__":
    main()
