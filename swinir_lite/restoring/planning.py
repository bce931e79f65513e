"""Which pictures become which files, decided before any work.

What paths lead to is asked of `os.path`: pathlib raises for names that are too long.
"""

import glob
import os
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import InputError
from .encoding import SUFFIXES
from .formats import is_lossless_webp, kind_of

# What a folder is searched for; a file that is named itself may have any ending
PICTURES = {
    ".avif", ".bmp", ".gif", ".heic", ".heif", ".jfif", ".jpe", ".jpeg", ".jpg",
    ".mpo", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp",
}  # fmt: skip
ENDINGS = {"png": ".png", "tiff": ".tif", "jpeg": ".jpg", "webp": ".webp"}


@dataclass(frozen=True)
class Job:
    """One picture to restore.

    Attributes:
        source: its file.
        target: where the result goes.
        format: of the result: "png", "tiff", "jpeg" or "webp".
    """

    source: Path
    target: Path
    format: str


@dataclass
class Plan:
    """What is to be done, and what cannot be.

    Attributes:
        jobs: in the order in which they are done.
        problems: a line for each picture that cannot be restored.
        passed_over: how many files of folders are no pictures, or links to folders.
        earlier: how many pictures of folders were taken for results of others.
        skipped: how many results are there already.
        others: how many pictures are other processes' share.
        formats: of all results, also of those that are there or others' share.
    """

    jobs: list[Job] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    passed_over: int = 0
    earlier: int = 0
    skipped: int = 0
    others: int = 0
    formats: set[str] = field(default_factory=set)


def walk(folder: Path, leave_out: Path | None, problems: list[str]) -> Iterable[Path]:
    """What is under a folder, sorted, but for hidden files and those of one folder.

    Folders are searched, links to folders are not. One that cannot be read becomes a
    line of `problems`.
    """

    def unreadable(error):
        problems.append(f"{error.filename}: {error.strerror}")

    for where, folders, files in os.walk(folder, onerror=unreadable):
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".")
            and not (leave_out and is_same(Path(where, name), leave_out))
        )
        links = [name for name in folders if Path(where, name).is_symlink()]
        names = sorted(files) + links
        yield from (Path(where, f) for f in names if not f.startswith("."))


def is_same(one: Path, other: Path) -> bool:
    """Whether two paths lead to one file, also through links."""
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False


def find_pictures(
    inputs: list[str], out: Path | None, plan: Plan
) -> dict[Path, tuple[Path, bool]]:
    """The pictures that inputs name: file -> (where below -o it goes, if walked)."""
    found, seen = {}, set()

    def add(file: Path, below: Path, walked: bool) -> None:
        if (key := os.path.abspath(file)) not in seen:
            seen.add(key)
            found[file] = below, walked

    for given in inputs:
        if not given:  # of a shell's variable that was never set; not this folder
            plan.problems.append("an empty name was given")
            continue
        path = Path(given)
        paths = [path]
        if not os.path.lexists(path) and glob.has_magic(given):
            paths = [Path(name) for name in sorted(glob.glob(given, recursive=True))]
            if not paths:
                plan.problems.append(f"{given}: nothing has such a name")
        for path in paths:
            if not os.path.isdir(path):
                add(path, Path(path.name), False)
                continue
            before = len(plan.problems)
            files = list(walk(path, out, plan.problems))
            pictures = [
                file
                for file in files
                if file.suffix.lower() in PICTURES and not os.path.isdir(file)
            ]
            plan.passed_over += len(files) - len(pictures)
            for file in pictures:
                add(file, file.relative_to(path), True)
            if not pictures and len(plan.problems) == before:
                plan.problems.append(f"{path}: there is no picture in this folder")
    return found


def result_format(path: Path, asked: str | None) -> str:
    """The format asked for, or the picture's own where that is lossless, else PNG."""
    kind = kind_of(path)
    if asked:
        return asked
    if kind == "WebP" and is_lossless_webp(path):
        return "webp"
    return {"TIFF": "tiff"}.get(kind, "png")


def check_name(path: Path) -> None:
    """Raise InputError for the name of a result that no file can have there."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        raise InputError(
            f"its result cannot be {path}: {error.strerror}; choose another by -o"
        ) from error


def with_ending(path: Path, format: str) -> Path:
    """A path with the ending of a format; one that is right stays as it is."""
    if SUFFIXES.get(path.suffix.lower()) == format:
        return path
    return path.with_name(path.stem + ENDINGS[format])


def one_file(
    inputs: dict, out: Path | None, format: str | None
) -> tuple[Path | None, str | None]:
    """The file that -o names, and the format, if it is no folder; InputError."""
    if out is None or os.path.isdir(out):
        return None, format
    if out.suffix.lower() not in SUFFIXES:
        if os.path.lexists(out):
            raise InputError(
                f"{out} is a file whose ending says no format; give a folder, or a "
                f"name that ends with {', '.join(SUFFIXES)}"
            )
        if out.suffix.lower() in PICTURES:
            raise InputError(
                f"{out}: results are not written as {out.suffix}; give a name that "
                f"ends with {', '.join(SUFFIXES)}, or a folder"
            )
        return None, format
    if len(inputs) != 1 or any(walked for _, walked in inputs.values()):
        raise InputError(f"{out} is one file; for several pictures give a folder")
    named = SUFFIXES[out.suffix.lower()]
    if format not in (None, named):
        raise InputError(f"{out} says {named}, --format says {format}")
    return out, named


def is_case_insensitive(folder: Path) -> bool:
    """Whether names in a folder, which need not be there yet, ignore their case."""
    while not os.path.exists(folder):
        folder = folder.parent
    folder = folder.resolve()
    return any(
        is_same(parent, parent.with_name(parent.name.swapcase()))
        for parent in (folder, *folder.parents)
        if parent.name.swapcase() != parent.name
    )


def identity(path: Path, ignores_case: dict[Path, bool]) -> str:
    """A key that is equal for two paths of one file, which need not be there yet."""
    folder = path.parent
    if folder not in ignores_case:
        ignores_case[folder] = is_case_insensitive(folder)
    key = os.path.join(folder.resolve(), path.name)
    return unicodedata.normalize("NFC", key).casefold() if ignores_case[folder] else key


def check_meetings(jobs: list[Job], inputs: Iterable[Path]) -> None:
    """Raise InputError if two results would have one name, or replace an input.

    Args:
        jobs: what would be done.
        inputs: what must stay, also what cannot be restored.
    """
    ignores_case, sources, targets = {}, {}, {}
    for source in filter(os.path.exists, inputs):
        about = source.stat()
        sources[about.st_dev, about.st_ino] = source
    meeting, replacing = [], []
    for job in jobs:
        key = identity(job.target, ignores_case)
        if key in targets:
            both = f"{targets[key]} and {job.source}"
            meeting.append(f"{both} would both be {job.target}")
        targets[key] = job.source
        if os.path.exists(job.target):
            about = job.target.stat()
            if victim := sources.get((about.st_dev, about.st_ino)):
                replacing.append(f"{job.target} would replace the input {victim}")
    refuse(
        meeting,
        "results would meet; rename a picture, or restore each kind by itself, as by "
        "*.jpg and *.png, with a folder of its own",
    )
    refuse(replacing, "results would replace inputs; choose another folder by -o")


def refuse(problems: list[str], why: str) -> None:
    """Raise InputError that names the problems, if there are any."""
    if problems:
        shown = "\n  ".join(problems[:20])
        more = f"\n  and {len(problems) - 20} more" if len(problems) > 20 else ""
        raise InputError(f"{why}:\n  {shown}{more}")


def without_earlier_results(jobs: dict[Job, bool]) -> list[Job]:
    """Leave out what a walk found that has the name of another picture's result.

    A picture that would be its own result stays, to be refused.
    """
    both = ((os.path.abspath(job.source), os.path.abspath(job.target)) for job in jobs)
    targets = {target for source, target in both if source != target}
    return [
        job
        for job, walked in jobs.items()
        if not (walked and os.path.abspath(job.source) in targets)
    ]


def make_plan(
    inputs: list[str],
    out: str | Path | None,
    model: str,
    format: str | None = None,
    overwrite: bool = False,
    skip_existing: bool = False,
    process: tuple[int, int] = (0, 1),
) -> Plan:
    """Decide what becomes of which input.

    Args:
        inputs: files, folders, and patterns that the shell left alone.
        out: a folder, or the name of a file for one input; None puts results beside
            their inputs.
        model: the model's name, for names beside inputs.
        format: of the results; None is each picture's own where that is lossless.
        overwrite: replace files that are there.
        skip_existing: leave out pictures whose results are there.
        process: (rank, processes): only its share of pictures, and of problems.

    Raises:
        InputError: two results would have one name, or replace an input, or what is
            given as -o cannot be.
    """
    plan = Plan()
    if out is not None and not os.fspath(out):  # nor is this meant by an empty name
        raise InputError("an empty name was given as -o")
    out = None if out is None else Path(out)
    found = find_pictures(inputs, out, plan)
    target, format = one_file(found, out, format)
    jobs = {}
    for source, (below, walked) in found.items():
        try:
            kind = result_format(source, format)
            beside = source.with_name(f"{source.stem}_{model}{source.suffix}")
            path = target or with_ending(out / below if out else beside, kind)
            check_name(path)
        except OSError as error:
            plan.problems.append(f"{source}: {error.strerror or error}")
        except InputError as error:
            plan.problems.append(f"{source}: {error}")
        else:
            jobs[Job(source, path, kind)] = walked
    kept = without_earlier_results(jobs)
    plan.earlier = len(jobs) - len(kept)
    if overwrite and out is not None:  # their names lack the model's: are they results?
        check_meetings(list(jobs), found)
    else:
        done = {job.source for job in kept}
        check_meetings(kept, (s for s in found if s in done or not found[s][1]))
    plan.formats = {job.format for job in kept}
    rank, processes = process
    if rank:
        plan.problems.clear()
    share = kept[rank::processes]
    plan.others = len(kept) - len(share)
    for job in share:
        add_job(plan, job, overwrite, skip_existing)
    return plan


def add_job(plan: Plan, job: Job, overwrite: bool, skip_existing: bool) -> None:
    """Put a job into the plan, unless what is at its target forbids it."""
    if os.path.isdir(job.target):
        plan.problems.append(f"{job.source}: {job.target} is a folder")
    elif os.path.lexists(job.target) and skip_existing:
        plan.skipped += 1
    elif os.path.lexists(job.target) and not overwrite:
        plan.problems.append(
            f"{job.source}: {job.target} is there already; --overwrite replaces it, "
            "--skip-existing leaves it"
        )
    else:
        plan.jobs.append(job)
