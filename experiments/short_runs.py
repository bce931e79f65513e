"""Short trainings that differ in one thing: python -m experiments.short_runs --help

Every run trains the lightweight x2 network by the speedrun preset for a few thousand
steps, with one part of the network or one thing in its recipe otherwise, from several
seeds.  Where a step takes another time, there are as many steps as take the same time
in all.  Held-out tiles choose, test sets report.  What this writes, a file for each
kind of run, chapter 19 reads.
"""

import argparse
import json
import platform
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from itertools import product
from multiprocessing import get_context
from pathlib import Path

import torch
from torch import nn

from swinir_lite import SwinIR
from swinir_lite.measuring.evaluation import evaluate, protocol
from swinir_lite.standard_json import to_json
from swinir_lite.training.config import TrainConfig, load_config
from swinir_lite.training.engine import Trainer
from swinir_lite.training.log import read_log
from swinir_lite.training.setup import make_test_set
from swinir_lite.whole_files import whole_file

SELDOM = 10**6  # validate and save at the end only


def remove_nothing(model: SwinIR) -> None:
    """Leave the network as it is."""


def remove_shift(model: SwinIR) -> None:
    """Let all layers attend within the same windows; only convolutions cross them."""
    for block in model.blocks:
        for layer in block.layers:
            layer.shift = 0


def remove_position_bias(model: SwinIR) -> None:
    """Hold all relative position biases at zero: attention cannot see positions."""
    for block in model.blocks:
        for layer in block.layers:
            table = layer.attn.relative_position_bias_table
            nn.init.zeros_(table.requires_grad_(False))


def remove_final_convolutions(model: SwinIR) -> None:
    """Let the convolution at the end of every RSTB return what it is given.

    Which leaves x + layers(x). The convolution after the last RSTB is part of none
    of them, and stays.
    """
    for block in model.blocks:
        nn.init.dirac_(block.conv.weight.requires_grad_(False))
        nn.init.zeros_(block.conv.bias.requires_grad_(False))


@dataclass(frozen=True)
class Experiment:
    """A kind of run: fields of TrainConfig, and what its fresh network is without.

    `cost` is the time of a step, 1 for that of the run named full; from the rates in
    the logs of results/training, each alone on an H200.
    """

    fields: dict = field(default_factory=dict)
    remove: Callable[[SwinIR], None] = remove_nothing
    cost: float = 1.0


def recipe(cost: float = 1.0, **fields) -> Experiment:
    """A run that differs in its recipe alone."""
    return Experiment(fields, cost=cost)


CNN = {
    "variant": "residual_cnn",
    "architecture": {"dim": 64, "num_blocks": 12, "scale": 2},
}
PARTS = {
    "full": Experiment(),
    "no_shift": Experiment(remove=remove_shift),
    "no_bias": Experiment(remove=remove_position_bias),
    "no_final_convolution": Experiment(remove=remove_final_convolutions),
    "fewer_layers": Experiment({"architecture": {"depths": [2] * 4}}),
}
RATES = {
    **{
        f"adam_{rate:g}": recipe(optimizer="adam", lr=rate)
        for rate in (2e-4, 5e-4, 1e-3, 2e-3, 4e-3, 8e-3)
    },
    **{f"muon_{rate:g}": recipe(lr=rate) for rate in (1e-3, 4e-3)},
    **{
        f"cnn_{optimizer}_{rate:g}": recipe(0.5, **CNN, optimizer=optimizer, lr=rate)
        for optimizer, rates in (
            ("adam", (5e-4, 1e-3, 2e-3)), ("muon", (5e-4, 1e-3, 2e-3)),
        )
        for rate in rates
    },
}  # fmt: skip
RECIPES = {
    "raw_weights": recipe(ema=0.0),
    "halving": recipe(schedule="halving"),
    "charbonnier": recipe(losses={"charbonnier": 1.0}),
    "patch_96": recipe(1.61, patch=96),
    "batch_32": recipe(1.49, batch=32, lr=3e-3),
    "batch_32_same_rate": recipe(1.49, batch=32),
}
PRECISIONS = {
    "float16": recipe(precision="fp16"),
    "float32": recipe(precision="fp32"),
}
EXPERIMENTS = {**PARTS, **RATES, **RECIPES, **PRECISIONS}


def build(
    name: str, seed: int, args: argparse.Namespace
) -> tuple[TrainConfig, nn.Module]:
    """A run's configuration, and its network with freshly drawn weights."""
    experiment = EXPERIMENTS[name]
    config = load_config(
        {
            **asdict(load_config("speedrun")), "minutes": 0,
            "steps": round(args.steps / experiment.cost), "seed": seed,
            "data": args.data, "cache": args.cache, "validation": {},
            "validate_every": SELDOM, "checkpoint_every": SELDOM, **experiment.fields,
        },
        args.set,
    )  # fmt: skip
    torch.manual_seed(config.seed)
    model = config.make_model()
    experiment.remove(model)
    return config, model


def train(name: str, seed: int, args: argparse.Namespace) -> dict:
    """Train and measure one network."""
    config, model = build(name, seed, args)
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(config, folder, model=model)
        trainer.run()
        log = [r for r in read_log(Path(folder) / "log.jsonl") if r["event"] == "train"]
    how, scores = protocol(config.scale, config.in_channels), {}
    for path in args.sets:
        pairs = make_test_set(replace(config, validation={"path": str(path)}))
        measured = evaluate(trainer.averaged, pairs, *how)
        scores[path.name] = {key: round(measured[key], 5) for key in ("psnr", "ssim")}
    return {
        "seed": seed,
        "date": str(date.today()),
        "steps": trainer.step,
        "seconds": round(trainer.seconds, 2),
        "parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "photographs": len(trainer.sampler.cache.names),
        "loss": [[r["step"], round(r["loss"], 6)] for r in log],
        "scores": scores,
    }


def about(name: str, args: argparse.Namespace) -> dict:
    """What the runs of a kind have in common."""
    experiment, gpu = EXPERIMENTS[name], torch.cuda.is_available()
    return {
        "fields": experiment.fields,
        "removed": experiment.remove.__name__,
        "cost of a step": experiment.cost,
        "device": torch.cuda.get_device_name() if gpu else f"CPU, {platform.machine()}",
        "torch": torch.__version__,
    }


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m experiments.short_runs")
    parser.add_argument("--data", required=True, help="folder of photographs")
    parser.add_argument("--cache", default="runs/cache", help="for decoded photographs")
    parser.add_argument(
        "--sets", type=Path, nargs="+", required=True, help="folders to measure on"
    )
    parser.add_argument("--steps", type=int, default=4000, help="of the run named full")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--jobs", type=int, default=1, help="runs at once")
    parser.add_argument("--only", nargs="+", choices=EXPERIMENTS, default=EXPERIMENTS)
    parser.add_argument("--out", type=Path, default="results/short_runs")
    parser.add_argument("--set", nargs="+", default=[], help="key=value of TrainConfig")
    return parser.parse_args(arguments)


def record(name: str, run: dict, args: argparse.Namespace) -> None:
    """Put a run among those of its kind."""
    path = args.out / f"{name}.json"
    earlier = json.loads(path.read_text())["runs"] if path.exists() else []
    kept = [other for other in earlier if other["seed"] != run["seed"]]
    runs = sorted([*kept, run], key=lambda r: r["seed"])
    with whole_file(path) as partial:
        partial.write_text(
            to_json({**about(name, args), "runs": runs}, indent=1) + "\n"
        )


def main(arguments: list[str] | None = None) -> None:
    """Train all; a failure does not stop the rest."""
    args = parse_arguments(arguments)
    args.out.mkdir(parents=True, exist_ok=True)
    failed = []
    # A process trains once: Accelerate holds on to the precision of its first run
    spawn = get_context("spawn")
    with ProcessPoolExecutor(args.jobs, spawn, max_tasks_per_child=1) as pool:
        planned: dict[Future, tuple[str, int]] = {
            pool.submit(train, name, seed, args): (name, seed)
            for seed, name in product(args.seeds, args.only)
        }
        for done in as_completed(planned):
            name, seed = planned[done]
            try:
                run = done.result()
            except Exception as error:
                failed.append(f"{name} {seed}")
                print(f"{name} {seed} failed: {error!r}", flush=True)
                continue
            record(name, run, args)
            scores = {k: round(v["psnr"], 3) for k, v in run["scores"].items()}
            print(name, seed, run["seconds"], scores, flush=True)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
