"""The command line: swinir-lite, or python -m swinir_lite (--help lists it all)."""

import io
import signal
import sys
import warnings
from argparse import ArgumentParser
from importlib import metadata
from typing import NoReturn

from . import __version__, model_commands
from .command_line import print_no_more
from .errors import InputError, is_out_of_memory
from .measuring import command as measuring
from .restoring import command as restoring
from .training import command as training

EXTRAS = {  # package -> what of pyproject.toml's optional dependencies brings it
    "accelerate": "train", "tensorboard": "train",
    "lpips": "lpips", "onnx": "export", "skimage": "book",
}  # fmt: skip


READER_GONE = 128 + 13  # as shells say of a program that SIGPIPE ended


def command_parser() -> ArgumentParser:
    """What reads the options of one command, and as `call` what runs it."""
    parser = ArgumentParser(
        prog="swinir-lite",
        description="Restore pictures with SwinIR; measure and train models for it.",
        epilog="`swinir-lite COMMAND --help` shows examples of each.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(metavar="command", required=True)
    for room in (restoring, model_commands, measuring, training):
        room.add_commands(commands)
    return parser


def how_to_install(package: str) -> str:
    """The command that brings a package that is missing, as the project's users do."""
    try:
        about = metadata.metadata("swinir-lite")
    except metadata.PackageNotFoundError:  # run from its source, not installed
        return f"pip install {package}"
    urls = dict(url.split(", ") for url in about.get_all("Project-URL", []))
    extra = f"swinir-lite[{EXTRAS[package]}]"
    return f'pip install "{extra} @ git+{urls["Source"]}"'


def stop(message: object, status: int = 2) -> NoReturn:
    """Say in one line what went wrong, and end."""
    print(f"error: {message}", file=sys.stderr)
    sys.exit(status)


def in_one_line(message: Warning | str, *_: object) -> str:
    """A warning without the line of code that it comes from."""
    return f"warning: {message}\n"


def finish_printing() -> None:
    """Write what was printed and is not written; Python's own end hides what fails."""
    try:
        sys.stdout.flush()
    except OSError:
        print_no_more()
        raise


def main(arguments: list[str] | None = None) -> None:
    """Run one command.

    What the user can mend is one line and exit status 2: an `InputError`, a file or
    folder that cannot be read or written, too little memory, a package that is not
    there, a loss that diverged. Anything else is our mistake and keeps its traceback.
    A command that did a part of its work ends with its own status, and one whose
    output nobody reads any more, as before `| head`, without a word.
    """
    sys.stdout = sys.stdout or io.StringIO()  # they may have been closed
    sys.stderr = sys.stderr or io.StringIO()
    for stream in (sys.stdout, sys.stderr):  # a name that a terminal cannot show
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    warnings.formatwarning = in_one_line
    parser = command_parser()
    if arguments is None and not sys.argv[1:]:
        parser.print_help(sys.stderr)
        sys.exit(2)
    try:
        try:
            options = parser.parse_args(arguments)
            status = options.call(options)
        finally:
            finish_printing()
    except BrokenPipeError:
        sys.exit(READER_GONE)
    except KeyboardInterrupt as error:
        number = error.args[0] if error.args else signal.SIGINT
        stop("interrupted", 128 + number)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in EXTRAS:
            raise
        stop(f"this needs the package {package}: {how_to_install(package)}")
    except (InputError, OSError, FloatingPointError) as error:
        stop(error)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        stop("not enough memory for this: make the batch, patch or tile smaller")
    if status:
        sys.exit(status)


if __name__ == "__main__":
    main()
