"""What the sub-commands share: how they are added, and their kinds of arguments.

Each room has a module `command` that adds its own.
"""

import json
import math
import os
import sys
from argparse import (
    ArgumentParser,
    ArgumentTypeError,
    RawDescriptionHelpFormatter,
)
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent, indent
from typing import Any


def add_command(
    commands: Any, name: str, call: Callable, about: str, examples: str
) -> ArgumentParser:
    """Add a sub-command and return its parser, for its arguments.

    Args:
        commands: what `ArgumentParser.add_subparsers` returns.
        call: function of the parsed options; returns the exit status, None for 0.
        about: one line for the list of commands.
        examples: command lines with what each does, shown by --help.
    """
    shown = indent(dedent(examples).strip(), "  ")
    parser = commands.add_parser(
        name,
        help=about,
        description=about[0].upper() + about[1:] + ".",
        epilog=f"examples:\n{shown}",
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.set_defaults(call=call)
    return parser


def print_no_more() -> None:
    """Let what is still printed go nowhere, after standard output has failed."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def degradation(text: str) -> dict[str, Any]:
    """The argument of --degradation as a dict."""
    try:
        options = json.loads(text)
    except (ValueError, RecursionError):
        options = None
    if not isinstance(options, dict) or "name" not in options:
        example = '{"name": "jpeg", "quality": 10}'
        raise ArgumentTypeError(f"need JSON such as {example}, got {text!r}")
    return options


def number_between(low: float, high: float, kind: type = float) -> Callable:
    """The type of an option that is a number from `low` to `high`."""

    def read(text: str) -> float:
        try:
            number = kind(text)
        except ValueError:
            number = math.nan
        if not low <= number <= high:
            upper = f" to {high:g}" if high < math.inf else " or more"
            raise ArgumentTypeError(f"need a number, {low:g}{upper}, got {text!r}")
        return number

    return read


def output_file(text: str) -> Path:
    """The path of a file to write, in a folder that exists."""
    if not Path(text).parent.is_dir():
        raise ArgumentTypeError(f"no such folder: {Path(text).parent}")
    if not Path(text).name or Path(text).is_dir():
        raise ArgumentTypeError(f"{text!r} is a folder, need a file to write")
    return Path(text)


def add_range_argument(parser: ArgumentParser) -> None:
    """Add what a file of weights may not say of itself; see `load_model`."""
    parser.add_argument(
        "--img-range", type=float, metavar="N",
        help="what the model expects pictures in 0..1 to be multiplied by, 1 or 255, "
        "where its file does not say it (default: 255 with windows of 7, else 1)",
    )  # fmt: skip


def add_measuring_arguments(parser: ArgumentParser) -> None:
    """Add what is to be undone, and by what else than PSNR and SSIM to measure."""
    parser.add_argument(
        "--degradation", nargs="+", type=degradation, metavar="JSON",
        help="what to undo, if not the training's: "
        """'{"name": "gaussian_noise", "sigma": 25}'""",
    )  # fmt: skip
    parser.add_argument("--metrics", nargs="+", default=[], help="more, such as psnr_b")
