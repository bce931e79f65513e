"""What each part of SwinIR is worth: python -m experiments.ablations --help

All runs train the lightweight network for the same minutes by the speedrun preset,
with one thing taken away or changed.  The committed ones are in
results/training/ablations; chapter 14 reads them.
"""

import argparse
import json
import shutil
import sys
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch
from torch import nn

from swinir_lite import SwinIR
from swinir_lite.measuring.evaluation import evaluate, protocol
from swinir_lite.standard_json import to_json
from swinir_lite.training.config import TrainConfig, load_config
from swinir_lite.training.engine import Trainer
from swinir_lite.training.setup import make_test_set
from swinir_lite.whole_files import whole_file


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
    """One run: fields of TrainConfig, and what is removed from its fresh network."""

    fields: dict = field(default_factory=dict)
    remove: Callable = remove_nothing


def gray_jpeg(window_size: int, patch: int) -> Experiment:
    """JPEG artifact reduction; the window divides the 8x8 blocks of JPEG, or not."""
    lightweight = {"dim": 60, "depths": [6] * 4, "num_heads": [6] * 4}
    fields = {
        "variant": "gray_jpeg",
        "architecture": {**lightweight, "window_size": window_size},
        "degradation": {"name": "jpeg", "quality": [10, 40]},
        "losses": {"charbonnier": 1.0},
        "patch": patch,
    }
    return Experiment(fields)


EXPERIMENTS = {
    "full": Experiment(),
    "no_shift": Experiment(remove=remove_shift),
    "no_bias": Experiment(remove=remove_position_bias),
    "no_final_convolution": Experiment(remove=remove_final_convolutions),
    "fewer_layers": Experiment({"architecture": {"depths": [2] * 4}}),
    "full_seed_1": Experiment({"seed": 1}),  # how much of a difference is luck
    "jpeg_window_7": gray_jpeg(window_size=7, patch=63),
    "jpeg_window_8": gray_jpeg(window_size=8, patch=64),
}


def test_sets(config: TrainConfig, args: argparse.Namespace) -> dict[str, dict]:
    """{name of a test set: options that `make_test_set` reads}."""
    if config.scale > 1:
        return {"Set5": {"path": args.set5}, "Set14": {"path": args.set14}}
    return {
        f"classic5, quality {quality}": {"path": args.classic5, "quality": quality}
        for quality in (10, 40)
    }


def build(
    experiment: Experiment, args: argparse.Namespace
) -> tuple[TrainConfig, SwinIR]:
    """The run's configuration, and its network with freshly drawn weights."""
    seldom = 10**6  # validate and save at the end only
    config = load_config(
        {
            **asdict(load_config("speedrun")), "minutes": args.minutes,
            "data": args.data, "cache": args.cache, "validation": {},
            "validate_every": seldom, "checkpoint_every": seldom, **experiment.fields,
        },
        args.set,
    )  # fmt: skip
    config = replace(config, validation=next(iter(test_sets(config, args).values())))
    torch.manual_seed(config.seed)
    model = config.make_model()
    experiment.remove(model)
    return config, model


def run(experiment: Experiment, args: argparse.Namespace, folder: Path) -> dict:
    """Train and measure one network; `config.json`, `log.jsonl`, `results.json`."""
    config, model = build(experiment, args)
    trainer = Trainer(config, folder, model=model)
    trainer.run()
    how, scores = protocol(config.scale, config.in_channels), {}
    for name, options in test_sets(config, args).items():
        pairs = make_test_set(replace(config, validation=options))
        measured = evaluate(trainer.ema, pairs, *how)
        scores[name] = {key: measured[key] for key in ("psnr", "ssim")}
    results = {
        "removed": experiment.remove.__name__,
        "seed": config.seed,
        "parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "steps": trainer.step,
        "minutes": round(trainer.seconds / 60, 3),
        "scores": scores,
    }
    with whole_file(folder / "results.json") as partial:
        partial.write_text(to_json(results, indent=2))
    for leftover in [folder / "state.pt", *folder.glob("events.*")]:
        leftover.unlink(missing_ok=True)
    return results


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m experiments.ablations")
    parser.add_argument("--data", required=True, help="folder of photographs")
    parser.add_argument("--cache", default="runs/cache", help="for decoded photographs")
    for name in ("Set5", "Set14", "classic5"):
        path = f"data/testsets/{name}"
        parser.add_argument(f"--{name.lower()}", default=path, help="test set")
    parser.add_argument("--minutes", type=float, default=1.2, help="of training a run")
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--only", nargs="+", choices=EXPERIMENTS, default=EXPERIMENTS)
    parser.add_argument("--archive", help="NAME.tar.gz, renewed after every run")
    parser.add_argument("--set", nargs="+", default=[], help="key=value of TrainConfig")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Do the experiments one after another; a failure does not stop the rest."""
    args = parse_arguments(arguments)
    args.out.mkdir(parents=True, exist_ok=True)
    failed = []
    for name in args.only:
        print(f"== {name}", flush=True)
        try:
            results = run(EXPERIMENTS[name], args, args.out / name)
            print(json.dumps({"name": name, **results}), flush=True)
        except Exception:
            traceback.print_exc()
            failed.append(name)
        if args.archive:
            stem = args.archive.removesuffix(".tar.gz")
            shutil.make_archive(stem, "gztar", args.out)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
