"""Whether a path computes on a device what it should, found out at its first use.

Kernels are right where they were tried. Elsewhere a compiler, a driver or a library
may do what nobody foresaw: so the first call on a CUDA device compares the path with
the explicit form, on a tile of a few windows and with the network's own weights. A
path that fails is not used, and `choose_route` says why.
"""

import copy
import threading
import warnings
from collections.abc import Callable
from dataclasses import fields
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from ..errors import is_out_of_memory
from ..swinir import SwinIR, SwinIRConfig

if TYPE_CHECKING:
    from .network import FastSwinIR
    from .routes import Route

CHECKED = ("inference_kernels", "training_kernels", "composed")  # where Triton computes
DEVICES = {"cuda"}  # types of device on which a first use is looked at
FIELDS = tuple(field.name for field in fields(SwinIRConfig))

# What a path may be off by: so many times what the explicit form is in the same type,
# since kernels also keep the features between layers in it, and a little more
TIMES = 10
MARGIN = {torch.float16: 5e-3, torch.bfloat16: 3e-2}
MARGIN_OF_OTHERS = 1e-3

Key = tuple


class Finding(NamedTuple):
    """What the first use of a path found."""

    said: str
    failed: bool


FINDINGS: dict[Key, Finding] = {}
LOCK = threading.RLock()


def key_of(
    path: str,
    config: SwinIRConfig,
    device: torch.device,
    dtype: torch.dtype,
    followed: bool,
) -> Key:
    """What a finding is about: hashable, and of constants."""
    sizes = tuple(getattr(config, name) for name in FIELDS)
    return path, sizes, name_of(device), dtype, followed


def name_of(device: torch.device) -> str:
    """A device's name with its index: "cuda" alone means the current one."""
    if device.type == "cuda" and device.index is None and torch.cuda.is_available():
        return f"cuda:{torch.cuda.current_device()}"
    return str(device)


def found(key: Key) -> Finding | None:
    """What the first use of a path found, or None if there was none yet."""
    return FINDINGS.get(key)


def is_due(route: "Route", config: SwinIRConfig) -> bool:
    """Whether a call by this route is a first use that can be looked at."""
    if route.device.type not in DEVICES or route.attention.name != "triton":
        return False
    if route.path not in CHECKED or torch.compiler.is_compiling():
        return False
    if route.device.type == "cuda" and torch.cuda.is_current_stream_capturing():
        return False
    key = key_of(route.path, config, route.device, route.dtype, route.followed)
    return key not in FINDINGS


def check(network: "FastSwinIR", route: "Route") -> Finding:
    """Compare a path with the explicit form, keep what was found, warn if it failed.

    Returns what was found. Out of memory says nothing about a path: that is raised.
    """
    key = key_of(route.path, network.config, route.device, route.dtype, route.followed)
    with LOCK:  # a second thread waits for what the first finds
        if key in FINDINGS:
            return FINDINGS[key]
        FINDINGS[key] = finding = compare(network, route)
    if finding.failed:
        path = route.path.replace("_", " ")
        warnings.warn(
            f"{path} in {route.dtype} on {route.device} {finding.said}; "
            "another path computes",
            RuntimeWarning,
            stacklevel=2,
        )
    return finding


def compare(network: "FastSwinIR", route: "Route") -> Finding:
    """Of a path and of the explicit form, how far they are from float32."""
    model, dtype = network.model, route.dtype
    exact = copy.deepcopy(model).to(torch.promote_types(dtype, torch.float32))
    with torch.autocast(route.device.type, enabled=False):
        image = tile(network.config, route.device)
        expected = outcome(exact, exact, image, route.followed)
        explicit = outcome(network.explicit(exact, dtype), exact, image, route.followed)
        try:
            ours = outcome(
                lambda x: network.compute(x, route),
                model,
                image.to(model.norm_in.weight.dtype),
                route.followed,
            )
        except Exception as error:  # whatever a compiler, driver or library says
            if is_out_of_memory(error):
                raise
            line = (str(error).strip() or type(error).__name__).splitlines()[0]
            return Finding(f"failed at its first use here: {line}", True)
    base = image if network.config.upsampler == "none" else exact.mean
    return judge(
        relative_error(ours, expected, base), relative_error(explicit, expected, base),
        dtype,
    )  # fmt: skip


def tile(config: SwinIRConfig, device: torch.device) -> Tensor:
    """An image of 2 x 3 windows, some of which a shift brings together."""
    side = config.window_size
    generator = torch.Generator("cpu").manual_seed(0)  # leaves the user's own alone
    shape = 1, config.in_channels, 2 * side, 3 * side
    return torch.rand(shape, generator=generator, device="cpu").to(device)


def outcome(
    function: Callable[[Tensor], Tensor], model: SwinIR, image: Tensor, followed: bool
) -> list[Tensor]:
    """What a network makes of an image and, if followed, its gradients."""
    with torch.set_grad_enabled(followed):
        image = image.to(model.norm_in.weight.dtype).detach().requires_grad_(followed)
        output = function(image)
        if not followed:
            return [output]
        weights = torch.linspace(-1, 1, output.numel(), device=output.device)
        loss = (output.float() * weights.view_as(output)).sum()
        sought = [image, *(p for p in model.parameters() if p.requires_grad)]
        return [output.detach(), *torch.autograd.grad(loss, sought)]


def relative_error(found: list[Tensor], expected: list[Tensor], base: Tensor) -> float:
    """The largest of an output's and its gradients' errors.

    The output counts without `base`, which it is the network's part to change; a
    gradient much smaller than the rest counts by the size of the rest.
    """
    found, expected = ([x.double() for x in part] for part in (found, expected))
    sizes = [x.norm() for x in expected]
    sizes[0] = (expected[0] - base).norm()
    if len(sizes) > 1:
        least = 1e-2 * torch.stack(sizes[1:]).norm()
        sizes[1:] = [torch.maximum(size, least) for size in sizes[1:]]
    errors = [(a - b).norm() / size for a, b, size in zip(found, expected, sizes)]
    return float(torch.stack(errors).max())


def judge(error: float, explicit: float, dtype: torch.dtype) -> Finding:
    """Whether an error is one of rounding, by that of the explicit form."""
    said = f"is off by {error:.1e} at its first use here, the explicit form by "
    limit = TIMES * explicit + MARGIN.get(dtype, MARGIN_OF_OTHERS)
    comparable = explicit < float("inf")  # which NaN is not
    return Finding(f"{said}{explicit:.1e}", comparable and not error <= limit)
