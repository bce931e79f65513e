"""The command that measures: evaluate (chapter 18)."""

from argparse import Namespace
from pathlib import Path
from typing import Any

from torch import nn

from ..command_line import (
    add_command,
    add_measuring_arguments,
    add_range_argument,
    output_file,
)
from ..errors import InputError
from ..speed.network import fastest
from ..standard_json import to_json
from ..tasks import TASKS, check_scale, find_metrics, make_degradation
from ..trained_models import load_trained
from ..whole_files import whole_file
from .bicubic import Bicubic
from .evaluation import evaluate, evaluate_on, on_other_channel, protocol, table
from .test_sets import read_pairs, scale_between


def option(text: str) -> tuple[str, float]:
    """A task's option from text such as sigma=25."""
    name, _, value = text.partition("=")
    try:
        return name, float(value)
    except ValueError:
        raise InputError(
            f"--task needs options such as sigma=25, got {text!r}"
        ) from None


def chosen_task(words: list[str]) -> dict[str, Any]:
    """--task jpeg quality=10 as {"name": "jpeg", "quality": 10}."""
    name, *options = words
    numbers = dict(map(option, options))
    return {"name": name} | {
        k: int(v) if v.is_integer() else v for k, v in numbers.items()
    }


def load(
    name: str, scale: int, img_range: float | None
) -> tuple[nn.Module, dict[str, Any]]:
    """A model and what it undoes; "bicubic" is interpolation, by `scale`."""
    return (
        (Bicubic(scale), {"name": "bicubic"})
        if name == "bicubic"
        else load_trained(name, img_range)
    )


def evaluate_folders(options: Namespace) -> list[dict[str, Any]]:
    """Measure on test sets, a folder each; print a line for each."""
    model, *folders = (
        [options.model, *options.names] if options.model else options.names
    )
    model, own = load(model, options.scale, options.img_range)
    metrics, scores = find_metrics(options.metrics), []
    for degradation in options.degradation or [options.task or own]:
        whole = options.protocol == "whole"
        measured = evaluate_on(model, degradation, folders, metrics, whole)
        scores += [
            {"set": k, "degradation": degradation, **v} for k, v in measured.items()
        ]
    return scores


def evaluate_two_folders(options: Namespace) -> list[dict[str, Any]]:
    """Measure on a folder of HQ images and one of LQ images, if any; print a table."""
    scale = scale_between(options.hq, options.lq) if options.lq else options.scale
    model, own = load(options.model, scale, options.img_range)
    config, task = model.config, options.task or own
    if options.task or not options.lq:
        check_scale(task, config.scale)
    degrade = None if options.lq else make_degradation(task, test=True)
    pairs = read_pairs(
        options.hq, options.lq, config.scale, config.in_channels, degrade
    )
    border, channel = protocol(config.scale, config.in_channels)
    border = border if options.protocol == "official" else 0
    metrics = on_other_channel(border, channel) | find_metrics(options.metrics)
    scores = evaluate(fastest(model), pairs, border, channel, metrics)
    print(table(scores))
    return [{"set": str(options.hq), "degradation": task, **scores}]


def run_evaluate(options: Namespace) -> None:
    if options.task:
        options.task = chosen_task(options.task)
    if options.hq and options.model and not options.names:
        scores = evaluate_two_folders(options)
    elif not options.hq and not options.lq and len(options.names) > (not options.model):
        scores = evaluate_folders(options)
    else:
        raise InputError(
            "evaluate needs a model and folders, as in `evaluate lightweight_x2 Set5` "
            "or `evaluate --model lightweight_x2 --hq HR --lq LR`"
        )
    if options.json:
        with whole_file(options.json) as partial:
            partial.write_text(to_json(scores, indent=2) + "\n")


def add_commands(commands: Any) -> None:
    """Add it; see `add_command`."""
    evaluate = add_command(
        commands, "evaluate", run_evaluate, "PSNR and SSIM on test sets",
        """
        swinir-lite evaluate lightweight_x2 data/testsets/Set5
        swinir-lite evaluate runs/first data/testsets/Set5 data/testsets/Set14 \\
            --json scores.json
        swinir-lite evaluate --model lightweight_x2 --hq Set5/HR --lq Set5/LR_bicubic/X2
        swinir-lite evaluate --model bicubic --scale 4 --hq Set5/HR
        swinir-lite evaluate --model gray_jpeg_10 --task jpeg quality=20 --hq classic5
        swinir-lite evaluate gray_jpeg_10 classic5 --metrics psnr_b \\
            --degradation '{"name": "jpeg", "quality": 20}'
        """,
    )  # fmt: skip
    evaluate.add_argument(
        "names", nargs="*", metavar="MODEL FOLDER",
        help="a shipped model's name, a file of weights, a run's folder, or bicubic; "
        "folders of HQ images, or of HQ and LR images, such as Set5"
    )  # fmt: skip
    evaluate.add_argument("--model", help="the model, where it is not named first")
    add_range_argument(evaluate)
    evaluate.add_argument("--hq", type=Path, help="folder of originals: prints a table")
    evaluate.add_argument(
        "--lq", type=Path,
        help="folder of the low-quality images that belong to them by name; without "
        "it they are made, as the task says",
    )  # fmt: skip
    evaluate.add_argument(
        "--task", nargs="+", metavar=("NAME", "OPTION=NUMBER"),
        help=f"what to undo, if not the training's: {', '.join(TASKS)}; such as "
        "gaussian_noise sigma=25",
    )  # fmt: skip
    evaluate.add_argument(
        "--protocol", choices=("official", "whole"), default="official",
        help="official cuts a border as wide as the scale, as papers do; whole "
        "measures every pixel",
    )  # fmt: skip
    evaluate.add_argument(
        "--scale", type=int, choices=(2, 3, 4, 8), default=2,
        help="by how much bicubic enlarges",
    )  # fmt: skip
    evaluate.add_argument(
        "--json", type=output_file, help="also write all scores to this file"
    )
    add_measuring_arguments(evaluate)
