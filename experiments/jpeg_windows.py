"""Windows of 7 or 8 against JPEG: python -m experiments.jpeg_windows --help

Trains small gray SwinIRs whose patches have their blocks at the corner or anywhere,
and measures them on test images whose blocks begin at the corner and elsewhere.  The
steps must be many: after 250 such a network is still worse than the JPEG of quality 40
that it is given.  Chapter 12 reads what this writes.
"""

import argparse
import platform
import statistics
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from datetime import date
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from swinir_lite import SwinIR, SwinIRConfig, psnr, to_image, to_tensor
from swinir_lite.image_files import find_images, read_image
from swinir_lite.jpeg_artifacts import add_jpeg_artifacts, jpeg
from swinir_lite.losses import charbonnier_loss
from swinir_lite.measuring.evaluation import restore
from swinir_lite.standard_json import to_json
from swinir_lite.whole_files import whole_file

SIDE = 56  # of the patches: eight windows of 7, or seven of 8
PLACES = ("corner", "anywhere")  # where the blocks of a training patch begin
QUALITIES = (10, 40)
TEST_SIDE, ELSEWHERE = 192, 4  # of the test crops; blocks begin 4 pixels earlier


def random_patches(
    photos: list[Tensor], batch: int, place: str, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """LQ and HQ (batch, 1, SIDE, SIDE), blocks at the corner or anywhere."""

    def draw(below: int) -> int:
        return int(torch.randint(below, (), generator=generator))

    large = SIDE + 8
    patches = []
    for _ in range(batch):
        photo = photos[draw(len(photos))]
        top, left = draw(photo.shape[2] - large + 1), draw(photo.shape[3] - large + 1)
        patch = photo[..., top : top + large, left : left + large]
        turned = patch.rot90(draw(4), (2, 3))
        patches.append(turned.flip(3) if draw(2) else turned)
    hq = torch.cat(patches)
    lq = jpeg(hq, generator, quality=(10, 40))
    y, x = (draw(8), draw(8)) if place == "anywhere" else (0, 0)
    return tuple(images[..., y : y + SIDE, x : x + SIDE] for images in (lq, hq))


def train(
    config: SwinIRConfig,
    photos: list[Tensor],
    place: str,
    seed: int,
    args: argparse.Namespace,
) -> SwinIR:
    """A network trained as `args` say."""
    torch.manual_seed(seed)
    model = SwinIR(config)
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=args.rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, args.steps)
    for _ in range(args.steps):
        lq, hq = random_patches(photos, args.batch, place, generator)
        optimizer.zero_grad()
        charbonnier_loss(model(lq), hq).backward()
        optimizer.step()
        schedule.step()
    return model.eval()


def test_pairs(
    photo: np.ndarray, quality: int, offset: int
) -> tuple[Tensor, np.ndarray]:
    """LQ tensor and HQ of a middle part whose blocks begin `offset` pixels earlier."""
    top, left = ((side - TEST_SIDE) // 16 * 8 + offset for side in photo.shape)
    part = np.s_[..., top : top + TEST_SIDE, left : left + TEST_SIDE]
    return add_jpeg_artifacts(photo, quality=quality)[part], photo[part]


def score(
    photos: Iterable[np.ndarray], model: SwinIR | None = None
) -> dict[str, float]:
    """Mean PSNR in dB by quality and place of the blocks; of the JPEGs without one."""
    scores = {}
    for quality in QUALITIES:
        for name, offset in zip(PLACES, (0, ELSEWHERE)):
            each = []
            for photo in photos:
                lq, hq = test_pairs(photo, quality, offset)
                if model:
                    lq = restore(model, lq, window_size=model.config.window_size)
                each.append(psnr(to_image(lq), hq))
            scores[f"{quality}, {name}"] = round(statistics.fmean(each), 4)
    return scores


def measured(kind: dict[str, Any] | None, args: argparse.Namespace) -> dict[str, float]:
    """Scores of a network trained as a kind of run says; without one, of the JPEGs."""
    torch.set_num_threads(1)
    tests = [read_image(path, channels=1) for path in find_images(args.classic5)]
    if kind is None:
        return score(tests)
    paths = find_images(args.photos)[: args.most]
    photos = [to_tensor(read_image(path, channels=1)) for path in paths]
    config = SwinIRConfig(
        in_channels=1, scale=1, upsampler="none", window_size=kind["window"],
        dim=args.dim, depths=(2, 2), num_heads=(2, 2),
    )  # fmt: skip
    return score(tests, train(config, photos, kind["blocks"], kind["seed"], args))


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m experiments.jpeg_windows")
    parser.add_argument("--photos", required=True, help="folder to learn from")
    parser.add_argument("--classic5", required=True, help="folder to measure on")
    parser.add_argument("--windows", type=int, nargs="+", default=[7, 8])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--dim", type=int, default=16)
    parser.add_argument("--most", type=int, default=200, help="photographs at most")
    parser.add_argument("--jobs", type=int, default=1, help="trainings at once")
    parser.add_argument("--out", type=Path, default="results/jpeg_windows.json")
    args = parser.parse_args(arguments)
    kinds = [
        {"window": window, "blocks": place, "seed": seed}
        for seed, window, place in product(args.seeds, args.windows, PLACES)
    ]
    with ProcessPoolExecutor(args.jobs, get_context("spawn")) as pool:
        jpegs = pool.submit(measured, None, args)
        planned = {pool.submit(measured, kind, args): kind for kind in kinds}
        about = {
            "hardware": f"CPU, {platform.machine()}, one thread a run",
            "date": str(date.today()),
            "photographs": len(find_images(args.photos)[: args.most]),
            **{name: getattr(args, name) for name in ("steps", "batch", "rate", "dim")},
            "JPEG": jpegs.result(),
        }
        runs = []
        for done in as_completed(planned):
            runs.append({**planned[done], "psnr": done.result()})
            print(runs[-1], flush=True)
            runs.sort(key=lambda run: kinds.index({k: run[k] for k in kinds[0]}))
            with whole_file(args.out) as partial:
                partial.write_text(to_json({**about, "runs": runs}, indent=1) + "\n")


if __name__ == "__main__":
    main()
