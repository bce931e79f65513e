import copy
import functools
import os
import re
import subprocess
import sys
import threading
import warnings

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from torch._dynamo.testing import CompileCounter
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import swinir_lite.measuring.evaluation as evaluation
from swinir_lite import ResidualCNN, SwinIR, SwinIRConfig
from swinir_lite.measuring import test_sets
from swinir_lite.shifted_windows import attention_mask
from swinir_lite.speed.composed import swin_layer
from swinir_lite.speed.cpu import add_deep_features, layer_in_strips_, strips_of
from swinir_lite.speed.network import FastSwinIR, check_without_waiting, fast, fastest
from swinir_lite.speed.routes import choose_route
from swinir_lite.speed.window_masks import mask_patterns, window_masks

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


def without_kinks(model):
    """With smooth functions in place of LeakyReLU.

    Its slope jumps at 0, where the rounding of another processor moves a value
    across, and a gradient by 1e-3, whoever computes it.
    """
    for sequence in list(model.modules()):
        if isinstance(sequence, torch.nn.Sequential):
            for i, part in enumerate(sequence):
                if isinstance(part, torch.nn.LeakyReLU):
                    sequence[i] = torch.nn.SiLU()
    return model


def distance(value, reference):
    value, reference = value.detach(), reference.detach()
    return float((value - reference).norm() / reference.norm())


@pytest.mark.parametrize("changes", VARIANTS)
@pytest.mark.parametrize("attention", ["reference", "sdpa"])
def test_equals_the_model_forward_and_in_every_gradient(changes, attention):
    model = without_kinks(tiny(**changes))
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
def test_strips_equal_the_model(changes):
    model = tiny(**changes)
    network = fast(model)
    with torch.no_grad():
        for batch, height, width in SIZES + SIZES[:1]:  # and again after others
            image = torch.rand(batch, model.config.in_channels, height, width)
            given = image.clone()
            assert distance(network(image), model(image)) < 1e-5
            assert torch.equal(image, given)


@functools.cache
def network_of_window(side):
    torch.manual_seed(0)
    return tiny(dim=4, depths=(2,), num_heads=(2,), window_size=side)


@hypothesis.given(
    side=st.sampled_from([2, 3, 4]),
    batch=st.integers(1, 3),
    down=st.integers(1, 6),
    across=st.integers(1, 6),
    tokens_at_once=st.sampled_from([1, 9, 16, 40, 100, 10_000]),
    threads=st.sampled_from([1, 2, 3]),
)
@hypothesis.settings(max_examples=150)
@hypothesis.example(side=4, batch=1, down=5, across=1, tokens_at_once=16, threads=1)
def test_any_size_in_strips_of_any_size_equals_the_model(
    side, batch, down, across, tokens_at_once, threads
):
    model, before = network_of_window(side), torch.get_num_threads()
    with torch.no_grad():
        shallow = torch.randn(batch, 4, down * side, across * side)
        torch.set_num_threads(threads)
        found = add_deep_features(model, shallow.permute(0, 2, 3, 1), tokens_at_once)
        torch.set_num_threads(before)
        expected = shallow + model.deep_features(shallow)
    assert distance(found.permute(0, 3, 1, 2), expected) < 1e-5


@pytest.mark.parametrize(("height", "width"), [(513, 8), (520, 1), (1024, 8)])
def test_tall_narrow_pictures_in_several_strips_equal_the_model(height, width):
    model, image = tiny(window_size=8), torch.rand(1, 3, height, width)
    with torch.no_grad():
        assert distance(fast(model)(image), model(image)) < 1e-5


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
        with strips_of(x, 64) as strips:
            result = layer_in_strips_(x, layer, strips)
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
    class Noting(torch.nn.Identity):
        def forward(self, x):
            seen.append(x.dtype)
            return x

    model, seen = tiny(), []
    model.head.insert(0, Noting())
    image = torch.rand(1, 3, 12, 12)
    with torch.set_grad_enabled(gradients), warnings.catch_warnings():
        warnings.simplefilter("error")
        for dtype in (torch.bfloat16, None):
            for given in (image, image.bfloat16()):
                fast(model, dtype=dtype)(given)
    assert seen == 2 * [torch.bfloat16] + 2 * [torch.float32]


def test_a_copy_is_made_without_what_a_gpu_recorded():
    network = fast(tiny())
    network.inference[torch.float32] = threading.Lock()  # no copy, as of a graph
    image = torch.rand(1, 3, 4, 4)
    twin = copy.deepcopy(network)
    assert not twin.inference
    assert network.inference
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
    pair = test_sets.TestPair("black", torch.zeros(1, 3, 8, 8), black)
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
    route = choose_route(model.config, "meta", attention=attention, path="composed")
    for height, width in [(9, 14), (20, 12)]:
        image = torch.empty(1, 3, height, width, device="meta")
        with HostTensors() as host:
            network.composed(image, route)
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


@pytest.mark.parametrize("shape", [(8,), (3, 8, 8), (1, 1, 8, 9), (0, 3, 8, 8)])
def test_the_shape_of_bad_images_on_cuda_is_named(shape):
    with FakeTensorMode():
        image = torch.empty(shape, device="cuda")
        with pytest.raises(ValueError, match=re.escape(str(shape))):
            check_without_waiting(image, 3)
        check_without_waiting(torch.empty(1, 3, 8, 8, device="cuda"), 3)


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
    monkeypatch.setattr("swinir_lite.speed.network.compiled_layer", lambda: compiled)
    model = tiny(dim=4, depths=(2,), num_heads=(2,))
    network = fast(model, compiled=True)
    with torch.no_grad():
        for height, width in [(20, 28), (31, 17)]:
            image = torch.rand(1, 3, height, width)
            assert distance(network(image), model(image)) < 1e-5
    assert counter.frame_count == 2  # shifted or not


def test_the_quickest_way_to_restore_needs_no_switches():
    model = tiny().train()
    network = fastest(model, "cpu")
    restored = network(torch.rand(1, 3, 9, 14))
    assert not restored.requires_grad
    assert not network.training
    assert not model.training
    assert network.route.path == "strips"
    assert str(network.route).startswith("strips in float32 on cpu")


def test_the_quickest_way_to_restore_has_the_type_asked_for():
    image = torch.rand(1, 3, 9, 14)
    network = fastest(tiny(), "cpu", torch.bfloat16)
    assert network.route.dtype == torch.bfloat16
    assert 1e-6 < distance(network(image), network.model(image)) < 2e-2


@pytest.mark.parametrize(
    ("capability", "dtype"),
    [((6, 1), torch.float32), ((7, 5), torch.float16), ((8, 0), torch.bfloat16)],
)
def test_a_network_restores_in_the_type_of_a_gpu_s_tensor_cores(
    capability, dtype, monkeypatch
):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(SwinIR, "to", lambda model, device: model)
    assert fastest(tiny(), "cuda").dtype == dtype


def test_a_network_without_windows_is_returned_as_it_is():
    model = ResidualCNN()
    assert fastest(model, "cpu") is model
    assert not model.training


@pytest.mark.parametrize(("given", "used"), [(None, "10000"), ("7", "7")])
def test_threads_that_wait_spin_briefly_unless_told_otherwise(given, used):
    environment = {k: v for k, v in os.environ.items() if k != "GOMP_SPINCOUNT"}
    environment |= {"GOMP_SPINCOUNT": given} if given else {}
    code = "import os, swinir_lite; print(os.environ['GOMP_SPINCOUNT'])"
    command = [sys.executable, "-c", code]
    shown = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True
    )
    assert shown.stdout.strip() == used


def beyond_float16(model, image):
    """Features at the end of the last block that leave the range of float16."""
    conv, found = model.blocks[-1].conv, []
    hook = conv.register_forward_hook(lambda _, x, y: found.append(y.abs().max()))
    with torch.no_grad():
        model(image)
        hook.remove()
        for parameter in list(conv.parameters())[-2:]:
            parameter *= 1e5 / found[0]
    return model


@pytest.mark.parametrize("changes", [{}, {"resi_connection": "3conv"}])
@pytest.mark.parametrize("gradients", [False, True])
def test_features_beyond_float16_are_kept_within_its_range(changes, gradients):
    """As those of trained networks, whose last norm takes them back."""
    image = torch.rand(1, 3, 8, 9)
    model = beyond_float16(tiny(**changes), image)
    features = []
    model.norm_out.register_forward_hook(lambda _, x, y: features.append(x[0]))
    with torch.set_grad_enabled(gradients), warnings.catch_warnings():
        warnings.simplefilter("error")
        expected = model(image)
        network = FastSwinIR(without_hooks(model), dtype=torch.float16, path="composed")
        restored = network(image)
    assert features[0].abs().max() > torch.finfo(torch.float16).max
    assert distance(restored, expected) < 2e-3


def without_hooks(model):
    model.norm_out._forward_hooks.clear()
    return model


def test_what_float16_cannot_hold_is_computed_once_more_in_float32():
    model, image = tiny(), torch.rand(1, 3, 8, 9)
    with torch.no_grad():
        model.blocks[0].layers[0].mlp.fc2.weight *= 1e8
        network = fast(model, dtype=torch.float16)
        with pytest.warns(RuntimeWarning, match="once more in float32"):
            restored = network(image)
        assert (restored - model(image)).abs().max() < 1e-4
    with warnings.catch_warnings():  # gradients are for the scale of a loss to mend
        warnings.simplefilter("error")
        assert not network(image).isfinite().all()


@pytest.mark.parametrize("dtype", [torch.int8, "bfloat16"])
def test_a_type_that_computes_nothing_is_refused(dtype):
    with pytest.raises(ValueError, match="dtype must be one of"):
        fast(SwinIR(SwinIRConfig(dim=8, depths=(1,), num_heads=(2,))), dtype=dtype)
