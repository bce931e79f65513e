"""The authors' released files, fetched to this machine and found by readable names.

`weights/released.json` lists them all.  What is fetched lies in one folder, whole, and
is the file of the first time: its SHA-256 is known, or else recorded then.
"""

import json
import os
from functools import cache
from pathlib import Path
from typing import Any

from .downloading import fetch_file, sha256_of
from .errors import InputError
from .whole_files import whole_file

RELEASE = "https://github.com/JingyunLiang/SwinIR/releases/download/v0.0/"
LICENCE = "Apache-2.0, as the repository of the authors"
CHECKSUMS = "checksums.json"


@cache
def released_models() -> dict[str, dict[str, Any]]:
    """name -> file, variant, parameters and what the paper says of it."""
    path = Path(__file__).parent / "weights" / "released.json"
    return json.loads(path.read_text(encoding="utf-8"))


def weights_folder() -> Path | None:
    """Where released files are kept: `swinir-lite` in the user's cache.

    The cache is $XDG_CACHE_HOME, or else ~/.cache. None for a user who has no home, as
    in containers that run under a number of their own.
    """
    try:
        cache_home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError:
        return None
    return Path(cache_home) / "swinir-lite"


def recorded_checksums(folder: Path) -> dict[str, str]:
    """The SHA-256 of files that were fetched to a folder, by their names."""
    path = folder / CHECKSUMS
    if not path.is_file():
        return {}
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise InputError(f"{path} is damaged; remove it and the files there") from error


def download_weights(name: str, folder: str | Path | None = None) -> Path:
    """Fetch a released file unless it is there; returns its path.

    Args:
        name: a key of `released_models`, such as "official_classical_x2".
        folder: where to, if not `weights_folder`.

    Raises:
        InputError: for an unknown name, for other bytes than known or recorded, and
            where neither a folder nor a home is known.
        OSError: if it cannot be had; what has arrived is kept for the next try.
    """
    if name not in released_models():
        known = ", ".join(released_models())
        raise InputError(f"no released model {name!r}; there are {known}")
    folder = weights_folder() if folder is None else Path(folder)
    if folder is None:
        raise InputError("there is no home folder to keep it in: set XDG_CACHE_HOME")
    entry = released_models()[name]
    file, checksums = entry["file"], recorded_checksums(folder)
    expected = entry["sha256"] or checksums.get(file)
    found = fetch_file(RELEASE + file, folder / file, sha256=expected)
    if expected is None:
        text = json.dumps(dict(sorted({**checksums, file: found}.items())), indent=2)
        with whole_file(folder / CHECKSUMS) as partial:
            partial.write_text(text + "\n", encoding="utf-8")
    return folder / file


def released_file(name: str) -> Path | None:
    """The path of a released file that was fetched, or None.

    Raises:
        InputError: if it is not the file that was fetched.
    """
    entry, folder = released_models()[name], weights_folder()
    if folder is None or not (path := folder / entry["file"]).is_file():
        return None
    expected = entry["sha256"] or recorded_checksums(folder).get(entry["file"])
    if expected not in (None, sha256_of(path)):
        raise InputError(f"{path} is not the file that was fetched; remove it")
    return path
