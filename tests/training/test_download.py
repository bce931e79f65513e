"""Downloads from a local server that cuts, corrupts and resumes."""

import hashlib
import io
import json
import re
import signal
import subprocess
import sys
import zipfile
from pathlib import PurePosixPath
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from swinir_lite.downloading import ResumingDownload
from swinir_lite.errors import InputError
from swinir_lite.training import download as module
from swinir_lite.training.datasets import read_manifest
from swinir_lite.training.download import download, extract

from ..file_server import serve


def png(seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (16, 16, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def make_zip(members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


HR = make_zip({f"DIV2K_train_HR/{i:04d}.png": png(i) for i in range(1, 4)})
LR = make_zip({f"DIV2K_train_LR_bicubic/X2/{i:04d}x2.png": png(i) for i in range(1, 4)})


@pytest.fixture
def server():
    with serve({"HR.zip": HR, "LR.zip": LR}) as server:
        yield server


@pytest.fixture
def manifest(server, tmp_path):
    """A manifest of the served zips in DIV2K's layout; write(**changes) edits HR's."""
    base = f"http://127.0.0.1:{server.server_port}"

    def entry(name, folder, content, **more):
        return {
            "folder": f"DIV2K/{folder}", "url": f"{base}/{name}", "bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(), "images": 3, **more,
        }  # fmt: skip

    def write(**changes):
        archives = [
            entry("HR.zip", "DIV2K_train_HR", HR) | changes,
            entry("LR.zip", "DIV2K_train_LR_bicubic/X2", LR, scale=2),
            entry("no.zip", "DIV2K_train_LR_bicubic/X4", b"absent", scale=4),
        ]
        about = {"title": "DIV2K", "licence": "research", "citation": "A and T 2017"}
        path = tmp_path / "manifest.json"
        path.write_text(json.dumps({"div2k": {**about, "archives": archives}}))
        return path

    return write


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr("swinir_lite.downloading.time.sleep", lambda seconds: None)


def files_in(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.*"))


COMPLETE = sorted(
    [f"DIV2K/DIV2K_train_HR/{i:04d}.png" for i in (1, 2, 3)]
    + [f"DIV2K/DIV2K_train_LR_bicubic/X2/{i:04d}x2.png" for i in (1, 2, 3)]
)


def test_downloads_unpacks_and_leaves_nothing_else(server, manifest, tmp_path):
    to = tmp_path / "data"
    about = download("div2k", to, manifest=manifest())
    assert files_in(to) == COMPLETE
    assert (to / "DIV2K/DIV2K_train_HR/0002.png").read_bytes() == png(2)
    assert "research" in about
    assert "2017" in about
    requests = len(server.starts)
    download("div2k", to, manifest=manifest())  # it is there
    assert len(server.starts) == requests


@pytest.mark.parametrize("ranges", [True, False])
def test_resumes_after_cut_connections(server, manifest, tmp_path, ranges):
    server.cuts, server.ranges = 3, ranges
    download("div2k", tmp_path / "data", manifest=manifest())
    assert files_in(tmp_path / "data") == COMPLETE
    assert len(server.starts) == 5
    assert server.starts[1] > 0  # asks for the rest alone, if the server can
    assert ranges == (server.starts[2] > server.starts[1])


def test_what_arrived_is_kept_for_the_next_run(server, manifest, tmp_path, monkeypatch):
    server.cuts = 1
    original = ResumingDownload.__init__
    monkeypatch.setattr(
        ResumingDownload, "__init__", lambda *args: original(*args, retries=0)
    )
    with pytest.raises(OSError, match=r"of \d+ bytes are kept, run again to go on"):
        download("div2k", tmp_path / "data", manifest=manifest())
    assert files_in(tmp_path / "data") == ["DIV2K/HR.zip.part"]
    download("div2k", tmp_path / "data", manifest=manifest())
    assert files_in(tmp_path / "data") == COMPLETE
    assert server.starts[1] > 0


def test_wrong_bytes_are_refused_and_removed(server, manifest, tmp_path):
    corrupt = bytearray(HR)
    corrupt[100] ^= 1
    server.files["HR.zip"] = bytes(corrupt)
    with pytest.raises(ValueError, match=r"HR\.zip: the SHA-256 is not"):
        download("div2k", tmp_path / "data", manifest=manifest())
    assert files_in(tmp_path / "data") == []


def test_wrong_size_is_refused(server, manifest, tmp_path):
    server.files["HR.zip"] = HR + b"more"
    with pytest.raises(ValueError, match=f"expected {len(HR)} bytes, got"):
        download("div2k", tmp_path / "data", manifest=manifest())
    assert files_in(tmp_path / "data") == []


@pytest.mark.parametrize(
    "name", ["../escaped.png", "/escaped.png", "DIV2K_train_HR/../../escaped.png",
             "elsewhere/0001.png", "DIV2K_train_HR\\..\\escaped.png"],
)  # fmt: skip
def test_unsafe_paths_in_a_zip_are_refused(server, manifest, tmp_path, name):
    content = make_zip({"DIV2K_train_HR/0001.png": png(1), name: b"x"})
    server.files["HR.zip"] = content
    digest = hashlib.sha256(content).hexdigest()
    changed = manifest(bytes=len(content), sha256=digest, images=2)
    with pytest.raises(ValueError, match="unsafe path"):
        download("div2k", tmp_path / "a/data", manifest=changed)
    assert files_in(tmp_path / "a") == ["data/DIV2K/HR.zip"]


def test_incomplete_archive_is_no_data_set(server, manifest, tmp_path):
    with pytest.raises(ValueError, match="3 images where 800 are expected"):
        download("div2k", tmp_path / "data", manifest=manifest(images=800))
    assert files_in(tmp_path / "data") == ["DIV2K/HR.zip"]


def test_full_disk_is_named_before_the_download(
    server, manifest, tmp_path, monkeypatch
):
    usage = SimpleNamespace(free=len(HR))
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(OSError, match="MB free"):
        download("div2k", tmp_path / "data", manifest=manifest())
    assert server.starts == []


def test_missing_file_stops_at_once(server, manifest, tmp_path):
    with pytest.raises(OSError, match="404"):
        download("div2k", tmp_path / "data", (4,), manifest=manifest(images=3))
    assert server.starts == [0]  # HR came, X4 is not there: no second try


KILLED = """
import os, signal, sys
from swinir_lite.downloading import ResumingDownload
from swinir_lite.training.download import download

ResumingDownload.fetch = lambda self: os.kill(os.getpid(), signal.SIGKILL)
download("div2k", sys.argv[1], manifest=sys.argv[2])
"""


def test_killed_before_a_byte_arrived_leaves_no_file(server, manifest, tmp_path):
    command = [sys.executable, "-c", KILLED, str(tmp_path / "data"), str(manifest())]
    killed = subprocess.run(command, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not [path for path in (tmp_path / "data").rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("offset", "value", "message"),
    [
        (6, b"\x01\x00", "is encrypted"),  # the flags of the member
        (8, b"\x63\x00", "compression method is not supported"),
        (14, b"\x00\x00", "Bad CRC-32"),
    ],
)
def test_zips_that_cannot_be_unpacked_are_named(tmp_path, offset, value, message):
    content = bytearray(make_zip({"photos/0001.png": png(1)}))
    for start in (offset, content.index(b"PK\x01\x02") + offset + 2):
        content[start : start + 2] = value  # in the member and in the directory
    path = tmp_path / "photos.zip"
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"photos.zip cannot be unpacked: .*{message}"):
        extract(path, "photos", tmp_path / "photos", 1)
    assert files_in(tmp_path) == ["photos.zip"]


def test_unknown_data_set():
    known = ", ".join(read_manifest())
    with pytest.raises(ValueError, match=f"no data set 'div3k'; there are {known}"):
        download("div3k")


def test_unknown_scales_are_refused_before_the_download(server, manifest, tmp_path):
    with pytest.raises(ValueError, match=r"no scales \[3, 5\]; it has \[2, 4\]"):
        download("div2k", tmp_path / "data", (2, 3, 5), manifest=manifest())
    assert server.starts == []


def test_manifest_is_complete():
    manifest = read_manifest()
    archives = manifest["div2k"]["archives"]
    assert sum(a["images"] for a in archives if "scale" not in a) == 900
    assert len(archives) == 8
    counts = {k: len(v["files"]) for k, v in manifest.items() if "files" in v}
    assert counts == {"set5": 25, "set14": 56, "set12": 12, "classic5": 5}
    for data_set in manifest.values():
        assert all(data_set[k] for k in ("title", "licence", "citation", "page"))
        for entry in data_set.get("archives", []) + data_set.get("files", []):
            assert entry["url"].startswith("https://")
            assert len(bytes.fromhex(entry["sha256"])) == 32
            assert entry["bytes"] > 0


def folders_of(about):
    """The folders in which a data set's images lie, and those around them."""
    for archive in about.get("archives", ()):
        folder = PurePosixPath("data", archive["folder"])
        yield from (folder, *folder.parents)
    for file in about.get("files", ()):
        yield from PurePosixPath("data", file["path"]).parents


def test_pages_and_help_name_the_folders_that_data_sets_go_to(root):
    places = {str(f) for about in read_manifest().values() for f in folders_of(about)}
    texts = [root / "README.md", root / "data/README.md"]
    for pattern in ("chapters/*.ipynb", "swinir_lite/**/*.py", "experiments/*.py"):
        texts += root.glob(pattern)
    texts += root.glob("swinir_lite/training/presets/*.json")
    named = {
        (str(path.relative_to(root)), folder)
        for path in texts
        for folder in re.findall(r"(?<![\w./])data/\w[\w/]*\w", path.read_text())
    }
    assert {"README.md", "swinir_lite/training/command.py"} <= {
        page for page, _ in named
    }
    assert not {(page, folder) for page, folder in named if folder not in places}
