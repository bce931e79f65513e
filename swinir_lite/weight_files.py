"""Tensors from files that anybody may have made.

Nothing in a file is executed, and nothing that it declares is believed before the
file is seen to hold it: reading takes about as much memory as the file has bytes.
"""

import io
import struct
import warnings
import zipfile
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file

from .errors import InputError

# What the readers raise for bytes that are damaged, or of another kind
UNREADABLE = (
    SafetensorError, UnpicklingError, RuntimeError, EOFError, ValueError, LookupError,
    TypeError, AttributeError, AssertionError, struct.error, zipfile.BadZipFile,
    MemoryError, ArithmeticError,
)  # fmt: skip
WRAPPERS = ("params_ema", "params", "state_dict", "model")  # the first one found
OTHERS = {  # how a file begins that was saved in place of weights -> what it is
    b"<": "it is a web page, saved in place of the file that it leads to",
    b"version https://git-lfs": "it is a pointer of Git LFS; `git lfs pull` fetches it",
}
BUFFERS = ("relative_position_index", "attn_mask")  # rebuilt, not loaded


def shortened(name: object, length: int = 100) -> str:
    """A name from a file, cut to what a message can show."""
    text = str(name) if isinstance(name, str | int) else f"a {type(name).__name__}"
    return text if len(text) <= length else f"{text[:length]}..."


def read_pickle(path: str | Path) -> Any:
    """What `torch.save` wrote, on the CPU; nothing is executed.

    Raises:
        InputError: for a file that is damaged, or holds more than data.
        OSError: if it cannot be opened.
    """
    path = Path(path)
    with path.open("rb") as file:
        try:
            check_sizes(file, path.stat().st_size)
            file.seek(0)
            with warnings.catch_warnings():  # of kinds of tensors that are refused
                warnings.simplefilter("ignore")
                return torch.load(file, map_location="cpu", weights_only=True)
        except (*UNREADABLE, OSError) as error:
            message = other_kind(path) or "it is damaged, or holds more than tensors"
            raise InputError(f"{path} cannot be read as weights: {message}") from error


def write_pickle(value: Any, path: Path) -> None:
    """Write what `read_pickle` reads.

    In memory first: of a full disk `torch.save` tells nothing.
    """
    buffer = io.BytesIO()
    torch.save(value, buffer)
    path.write_bytes(buffer.getbuffer())


def other_kind(path: Path) -> str | None:
    """What a file is that was saved in place of weights, or None."""
    with path.open("rb") as file:
        start = file.read(64).lstrip()
    return next(
        (what for begin, what in OTHERS.items() if start.startswith(begin)), None
    )


def check_sizes(file: Any, size: int) -> None:
    """Raise ValueError for a pickle that takes more memory than it has bytes."""
    if file.read(4) != b"PK\x03\x04":  # of the format before PyTorch 1.6
        pickles = [file.read()]
    else:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            if sum(member.file_size for member in members) > size:
                raise ValueError("the archive declares more bytes than it has")
            pickles = [archive.read(m) for m in members if m.filename.endswith(".pkl")]
    if any(
        b"bytearray" in pickle for pickle in pickles
    ):  # of any length, from a number
        raise ValueError("no tensor needs a bytearray")


def read_tensors(path: str | Path) -> dict[str, torch.Tensor]:
    """Read the tensors of a .pth or .safetensors file, by name.

    Unwraps `params_ema`, `params`, `state_dict` or `model`, drops a `module.` prefix
    and the buffers that are rebuilt.

    Raises:
        InputError: for a file that cannot be read, or holds other than plain tensors
            of floating-point numbers.
        FileNotFoundError: if there is none.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no such file: {path}")
    if path.suffix == ".safetensors":
        try:
            state = load_file(path)
        except UNREADABLE as error:
            message = other_kind(path) or error
            raise InputError(f"{path} cannot be read as weights: {message}") from error
    else:
        state = read_pickle(path)
    if not isinstance(state, dict):
        kind = type(state).__name__
        raise InputError(f"{path} holds a {kind}, not a state dict")
    inner = (state.get(wrapper) for wrapper in WRAPPERS)
    state = next((found for found in inner if isinstance(found, dict)), state)
    for key in state:
        if not isinstance(key, str):
            raise InputError(f"{path} is no state dict: {shortened(key)} is no name")
    state = {key.removeprefix("module."): value for key, value in state.items()}
    state = {k: v for k, v in state.items() if not k.endswith(BUFFERS)}
    check_tensors(state, path)
    return state


def check_tensors(state: dict[str, Any], path: Path) -> None:
    """Raise InputError unless all are plain tensors that the file has bytes for."""
    for key, value in state.items():
        if problem := unusable(value):
            raise InputError(f"{path} is no state dict: {shortened(key)} is {problem}")
    needed = sum(value.numel() * value.element_size() for value in state.values())
    if needed > path.stat().st_size:
        raise InputError(f"{path} holds fewer bytes than its tensors have: {needed}")


def unusable(value: Any) -> str | None:
    """What is wrong with a value that should be weights, in words, or None."""
    if not torch.is_tensor(value):
        return f"a {type(value).__name__}"
    if value.is_nested or value.is_quantized or value.layout != torch.strided:
        return "a sparse, quantized or nested tensor"
    if value.device.type != "cpu":
        return f"a tensor without values, on the device {value.device.type!r}"
    if not value.is_floating_point():
        return f"of {value.dtype}, not of floating-point numbers"
    if value.ndim == 0 or value.numel() == 0:
        return f"of the shape {tuple(value.shape)}"
    return None


def read_metadata(path: str | Path) -> dict[str, str]:
    """The texts beside the tensors of a .safetensors file; of others, none."""
    if Path(path).suffix != ".safetensors":
        return {}
    with safe_open(path, "pt") as file:
        return file.metadata() or {}
