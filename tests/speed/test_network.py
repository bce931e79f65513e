import copy
import re
import sys
import threading
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch._dynamo.testing import CompileCounter
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import swinir_lite.measuring.evaluation as evaluation
from swinir_lite import SwinIR, SwinIRConfig
from swinir_lite.measuring.test_sets import TestPair
from swinir_lite.shifted_windows import attention_mask
from swinir_lite.speed.cpu import Scratch, swin_layer_
from swinir_lite.speed.network import (
    attention_backend,
    check_without_waiting,
    fast,
    swin_layer,
)
from swinir_lite.speed.window_masks import mask_patterns, window_masks
from swinir_lite.variants import RELEASED

TINY = {"dim": 12, "depths": (2, 1), "num_heads": (2, 3), "window_size": 4}
VARIANTS = [
    {"upsampler": "pixelshuffledirect", "scale": 2},
    {"upsampler": "pixelshuffle", "scale": 3},
    {"upsampler": "nearest+conv", "scale": 4, "resi_connection": "3conv"},
    {"upsampler": "none", "scale": 1, "in_channels": 1}
    | {"window_size": 7, "img_range": 255.0},
]
SIZES = [(1, 9, 14), (2, 28, 21), (1, 3, 2)]  # B, H, W: padded, not padded, tiny


def tiny(**changes):
    model = SwinIR(SwinIRConfig(**{**TINY, **changes})).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return model


def distance(value, reference):
    value, reference = value.detach(), reference.detach()
    return float((value - reference).norm() / reference.norm())


@pytest.mark.parametrize("changes", VARIANTS)
@pytest.mark.parametrize("attention", ["reference", "sdpa"])
def test_equals_the_model_forward_and_in_every_gradient(changes, attention):
    model = tiny(**changes)
    network = fast(model, attention)
    parameters = list(model.parameters())
    for batch, height, width in SIZES:
        image = torch.rand(batch, model.config.in_channels, height, width)
        expected, restored = model(image), network(image)
        assert distance(restored, expected) < 1e-5
        grad = torch.randn_like(expected)
        for ours, reference in zip(
            torch.autograd.grad(restored, parameters, grad),
            torch.autograd.grad(expected, parameters, grad),
        ):
            assert distance(ours, reference) < 1e-5


@pytest.mark.parametrize("changes", VARIANTS)
@pytest.mark.parametrize("tokens_at_once", [1, 150, 10_000])
def test_strips_equal_the_model(changes, tokens_at_once, monkeypatch):
    monkeypatch.setattr("swinir_lite.speed.cpu.TOKENS_AT_ONCE", tokens_at_once)
    model = tiny(**changes)
    network = fast(model)
    with torch.no_grad():
        for batch, height, width in SIZES + SIZES[:1]:  # and again after others
            image = torch.rand(batch, model.config.in_channels, height, width)
            given = image.clone()
            assert distance(network(image), model(image)) < 1e-5
            assert torch.equal(image, given)


def test_strips_equal_the_model_where_exponentials_would_overflow():
    model = tiny()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "qkv.weight" in name:
                parameter *= 30
        image = torch.rand(1, 3, 12, 16)
        assert distance(fast(model)(image), model(image)) < 1e-5


def test_gradients_after_inference():
    mask_patterns.cache_clear()
    network = fast(tiny())
    image = torch.rand(1, 3, 8, 12)
    with torch.no_grad():
        expected = network(image)
    assert not mask_patterns(4, 2, image.device).is_inference()
    restored = network(image)
    restored.sum().backward()
    assert distance(restored, expected) < 1e-5
    assert not expected.is_inference()


def test_strips_change_their_input_in_place():
    layer = tiny().blocks[0].layers[1]
    x = torch.randn(1, 8, 12, 12)
    with torch.no_grad():
        expected = layer(x)
        result = swin_layer_(x, layer, Scratch(torch.empty(0), torch.empty(0)))
    assert result is x
    assert distance(x, expected) < 1e-5


def test_bfloat16_is_off_by_its_rounding_and_never_nan():
    model = tiny()
    image = torch.rand(1, 3, 12, 12)
    for gradients in (True, False):
        with torch.set_grad_enabled(gradients):
            restored = fast(model, dtype=torch.bfloat16)(image)
        assert restored.isfinite().all()
        assert 1e-6 < distance(restored, model(image)) < 2e-2


@pytest.mark.parametrize("gradients", [True, False])
def test_products_have_the_type_asked_for_whatever_that_of_the_image(gradients):
    model, seen = tiny(), []
    model.head.register_forward_pre_hook(lambda head, x: seen.append(x[0].dtype))
    image = torch.rand(1, 3, 12, 12)
    with torch.set_grad_enabled(gradients), warnings.catch_warnings():
        warnings.simplefilter("error")
        for dtype in (torch.bfloat16, None):
            for given in (image, image.bfloat16()):
                fast(model, dtype=dtype)(given)
    assert seen == 2 * [torch.bfloat16] + 2 * [torch.float32]


def test_a_copy_is_made_without_what_a_gpu_recorded():
    network = fast(tiny())
    network.inference = threading.Lock()  # cannot be copied, as a graph cannot
    image = torch.rand(1, 3, 4, 4)
    twin = copy.deepcopy(network)
    assert twin.inference is None
    assert network.inference is not None
    assert torch.equal(twin(image), network(image))


def test_training_it_trains_the_model():
    model = tiny()
    network = fast(model)
    own = {id(parameter) for parameter in model.parameters()}
    assert {id(parameter) for parameter in network.parameters()} == own
    before = model.conv_first.weight.clone()
    network(torch.rand(1, 3, 4, 4)).sum().backward()
    torch.optim.SGD(network.parameters(), lr=0.1).step()
    assert not torch.equal(before, model.conv_first.weight)


@pytest.mark.parametrize("training", [True, False])
def test_wrapping_and_evaluating_leave_the_mode_of_the_model(training):
    model = tiny().train(training)
    network = fast(model)
    assert network.training == training
    black = np.zeros((16, 16, 3), np.uint8)
    pair = TestPair("black", torch.zeros(1, 3, 8, 8), black)
    evaluation.evaluate(network, [pair], border=0)
    assert all(module.training == training for module in model.modules())


@pytest.mark.parametrize(("height", "width"), [(8, 12), (4, 8), (4, 4)])
def test_masks_of_any_size_are_put_together_from_four(height, width):
    for shift in (1, 2, 3):
        found = window_masks(height, width, 4, shift, torch.device("cpu"))
        assert torch.equal(found, attention_mask(height, width, 4, shift))


class HostTensors(TorchDispatchMode):
    """Operations that touch a tensor on the host."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        output = operation(*args, **(kwargs or {}))
        for value in tree_leaves((args, kwargs, output)):
            if torch.is_tensor(value) and value.device.type == "cpu":
                self.found.append(str(operation))
        return output


@pytest.mark.parametrize("attention", ["reference", "sdpa"])
def test_nothing_is_made_on_the_host_and_copied(attention):
    model = tiny().to("meta")  # a device that is not the host, as a GPU is
    network = fast(model, attention)
    for height, width in [(9, 14), (20, 12)]:
        image = torch.empty(1, 3, height, width, device="meta")
        with HostTensors() as host:
            network.differentiable(image, attention, torch.float32)
        assert not host.found


def test_the_mask_of_sdpa_lies_as_its_fused_kernels_want(monkeypatch):
    strides = []  # otherwise CUDA takes its slow path, without a word

    def note(q, k, v, mask, scale):
        strides.append(mask.stride()[-2:])
        return q

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", note)
    with torch.no_grad():
        fast(tiny(), "sdpa")(torch.rand(1, 3, 9, 14))
    assert strides == 3 * [(16, 1)]


@pytest.mark.parametrize(("major", "expected"), [(7, "sdpa"), (8, "triton")])
def test_backend_follows_what_triton_supports(major, expected, monkeypatch):
    monkeypatch.delenv("SWINIR_ATTENTION", raising=False)
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (major, 5))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    name, reason = attention_backend("cuda")
    assert name == expected
    assert major == 8 or "has 7.5" in reason


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"window_size": 9}, "9x9"), ({"num_heads": (1,), "dim": 33}, "33 channels")],
)
def test_backend_follows_what_a_tile_of_triton_holds(changes, reason, monkeypatch):
    pytest.importorskip("triton", reason="the limits are those of its kernels")
    monkeypatch.delenv("SWINIR_ATTENTION", raising=False)
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    config = SwinIRConfig(**{**TINY, "num_heads": (1,), "depths": (1,), **changes})
    name, why = attention_backend("cuda", config=config)
    assert name == "sdpa"
    assert reason in why
    with pytest.raises(RuntimeError, match=reason):
        attention_backend("cuda", "triton", config)
    for released in RELEASED.values():
        assert attention_backend("cuda", config=released).name == "triton"


def test_packed_inference_is_for_half_precision_outside_of_compilers(monkeypatch):
    pytest.importorskip("triton", reason="the limits are those of its kernels")
    network, image = fast(tiny()), SimpleNamespace(is_cuda=True)
    low = torch.bfloat16
    assert not network._prepared(image, low)  # gradients are followed
    with torch.no_grad():
        assert network._prepared(image, low)
        assert not network._prepared(image, torch.float32)
        assert not network._prepared(image, torch.float64)
        assert not network._fuses_layers("triton", torch.float64)
        monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
        assert not network._prepared(image, low)


def test_strips_are_for_a_cpu():
    network = fast(tiny())
    with torch.no_grad():
        assert network._in_strips(torch.empty(1), "reference")
        assert not network._in_strips(torch.empty(1, device="meta"), "reference")


@pytest.mark.parametrize("shape", [(8,), (3, 8, 8), (1, 1, 8, 9), (0, 3, 8, 8)])
def test_the_shape_of_bad_images_on_cuda_is_named(shape):
    with FakeTensorMode():
        image = torch.empty(shape, device="cuda")
        with pytest.raises(ValueError, match=re.escape(str(shape))):
            check_without_waiting(image, 3)
        check_without_waiting(torch.empty(1, 3, 8, 8, device="cuda"), 3)


@pytest.mark.parametrize(
    ("changes", "fused"),
    [
        ({}, True),
        ({"mlp_ratio": 12.0}, False),  # too wide for the chip, as is the next
        ({"dim": 66, "num_heads": (3, 3)}, False),
        ({"num_heads": (2, 3)}, False),
    ],
)
def test_layers_are_fused_where_their_weights_fit_on_chip(changes, fused):
    pytest.importorskip("triton", reason="the limits are those of its kernels")
    network = fast(tiny(**{"num_heads": (2, 2), **changes}), "triton")
    assert network._fuses_layers("triton", torch.bfloat16) == fused
    assert not network._fuses_layers("triton", torch.float32)
    assert not network._fuses_layers("sdpa", torch.bfloat16)


def test_backend_on_a_cpu_is_explicit_and_says_why(monkeypatch):
    monkeypatch.delenv("SWINIR_ATTENTION", raising=False)
    name, reason = attention_backend("cpu")
    assert name == "reference"
    assert "cpu" in reason


def test_backend_is_overridden_by_argument_and_by_environment(monkeypatch):
    monkeypatch.setenv("SWINIR_ATTENTION", "reference")
    assert attention_backend("cpu").name == "reference"
    assert attention_backend("cpu", "sdpa").name == "sdpa"


def test_a_backend_that_cannot_run_is_refused_not_replaced(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(RuntimeError, match=r"'triton' cannot run: .*cpu"):
        fast(tiny(), attention="triton")(torch.rand(1, 3, 4, 4))
    with pytest.raises(ValueError, match="flash"):
        attention_backend("cpu", "flash")


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (torch.rand(3, 8, 8), r"\(3, 8, 8\)"),
        (torch.rand(1, 1, 8, 8), r"\(1, 1, 8, 8\)"),
        (torch.full((1, 3, 4, 4), torch.nan), "values to nan"),
    ],
)
def test_bad_images_are_refused_as_by_the_model(image, message):
    with pytest.raises(ValueError, match=message):
        fast(tiny())(image)


def test_one_compilation_serves_all_layers_and_sizes(monkeypatch):
    counter = CompileCounter()
    compiled = torch.compile(swin_layer, backend=counter, dynamic=True)
    monkeypatch.setattr(
        sys.modules["swinir_lite.speed.network"], "compiled_layer", lambda: compiled
    )
    model = tiny(dim=4, depths=(2,), num_heads=(2,))
    network = fast(model, compiled=True)
    with torch.no_grad():
        for height, width in [(20, 28), (31, 17)]:
            image = torch.rand(1, 3, height, width)
            assert distance(network(image), model(image)) < 1e-5
    assert counter.frame_count == 2  # shifted or not
