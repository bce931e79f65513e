"""Real-world x4 beside bicubic: python -m experiments.real_world --help

Measures models on DIV2K's validation images, degraded as real_world training
degrades, under fixed seeds, and what lies between the weights of the PSNR-trained and
the GAN-trained model.  What it writes is committed; chapter 13 reads it.

SqueezeNet's features come from a file, as for `losses_that_see`.  PIQE
(Venkatanath et al., 2015), which judges a picture without the original, needs the
packages pypiqe and opencv-python-headless.
"""

import argparse
import statistics
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn

from experiments.losses_that_see import SqueezeNetFeatures, distances
from swinir_lite import fast, imresize, load_model, psnr, ssim, to_image, to_tensor
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

PSNR_TRAINED = "lightweight_real_world_x4"
GAN_TRAINED = "lightweight_real_world_x4_gan"
MODELS = ("lightweight_x4", PSNR_TRAINED, GAN_TRAINED)
SHARES = (0.25, 0.5, 0.75)  # of the GAN-trained network's weights


def central_crop(image: np.ndarray, side: int) -> np.ndarray:
    """The middle (side, side) of an image (H, W, 3)."""
    top, left = ((length - side) // 2 for length in image.shape[:2])
    return image[top : top + side, left : left + side]


def read_crops(folder: str | Path, side: int) -> dict[str, np.ndarray]:
    """{name: uint8 crop} of DIV2K's validation images, or of any folder's."""
    pairs = find_pairs(folder, split="valid")
    return {pair.name: central_crop(read_image(pair.hq), side) for pair in pairs}


def mixture(share: float) -> nn.Module:
    """The network between the PSNR-trained one and the one that continued it."""
    model, weights = load_model(PSNR_TRAINED), load_model(GAN_TRAINED).state_dict()
    with torch.no_grad():
        for name, value in model.state_dict().items():
            value.lerp_(weights[name], share)
    return model


def enlarger(model: nn.Module, scale: int = 4) -> Callable:
    """A model as a function LQ (1, 3, h, w) -> uint8 image."""
    network, window = fast(model), model.config.window_size
    return lambda lq: to_image(restore(network, lq, scale, window))


def squeezenet_measure(path: str | Path) -> Callable:
    """The distance of SqueezeNet's maps, as in chapter 10, in their mean."""
    features = SqueezeNetFeatures(load_file(path))
    return lambda restored, truth: statistics.fmean(
        distances(features, to_tensor(restored), to_tensor(truth))
    )


def find_measures(features: Path | None, piqe: bool) -> dict[str, Callable]:
    """More measures, {name: function of uint8 images, restored and true}."""
    measures = {"gradient_distance": gradient_distance}
    if features:
        measures["squeezenet"] = squeezenet_measure(features)
    if piqe:
        from pypiqe import piqe as judge

        measures["piqe"] = lambda restored, truth: float(judge(restored)[0])
    return measures


@torch.no_grad()
def score(
    restored: np.ndarray, truth: np.ndarray, measures: dict[str, Callable]
) -> dict[str, float]:
    """By the paper's protocol for x4 super-resolution, and by more measures."""
    pair = restored, truth
    return {
        "psnr": psnr(*pair, 4, y_channel=True),
        "ssim": ssim(*pair, 4, y_channel=True),
        **{name: measure(*pair) for name, measure in measures.items()},
    }


def measure(
    crops: dict[str, np.ndarray],
    functions: dict[str, Callable],
    measures: dict[str, Callable],
    seeds: Iterable[int],
) -> dict[str, dict[str, float]]:
    """Means over all crops and seeds: {name of a function: scores}."""
    scores = {}
    for image in crops.values():
        for seed in seeds:
            lq = degrade_photograph(image, seed=seed)
            for name, enlarge in functions.items():
                found = score(enlarge(lq), image, measures)
                scores.setdefault(name, []).append(found)
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
    parser.add_argument("--mixtures", action="store_true", help="measure them as well")
    parser.add_argument("--features", type=Path, help="SqueezeNet 1.0, to measure by")
    parser.add_argument("--piqe", action="store_true", help="measure by it as well")
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
    functions = {"bicubic": lambda lq: imresize(to_image(lq), 4)}
    functions |= {name: enlarger(load_model(name)) for name in args.models}
    shares = [f"{share:.2f}" for share in SHARES] if args.mixtures else []
    functions |= {share: enlarger(mixture(float(share))) for share in shares}
    measures = find_measures(args.features, args.piqe)
    scores = measure(crops, functions, measures, args.seeds)
    mixtures = {share: scores.pop(share) for share in shares}
    results = {**about, "scores": scores, "mixtures": mixtures}
    with whole_file(args.out) as partial:
        partial.write_text(to_json(results, indent=2) + "\n")
    for name, means in (scores | mixtures).items():
        print(name, *(f"{key} {value:.3f}" for key, value in means.items()))


if __name__ == "__main__":
    main()
