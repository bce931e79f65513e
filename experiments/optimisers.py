"""Adam and Muon, each at its best rate: python -m experiments.optimisers --help

Trains a tiny SwinIR by the engine and the speedrun's preset on a CPU, with several
learning rates and seeds for each optimiser, and measures it on a photograph that it
has not seen.  What it writes is committed; chapter 19 reads it.
"""

import argparse
import platform
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from datetime import date
from functools import partial
from itertools import product
from pathlib import Path

import torch
from PIL import Image
from skimage import data

from swinir_lite import psnr
from swinir_lite.small_training import make_pair
from swinir_lite.standard_json import to_json
from swinir_lite.training.config import load_config
from swinir_lite.training.engine import Trainer
from swinir_lite.whole_files import whole_file

SEEN = ("astronaut", "coffee", "rocket")
RATES = (0.0005, 0.001, 0.002, 0.004, 0.008, 0.016)
TINY = [
    'architecture={"dim": 24, "depths": [2, 2], "num_heads": [2, 2]}',
    "patch=16", "batch=8", "minutes=0", "warmup=20", "validation={}",
    "device=cpu", "precision=fp32",
    "log_every=20", "validate_every=20000", "checkpoint_every=20000",
]  # fmt: skip


@dataclass(frozen=True)
class Run:
    """One training: optimiser, the peak of its learning rate, and seed."""

    optimizer: str
    rate: float
    seed: int


def runs(seeds: int) -> Iterator[Run]:
    """All trainings."""
    for optimizer, rate, seed in product(("adam", "muon"), RATES, range(seeds)):
        yield Run(optimizer, rate, seed)


def train(run: Run, steps: int, photographs: Path) -> float:
    """PSNR on Y in dB, on a photograph held out, of the averaged weights."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        config = load_config("speedrun", [
            *TINY, f"steps={steps}", f"data={photographs}", f"cache={folder}/cache",
            f"optimizer={run.optimizer}", f"lr={run.rate}", f"seed={run.seed}",
        ])  # fmt: skip
        trainer = Trainer(config, Path(folder) / "run")
        trainer.run()
    lr, hr = make_pair(data.chelsea(), 2)
    with torch.no_grad():
        return psnr(trainer.ema.eval()(lr), hr, crop_border=2, y_channel=True)


def save_photographs(folder: Path) -> None:
    """Photographs of scikit-image to train on."""
    for name in SEEN:
        Image.fromarray(getattr(data, name)()).save(folder / f"{name}.png")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m experiments.optimisers")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--workers", type=int, default=2, help="trainings at once")
    parser.add_argument("--out", type=Path, default="results/speedrun/optimisers.json")
    args = parser.parse_args(arguments)
    planned, results = list(runs(args.seeds)), []
    with tempfile.TemporaryDirectory() as folder:
        save_photographs(Path(folder))
        one = partial(train, steps=args.steps, photographs=Path(folder))
        with ProcessPoolExecutor(args.workers) as pool:
            for run, psnr in zip(planned, pool.map(one, planned)):
                results.append({**asdict(run), "psnr": round(psnr, 4)})
                print(*results[-1].values(), flush=True)
    about = {
        "hardware": f"CPU, {platform.machine()}",
        "date": str(date.today()),
        "torch": torch.__version__,
        "data": f"{', '.join(SEEN)} of skimage; chelsea held out",
        "steps": args.steps,
    }
    with whole_file(args.out) as partial_file:
        partial_file.write_text(to_json({**about, "runs": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
