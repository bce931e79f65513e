"""L1 against L2 under Adam: python -m experiments.losses_and_optimisers --help

Trains the small CNN of chapter 2 with three losses, two lengths of Adam's memory
and several seeds, and measures it on a photograph that it has not seen.  What it
writes is committed; chapter 9 reads it.
"""

import argparse
import math
import platform
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from datetime import date
from functools import cache
from pathlib import Path

import torch
import torch.nn.functional as F
from skimage import data
from torch import Tensor, nn

from swinir_lite import ResidualCNN
from swinir_lite.losses import l1_loss, l2_loss
from swinir_lite.small_training import make_pair, random_patches
from swinir_lite.standard_json import to_json
from swinir_lite.whole_files import whole_file

SCALE, BATCH, SIDE = 2, 8, 16  # SIDE in pixels of the small patches
EVERY = 10  # steps between two entries of a trace


def root_l2_loss(restored: Tensor, target: Tensor) -> Tensor:
    """Root of the mean squared difference: L2's direction, but not its length."""
    return l2_loss(restored, target).sqrt()


LOSSES: dict[str, Callable] = {"L1": l1_loss, "L2": l2_loss, "root": root_l2_loss}


@dataclass(frozen=True)
class Run:
    """One training: its loss, Adam's second beta, learning rate, length and seed."""

    loss: str
    beta2: float
    rate: float
    steps: int
    seed: int


@cache
def photographs() -> tuple[list, tuple[Tensor, Tensor]]:
    """LR and HR of three photographs to train on, and of one held out."""
    seen = [data.astronaut(), data.coffee(), data.rocket()]
    return [make_pair(photo, SCALE) for photo in seen], make_pair(data.chelsea(), SCALE)


def areas(hr: Tensor) -> dict[str, Tensor]:
    """Masks (1, 1, H, W) of all, the smoother half and the most detailed tenth.

    Detail is the variance of the true image in a neighbourhood of 9x9 pixels.
    """
    contrast = (hr - F.avg_pool2d(hr, 9, 1, 4)).square().mean(1, keepdim=True)
    contrast = F.avg_pool2d(contrast, 9, 1, 4)
    middle, high = contrast.flatten().quantile(torch.tensor([0.5, 0.9]))
    return {
        "all": contrast >= 0,
        "smooth half": contrast < middle,
        "detailed tenth": contrast >= high,
    }


def area_psnr(model: nn.Module) -> dict[str, float]:
    """PSNR in dB, all channels, over each area of the held-out photograph."""
    _, (lr, hr) = photographs()
    with torch.no_grad():
        error = (model(lr).clamp(0, 1) - hr).square().mean(1, keepdim=True)
    return {
        name: round(-10 * math.log10(error[mask].mean()), 4)
        for name, mask in areas(hr).items()
    }


def flat(tensors: list[Tensor]) -> Tensor:
    """All numbers of several tensors as one vector."""
    return torch.cat([t.detach().flatten() for t in tensors])


def train(run: Run) -> dict:
    """Train once; the scores, and how long gradients and steps were on the way.

    Both are root mean squares over all parameters, a step in units of the learning
    rate of its moment.
    """
    torch.set_num_threads(1)
    torch.manual_seed(run.seed)
    model = ResidualCNN(dim=16, num_blocks=2, scale=SCALE)
    parameters, loss = list(model.parameters()), LOSSES[run.loss]
    generator = torch.Generator().manual_seed(run.seed)
    optimizer = torch.optim.Adam(parameters, lr=run.rate, betas=(0.9, run.beta2))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, run.steps)
    gradients, steps = [], []
    for i in range(run.steps):
        lr, hr = random_patches(photographs()[0], BATCH, SIDE, generator)
        optimizer.zero_grad()
        loss(model(lr), hr).backward()
        before = flat(parameters)
        optimizer.step()
        if i % EVERY == EVERY - 1:
            moved = (flat(parameters) - before) / schedule.get_last_lr()[0]
            gradients.append(flat([p.grad for p in parameters]).square().mean().sqrt())
            steps.append(moved.square().mean().sqrt())
        schedule.step()
    return {
        **asdict(run),
        "psnr": area_psnr(model.eval()),
        "gradient": [float(f"{g:.5g}") for g in gradients],
        "step": [float(f"{s:.5g}") for s in steps],
    }


def runs(seeds: int, steps: int, longer: int) -> list[Run]:
    """All trainings, the longer ones first."""
    long = [
        Run(loss, 0.999, 4e-3, longer, seed)
        for loss in ("L1", "L2")
        for seed in range(seeds)
    ]
    return long + [
        Run(loss, beta2, rate, steps, seed)
        for rate in (4e-3, 8e-3)
        for beta2 in (0.999, 0.9)
        for loss in LOSSES
        for seed in range(seeds)
    ]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m experiments.losses_and_optimisers")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--longer", type=int, default=2000, help="steps of L1 and L2")
    parser.add_argument("--workers", type=int, default=2, help="trainings at once")
    parser.add_argument(
        "--out", type=Path, default="results/losses_and_optimisers.json"
    )
    args = parser.parse_args(arguments)
    planned = runs(args.seeds, args.steps, args.longer)
    with ProcessPoolExecutor(args.workers) as pool:
        results = []
        for result in pool.map(train, planned):
            results.append(result)
            print(*list(result.values())[:5], f"{result['psnr']['all']:.2f} dB")
    about = {
        "hardware": f"CPU, {platform.machine()}",
        "date": str(date.today()),
        "torch": torch.__version__,
        "data": "astronaut, coffee and rocket of skimage; chelsea held out",
    }
    with whole_file(args.out) as partial:
        partial.write_text(to_json({**about, "runs": results}) + "\n")


if __name__ == "__main__":
    main()
