"""Fetch data sets, resumably, and check every byte (chapter 14).

What is on disk under its final name is complete and has the SHA-256 of the
manifest.
"""

import hashlib
import lzma
import os
import shutil
import time
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Iterable
from http.client import HTTPException
from pathlib import Path, PurePosixPath

from tqdm.auto import tqdm

from ..errors import InputError
from .datasets import MANIFEST, read_manifest

CHUNK = 1 << 18
# What `zipfile` raises for bytes, passwords and methods that it cannot unpack
NOT_UNPACKED = (
    zipfile.BadZipFile, RuntimeError, zlib.error, lzma.LZMAError, EOFError
)  # fmt: skip


class ResumingDownload:
    """A file that arrives in parts, each of which begins where the last one broke.

    What has arrived is kept in the file `part`, over retries and over runs of the
    program.
    """

    def __init__(
        self, url: str, part: Path, size: int, retries: int = 5, wait: float = 1.0
    ):
        self.url, self.part, self.size = url, part, size
        self.retries, self.wait = retries, wait

    def run(self) -> None:
        """Fetch all that is missing.

        Raises:
            OSError: if it cannot be had; what has arrived is kept.
            InputError: for more bytes than the size says; nothing is kept.
        """
        failures = 0
        while self.received < self.size:
            before = self.received
            try:
                self.fetch()
            except (OSError, HTTPException) as error:
                # What the server refuses for good, and not 408 or 429
                code = getattr(error, "code", 500)
                failures = failures + 1 if self.received == before else 1
                if failures > self.retries or code in (401, 403, 404, 410):
                    raise OSError(
                        f"{self.url}: {error or 'the connection broke'}; "
                        f"{self.received} of {self.size} bytes are kept, run again "
                        "to go on"
                    ) from error
                time.sleep(self.wait)
        if self.received > self.size:
            got = self.received
            self.part.unlink()
            raise InputError(
                f"{self.url}: expected {self.size} bytes, got at least {got}"
            )

    @property
    def received(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def fetch(self) -> None:
        """Ask for what is missing and append it; raises OSError if cut again."""
        start = self.received
        headers = {"Range": f"bytes={start}-"}
        request = urllib.request.Request(self.url, headers=headers)
        with urllib.request.urlopen(request, timeout=30) as response:
            resumed = response.status == 206
            if resumed:
                sent = response.headers.get("Content-Range", "")
                if not sent.startswith(f"bytes {start}-"):
                    raise OSError(f"asked for bytes from {start}, got {sent!r}")
            bar = tqdm(
                desc=self.part.stem, total=self.size, initial=start if resumed else 0,
                unit="B", unit_scale=True,
            )  # fmt: skip
            with self.part.open("ab" if resumed else "wb") as file, bar:
                while chunk := response.read(CHUNK):
                    file.write(chunk)
                    bar.update(len(chunk))
                    if file.tell() > self.size:
                        return
        if self.received < self.size:
            raise OSError("the connection broke")


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file that may be larger than the memory."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def check_disk(folder: Path, needed: int) -> None:
    """Raise OSError unless the folder's disk has `needed` bytes free."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OSError(
            f"{folder} has {free / 1e9:.1f} GB free, {needed / 1e9:.1f} GB are needed"
        )


def fetch_file(url: str, target: Path, size: int, sha256: str) -> None:
    """Download one file unless it is there, verified by size and SHA-256.

    Raises:
        OSError: if it cannot be had; what has arrived is kept for the next try.
        InputError: for other bytes than expected, of which nothing is kept.
    """
    if target.is_file() and sha256_of(target) == sha256:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    ResumingDownload(url, part, size).run()
    if sha256_of(part) != sha256:
        part.unlink()
        raise InputError(f"{url}: the SHA-256 is not {sha256}; nothing was kept")
    os.replace(part, target)


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
