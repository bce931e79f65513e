"""The look at a path's first use, in Triton's interpreter or on a GPU."""

import warnings

import pytest
import torch

pytest.importorskip("triton", reason="the kernels need the package triton")

from swinir_lite import SwinIR, SwinIRConfig, attention_backend
from swinir_lite.speed import cuda, first_use
from swinir_lite.speed.kernels import attention, inference_layer, training_layer
from swinir_lite.speed.network import fast
from swinir_lite.speed.routes import RouteError, choose_route

from .test_kernels import noisy

TINY = {"dim": 12, "depths": (2,), "num_heads": (2,), "window_size": 4}
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


@pytest.fixture(autouse=True)
def _looked_at(monkeypatch, _seed):
    """Wherever the kernels run, and with nothing found yet."""
    monkeypatch.setattr(first_use, "DEVICES", {DEVICE})
    monkeypatch.setattr(first_use, "FINDINGS", {})


def network(dtype, attention="triton", **changes):
    model = noisy(SwinIR(SwinIRConfig(**{**TINY, **changes}))).to(DEVICE)
    return fast(model, attention, dtype)


def image(network):
    return torch.rand(1, network.config.in_channels, 5, 6, device=DEVICE)


def wrong(monkeypatch, module, name, change=lambda y: 1.1 * y):
    right = getattr(module, name)
    monkeypatch.setattr(module, name, lambda *args: change(right(*args)))


def wrong_attention(monkeypatch, gradients=False):
    """Of training kernels and of the composed path."""
    name = "attention_backward" if gradients else "attention_forward"
    change = (lambda pair: (1.5 * pair[0], pair[1])) if gradients else torch.zeros_like
    wrong(monkeypatch, training_layer, name, change)


def test_a_path_that_is_right_is_used_and_says_by_how_much():
    net = network(torch.float16)
    assert "first use" not in net.route.reason
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        net(image(net))
    assert net.route.path == "training_kernels"
    assert "it is off by" in net.route.reason


def test_what_was_found_holds_for_the_process(monkeypatch):
    net, again = network(torch.float16), network(torch.float16)
    net(image(net))
    monkeypatch.setattr(first_use, "compare", None)  # not called any more
    again(image(again))
    assert not first_use.is_due(again.route, again.config)
    assert first_use.is_due(network(torch.bfloat16).route, net.config)
    other = network(torch.float16, upsampler="none", scale=1)
    assert first_use.is_due(other.route, other.config)


@pytest.mark.parametrize("gradients", [False, True])
def test_wrong_kernels_are_not_used_and_one_warning_says_so(gradients, monkeypatch):
    wrong_attention(monkeypatch, gradients)
    net = network(torch.float16)
    given = image(net)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        restored = net(given)
        net(given)
    assert len([w for w in warned if "another path" in str(w.message)]) == 1
    assert net.route.path == "composed"
    assert "no training kernels, which is off by" in net.route.reason
    torch.testing.assert_close(restored, net.model(given), rtol=0.02, atol=0.05)
    with pytest.raises(RouteError, match=r"'training_kernels' cannot run: .*off by"):
        choose_route(
            net.config, DEVICE, torch.float16, True, "triton", "training_kernels"
        )


def test_gradients_are_not_looked_at_where_none_flow(monkeypatch):
    wrong_attention(monkeypatch, gradients=True)
    net = network(torch.float16)
    with torch.no_grad():
        net(image(net))
    path = "inference_kernels" if DEVICE == "cuda" else "training_kernels"
    assert net.route.path == "training_kernels"  # with gradients: not known yet
    with torch.no_grad():
        assert net.route.path == path
    assert "first use" not in net.route.reason


def test_what_fails_to_compile_or_to_fit_is_found_before_it_is_needed(monkeypatch):
    class Refused:
        def __getitem__(self, grid):
            raise RuntimeError("out of resource: shared memory\nRequired: 70000")

    monkeypatch.setattr(training_layer, "training_tail_kernel", Refused())
    net = network(torch.float16)
    with pytest.warns(RuntimeWarning, match="out of resource: shared memory; another"):
        net(image(net))
    assert "failed at its first use here: out of resource" in net.route.reason


def test_out_of_memory_says_nothing_about_a_path(monkeypatch):
    def refuse(*args):
        raise torch.OutOfMemoryError("no memory")

    monkeypatch.setattr(training_layer, "attention_forward", refuse)
    net = network(torch.float16)
    with pytest.raises(torch.OutOfMemoryError):
        net(image(net))
    assert not first_use.FINDINGS


def test_attention_that_is_wrong_is_refused_with_the_reason(monkeypatch):
    wrong(monkeypatch, attention, "_window_attention", lambda y: 1.5 * y)
    net = network(torch.float32)
    refused = pytest.raises(RouteError, match="'triton' cannot run: Triton's is off by")
    with pytest.warns(RuntimeWarning, match="composed in torch.float32"), refused:
        net(image(net))
    with pytest.raises(RouteError, match="off by"):
        attention_backend(DEVICE, "triton", net.config)
    assert "off by" not in attention_backend(DEVICE, config=SwinIRConfig()).reason


@pytest.mark.parametrize("planted", [None, "_attend", "add_features"])
@pytest.mark.parametrize("upsampler", ["none", "pixelshuffle"])
def test_inference_kernels_are_looked_at(planted, upsampler, monkeypatch):
    net = network(torch.float16, upsampler=upsampler, scale=1 + (upsampler != "none"))
    if planted == "_attend":
        wrong(monkeypatch, inference_layer, planted, torch.zeros_like)
    elif planted:
        wrong(monkeypatch, cuda, planted, lambda pair: (1.2 * pair[0], pair[1]))
    with torch.no_grad():
        route = net.route._replace(path="inference_kernels", followed=False)
        if planted:
            with pytest.warns(RuntimeWarning, match="inference kernels in"):
                assert first_use.check(net, route).failed
        else:
            assert not first_use.check(net, route).failed


def test_nothing_is_looked_at_under_a_compiler_or_without_kernels(monkeypatch):
    net = network(torch.float16)
    assert first_use.is_due(net.route, net.config)
    explicit = network(torch.float16, "reference")
    assert not first_use.is_due(explicit.route, net.config)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    assert not first_use.is_due(net.route, net.config)


def test_a_form_that_is_not_finite_cannot_be_compared_with():
    nan = float("nan")
    assert not first_use.judge(nan, nan, torch.float16).failed
    assert first_use.judge(nan, 1e-3, torch.float16).failed
    assert first_use.judge(0.2, 1e-3, torch.float16).failed
    assert not first_use.judge(2e-3, 1e-3, torch.float16).failed


def test_the_look_leaves_random_numbers_and_gradients_alone():
    net = network(torch.float16)
    before = torch.get_rng_state()
    first_use.check(net, net.route)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(parameter.grad is None for parameter in net.parameters())


def test_a_device_without_its_index_is_the_current_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    names = [first_use.name_of(torch.device(d)) for d in ("cuda", "cuda:1", "cuda:0")]
    assert names == ["cuda:1", "cuda:1", "cuda:0"]
