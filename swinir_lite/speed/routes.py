"""Which path computes a SwinIR, and why (chapter 17).

Nothing here needs Triton. `fast` asks at every call, and whoever wants to know asks
`choose_route` or, of a network, its `route`.
"""

import importlib.util
import os
from typing import NamedTuple

import torch

from ..errors import InputError
from ..swinir import SwinIRConfig
from .first_use import found, key_of
from .limits import (
    FIRST_WITH_TENSOR_CORES,
    MAX_HEAD_DIM,
    MAX_INFERENCE_CHANNELS,
    MAX_INFERENCE_CHANNELS_FLOAT32,
    MAX_TRAINING_CHANNELS,
    MAX_TRAINING_HIDDEN,
    MAX_WINDOW,
)

BACKENDS = ("reference", "sdpa", "triton")  # of window attention
PATHS = {  # the quickest first; the last is for those who ask for it
    "inference_kernels": "two kernels a layer, replayed as CUDA graphs",
    "training_kernels": "three kernels a layer, and three for its gradients",
    "strips": "a few rows of windows at a time, in place",
    "composed": "PyTorch's operations around the attention",
    "compiled": "torch.compile around the attention",
}

TRITON_INSTALLED = importlib.util.find_spec("triton") is not None


class RouteError(InputError, RuntimeError):
    """A path or an attention was asked for that cannot run where it should."""


class AttentionBackend(NamedTuple):
    """What computes window attention, and why."""

    name: str
    reason: str


class Route(NamedTuple):
    """How a call is computed, and why so."""

    path: str  # one of PATHS
    attention: AttentionBackend
    dtype: torch.dtype  # of matrix products
    device: torch.device
    followed: bool  # by gradients, a compiler or an exporter
    reason: str

    def __str__(self) -> str:
        path, dtype = self.path.replace("_", " "), str(self.dtype).split(".")[-1]
        return (
            f"{path} in {dtype} on {self.device.type} ({PATHS[self.path]}), attention "
            f"by {self.attention.name} ({self.attention.reason}): {self.reason}"
        )


def choose_route(
    config: SwinIRConfig,
    device: torch.device | str | None = None,
    dtype: torch.dtype = torch.float32,
    followed: bool = False,
    attention: str | None = None,
    path: str | None = None,
) -> Route:
    """The path that serves a network on a device, and why no quicker one does.

    Args:
        config: of the network; kernels are for windows, heads and widths that fit.
        device: where its tensors are; by default CUDA if there is one.
        dtype: of its matrix products.
        followed: whether gradients, a compiler or an exporter follow the call.
        attention: one of BACKENDS to insist on. The environment variable
            `SWINIR_ATTENTION` does the same.
        path: one of PATHS to insist on.

    Raises InputError for an unknown name and RouteError, a RuntimeError, for one that
    cannot run there; nothing else is chosen in its place.
    """
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(device)
    backend = _choose_attention(config, device, dtype, attention)

    def key(path: str) -> tuple:
        return key_of(path, config, device, dtype, followed)

    obstacles = {
        "inference_kernels": _inference_obstacle(
            config, device, dtype, followed, backend
        )
        or _failure(key("inference_kernels")),
        "training_kernels": _training_obstacle(config, device, dtype, backend)
        or _failure(key("training_kernels")),
        "strips": _strips_obstacle(device, followed, backend),
        "composed": None,
    }
    if path is not None:
        if path not in PATHS:
            raise InputError(f"path must be one of {tuple(PATHS)}, got {path!r}")
        if obstacle := obstacles.get(path):
            raise RouteError(f"path {path!r} cannot run: {obstacle}")
        reason = "asked for by the caller"
    else:
        path = next(name for name, obstacle in obstacles.items() if obstacle is None)
        reason = _reason(obstacles, path)
    if backend.name == "triton" and (finding := found(key(path))):
        reason = f"{reason}; it {finding.said}"
    return Route(path, backend, dtype, device, followed, reason)


def _failure(key: tuple) -> str | None:
    """What the first use of a path found wrong, as an obstacle to the next."""
    finding = found(key)
    return f"which {finding.said}" if finding and finding.failed else None


def _reason(obstacles: dict[str, str | None], path: str) -> str:
    """Why none of the quicker paths serves."""
    quicker = {}
    for name in list(obstacles)[: list(obstacles).index(path)]:
        quicker.setdefault(obstacles[name], []).append(name.replace("_", " "))
    why = [f"no {' or '.join(names)}, {what}" for what, names in quicker.items()]
    return "; ".join(why) or "the quickest"


def attention_backend(
    device: torch.device | str | None = None,
    name: str | None = None,
    config: SwinIRConfig | None = None,
    dtype: torch.dtype = torch.float32,
) -> AttentionBackend:
    """Which attention runs on a device (chapter 17).

    Args:
        device: where the tensors will be; by default CUDA if there is one.
        name: `'reference'`, `'sdpa'` or `'triton'` to insist on one. The
            environment variable `SWINIR_ATTENTION` does the same.
        config: of the network, whose windows or heads may be too large for a kernel.
        dtype: of matrix products, in which the first use may have found it wrong.

    Raises InputError for an unknown name and RouteError, a RuntimeError, for one that
    cannot run there; nothing else is chosen in its place.
    """
    config = config or SwinIRConfig()
    return choose_route(config, device, dtype, attention=name).attention


def _choose_attention(
    config: SwinIRConfig,
    device: torch.device,
    dtype: torch.dtype,
    name: str | None,
) -> AttentionBackend:
    origin = "asked for by the caller"
    if name is None and (name := os.environ.get("SWINIR_ATTENTION")):
        origin = "asked for by SWINIR_ATTENTION"
    if name is None and device.type != "cuda":
        reason = f"Triton is for CUDA; on {device.type} the explicit form is quickest"
        return AttentionBackend("reference", reason)
    obstacle = _triton_obstacle(config, device, dtype)
    for followed in (False, True):  # what is wrong in one way is used in neither
        finding = found(key_of("composed", config, device, dtype, followed))
        if finding and finding.failed:
            obstacle = obstacle or f"Triton's {finding.said}"
    if name is None:
        if obstacle:
            return AttentionBackend("sdpa", obstacle)
        return AttentionBackend("triton", "fused kernels for CUDA")
    if name not in BACKENDS:
        raise InputError(f"attention must be one of {BACKENDS}, got {name!r}")
    if name == "triton" and obstacle:
        raise RouteError(f"attention 'triton' cannot run: {obstacle}")
    return AttentionBackend(name, origin)


def _triton_obstacle(
    config: SwinIRConfig, device: torch.device, dtype: torch.dtype
) -> str | None:
    """Why the Triton kernels cannot run there, or None if they can."""
    interpreted = os.environ.get("TRITON_INTERPRET") == "1"  # slow, for tests
    if device.type != "cuda" and not interpreted:
        return f"it needs a CUDA device, this is {device.type}"
    if not TRITON_INSTALLED:
        return "the package triton is not installed"
    if dtype.itemsize > 4:
        return f"it computes in float32, not in {str(dtype).split('.')[-1]}"
    side, head_dim = config.window_size, config.dim // min(config.num_heads)
    if side <= MAX_WINDOW and head_dim <= MAX_HEAD_DIM:
        return None
    return (
        f"its tiles hold windows of {MAX_WINDOW}x{MAX_WINDOW} and heads of "
        f"{MAX_HEAD_DIM} channels, here are {side}x{side} and {head_dim} channels"
    )


def _kernels_obstacle(device: torch.device, backend: AttentionBackend) -> str | None:
    """What keeps both kinds of fused layers from serving, or None."""
    if backend.name != "triton":
        return f"which need Triton's attention, this is {backend.name}"
    if device.type == "cuda":
        # Not get_device_capability, which torch.compile cannot follow
        gpu = torch.cuda.get_device_properties(device)
        if (gpu.major, gpu.minor) < FIRST_WITH_TENSOR_CORES:
            return (
                "whose products Triton computes without the tensor cores of a GPU of "
                f"compute capability {gpu.major}.{gpu.minor}, which PyTorch's use"
            )
    return None


def _inference_obstacle(
    config: SwinIRConfig,
    device: torch.device,
    dtype: torch.dtype,
    followed: bool,
    backend: AttentionBackend,
) -> str | None:
    if obstacle := _kernels_obstacle(device, backend):
        return obstacle
    if device.type != "cuda":
        return f"which need a CUDA device, this is {device.type}"
    if followed:
        return "which neither gradients nor compilers can follow"
    if dtype.itemsize > 2 and config.dim > MAX_INFERENCE_CHANNELS_FLOAT32:
        most = f"{MAX_INFERENCE_CHANNELS_FLOAT32} channels in float32"
    elif config.dim > MAX_INFERENCE_CHANNELS:
        most = f"{MAX_INFERENCE_CHANNELS} channels"
    else:
        return None
    return f"which hold {most}, here are {config.dim}"


def _training_obstacle(
    config: SwinIRConfig,
    device: torch.device,
    dtype: torch.dtype,
    backend: AttentionBackend,
) -> str | None:
    if obstacle := _kernels_obstacle(device, backend):
        return obstacle
    if dtype.itemsize > 2:
        return (
            "which are for half precision: PyTorch's own products are as quick in "
            + (str(dtype).split(".")[-1])
        )
    hidden = round(config.dim * config.mlp_ratio)
    if config.dim > MAX_TRAINING_CHANNELS or hidden > MAX_TRAINING_HIDDEN:
        return (
            f"which hold {MAX_TRAINING_CHANNELS} channels and {MAX_TRAINING_HIDDEN} "
            f"inside the MLP, here are {config.dim} and {hidden}"
        )
    if len(set(config.num_heads)) > 1:
        return f"which want as many heads in every RSTB, here are {config.num_heads}"
    return None


def _strips_obstacle(
    device: torch.device, followed: bool, backend: AttentionBackend
) -> str | None:
    """Tensors change in place there, which nothing that follows them may see."""
    if device.type != "cpu":
        return f"which are for the cache of a CPU, this is {device.type}"
    if followed:
        return "where tensors change in place, which gradients and compilers forbid"
    if backend.name != "reference":
        return f"which compute attention explicitly, not by {backend.name}"
    return None
