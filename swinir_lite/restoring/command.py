"""The command that restores pictures: restore."""

import math
import os
import signal
import sys
import threading
import time
import unicodedata
import warnings
from argparse import Namespace
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn
from tqdm.auto import tqdm

from ..command_line import (
    add_command,
    add_range_argument,
    number_between,
    print_no_more,
)
from ..errors import InputError
from ..shipped_weights import known_degradation
from ..speed.network import fastest
from ..speed.routes import PATHS
from ..trained_models import load_trained
from .decoding import MAX_PIXELS, count_pages, is_deep
from .encoding import FORMATS, LOSSY, SUFFIXES, Encoding
from .in_memory import PRECISIONS, usable_device
from .pictures import Picture, PictureWriter, open_picture
from .pipeline import Outcome, restore_pictures
from .planning import Job, Plan, make_plan

SUCCESS, SOME_FAILED, NOTHING_DONE = 0, 1, 2
# Of Ctrl-C, of `kill` and systemd, of a terminal that is closed; Windows lacks the last
ENDINGS = signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)
USUAL = signal.SIG_DFL, signal.default_int_handler


def say(line: str) -> None:
    """Print a line for people, apart from what other programs read."""
    tqdm.write(line, file=sys.stderr)  # above a progress bar, if there is one


def tell(line: str) -> None:
    """Print a line for other programs; one that reads no more stops nothing."""
    try:
        tqdm.write(line, file=sys.stdout)
        sys.stdout.flush()
    except OSError as error:
        say(f"note: what is done cannot be printed any more: {reason(error)}")
        print_no_more()


def in_one_line(text: str) -> str:
    """A text with the line breaks and control characters of names escaped."""
    return "".join(
        c.encode("unicode_escape").decode()
        if unicodedata.category(c) in ("Cc", "Zl", "Zp")
        else c
        for c in text
    )


def model_label(source: str) -> str:
    """A model's name as it stands in names of files."""
    path = Path(source)
    return path.stem if path.is_file() else path.name


def number_told(name: str) -> int:
    """A number that `accelerate launch` or torchrun tells its processes; -1 if none."""
    told = os.environ.get(name, "")
    return int(told) if told.isdecimal() else -1


def process_share() -> tuple[int, int]:
    """(rank, processes); (0, 1) unless both are told and go together."""
    rank, processes = number_told("RANK"), number_told("WORLD_SIZE")
    return (rank, processes) if 0 <= rank < processes else (0, 1)


def chosen_device(name: str | None) -> torch.device:
    """The device asked for, or this process's GPU if there is one; InputError."""
    if name is None:
        if not torch.cuda.is_available():
            return torch.device("cpu")
        own = max(number_told("LOCAL_RANK"), 0) % torch.cuda.device_count()
        return torch.device("cuda", own)
    return usable_device(name)


def format_name(text: str) -> str:
    """A format as people name it, jpg or tif too."""
    return SUFFIXES.get(f".{text.lower()}", text)


def reason(error: Exception) -> str:
    """An error in one line; of the system's errors, what and where."""
    if isinstance(error, OSError) and error.strerror:
        where = f": {error.filename}" if error.filename else ""
        return f"{error.strerror}{where}"
    return " ".join(str(error).split()) or type(error).__name__


@dataclass
class Pictures:
    """Opens pictures and their results for the pipeline, and keeps their notes."""

    scale: int
    channels: int
    quality: int | None
    strip_metadata: bool
    max_pixels: float
    notes: dict[Job, list[str]] = field(default_factory=dict)

    def pages(self, job: Job) -> Iterator[Picture]:
        """The pages of a job's picture, decoded one by one."""
        for page in range(count_pages(job.source)):
            picture = open_picture(job.source, page, self.channels, self.max_pixels)
            self.notes.setdefault(job, []).extend(picture.notes)
            yield picture

    def writer(self, job: Job, picture: Picture) -> PictureWriter:
        """What takes a job's result."""
        encoding = Encoding(job.format, self.quality, self.strip_metadata)
        self.notes[job].extend(encoding.losses(picture, self.scale))
        return PictureWriter(picture, job.target, self.scale, encoding)


@contextmanager
def ending_cleanly() -> Iterator[None]:
    """Let a signal that asks for the end be a KeyboardInterrupt that knows its number.

    More of them are ignored from then on, as `timeout` sends two and people press
    Ctrl-C again: what is half-written is removed meanwhile. Another way to end, or
    none as under nohup, is kept.
    """

    def end(number, frame):
        for ending in ours:
            signal.signal(ending, signal.SIG_IGN)
        raise KeyboardInterrupt(number)

    ours = {n: signal.getsignal(n) for n in ENDINGS if signal.getsignal(n) in USUAL}
    if threading.current_thread() is not threading.main_thread():
        ours = {}  # which alone may say what signals do
    for ending in ours:
        signal.signal(ending, end)
    try:
        yield
    finally:
        for ending, usual in ours.items():
            if signal.getsignal(ending) is end:
                signal.signal(ending, usual)


def report(outcome: Outcome, notes: list[str], quiet: bool) -> None:
    """Say what became of one picture."""
    job = outcome.job
    if outcome.error is not None:
        say(f"error: {in_one_line(str(job.source))}: {reason(outcome.error)}")
    elif not quiet:
        tell(in_one_line(f"{job.source} -> {job.target}"))
        for line in dict.fromkeys([*notes, *outcome.notes]):
            say(f"note: {in_one_line(str(job.source))}: {line}")


def closing_line(
    plan: Plan, outcomes: list[Outcome], seconds: float, where: str
) -> str:
    """How many pictures, how quickly, and what computed them."""
    restored = [outcome for outcome in outcomes if outcome.error is None]
    count, pixels = len(restored), sum(outcome.pixels for outcome in restored)
    parts = [f"{count} picture{'' if count == 1 else 's'} restored"]
    if count:
        parts[0] += f" in {duration(seconds)}"
        rate = max(pixels / 1e6 / seconds, 0.001)  # of tiny ones, more digits say less
        parts.append(f"{rate:.3g} megapixels a second")
    for number, what in (
        (plan.skipped, "there already"),
        (plan.passed_over, "other files passed over"),
        (plan.earlier, "passed over as earlier results"),
        (plan.others, "left to other processes (RANK, WORLD_SIZE)"),
        (len(plan.problems) + len(outcomes) - count, "failed"),
    ):
        if number:
            parts.append(f"{number} {what}")
    return ", ".join(parts) + (f"; {where}" if count else "")


def duration(seconds: float) -> str:
    """A time as people say it: 3.1 s, 4 min 10 s, 2 h 5 min."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, seconds = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {seconds} s"
    return f"{minutes // 60} h {minutes % 60} min"


def computed_by(network: nn.Module, device_was_asked_for: bool) -> str:
    """Device, type and path, and what stands in the way of a quicker one."""
    parameter = next(network.parameters())
    device = str(parameter.device)
    if device == "cpu" and not device_was_asked_for:
        device += " (no GPU was found)"
    route = getattr(network, "route", None)
    if route is None:
        kind = str(parameter.dtype).removeprefix("torch.")
        return f"on {device} in {kind}, by PyTorch's own operations"
    kind, path = str(route.dtype).removeprefix("torch."), route.path.replace("_", " ")
    said = f"on {device} in {kind}, by {path}"
    on_gpu = parameter.device.type == "cuda"
    return f"{said} ({PATHS[route.path]}): {route.reason}" if on_gpu else said


def exit_status(plan: Plan, outcomes: list[Outcome]) -> int:
    """0 if all went well, 1 if some failed, 2 if nothing could be done."""
    failed = [outcome for outcome in outcomes if outcome.error is not None]
    if not failed and not plan.problems:
        return SUCCESS
    some = len(failed) < len(outcomes) or plan.skipped
    return SOME_FAILED if some else NOTHING_DONE


def check_quality(quality: int | None, formats: set[str]) -> None:
    """Raise InputError for a quality that no result's format has."""
    if quality is not None and formats and formats.isdisjoint(LOSSY):
        lossless = " and ".join(sorted(name.upper() for name in formats))
        raise InputError(
            f"--quality {quality} is of JPEG and WebP, results would be {lossless}; "
            "say --format jpeg or webp, or leave it out"
        )


def run_restore(options: Namespace) -> int:
    """Restore what the options say; returns the exit status."""
    if options.tile and options.tile <= (options.tile_overlap or 0):
        raise InputError(
            f"tiles of {options.tile}x{options.tile} cannot overlap by "
            f"{options.tile_overlap} pixels; need less"
        )
    for library in ("PIL", "tifffile"):  # what they say of files becomes notes here
        warnings.filterwarnings("ignore", module=library)
    device = chosen_device(options.device)
    model, _ = load_trained(options.model, options.img_range)
    plan = make_plan(
        options.inputs, options.out, model_label(options.model), options.format,
        options.overwrite, options.skip_existing, process_share(),
    )  # fmt: skip
    for problem in plan.problems:
        say(f"error: {in_one_line(problem)}")
    check_quality(options.quality, plan.formats)
    if not plan.jobs and plan.problems:
        return exit_status(plan, [])
    config = model.config
    pictures = Pictures(
        config.scale, config.in_channels, options.quality, options.strip_metadata,
        options.max_megapixels * 1e6,
    )  # fmt: skip
    outcomes, begin = [], time.perf_counter()
    for dtype, jobs in by_precision(plan.jobs, device, options.precision):
        network = fastest(model, device, dtype)
        restored = restore_pictures(
            network, jobs, pictures.pages, pictures.writer,
            scale=config.scale, window=config.window_size, tile=options.tile,
            overlap=options.tile_overlap, degradation=known_degradation(options.model),
            self_ensemble=options.self_ensemble,
            strength=options.strength, visible=False if options.quiet else None,
        )  # fmt: skip
        with ending_cleanly(), closing(restored):
            for outcome in restored:
                outcomes.append(outcome)
                report(outcome, pictures.notes.get(outcome.job, []), options.quiet)
    if not options.quiet:
        seconds = time.perf_counter() - begin
        where = computed_by(network, options.device is not None)
        tell(closing_line(plan, outcomes, seconds, where))
    return exit_status(plan, outcomes)


def by_precision(
    jobs: list[Job], device: torch.device, asked: str | None
) -> list[tuple[torch.dtype | None, list[Job]]]:
    """Jobs by the type to compute in; None is the fastest.

    On GPUs that is half precision, bfloat16 with no more than 8 bits: pictures of 16
    bits are computed in float32.
    """
    if asked or device.type == "cpu":
        return [(PRECISIONS.get(asked), jobs)]
    deep = {job for job in jobs if is_deep(job.source)}
    shallow = [job for job in jobs if job not in deep]
    both = (None, shallow), (torch.float32, [job for job in jobs if job in deep])
    return [(dtype, part) for dtype, part in both if part] or [(None, [])]


def add_commands(commands: Any) -> None:
    """Add it; see `add_command`."""
    restore = add_command(
        commands, "restore", run_restore, "restore pictures",
        """
        swinir-lite restore photo.jpg              photo_lightweight_x2.png, beside it
        swinir-lite restore photo.jpg -o large.png
        swinir-lite restore holiday/ -o restored   a folder and all below it
        swinir-lite restore *.jpg -m lightweight_real_world_x4_gan -o restored
        swinir-lite restore scan.tif -m color_jpeg_40 --strength 0.7
        swinir-lite restore holiday/ -o restored --skip-existing   go on where it ended
        """,
    )  # fmt: skip
    restore.add_argument(
        "inputs", nargs="+", metavar="INPUT", help="picture, folder or pattern"
    )
    restore.add_argument(
        "-m", "--model", default="lightweight_x2",
        help="a shipped model's name, a file of weights, or a run's folder "
        "(default: %(default)s)",
    )  # fmt: skip
    add_range_argument(restore)
    restore.add_argument(
        "-o", "--out", help="folder for the results, or the name of the one result"
    )
    add_writing_arguments(restore)
    add_computing_arguments(restore)
    restore.add_argument("--quiet", action="store_true", help="print errors alone")


def add_writing_arguments(restore: Any) -> None:
    """Add what says how results are written, and what is read."""
    restore.add_argument(
        "--format", choices=FORMATS, type=format_name,
        help="of the results; the default is the input's if that is PNG, TIFF or "
        "lossless WebP, else PNG",
    )  # fmt: skip
    restore.add_argument(
        "--quality", type=number_between(1, 100, int), metavar="1..100",
        help="of JPEG (default: 95) and of WebP (default: lossless)",
    )  # fmt: skip
    restore.add_argument(
        "--strip-metadata", action="store_true", help="drop EXIF, GPS, XMP and DPI"
    )
    existing = restore.add_mutually_exclusive_group()
    existing.add_argument(
        "--overwrite", action="store_true",
        help="replace files that are there already; of a link the link alone",
    )  # fmt: skip
    existing.add_argument(
        "--skip-existing", action="store_true", help="leave out what is there already"
    )
    restore.add_argument(
        "--max-megapixels", type=number_between(0, math.inf), metavar="N",
        default=MAX_PIXELS / 1e6,
        help="refuse pictures that declare more (default: %(default)g)",
    )  # fmt: skip


def add_computing_arguments(restore: Any) -> None:
    """Add what says how and where the network computes."""
    restore.add_argument(
        "--strength", type=number_between(0, 1), default=1.0, metavar="0..1",
        help="mix with the plain enlargement where a result is too clean: 1 is the "
        "network's alone (default)",
    )  # fmt: skip
    restore.add_argument(
        "--self-ensemble", action="store_true",
        help="the mean over eight flips and turns: a little better, eight times slower",
    )  # fmt: skip
    restore.add_argument(
        "--tile", type=number_between(0, math.inf, int), metavar="SIDE",
        help="longest side of a tile in pixels, 0 for the whole picture at once "
        "(default: what memory allows)",
    )  # fmt: skip
    restore.add_argument(
        "--tile-overlap", type=number_between(0, math.inf, int), metavar="N",
        help="pixels that neighbouring tiles share at least (default: as many as "
        "leave no seam)",
    )  # fmt: skip
    restore.add_argument("--device", help="cpu, cuda, cuda:1, ... (default: a GPU)")
    restore.add_argument(
        "--precision", choices=PRECISIONS,
        help="of the network (default: bfloat16 on GPUs that have it, float16 on older "
        "ones with tensor cores, else float32)",
    )  # fmt: skip
