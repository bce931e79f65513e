"""Fetch data sets, resumably, and check every byte (chapter 14).

`datasets.json` lists for each data set where it lies, its size and SHA-256,
its licence and whom to cite.  pooch checks what arrives; what is on disk under
its final name is complete.
"""

import json
import shutil
import time
import urllib.error
import urllib.request
import zipfile
from http.client import HTTPException
from pathlib import Path, PurePosixPath

import pooch
from tqdm.auto import tqdm

MANIFEST = Path(__file__).parent / "datasets.json"
CHUNK = 1 << 18


def read_manifest(path=MANIFEST):
    """name -> {"title", "licence", "citation", "page", "archives" or "files"}."""
    return json.loads(Path(path).read_text())


class ResumingDownloader:
    """A downloader for pooch that goes on where a connection broke.

    What has arrived is kept in `<name>.part` beside the target, over retries
    and over runs of the program.
    """

    def __init__(self, part, size, retries=5, wait=1.0):
        self.part, self.size = Path(part), size
        self.retries, self.wait = retries, wait

    def __call__(self, url, output_file, pooch):
        failures = 0
        while self.received < self.size:
            before = self.received
            try:
                self.fetch(url)
            except (OSError, HTTPException) as error:
                # What the server refuses for good, and not 408 or 429
                code = getattr(error, "code", 500)
                failures = failures + 1 if self.received == before else 1
                if failures > self.retries or code in (401, 403, 404, 410):
                    raise OSError(
                        f"{url}: {error or 'the connection broke'}; {self.received} "
                        f"of {self.size} bytes are kept, run again to go on"
                    ) from error
                time.sleep(self.wait)
        if self.received > self.size:
            got = self.received
            self.part.unlink()
            raise ValueError(f"{url}: expected {self.size} bytes, got at least {got}")
        self.part.replace(output_file)

    @property
    def received(self):
        return self.part.stat().st_size if self.part.exists() else 0

    def fetch(self, url):
        """Ask for what is missing and append it; raises OSError if cut again."""
        start = self.received
        request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"})
        with urllib.request.urlopen(request, timeout=30) as response:
            resumed = response.status == 206
            if resumed:
                sent = response.headers.get("Content-Range", "")
                if not sent.startswith(f"bytes {start}-"):
                    raise OSError(f"asked for bytes from {start}, got {sent!r}")
            bar = tqdm(
                desc=Path(url).name, total=self.size, initial=start if resumed else 0,
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


def check_disk(folder, needed):
    """Raise OSError unless the folder's disk has `needed` bytes free."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OSError(
            f"{folder} has {free / 1e9:.1f} GB free, {needed / 1e9:.1f} GB are needed"
        )


def fetch_file(url, target, size, sha256):
    """Download one file unless it is there, verified by size and SHA-256.

    Raises:
        OSError: if it cannot be had; what has arrived is kept for the next try.
        ValueError: for other bytes than expected, of which nothing is kept.
    """
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    try:
        pooch.retrieve(
            url, f"sha256:{sha256}", target.name, target.parent,
            downloader=ResumingDownloader(part, size),
        )  # fmt: skip
    except ValueError as error:
        if "hash" not in str(error):
            raise
        raise ValueError(
            f"{url}: the SHA-256 is not {sha256}; nothing was kept"
        ) from error
    return target


def check_members(archive, folder):
    """Raise ValueError for a path that leads out of the archive's own folder."""
    for member in archive.infolist():
        path = PurePosixPath(member.filename)
        inside = path.is_relative_to(folder) or PurePosixPath(folder).is_relative_to(
            path
        )
        symlink = (member.external_attr >> 16) & 0o170000 == 0o120000
        if ".." in path.parts or "\\" in member.filename or symlink or not inside:
            raise ValueError(
                f"{archive.filename} holds the unsafe path {member.filename!r}; "
                "nothing was extracted"
            )


def extract(path, folder, target, images):
    """Unpack the one folder that a zip holds to `target`: all of it or nothing.

    Args:
        folder: its path inside the zip, such as DIV2K_train_LR_bicubic/X2.
        images: how many files it must hold.

    Raises:
        ValueError: for a damaged zip, an unsafe path or another number of files.
    """
    target = Path(target)
    staging = target.with_name(f"{target.name}.extracting")
    shutil.rmtree(staging, ignore_errors=True)  # left by a run that was killed
    try:
        with zipfile.ZipFile(path) as archive:
            check_members(archive, folder)
            size = sum(member.file_size for member in archive.infolist())
            target.parent.mkdir(parents=True, exist_ok=True)
            check_disk(target.parent, size)
            for member in tqdm(archive.infolist(), desc=f"unpacking {Path(path).name}"):
                archive.extract(member, staging)
        found = sum(p.is_file() for p in (staging / folder).glob("*"))
        if found != images:
            raise ValueError(f"{path} holds {found} images where {images} are expected")
        (staging / folder).rename(target)
    except zipfile.BadZipFile as error:
        raise ValueError(f"{path} is damaged: {error}") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def fetch_archive(entry, to):
    """Download and unpack one zip unless its folder is there."""
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


def download(name, to="data", scales=(2,), manifest=MANIFEST):
    """Download a data set, verify it and unpack it; does nothing if it is there.

    Args:
        name: a key of the manifest, such as "div2k" or "set5".
        to: folder that will hold the data set's own folder.
        scales: of the LR images wanted, where they come in archives.

    Returns:
        What it is, its licence and whom to cite, in words.

    Raises:
        ValueError: for a name or scale that is not in the manifest, and for bytes
            that are not the expected ones.
        OSError: as `fetch_file`, and if the disk has too little space.
    """
    data_sets = read_manifest(manifest)
    if name not in data_sets:
        raise ValueError(f"no data set {name!r}; there are {', '.join(data_sets)}")
    data_set = data_sets[name]
    archives = data_set.get("archives", [])
    known = {entry["scale"] for entry in archives if "scale" in entry}
    if archives and (unknown := sorted({*scales} - known)):
        raise ValueError(f"{name} has no scales {unknown}; it has {sorted(known)}")
    for entry in archives:
        if entry.get("scale") in (None, *scales):
            fetch_archive(entry, to)
    for entry in data_set.get("files", []):
        path = Path(to) / entry["path"]
        fetch_file(entry["url"], path, entry["bytes"], entry["sha256"])
    return f"{data_set['title']}\n{data_set['licence']}\n{data_set['citation']}"
