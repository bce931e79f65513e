"""One noise level or all of them: python -m experiments.blind_denoising --help

Trains small denoisers for one level of noise and for a range of levels, each from
several seeds, and measures all of them at three levels on Set12.  What it writes is
committed; chapter 11 reads it.
"""

import argparse
import platform
import statistics
from collections.abc import Iterator
from datetime import date
from itertools import product
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from swinir_lite import ResidualCNN, psnr, to_image, to_tensor
from swinir_lite.denoising import add_gaussian_noise, gaussian_noise
from swinir_lite.image_files import find_images, read_image
from swinir_lite.losses import charbonnier_loss
from swinir_lite.small_training import random_patches
from swinir_lite.standard_json import to_json
from swinir_lite.whole_files import whole_file

SIGMAS = (15, 25, 50)  # measured
LEVELS = {"25 alone": 25, "5 to 55": (5, 55)}  # trained on
DIM, BLOCKS, RATE = 24, 2, 2e-3
BATCH, SIDE = 8, 32


class SmallDenoiser(nn.Module):
    """(B, 1, H, W) plus a correction by the convolutional network of chapter 2."""

    def __init__(self) -> None:
        super().__init__()
        self.correction = ResidualCNN(1, DIM, BLOCKS, scale=1)

    def forward(self, noisy: Tensor) -> Tensor:
        return noisy + self.correction(noisy)


def train(
    sigma: float | tuple[float, float], photos: list[Tensor], steps: int, seed: int
) -> SmallDenoiser:
    """A denoiser for one level, or for a range of levels; patches go by the seed."""
    torch.manual_seed(seed)
    model = SmallDenoiser()
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    pairs = [(photo, photo) for photo in photos]
    for _ in range(steps):
        hq, _ = random_patches(pairs, BATCH, SIDE, generator)
        noisy = gaussian_noise(hq, generator, sigma=sigma)
        optimizer.zero_grad()
        charbonnier_loss(model(noisy), hq).backward()
        optimizer.step()
        schedule.step()
    return model.eval()


@torch.no_grad()
def score(model: nn.Module, images: list[np.ndarray]) -> dict[str, float]:
    """Mean PSNR in dB by sigma."""
    means = {}
    for sigma in SIGMAS:
        noisy = [add_gaussian_noise(image, sigma=sigma) for image in images]
        each = [psnr(to_image(model(lq)), hq) for lq, hq in zip(noisy, images)]
        means[str(sigma)] = round(statistics.fmean(each), 4)
    return means


def runs(
    photos: list[Tensor], images: list[np.ndarray], steps: int, seeds: list[int]
) -> Iterator[dict]:
    """A record of each training, as soon as it is measured."""
    for seed, (name, sigma) in product(seeds, LEVELS.items()):
        scores = score(train(sigma, photos, steps, seed), images)
        yield {"trained on": name, "seed": seed, "psnr": scores}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m experiments.blind_denoising")
    parser.add_argument("--photos", required=True, help="folder to learn from")
    parser.add_argument(
        "--set12", default="data/testsets/Set12", help="folder to measure on"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--out", type=Path, default="results/blind_denoising.json")
    args = parser.parse_args(arguments)
    torch.set_num_threads(1)
    photos = [to_tensor(read_image(p, channels=1)) for p in find_images(args.photos)]
    images = [read_image(path, channels=1) for path in find_images(args.set12)]
    done = []
    for run in runs(photos, images, args.steps, args.seeds):
        done.append(run)
        print(run, flush=True)
        about = {
            "hardware": f"CPU, {platform.machine()}, one thread",
            "date": str(date.today()),
            "photographs": len(photos),
            "steps": args.steps,
            "batch": BATCH,
            "patch": SIDE,
            "channels": DIM,
            "blocks": BLOCKS,
            "runs": done,
        }
        with whole_file(args.out) as partial:
            partial.write_text(to_json(about, indent=1) + "\n")


if __name__ == "__main__":
    main()
