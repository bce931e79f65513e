"""The command that measures: evaluate (chapter 14)."""

from argparse import Namespace
from typing import Any

from ..command_line import add_command, add_measuring_arguments, output_file
from ..standard_json import to_json
from ..tasks import find_metrics
from ..trained_models import load_trained
from ..whole_files import whole_file
from .evaluation import evaluate_on


def run_evaluate(options: Namespace) -> None:
    model, own = load_trained(options.model)
    metrics, scores = find_metrics(options.metrics), []
    for degradation in options.degradation or [own]:
        measured = evaluate_on(model, degradation, options.test_sets, metrics)
        scores += [
            {"set": k, "degradation": degradation, **v} for k, v in measured.items()
        ]
    if options.json:
        with whole_file(options.json) as partial:
            partial.write_text(to_json(scores, indent=2) + "\n")


def add_commands(commands: Any) -> None:
    """Add it; see `add_command`."""
    evaluate = add_command(
        commands, "evaluate", run_evaluate, "PSNR and SSIM on test sets",
        """
        swinir-lite evaluate lightweight_x2 data/Set5
        swinir-lite evaluate runs/first data/Set5 data/Set14 --json scores.json
        swinir-lite evaluate gray_jpeg_10 classic5 \\
            --degradation '{"name": "jpeg", "quality": 20}' --metrics psnr_b
        """,
    )  # fmt: skip
    evaluate.add_argument(
        "model", help="a run's folder, a file of weights, or a shipped model's name"
    )
    evaluate.add_argument("test_sets", nargs="+", help="folders, such as Set5")
    evaluate.add_argument(
        "--json", type=output_file, help="also write all scores to this file"
    )
    add_measuring_arguments(evaluate)
