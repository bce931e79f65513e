"""Fetch data sets, resumably, and check every byte (chapter 18).

What is on disk under its final name is complete and has the SHA-256 of the
manifest.
"""

import lzma
import shutil
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from tqdm.auto import tqdm

from ..downloading import fetch_file
from ..errors import InputError
from .datasets import MANIFEST, read_manifest

# What `zipfile` raises for bytes, passwords and methods that it cannot unpack
NOT_UNPACKED = (
    zipfile.BadZipFile, RuntimeError, zlib.error, lzma.LZMAError, EOFError
)  # fmt: skip


def check_disk(folder: Path, needed: int) -> None:
    """Raise OSError unless the folder's disk has `needed` bytes free."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        unit, name = (1e9, "GB") if needed >= 1e8 else (1e6, "MB")
        there, needed = f"{free / unit:.1f} {name}", f"{needed / unit:.1f} {name}"
        raise OSError(f"{folder} has {there} free, {needed} are needed")


def check_members(archive: zipfile.ZipFile, folder: str) -> None:
    """Raise InputError for a path that leads out of the archive's own folder."""
    for member in archive.infolist():
        path = PurePosixPath(member.filename)
        inside = path.is_relative_to(folder) or PurePosixPath(folder).is_relative_to(
            path
        )
        symlink = (member.external_attr >> 16) & 0o170000 == 0o120000
        if ".." in path.parts or "\\" in member.filename or symlink or not inside:
            raise InputError(
                f"{archive.filename} holds the unsafe path {member.filename!r}; "
                "nothing was extracted"
            )


def extract(path: Path, folder: str, target: Path, images: int) -> None:
    """Unpack the one folder that a zip holds to `target`: all of it or nothing.

    Args:
        folder: its path inside the zip, such as DIV2K_train_LR_bicubic/X2.
        images: how many files it must hold.

    Raises:
        InputError: for a zip that is damaged, encrypted or packed by a method that
            Python lacks, an unsafe path or another number of files.
    """
    staging = target.with_name(f"{target.name}.extracting")
    shutil.rmtree(staging, ignore_errors=True)  # left by a run that was killed
    try:
        with zipfile.ZipFile(path) as archive:
            check_members(archive, folder)
            size = sum(member.file_size for member in archive.infolist())
            target.parent.mkdir(parents=True, exist_ok=True)
            check_disk(target.parent, size)
            for member in tqdm(archive.infolist(), desc=f"unpacking {path.name}"):
                archive.extract(member, staging)
        found = sum(p.is_file() for p in (staging / folder).glob("*"))
        if found != images:
            raise InputError(f"{path} holds {found} images where {images} are expected")
        (staging / folder).rename(target)
    except NOT_UNPACKED as error:
        raise InputError(f"{path} cannot be unpacked: {error}") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def fetch_archive(entry: dict, to: str | Path) -> None:
    """Download and unpack one zip of the manifest unless its folder is there."""
    target = Path(to) / entry["folder"]
    if target.is_dir():
        return
    root = Path(to) / PurePosixPath(entry["folder"]).parts[0]
    inner = PurePosixPath(entry["folder"]).relative_to(root.name)
    root.mkdir(parents=True, exist_ok=True)
    path = root / Path(entry["url"]).name
    part = path.with_name(path.name + ".part")
    have = sum(p.stat().st_size for p in (path, part) if p.exists())
    check_disk(root, 2 * entry["bytes"] - have)  # the zip, and its images beside it
    fetch_file(entry["url"], path, entry["bytes"], entry["sha256"])
    extract(path, str(inner), target, entry["images"])
    path.unlink()


def download(
    name: str,
    to: str | Path = "data",
    scales: Iterable[int] = (2,),
    manifest: str | Path = MANIFEST,
) -> str:
    """Download a data set, verify it and unpack it; does nothing if it is there.

    Args:
        name: a key of the manifest, such as "div2k" or "set5".
        to: folder that will hold the data set's own folder.
        scales: of the LR images wanted, where they come in archives.

    Returns:
        What it is, its licence and whom to cite, in words.

    Raises:
        InputError: for a name or scale that is not in the manifest, and for bytes
            that are not the expected ones.
        OSError: as `fetch_file`, and if the disk has too little space.
    """
    data_sets = read_manifest(manifest)
    if name not in data_sets:
        raise InputError(f"no data set {name!r}; there are {', '.join(data_sets)}")
    data_set = data_sets[name]
    archives = data_set.get("archives", [])
    known = {entry["scale"] for entry in archives if "scale" in entry}
    if archives and (unknown := sorted({*scales} - known)):
        raise InputError(f"{name} has no scales {unknown}; it has {sorted(known)}")
    for entry in archives:
        if entry.get("scale") in (None, *scales):
            fetch_archive(entry, to)
    for entry in data_set.get("files", []):
        path = Path(to) / entry["path"]
        fetch_file(entry["url"], path, entry["bytes"], entry["sha256"])
    return f"{data_set['title']}\n{data_set['licence']}\n{data_set['citation']}"
