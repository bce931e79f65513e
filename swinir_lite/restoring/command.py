"""The command that restores pictures: restore (chapter 14)."""

from argparse import Namespace
from typing import Any

from ..command_line import add_command
from ..trained_models import load_trained
from .files import restore_files


def run_restore(options: Namespace) -> None:
    model, _ = load_trained(options.model)
    for path in restore_files(model, options.images, options.to):
        print(path)


def add_commands(commands: Any) -> None:
    """Add it; see `add_command`."""
    restore = add_command(
        commands, "restore", run_restore, "restore pictures",
        """
        swinir-lite restore lightweight_x4 photo.jpg --to restored
        """,
    )  # fmt: skip
    restore.add_argument(
        "model", help="a shipped model's name, a file of weights, or a run's folder"
    )
    restore.add_argument("images", nargs="+", help="8-bit pictures")
    restore.add_argument("--to", default="restored", help="folder for the PNG files")
