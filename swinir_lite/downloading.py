"""Files from the network: resumed where they broke, checked, and whole or not there."""

import hashlib
import os
import time
import urllib.error
import urllib.request
from http.client import HTTPException
from pathlib import Path

from tqdm.auto import tqdm

from .errors import InputError

CHUNK = 1 << 18


def reason(error: Exception) -> str:
    """An error of the network in words, without what urllib and the system wrap it in.

    What a server answered stays whole, with its number.
    """
    answered = isinstance(error, urllib.error.HTTPError)
    if isinstance(error, urllib.error.URLError) and not answered:
        error = error.reason
    return str(getattr(error, "strerror", None) or error)


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
                        f"{self.url}: {reason(error) or 'the connection broke'}; "
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


def size_at(url: str) -> int:
    """How many bytes a server says that a file has.

    Raises:
        OSError: if it does not say, or cannot be reached.
    """
    request = urllib.request.Request(url, method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return int(response.headers["Content-Length"])
    except (OSError, HTTPException, TypeError, ValueError) as error:
        raise OSError(f"{url} cannot be had: {reason(error)}") from error


def fetch_file(
    url: str, target: Path, size: int | None = None, sha256: str | None = None
) -> str:
    """Download one file unless it is there, verified by size and SHA-256.

    Args:
        size: in bytes; the server is asked where it is not known.
        sha256: that it must have, where it is known.

    Returns:
        The SHA-256 that it has.

    Raises:
        OSError: if it cannot be had; what has arrived is kept for the next try.
        InputError: for other bytes than expected, of which nothing is kept.
    """
    if target.is_file():
        found = sha256_of(target)
        if sha256 in (None, found):
            return found
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    ResumingDownload(url, part, size_at(url) if size is None else size).run()
    found = sha256_of(part)
    if sha256 not in (None, found):
        part.unlink()
        raise InputError(f"{url}: the SHA-256 is not {sha256}; nothing was kept")
    os.replace(part, target)
    return found
