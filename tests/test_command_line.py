"""The command line as a whole: its help, its errors, its exit status."""

import io
import os
import re
import shlex
import subprocess
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

import swinir_lite
from swinir_lite import __main__ as command_line
from swinir_lite import load_model
from swinir_lite.__main__ import command_parser, main
from swinir_lite.errors import InputError
from swinir_lite.official_weights import save_official

LISTED = re.compile(r"^    (\w+) +\w", re.MULTILINE)
COMMANDS = LISTED.findall(command_parser().format_help())


@pytest.fixture
def run_with(monkeypatch):
    """run_with(call): run a command line whose command is the function `call`."""

    def run(call):
        options = SimpleNamespace(call=lambda options: call())
        parser = SimpleNamespace(parse_args=lambda arguments: options)
        monkeypatch.setattr(command_line, "command_parser", lambda: parser)
        main([])

    return run


def failing(error):
    def call():
        raise error

    return call


def output_of(capsys, *arguments):
    with pytest.raises(SystemExit) as stopped:
        main([*arguments])
    assert stopped.value.code == 0
    return capsys.readouterr().out


def test_help_lists_every_command(capsys):
    assert LISTED.findall(output_of(capsys, "--help")) == COMMANDS
    assert {"restore", "evaluate", "download", "train", "ship"} <= set(COMMANDS)


def test_without_a_command_the_help_is_shown(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["swinir-lite"])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    assert LISTED.findall(capsys.readouterr().err) == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_the_examples_in_a_command_s_help_are_understood(command, capsys):
    shown = output_of(capsys, command, "--help").partition("examples:\n")[2]
    examples = re.findall(
        r"^  (?:swinir-lite|accelerate launch -m swinir_lite) (.*?)(?:   .*)?$",
        re.sub(r"\\\n *", "", shown),
        re.MULTILINE,
    )
    assert examples
    for example in examples:
        assert example.split()[0] == command
        command_parser().parse_args(shlex.split(example))


def test_the_version_is_the_package_s(capsys):
    assert output_of(capsys, "--version").strip() == swinir_lite.__version__


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (InputError("lr must be positive, got -1"), "lr must be positive, got -1"),
        (PermissionError(13, "Permission denied", "out"), "Permission denied: 'out'"),
        (FloatingPointError("the loss is nan"), "the loss is nan"),
        (MemoryError(), "not enough memory"),
        (torch.OutOfMemoryError("CUDA out of memory."), "not enough memory"),
    ],
)
def test_what_the_user_can_mend_is_one_line_and_status_2(
    run_with, capsys, error, message
):
    with pytest.raises(SystemExit) as stopped:
        run_with(failing(error))
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert message in said
    assert said.count("\n") == 1


def test_memory_that_a_cpu_lacks_is_one_line(run_with, capsys):
    with pytest.raises(SystemExit) as stopped:
        run_with(lambda: torch.empty(2**58))
    assert stopped.value.code == 2
    assert "not enough memory" in capsys.readouterr().err


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("mat1 and mat2 cannot be multiplied"),
        TypeError("got NoneType"),
        KeyError("head"),
        ModuleNotFoundError("No module named 'swinir_light'", name="swinir_light"),
    ],
)
def test_a_mistake_of_ours_keeps_its_traceback(run_with, error):
    with pytest.raises(type(error)) as raised:
        run_with(failing(error))
    assert raised.value is error


@pytest.mark.parametrize(("status", "code"), [(None, None), (0, None), (1, 1)])
def test_a_command_says_how_much_of_its_work_it_did(run_with, status, code):
    ended = None
    try:
        run_with(lambda: status)
    except SystemExit as stopped:
        ended = stopped.code
    assert ended == code


def test_an_interrupted_command_ends_without_a_traceback(run_with, capsys):
    with pytest.raises(SystemExit) as stopped:
        run_with(failing(KeyboardInterrupt()))
    assert stopped.value.code == 130
    assert capsys.readouterr().err == "error: interrupted\n"


# each prints less or more than waits for the next write to standard output
PRINTING = [("--version",), ("info", "lightweight_x2"), ("models", "--json")]


def printed_to(stdout, arguments):
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
    command = [sys.executable, "-m", "swinir_lite", *arguments]
    return subprocess.run(
        command, stdout=stdout, stderr=subprocess.PIPE, text=True, env=environment
    )


@pytest.mark.parametrize("arguments", PRINTING)
def test_a_command_ends_quietly_with_who_reads_it(arguments):
    reader, writer = os.pipe()
    os.close(reader)
    result = printed_to(writer, arguments)
    os.close(writer)
    assert (result.returncode, result.stderr) == (141, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
@pytest.mark.parametrize("arguments", PRINTING)
def test_output_that_a_full_disk_does_not_take_is_an_error(arguments):
    with open("/dev/full", "w") as full:
        result = printed_to(full, arguments)
    assert result.returncode == 2
    assert result.stderr == "error: [Errno 28] No space left on device\n"


def test_a_package_that_is_missing_is_named_with_a_command_that_brings_it(
    run_with, capsys
):
    with pytest.raises(SystemExit) as stopped:
        run_with(failing(ModuleNotFoundError("no accelerate", name="accelerate.utils")))
    assert stopped.value.code == 2
    address = "https://github.com/swinir-from-scratch/swinir-from-scratch"
    assert capsys.readouterr().err == (
        "error: this needs the package accelerate: "
        f'pip install "swinir-lite[train] @ git+{address}"\n'
    )


def test_a_warning_is_one_line(run_with):
    run_with(lambda: None)
    assert warnings.formatwarning("mind", UserWarning, "a.py", 1) == "warning: mind\n"


def test_names_that_the_terminal_cannot_show_stop_nothing(run_with, monkeypatch):
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="ascii", write_through=True)
    monkeypatch.setattr(sys, "stdout", terminal)
    run_with(lambda: print("Straße.png"))
    assert terminal.buffer.getvalue() == b"Stra\\xdfe.png\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["profile", "--out", "no/x.json"], "argument --out: no such folder: no"),
        (["evaluate", "m", "Set5", "--json", "no/x"], "--json: no such folder: no"),
        (["evaluate", "m", "Set5", "--degradation", "jpeg"], "JSON such as .* 'jpeg'"),
        (["evaluate", "m", "Set5", "--degradation", '{"nme": 1}'], "JSON such as"),
    ],
)
def test_wrong_arguments_are_refused_before_any_work(refused, arguments, message):
    assert re.search(message, refused(*arguments))


def test_both_ways_to_call_it_are_one():
    command = [sys.executable, "-m", "swinir_lite", "--version"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == swinir_lite.__version__


def blocks(page, language):
    """The code blocks of a page in a language."""
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)


def test_the_commands_in_readme_are_understood(root):
    lines = "".join(blocks(root / "README.md", "bash")).splitlines()
    ours = [line for line in lines if line.startswith("swinir-lite ")]
    assert len(ours) >= 3
    for line in ours:
        command_parser().parse_args(shlex.split(line, comments=True)[1:])


def test_readme_shows_what_the_command_prints(root, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    Image.fromarray(np.full((4, 5, 3), 128, np.uint8)).save("photo.jpg")
    main(["restore", "photo.jpg", "-m", "lightweight_x4"])
    shown, printed = (
        re.sub(r" \d[\d.]*", " N", text)
        for text in (blocks(root / "README.md", "text")[0], capsys.readouterr().out)
    )
    assert printed == shown


def test_the_code_in_readme_runs(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.full((20, 24, 3), 128, np.uint8)).save("photo.jpg")
    save_official(load_model("lightweight_x2"), "weights.pth")
    names = {"images": torch.rand(1, 3, 9, 8)}
    for code in blocks(root / "README.md", "python"):
        exec(code, names)
    with Image.open("photo_x4.png") as enlarged:
        assert enlarged.size == (96, 80)
    assert names["restored"].shape == (1, 3, 18, 16)
    assert names["quick"].route.reason


@pytest.mark.parametrize(
    "command",
    [
        ["export", "lightweight_x2", "--onnx"],
        ["export", "lightweight_x2", "--official"],
        ["evaluate", "bicubic", "photographs", "--json"],
        ["profile", "--out"],
    ],
)
@pytest.mark.parametrize("folder", ["", ".", "..", "results"])
def test_a_folder_is_no_file_to_write(command, folder, refused, tmp_path, monkeypatch):
    (tmp_path / "results").mkdir()
    monkeypatch.chdir(tmp_path)
    assert f"{folder!r} is a folder, need a file" in refused(*command, folder)


@pytest.mark.parametrize(
    "given", ["{", "[" * 100_000, "1" * 5000, '{"name": ["jpeg"]}', "3"]
)
def test_a_degradation_that_is_none_is_refused(given, refused):
    said = refused("evaluate", "bicubic", "photographs", "--degradation", given)
    assert "need JSON such as" in said or "no degradation ['jpeg']" in said


@pytest.mark.parametrize(
    ("command", "option", "value"),
    [
        ("train", "--leg-minutes", "nan"),
        ("train", "--leg-minutes", "-1"),
        ("profile", "--profile-steps", "0"),
    ],
)
def test_numbers_that_count_nothing_are_refused(command, option, value, refused):
    assert f"argument {option}: need" in refused(command, option, value, "--out", "out")
