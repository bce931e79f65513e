import importlib.util
import re
from typing import NamedTuple

import pytest
import torch

from swinir_lite import SwinIR, SwinIRConfig, attention_backend
from swinir_lite.errors import InputError
from swinir_lite.speed import first_use, routes
from swinir_lite.speed.network import FastSwinIR, fast
from swinir_lite.speed.routes import PATHS, choose_route
from swinir_lite.variants import RELEASED

TINY = {"dim": 12, "depths": (2, 1), "num_heads": (2, 2), "window_size": 4}
LOW = torch.bfloat16


def config(**changes):
    return SwinIRConfig(**{**TINY, **changes})


class Properties(NamedTuple):
    """Of a GPU, as far as routes ask for them."""

    major: int
    minor: int


def pretend(monkeypatch, major, minor):
    found = Properties(major, minor)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: found)


@pytest.fixture
def gpu(monkeypatch):
    """A GPU of compute capability 9.0 with Triton, as far as routes can see."""
    monkeypatch.delenv("SWINIR_ATTENTION", raising=False)
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    pretend(monkeypatch, 9, 0)
    monkeypatch.setattr(routes, "TRITON_INSTALLED", True)


@pytest.fixture
def cpu(monkeypatch):
    monkeypatch.delenv("SWINIR_ATTENTION", raising=False)
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("followed", [False, True])
def test_a_gpu_whose_tensor_cores_triton_leaves_idle_is_served(
    dtype, followed, gpu, monkeypatch
):
    """A T4: attention by the fused kernel, products by PyTorch's libraries."""
    pretend(monkeypatch, 7, 5)
    route = choose_route(config(), "cuda", dtype, followed)
    assert (route.path, route.attention.name) == ("composed", "triton")
    assert "capability 7.5" in route.reason
    pretend(monkeypatch, 8, 0)
    kernels = "training_kernels" if followed else "inference_kernels"
    path = "composed" if followed and dtype == torch.float32 else kernels
    assert choose_route(config(), "cuda", dtype, followed).path == path


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"window_size": 9}, "9x9"), ({"num_heads": (1, 1), "dim": 33}, "33 channels")],
)
def test_attention_follows_what_a_tile_of_triton_holds(changes, reason, gpu):
    name, why = attention_backend("cuda", config=config(**changes))
    assert name == "sdpa"
    assert reason in why
    with pytest.raises(RuntimeError, match=reason):
        attention_backend("cuda", "triton", config(**changes))
    for released in RELEASED.values():
        assert attention_backend("cuda", config=released).name == "triton"


def test_attention_on_a_cpu_is_explicit_and_says_why(cpu):
    name, reason = attention_backend("cpu")
    assert name == "reference"
    assert "cpu" in reason


def test_attention_is_overridden_by_argument_and_by_environment(monkeypatch):
    monkeypatch.setenv("SWINIR_ATTENTION", "reference")
    assert attention_backend("cpu").name == "reference"
    assert attention_backend("cpu", "sdpa").name == "sdpa"


@pytest.mark.parametrize("missing", ["triton", None])
def test_what_cannot_run_is_refused_in_a_line_not_replaced(missing, gpu, monkeypatch):
    network = fast(SwinIR(config()), attention="triton")
    with pytest.raises(RuntimeError, match=r"'triton' cannot run: .*cpu") as raised:
        network(torch.rand(1, 3, 4, 4))
    assert isinstance(raised.value, InputError)
    assert "\n" not in str(raised.value)
    with pytest.raises(ValueError, match="flash"):
        attention_backend("cpu", "flash")
    monkeypatch.setattr(routes, "TRITON_INSTALLED", False)
    with pytest.raises(RuntimeError, match="triton is not installed"):
        attention_backend("cuda", "triton")


# What is computed, on what, and the path that serves it
SERVED = [
    ("cuda", LOW, False, {}, "inference_kernels"),
    ("cuda", torch.float16, False, {"dim": 180}, "inference_kernels"),
    ("cuda", LOW, False, {"num_heads": (2, 3)}, "inference_kernels"),
    ("cuda", LOW, False, {"dim": 240, "num_heads": (8, 8)}, "inference_kernels"),
    ("cuda", LOW, False, {"dim": 256, "num_heads": (8, 8)}, "composed"),
    ("cuda", LOW, False, {"window_size": 9}, "composed"),
    ("cuda", torch.float32, False, {}, "inference_kernels"),
    ("cuda", torch.float32, False, {"dim": 64}, "composed"),
    ("cuda", torch.float64, False, {}, "composed"),
    ("cuda", LOW, True, {}, "training_kernels"),
    ("cuda", LOW, True, {"dim": 63, "num_heads": (3, 3)}, "training_kernels"),
    ("cuda", LOW, True, {"dim": 64}, "composed"),
    ("cuda", LOW, True, {"mlp_ratio": 12.0}, "composed"),
    ("cuda", LOW, True, {"num_heads": (2, 3)}, "composed"),
    ("cuda", LOW, True, {"window_size": 9}, "composed"),
    ("cuda", torch.float32, True, {}, "composed"),
    ("cpu", torch.float32, False, {}, "strips"),
    ("cpu", LOW, False, {}, "strips"),
    ("cpu", torch.float32, True, {}, "composed"),
    ("meta", torch.float32, False, {}, "composed"),
]


@pytest.mark.parametrize(("device", "dtype", "followed", "changes", "path"), SERVED)
def test_the_path_follows_device_type_width_and_gradients(
    device, dtype, followed, changes, path, gpu
):
    if changes.get("dim") == 180:
        changes = {**changes, "num_heads": (6, 6)}
    route = choose_route(config(**changes), device, dtype, followed)
    assert route.path == path
    quicker = list(PATHS)[: list(PATHS).index(path)]
    for name in quicker:  # and why none of them
        assert name.replace("_", " ") in route.reason
    assert "\n" not in str(route)


def test_every_path_that_is_chosen_by_itself_is_chosen_somewhere():
    assert {row[-1] for row in SERVED} == set(PATHS) - {"compiled"}


@pytest.mark.parametrize("path", PATHS)
def test_a_path_insisted_on_serves_or_is_refused(path, gpu):
    served = {"inference_kernels", "training_kernels", "composed", "compiled"}
    if path in served:
        assert choose_route(config(), "cuda", LOW, path=path).path == path
    else:
        with pytest.raises(RuntimeError, match=f"'{path}' cannot run: .*cuda"):
            choose_route(config(), "cuda", LOW, path=path)
    if path not in ("composed", "compiled"):
        with pytest.raises(RuntimeError, match=f"'{path}' cannot run"):
            choose_route(config(), "cpu", path=path, followed=True)


def test_an_unknown_path_is_named():
    with pytest.raises(ValueError, match=r"path must be one of .*'fused'"):
        choose_route(config(), "cpu", path="fused")


def test_strips_are_for_explicit_attention(cpu):
    assert choose_route(config(), "cpu", attention="sdpa").path == "composed"


def test_compilers_follow_what_runs_under_them(cpu, monkeypatch):
    network = fast(SwinIR(config()))
    with torch.no_grad():
        assert network.route.path == "strips"
        monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
        assert network.route.path == "composed"


@pytest.mark.parametrize("path", [*PATHS, None])
def test_a_network_takes_the_path_that_its_route_says(path, monkeypatch):
    monkeypatch.delenv("SWINIR_ATTENTION", raising=False)
    network, taken = FastSwinIR(SwinIR(config()), path=path), []
    for name in PATHS:
        monkeypatch.setattr(
            network, name, lambda x, route, n=name: taken.append(n) or x
        )
    for gradients in (True, False):
        with torch.set_grad_enabled(gradients):
            try:
                said = network.route.path
            except RuntimeError as error:
                with pytest.raises(RuntimeError, match=re.escape(str(error))):
                    network(torch.rand(1, 3, 4, 4))
                continue
            network(torch.rand(1, 3, 4, 4))
            assert taken.pop() == said
    assert not taken


def test_compiled_is_for_those_who_ask():
    assert fast(SwinIR(config()), compiled=True).route.path == "compiled"


def test_a_path_that_failed_at_its_first_use_gives_way_to_the_next(gpu, monkeypatch):
    monkeypatch.setattr(first_use, "FINDINGS", {})
    failed = ["inference_kernels", "training_kernels", "composed"]
    followed, reasons = False, []
    for name, then in zip(failed, [*failed[1:], "composed"]):
        key = first_use.key_of(name, config(), torch.device("cuda"), LOW, followed)
        first_use.FINDINGS[key] = first_use.Finding(f"is off by {name}", True)
        route = choose_route(config(), "cuda", LOW, followed)
        assert route.path == then
        reasons.append(str(route))
    for name, reason in zip(failed, reasons):
        assert f"is off by {name}" in reason
    name, why = attention_backend("cuda", config=config(), dtype=LOW)
    assert name == "sdpa"
    assert "off by composed" in why
    assert attention_backend("cuda", config=config()).name == "triton"


@pytest.mark.parametrize("attention", [None, "triton"])
def test_a_compiler_follows_the_choice_of_a_route(attention, gpu, monkeypatch):
    """It cannot ask the system for packages, or the driver for a capability."""

    def untraceable(function):
        """As it is for the compiler's own questions, which does not trace those."""

        @torch.compiler.disable
        def asked(*args, **options):
            return function(*args, **options) if torch.cuda.is_available() else None

        return asked

    for module, name in (
        (importlib.util, "find_spec"), (torch.cuda, "get_device_capability")
    ):  # fmt: skip
        monkeypatch.setattr(module, name, untraceable(getattr(module, name)))
    served = {"cuda": "training_kernels", "cpu": "composed"}

    def taken(x):
        for device in ("cuda", "cpu"):
            insisted = attention if device == "cuda" else None
            path = choose_route(config(), device, LOW, True, insisted).path
            x = x + (path == served[device])
        return x

    compiled = torch.compile(taken, backend="eager", fullgraph=True)
    assert compiled(torch.zeros(())) == 2
