"""Real-world x4 beside bicubic: python -m experiments.real_world --help

Measures models on DIV2K's validation images, degraded as real_world training
degrades, under fixed seeds.  What it writes is committed; chapter 11 reads it.
"""

import argparse
import json
import statistics
from pathlib import Path

from PIL import Image

from swinir_lite import fast, imresize, load_model, psnr, ssim, to_image
from swinir_lite.image_files import find_images, read_image
from swinir_lite.measuring.evaluation import restore
from swinir_lite.real_world_super_resolution import (
    degrade_photograph,
    gradient_distance,
)
from swinir_lite.shipped_weights import shipped_models

MODELS = (
    "lightweight_x4",
    "lightweight_real_world_x4",
    "lightweight_real_world_x4_gan",
)


def central_crop(image, side):
    """The middle (side, side) of an image (H, W, 3)."""
    top, left = ((length - side) // 2 for length in image.shape[:2])
    return image[top : top + side, left : left + side]


def read_crops(folder, side):
    """{name: uint8 crop} of DIV2K's validation images, or of any folder's."""
    folder = Path(folder)
    named = folder / "DIV2K_valid_HR"
    paths = find_images(named if named.is_dir() else folder)
    return {path.stem: central_crop(read_image(path), side) for path in paths}


def enlargers(models, scale=4):
    """{name: function LQ (1, 3, h, w) -> uint8 image}, bicubic among them."""
    functions = {"bicubic": lambda lq: imresize(to_image(lq), scale)}
    for name in models:
        model = fast(load_model(name))
        window = model.config.window_size
        functions[name] = lambda lq, model=model, window=window: to_image(
            restore(model, lq, scale, window)
        )
    return functions


def score(restored, truth, scale=4):
    """By the paper's protocol for super-resolution, and the gradients' distance."""
    return {
        "psnr": psnr(restored, truth, scale, y_channel=True),
        "ssim": ssim(restored, truth, scale, y_channel=True),
        "gradient_distance": gradient_distance(restored, truth),
    }


def measure(crops, models, seeds):
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


def main(arguments=None):
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
    args.out.write_text(json.dumps({**about, "scores": scores}, indent=2) + "\n")
    for name, means in scores.items():
        print(name, *(f"{key} {value:.3f}" for key, value in means.items()))


if __name__ == "__main__":
    main()
