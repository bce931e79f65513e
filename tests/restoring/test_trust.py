"""Nothing half-written, nothing lost: full disks, kills, Ctrl-C, two at once."""

import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
import pyvips
from PIL import Image

from swinir_lite.__main__ import main
from swinir_lite.restoring import pictures, pipeline

from .making import png

COMMAND = [sys.executable, "-m", "swinir_lite", "restore"]
WAIT = 120  # seconds, after which what should have come never will


@pytest.fixture
def folder(tmp_path, photo):
    """A folder of twelve pictures."""
    (tmp_path / "in").mkdir()
    for number in range(12):
        array = np.roll(photo(64, 96), number, 1)
        (tmp_path / f"in/{number:02}.png").write_bytes(png(array))
    return tmp_path / "in"


@pytest.fixture
def start(root):
    """start(*arguments, **options): the command in a process of its own."""
    running = []

    def run(*arguments, command=COMMAND, **options):
        environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
        process = subprocess.Popen(
            [*command, *map(str, arguments)], env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options,
        )  # fmt: skip
        running.append(process)
        return process

    yield run
    for process in running:
        process.kill()
        process.communicate()


def results(folder):
    return sorted(folder.glob("[!.]*")) if folder.is_dir() else []


def wait_for_a_result(folder):
    for _ in range(20 * WAIT):
        if results(folder):
            return
        time.sleep(0.05)
    raise AssertionError(f"nothing came into {folder}")


def check_whole(paths):
    for path in paths:
        with Image.open(path) as image:
            assert image.size == (192, 128)
            image.load()


@pytest.mark.parametrize("to", ["png", "tif", "jpg", "webp"])
def test_a_full_disk(folder, start, tmp_path, small_models, to):
    def few_bytes():
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))

    out = tmp_path / f"out.{to}"
    how = folder / "00.png", "-o", out, "-m", small_models[2, 3]
    process = start(*how, preexec_fn=few_bytes)
    _, err = process.communicate(timeout=WAIT)
    assert process.returncode == 2, err
    (line,) = err.splitlines()
    assert "File too large" in line
    assert sorted(os.listdir(tmp_path)) == ["in"]


def test_a_disk_that_is_full_when_the_result_is_encoded(
    folder, restore, tmp_path, monkeypatch
):
    def encode(*arguments):
        arguments[-2].write_bytes(b"half")
        raise OSError(28, "No space left on device", str(arguments[-2]))

    monkeypatch.setattr(pictures, "encode", encode)
    status, _, err = restore(folder / "00.png", "-o", tmp_path / "out")
    assert status == 2
    assert "No space left on device" in err
    assert os.listdir(tmp_path / "out") == []


def test_a_folder_that_takes_nothing_is_said_before_work(
    folder, restore, tmp_path, monkeypatch
):
    def refuse(suffix, prefix, where):
        raise OSError(30, "Read-only file system", f"{where}/.x.partial")

    def compute(*arguments, **options):
        raise AssertionError("nothing is to be computed")

    monkeypatch.setattr(pictures.tempfile, "mkstemp", refuse)
    monkeypatch.setattr(pipeline, "restore_rows", compute)
    status, _, err = restore(folder / "00.png", "-o", tmp_path / "out")
    said = f"cannot write in {tmp_path / 'out'}: Read-only file system"
    assert status == 2
    assert err == f"error: {folder / '00.png'}: {said}; choose another by -o\n"


def test_what_the_system_says_of_a_full_disk_is_one_reason(
    folder, restore, tmp_path, monkeypatch
):
    def save(image, path, **options):
        lines = "a: write error\nsystem error: No space left on device\nb: unable\n"
        raise pyvips.Error("unable to call pngsave", lines)

    monkeypatch.setattr(pyvips.Image, "pngsave", save, raising=False)
    status, _, err = restore(folder / "00.png", "-o", tmp_path / "out")
    assert status == 2
    assert err.endswith("00.png: cannot be written: No space left on device\n")


def as_from_a_terminal():
    """Background jobs of a shell ignore Ctrl-C, nohup's the terminal's end."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupted(folder, start, tmp_path, small_models, number):
    out = tmp_path / "out"
    how = folder, "-o", out, "--self-ensemble"
    process = start(*how, preexec_fn=as_from_a_terminal)
    wait_for_a_result(out)
    process.send_signal(number)
    _, err = process.communicate(timeout=WAIT)
    assert (process.returncode, err) == (128 + number, "error: interrupted\n")
    assert 1 <= len(results(out)) < 12
    check_whole(results(out))
    assert [name for name in os.listdir(out) if name.startswith(".")] == []

    how = folder, "-o", out, "-m", small_models[2, 3], "--skip-existing", "--quiet"
    process = start(*how)
    assert process.communicate(timeout=WAIT) == ("", "")
    assert process.returncode == 0
    assert len(results(out)) == 12


SLOW = """
import sys, time
from swinir_lite.__main__ import main
from swinir_lite.restoring import pictures

def encode(rows, header, path, encoding, encode=pictures.encode):
    path.write_bytes(b"half")
    print("encoding", flush=True)
    time.sleep(1)
    encode(rows, header, path, encoding)

pictures.encode = encode
main(sys.argv[1:])
"""


@pytest.mark.parametrize(
    "numbers",
    [
        (signal.SIGTERM, signal.SIGTERM, signal.SIGHUP),
        (signal.SIGINT, signal.SIGINT, signal.SIGINT),
    ],
)
def test_a_second_signal_leaves_nothing_half_written(
    folder, start, tmp_path, small_models, numbers
):
    out = tmp_path / "out"
    how = folder / "00.png", "-o", out, "-m", small_models[2, 3]
    slow = [sys.executable, "-c", SLOW, "restore"]
    process = start(*how, command=slow, preexec_fn=as_from_a_terminal)
    assert process.stdout.readline() == "encoding\n"
    for number in numbers:
        process.send_signal(number)
        time.sleep(0.1)
    _, err = process.communicate(timeout=WAIT)
    assert (process.returncode, err) == (128 + numbers[0], "error: interrupted\n")
    check_whole(results(out))
    assert [name for name in os.listdir(out) if name.startswith(".")] == []


def test_a_terminal_that_is_closed_ends_nothing_under_nohup(
    folder, start, tmp_path, small_models
):
    def nohup():
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    out = tmp_path / "out"
    how = folder, "-o", out, "-m", small_models[2, 3]
    process = start(*how, preexec_fn=nohup)
    wait_for_a_result(out)
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=WAIT)
    assert process.returncode == 0
    assert len(results(out)) == 12


def test_killed(folder, start, tmp_path):
    out = tmp_path / "out"
    process = start(folder, "-o", out, "--self-ensemble")
    wait_for_a_result(out)
    process.kill()
    process.communicate()
    assert len(results(out)) < 12
    check_whole(results(out))


def test_two_processes_write_into_one_folder(folder, start, tmp_path, small_models):
    out = tmp_path / "out"
    how = folder, "-o", out, "--overwrite", "-m", small_models[2, 3]
    processes = [start(*how), start(*how)]
    for process in processes:
        _, err = process.communicate(timeout=WAIT)
        assert process.returncode == 0, err
    assert len(os.listdir(out)) == 12
    check_whole(results(out))


def test_processes_of_one_launch_share_the_pictures(
    folder, start, tmp_path, small_models
):
    out = tmp_path / "out"
    how = folder, "-o", out, "-m", small_models[2, 3]
    lines = []
    for rank in range(3):
        os.environ.update(RANK=str(rank), WORLD_SIZE="3", LOCAL_RANK=str(rank))
        try:
            process = start(*how)
        finally:
            for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
                del os.environ[name]
        said, err = process.communicate(timeout=WAIT)
        assert process.returncode == 0, err
        lines.append([line for line in said.splitlines() if " -> " in line])
    assert [len(part) for part in lines] == [4, 4, 4]
    assert len(results(out)) == 12


def test_a_folder_that_cannot_be_written(capsys, small_models, photo):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "a.png").write_bytes(png(photo(8, 8)))
        shutil.copy(small_models[2, 3], folder / "model.safetensors")
        os.chmod(folder / "model.safetensors", 0o644)
        os.chmod(folder, 0o555)
        arguments = f"restore {name}/a.png -o {name}/b.png -m {name}/model.safetensors"
        root = os.geteuid() == 0
        if root:  # for whom nothing is read-only
            os.seteuid(65534)
        try:
            with pytest.raises(SystemExit, match="2"):
                main(arguments.split())
        finally:
            if root:
                os.seteuid(0)
            os.chmod(folder, 0o755)
        (line,) = capsys.readouterr().err.splitlines()
        said = f"cannot write in {name}: Permission denied; choose another by -o"
        assert line == f"error: {name}/a.png: {said}"
        assert sorted(os.listdir(folder)) == ["a.png", "model.safetensors"]
