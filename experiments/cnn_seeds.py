"""Chapter 2's network from three seeds: python -m experiments.cnn_seeds

Trains the residual CNN as chapter 2 does, on the same photographs, and notes by how
much it is ahead of bicubic on the cat and when its loss reached bicubic's.  What it
writes is committed; chapter 2 reads it.
"""

import argparse
import platform
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from swinir_lite import ResidualCNN, imresize, psnr, to_image, to_tensor
from swinir_lite.small_training import train_small
from swinir_lite.standard_json import to_json
from swinir_lite.whole_files import whole_file

from .losses_and_optimisers import photographs

AVERAGED = 50  # steps


def bicubic(lr: Tensor) -> Tensor:
    return to_tensor(imresize(to_image(lr), 2))


def mean_l1(restore: Callable[[Tensor], Tensor], pairs: list) -> float:
    """Mean over photographs."""
    return float(np.mean([F.l1_loss(restore(lr), hr).item() for lr, hr in pairs]))


def first_below(losses: list[float], level: float) -> int | None:
    """The step at which the mean of the last `AVERAGED` losses first is below."""
    ends = range(AVERAGED, len(losses) + 1)
    return next((i for i in ends if np.mean(losses[i - AVERAGED : i]) < level), None)


def run(steps: int, seed: int) -> dict:
    """One training, and what came of it."""
    pairs, (lr, hr) = photographs()
    torch.manual_seed(seed)
    model = ResidualCNN()
    losses = train_small(model, pairs, steps=steps, seed=seed)
    with torch.no_grad():
        after = psnr(model(lr), hr, 2, True)
    return {
        "seed": seed,
        "gain": round(after - psnr(bicubic(lr), hr, 2, True), 4),
        "reached bicubic": first_below(losses, mean_l1(bicubic, pairs)),
    }


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m experiments.cnn_seeds")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--out", type=Path, default="results/cnn_seeds.json")
    args = parser.parse_args(arguments)
    runs = []
    for seed in args.seeds:
        runs.append(run(args.steps, seed))
        print(runs[-1], flush=True)
    found = {
        "hardware": f"CPU, {platform.machine()}",
        "date": str(date.today()),
        "steps": args.steps,
        "runs": runs,
    }
    with whole_file(args.out) as partial:
        partial.write_text(to_json(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
