"""The fused kernels, on a GPU or in Triton's interpreter: see tests/conftest.py."""

import copy
from collections import OrderedDict
from contextlib import ExitStack, suppress
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

pytest.importorskip("triton", reason="the kernels need the package triton")

import triton
import triton.language as tl

from swinir_lite import VARIANTS, SwinIR, SwinIRConfig
from swinir_lite.speed.composed import reference_attention
from swinir_lite.speed.cuda import CudaInference
from swinir_lite.speed.cuda_graph import GraphError
from swinir_lite.speed.kernels import convolution as convolution_kernels
from swinir_lite.speed.kernels.attention import triton_window_attention
from swinir_lite.speed.kernels.inference_layer import (
    add_features,
    gelu,
    inference_layer,
    inverse_deviation,
)
from swinir_lite.speed.kernels.inference_packing import pack_for_inference
from swinir_lite.speed.kernels.norm import triton_layer_norm
from swinir_lite.speed.kernels.training_layer import (
    SMALL_TAIL_BACKWARD,
    TAIL_BACKWARD,
    pack_for_training,
    tail_backward_launch,
    training_layer,
)
from swinir_lite.speed.network import FastSwinIR, fast, fastest

TOLERANCE = 1e-5  # relative, in float32
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


@pytest.fixture(autouse=True)
def _device(_seed):
    """All tensors are made where the kernels run; float32 has all of its digits."""
    flags = torch.backends.cudnn.flags(enabled=True, allow_tf32=False)
    with torch.device(DEVICE), flags:
        yield


@pytest.fixture(autouse=True)
def _poison():
    """Memory that nothing has written holds NaN, not the zeros that it often does."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    yield
    torch.use_deterministic_algorithms(False)


def test_memory_that_nothing_wrote_is_poisoned():
    x = torch.zeros(3)
    for made in (torch.empty(3), torch.empty_like(x), x.new_empty(3)):
        assert made.isnan().all()


def distance(value, reference):
    value, reference = value.detach().double(), reference.detach().double()
    return float((value - reference).norm() / reference.norm())


def attention_inputs(window, heads, head_dim, rows, columns, batch, dtype):
    shape = (batch, rows * window, columns * window)
    qkv = torch.randn(*shape, 3 * heads * head_dim).to(dtype)
    bias = torch.randn(heads, window**2, window**2)
    grad = torch.randn(*shape, heads * head_dim).to(dtype)
    return qkv, bias, grad


def outputs_and_gradients(function, inputs, grad):
    inputs = [x.detach().requires_grad_() for x in inputs]
    output = function(*inputs)
    return [output, *torch.autograd.grad(output, inputs, grad)]


@pytest.mark.parametrize(
    ("window", "heads", "head_dim", "shift", "rows", "columns", "batch"),
    [
        (8, 2, 10, 4, 2, 2, 1),
        (8, 1, 30, 0, 1, 1, 2),
        (7, 2, 30, 3, 1, 2, 1),
        (8, 1, 20, 4, 1, 1, 1),
        (4, 3, 5, 1, 3, 1, 1),
    ],
)
def test_attention_equals_the_explicit_form(
    window, heads, head_dim, shift, rows, columns, batch
):
    qkv, bias, grad = attention_inputs(
        window, heads, head_dim, rows, columns, batch, torch.float32
    )
    fused = outputs_and_gradients(
        lambda *x: triton_window_attention(*x, window, shift), (qkv, bias), grad
    )
    explicit = outputs_and_gradients(
        lambda *x: reference_attention(*x, window, shift),
        (qkv.double(), bias.double()),
        grad.double(),
    )
    for ours, reference in zip(fused, explicit):
        assert distance(ours, reference) < TOLERANCE


def test_attention_in_half_precision_is_off_by_its_rounding():
    qkv, bias, grad = attention_inputs(8, 2, 10, 2, 2, 1, torch.float16)
    fused = outputs_and_gradients(
        lambda *x: triton_window_attention(*x, 8, 4), (qkv, bias), grad
    )
    explicit = outputs_and_gradients(
        lambda *x: reference_attention(*x, 8, 4),
        (qkv.double(), bias.double()),
        grad.double(),
    )
    assert fused[0].dtype == fused[1].dtype == torch.float16
    for ours, reference in zip(fused, explicit):
        assert ours.isfinite().all()
        assert distance(ours, reference) < 1e-3


def test_mask_keeps_opposite_borders_apart():
    qkv, bias, _ = attention_inputs(4, 1, 8, 2, 2, 1, torch.float32)
    before = triton_window_attention(qkv, bias, 4, 2)
    qkv[:, -2:, :, :] += 1  # the bottom rows, which the shift puts below the top ones
    after = triton_window_attention(qkv, bias, 4, 2)
    assert torch.equal(before[:, :2], after[:, :2])


def noisy(model):
    """Away from the initial zeros and ones, so that every term counts."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return model


@pytest.mark.parametrize(
    ("dim", "heads", "window", "spare"), [(12, 2, 4, 4), (30, 3, 7, 2), (12, 2, 4, 0)]
)
def test_fused_layers_equal_those_of_chapter_6(dim, heads, window, spare):
    config = SwinIRConfig(dim=dim, depths=(2,), num_heads=(heads,), window_size=window)
    layers = noisy(SwinIR(config)).blocks[0].layers
    x = torch.randn(1, 2 * window, 3 * window, dim, requires_grad=True)
    grad = torch.randn_like(x)

    def chapter(y):
        for layer in layers:
            y = layer(y)
        return y

    def fused(y):
        y = F.pad(y, (0, spare), value=5.0)
        for layer, packed in zip(layers, pack_for_training(layers)):
            hidden = layer.mlp.fc1.out_features
            y = training_layer(y, packed, dim, hidden, window, layer.shift)
        assert (y[..., dim:] == 5).all()
        return y[..., :dim]

    inputs = [x, *layers.parameters()]
    expected, output = chapter(x), fused(x)
    assert distance(output, expected) < TOLERANCE
    for ours, reference in zip(
        torch.autograd.grad(output, inputs, grad),
        torch.autograd.grad(expected, inputs, grad),
    ):
        assert distance(ours, reference) < TOLERANCE


def test_operators_return_what_the_lowest_pytorch_reads():
    """PyTorch 2.4 knows tuple[Tensor, ...], but no list[Tensor]."""
    schemas = [
        schema
        for schema in torch._C._jit_get_all_schemas()
        if schema.name.startswith("swinir_lite::")
    ]
    assert len(schemas) == 6
    for schema in schemas:
        assert {str(part.type) for part in schema.returns} == {"Tensor"}, schema


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_gradients_of_the_norm_are_what_a_compiler_expects(dtype):
    grad, x, weight = torch.randn(3, 12), torch.randn(3, 12), torch.ones(12)
    inputs = grad, x.half(), weight.to(dtype)
    torch.library.opcheck(torch.ops.swinir_lite.layer_norm_backward.default, inputs)


@pytest.mark.parametrize("spare", [0, 4])
def test_norm_equals_that_of_pytorch(spare):
    x, weight, bias = torch.randn(3, 5, 60), torch.randn(60), torch.randn(60)
    grad = torch.randn_like(x)

    def norm(x, weight, bias):
        x = F.pad(x, (0, spare), value=5.0)
        y = triton_layer_norm(x, weight, bias, torch.float32)
        assert (y[..., 60:] == 5).all()
        return y[..., :60]

    ours = outputs_and_gradients(norm, (x, weight, bias), grad)
    reference = outputs_and_gradients(
        lambda *t: F.layer_norm(t[0], (60,), *t[1:]), (x, weight, bias), grad
    )
    for a, b in zip(ours, reference):
        assert distance(a, b) < TOLERANCE


@pytest.mark.parametrize(
    "changes",
    [
        {"dim": 66, "num_heads": (3,), "window_size": 7, "img_range": 255.0}
        | {"upsampler": "none", "scale": 1, "in_channels": 1},
        {"upsampler": "pixelshuffle", "scale": 3},
        {"upsampler": "nearest+conv", "scale": 4, "resi_connection": "3conv"},
        {"upsampler": "pixelshuffledirect", "scale": 2},
    ],
)
def test_packed_inference_equals_the_model(changes):
    config = {"dim": 12, "depths": (2,), "num_heads": (2,), "window_size": 4}
    model = noisy(SwinIR(SwinIRConfig(**{**config, **changes}))).eval()
    image = torch.rand(1, model.config.in_channels, 4, 5)
    with torch.no_grad():
        expected = model(image)
        height, width = expected.shape[-2:]
        restored = CudaInference(model, torch.float32)(image)
    assert distance(restored[..., :height, :width], expected) < TOLERANCE


@pytest.mark.parametrize("upsampler", ["pixelshuffle", "nearest+conv"])
def test_packed_inference_takes_convolutions_of_any_layout(upsampler, monkeypatch):
    """cuDNN keeps channels last; PyTorch's own convolutions on CUDA do not."""
    config = {"dim": 12, "depths": (1,), "num_heads": (2,), "window_size": 4}
    config = SwinIRConfig(**config, upsampler=upsampler, resi_connection="3conv")
    model, image = noisy(SwinIR(config)).eval(), torch.rand(1, 3, 4, 8)
    with torch.no_grad():
        expected, convolved = model(image), torch.nn.Conv2d.forward
        monkeypatch.setattr(
            torch.nn.Conv2d,
            "forward",
            lambda *x: convolved(*x).contiguous(memory_format=torch.contiguous_format),
        )
        restored = CudaInference(model, torch.float32)(image)
    assert distance(restored, expected) < TOLERANCE


def any_strides(x):
    """The same values, with the second axis the one that lies together."""
    return x.transpose(1, -1).contiguous().transpose(1, -1)


def test_kernels_take_features_of_any_strides():
    config = SwinIRConfig(dim=16, depths=(2,), num_heads=(2,), window_size=4)
    layer = noisy(SwinIR(config)).blocks[0].layers[1]
    x, change, bias = torch.randn(1, 8, 4, 16), torch.randn(1, 8, 4, 16), torch.ones(16)
    with torch.no_grad():
        packed = pack_for_inference(layer, torch.float32)
        inverse = inverse_deviation(x, 16)
    assert torch.equal(inverse_deviation(any_strides(x), 16), inverse)
    assert not any_strides(x).is_contiguous()
    for given in (x, any_strides(x)):
        y, after = inference_layer(given, any_strides(inverse), packed, 16, 4, 2)
        expected = inference_layer(x, inverse, packed, 16, 4, 2)
        assert torch.equal(y, expected[0])
        assert torch.equal(after, expected[1])
    for pair in ((any_strides(x), change), (x, any_strides(change))):
        torch.testing.assert_close(
            add_features(*pair, bias, 16)[0], x + change + 1, rtol=0, atol=0
        )


@pytest.mark.parametrize("dim", [12, 66])
def test_packed_inference_in_half_precision_is_off_by_its_rounding(dim):
    config = SwinIRConfig(dim=dim, depths=(2,), num_heads=(2,), window_size=4)
    model = noisy(SwinIR(config)).eval()
    black = torch.zeros(1, 3, 8, 4)
    for image in (torch.rand_like(black), black, black + 1):
        with torch.no_grad():
            restored = CudaInference(model, torch.float16)(image)
            assert distance(restored, model(image)) < 2e-3


@pytest.mark.parametrize("path", ["inference_kernels", "training_kernels"])
def test_features_beyond_float16_are_kept_within_its_range(path):
    config = SwinIRConfig(dim=12, depths=(2, 1), num_heads=(2, 2), window_size=4)
    model, image = noisy(SwinIR(config)).eval(), torch.rand(1, 3, 8, 4)
    with torch.no_grad():
        for parameter in model.blocks[1].conv.parameters():
            parameter *= 1e5
        expected = model(image)
        if path == "inference_kernels":
            restored = CudaInference(model, torch.float16)(image)
        else:
            restored = FastSwinIR(model, "triton", torch.float16, path)(image)
    assert distance(restored, expected) < 2e-3


@pytest.mark.parametrize("scale", [1.0, 2.0**-6])
def test_what_features_are_multiplied_by_leaves_no_trace_in_their_norm(scale):
    """Also of features so small that what is added to their variance counts."""
    x, weight, bias = 3e-3 * torch.randn(5, 60), torch.randn(60), torch.randn(60)
    inputs, grad = (x, weight, bias), torch.randn(5, 60)
    ours = outputs_and_gradients(
        lambda x, *rest: triton_layer_norm(scale * x, *rest, torch.float32, scale),
        inputs, grad,
    )  # fmt: skip
    reference = outputs_and_gradients(
        lambda x, *rest: F.layer_norm(x, (60,), *rest), inputs, grad
    )
    for a, b in zip(ours, reference):
        assert distance(a, b) < TOLERANCE


@pytest.mark.parametrize("mean", [0.0, 3.0])
def test_norm_inside_the_projection_holds_for_features_far_from_zero(mean):
    config = SwinIRConfig(dim=24, depths=(2,), num_heads=(2,), window_size=4)
    layer = noisy(SwinIR(config)).blocks[0].layers[1]
    x = (mean + torch.randn(1, 8, 12, 24)).half()
    with torch.no_grad():
        packed = pack_for_inference(layer, torch.float16)
        inverse = inverse_deviation(x, 24)
        y, inverse = inference_layer(x, inverse, packed, 24, 4, layer.shift)
        expected = layer.double()(x.double())
    change = expected - x.double()
    assert distance(y.double() - x.double(), change) < 5e-3
    deviation = expected.var(-1, unbiased=False).add(1e-5).sqrt()
    assert distance(inverse, 1 / deviation) < 1e-3


@triton.jit
def gelu_kernel(x, y, SIZE: tl.constexpr):
    at = tl.arange(0, SIZE)
    tl.store(y + at, gelu(tl.load(x + at), tl.float16))


def test_gelu_of_half_precision_is_a_polynomial_within_a_step_of_it():
    x = torch.linspace(-12, 12, 4096)
    y = torch.empty_like(x)
    gelu_kernel[(1,)](x, y, SIZE=4096)
    assert (y - F.gelu(x)).abs().max() < 2.1e-4


def test_packed_inference_notices_new_weights():
    config = SwinIRConfig(dim=8, depths=(1,), num_heads=(1,), window_size=2)
    model = SwinIR(config).eval()
    inference, image = CudaInference(model, torch.float32), torch.rand(1, 3, 2, 2)
    inference(image)
    with torch.no_grad():
        expected = noisy(model)(image)
        assert distance(inference(image), expected) < TOLERANCE


def test_packed_inference_notices_a_step_that_pytorch_does_not_count():
    """As of an optimiser on a GPU, which writes to lists of tensors."""
    config = SwinIRConfig(dim=8, depths=(1,), num_heads=(1,), window_size=2)
    model, other = SwinIR(config).eval(), SwinIR(config).eval()
    inference = CudaInference(model, torch.float32)
    for width, trained, noticed in ((2, other, False), (4, model, True)):
        image = torch.rand(1, 3, 2, width)
        inference(image)
        trained(image).square().sum().backward()
        weights = tuple(trained.parameters())
        with ExitStack() as kept:  # one by one: PyTorch 2.4 takes no more
            for weight in weights:
                keeping = torch.autograd._unsafe_preserve_version_counter(weight)
                kept.enter_context(keeping)
            torch.optim.SGD(weights, 0.1).step()
        assert (inference.version is None) == noticed
    image = torch.rand(1, 3, 2, 6)
    with torch.no_grad():
        assert distance(inference(image), model(image)) < TOLERANCE


def test_calls_of_several_streams_take_turns(monkeypatch):
    """A graph has one input: the next is not written while the last is being read."""
    said, current = [], []

    class Stream:
        def __init__(self, name):
            self.name = name

        def wait_event(self, event):
            said.append(f"{self.name} waits for {event}")

        def record_event(self):
            return f"the end of {self.name}"

    def restore(x):
        said.append(f"{current[-1].name} computes")
        if current[-1].name == "b":
            raise MemoryError

    config = SwinIRConfig(dim=8, depths=(1,), num_heads=(1,), window_size=2)
    inference = CudaInference(SwinIR(config).eval(), torch.float32)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: current[-1])
    monkeypatch.setattr(inference, "restore", restore)
    for name in "abc":
        current.append(Stream(name))
        with suppress(MemoryError):
            inference.in_turn(SimpleNamespace(is_cuda=True))
    assert said == [
        "a computes",
        "b waits for the end of a",
        "b computes",
        "c waits for the end of b",
        "c computes",
    ]


def test_what_other_streams_read_is_given_up_when_they_are_done(monkeypatch):
    """Its memory goes back to the stream that made it, which waits for no other."""
    said = []

    class Graphs(OrderedDict):
        def popitem(self, last):
            said.append("a graph is given up")
            return super().popitem(last)

    config = SwinIRConfig(dim=8, depths=(1,), num_heads=(1,), window_size=2)
    model = SwinIR(config).eval()
    inference = CudaInference(model, torch.float32)
    inference.done = SimpleNamespace(synchronize=lambda: said.append("all are done"))
    inference.graphs = Graphs()
    monkeypatch.setattr("swinir_lite.speed.cuda.MAX_GRAPHS", 1)
    monkeypatch.setattr(
        "swinir_lite.speed.cuda.Graphed", lambda function, warmup: function
    )
    monkeypatch.setattr(inference, "forward", lambda x: x)
    monkeypatch.setattr(inference, "pack", lambda: said.append("weights are given up"))
    for side in (2, 2, 2, 4, 4):
        inference.restore(torch.rand(1, 3, side, side))
    assert said == [
        "all are done",
        "weights are given up",
        "all are done",
        "a graph is given up",
    ]


on_a_gpu = pytest.mark.skipif(DEVICE == "cpu", reason="needs a GPU")


@on_a_gpu
def test_streams_on_a_gpu_get_the_results_of_their_own_images():
    network = fastest(SwinIR(VARIANTS["lightweight_x2"]))
    images = torch.rand(8, 1, 3, 128, 128, device=DEVICE)
    for _ in range(3):
        expected = [network(image) for image in images]
    streams = [torch.cuda.Stream() for _ in range(4)]
    torch.cuda.synchronize()
    for _ in range(20):
        restored = []
        for i, image in enumerate(images):
            with torch.cuda.stream(streams[i % 4]):
                restored.append(network(image))
        torch.cuda.synchronize()
        assert all(map(torch.equal, restored, expected))


@on_a_gpu
@pytest.mark.parametrize("calls_before", [0, 3])
def test_a_caller_on_a_gpu_may_record_a_graph_of_its_own(calls_before):
    model = SwinIR(VARIANTS["lightweight_x2"])
    image, other = torch.rand(2, 1, 3, 64, 64, device=DEVICE)
    expected = fastest(copy.deepcopy(model))(other)
    network = fastest(model)
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(calls_before):
            network(image)
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        restored = network(image)
    assert torch.equal(network(other), expected)  # nothing of the graph was taken
    image.copy_(other)
    graph.replay()
    assert torch.equal(restored, expected)


@pytest.mark.parametrize("upsampler", ["pixelshuffledirect", "nearest+conv", "none"])
def test_packed_weights_are_old_or_new_and_never_a_mixture(upsampler):
    scale = {"nearest+conv": 4, "none": 1}.get(upsampler, 2)
    config = SwinIRConfig(dim=8, depths=(1,), num_heads=(1,), window_size=2,
                          upsampler=upsampler, scale=scale)  # fmt: skip
    model, image = noisy(SwinIR(config)).eval(), torch.rand(1, 3, 2, 2)
    inference = CudaInference(model, torch.float32)
    before = inference(image)
    for parameter in model.parameters():
        parameter.data += 1  # which PyTorch does not count
    assert torch.equal(inference.forward(image), before)


def test_a_recorded_graph_is_dropped_with_its_weights(monkeypatch):
    def graphed(function, warmup):
        recorded = []

        def replay(x):
            recorded.append(function(x) if not recorded else recorded[0])
            return recorded[0]

        return replay

    monkeypatch.setattr("swinir_lite.speed.cuda.Graphed", graphed)
    config = SwinIRConfig(dim=8, depths=(1,), num_heads=(1,), window_size=2)
    model, image = SwinIR(config).eval(), torch.rand(1, 3, 2, 2)
    inference = CudaInference(model, torch.float32)
    for _ in range(2):
        for _ in range(3):
            with torch.no_grad():
                assert distance(inference(image), model(image)) < TOLERANCE
        noisy(model)


class Kept:
    """What a recorded graph does with its input, on any device."""

    def __init__(self, function, warmup):
        self.function, self.image = function, None
        self.device = Kept.device

    def __call__(self, x):
        if self.image is None:
            self.image = x.clone()
        return self.function(self.image.copy_(x))


def test_a_graph_recorded_in_inference_mode_serves_outside_of_it(monkeypatch):
    monkeypatch.setattr(Kept, "device", None, raising=False)
    monkeypatch.setattr("swinir_lite.speed.cuda.Graphed", Kept)
    config = SwinIRConfig(dim=8, depths=(1,), num_heads=(1,), window_size=2)
    model = noisy(SwinIR(config)).eval()
    inference = CudaInference(model, torch.float32)
    with torch.inference_mode():
        for _ in range(2):
            inference(torch.rand(1, 3, 2, 2))
    image = torch.rand(1, 3, 2, 2)
    restored = inference(image)
    assert distance(restored, model(image)) < TOLERANCE
    assert not restored.requires_grad
    assert not restored.is_inference()


def test_a_graph_is_recorded_on_the_device_of_the_image(monkeypatch):
    class On:  # the current device, which another call may have set
        def __init__(self, x):
            self.device = x.device

        def __enter__(self):
            monkeypatch.setattr(Kept, "device", self.device, raising=False)

        def __exit__(self, *error):
            monkeypatch.setattr(Kept, "device", None)

    monkeypatch.setattr(Kept, "device", None, raising=False)
    monkeypatch.setattr("swinir_lite.speed.cuda.Graphed", Kept)
    monkeypatch.setattr("swinir_lite.speed.cuda.torch.cuda.device_of", On)
    config = SwinIRConfig(dim=8, depths=(1,), num_heads=(1,), window_size=2)
    inference = CudaInference(SwinIR(config).eval(), torch.float32)
    monkeypatch.setattr(inference, "forward", lambda x: x)
    image = torch.rand(1, 3, 2, 2)
    for _ in range(2):
        inference(image)
    assert [graph.device for graph in inference.graphs.values()] == [image.device]


def test_a_model_made_in_inference_mode_restores_images():
    config = SwinIRConfig(dim=8, depths=(1,), num_heads=(1,), window_size=2)
    with torch.inference_mode():
        model, image = noisy(SwinIR(config)).eval(), torch.rand(1, 3, 2, 2)
        expected = model(image)
        inference = CudaInference(model, torch.float32)
        assert distance(inference(image), expected) < TOLERANCE


@pytest.mark.parametrize("outputs", [3, 12])
def test_last_convolution_equals_that_of_pytorch(outputs):
    convolution = torch.nn.Conv2d(72, outputs, 3, padding=1).requires_grad_(False)
    x = torch.randn(2, 3, 130, 72)  # more than a tile wide
    packed = convolution_kernels.pack_last_convolution(convolution, torch.float32)
    expected = convolution(x.permute(0, 3, 1, 2))
    assert (
        distance(convolution_kernels.last_convolution(x, packed), expected) < TOLERANCE
    )


@pytest.mark.parametrize("kernel", ["convolution_kernel", "shuffle_kernel"])
def test_only_the_first_axis_of_a_launch_grows_with_the_rows(kernel, monkeypatch):
    grids = []

    class Noted:
        def __getitem__(self, grid):
            grids.append(grid)
            return lambda *args, **options: None

    monkeypatch.setattr(convolution_kernels, kernel, Noted())
    x = torch.zeros(1, 70_000, 1, 64)  # CUDA takes 65,535 on the other axes
    if kernel == "shuffle_kernel":
        convolution_kernels.pixel_shuffle(x, torch.zeros(64), 2)
    else:
        convolution = torch.nn.Conv2d(64, 3, 3).requires_grad_(False)
        packed = convolution_kernels.pack_last_convolution(convolution, torch.float32)
        convolution_kernels.last_convolution(x, packed)
    assert grids[0][0] >= 70_000
    assert max(grids[0][1:]) == 1


@pytest.mark.parametrize(("kib", "tile"), [(227, 128), (163, 128), (99, 64)])
def test_backward_tiles_fit_into_the_memory_of_a_processor(kib, tile, monkeypatch):
    monkeypatch.setattr(
        "swinir_lite.speed.kernels.training_layer.shared_memory", lambda x: 1024 * kib
    )
    assert tail_backward_launch(SimpleNamespace(is_cuda=True)).tile == tile


def test_gradients_do_not_depend_on_the_tile(monkeypatch):
    config = SwinIRConfig(dim=12, depths=(1,), num_heads=(2,), window_size=4)
    layers = noisy(SwinIR(config)).blocks[0].layers
    x, grad = torch.randn(1, 8, 20, 12, requires_grad=True), torch.randn(1, 8, 20, 12)
    results = []
    for launch in (TAIL_BACKWARD, SMALL_TAIL_BACKWARD):
        monkeypatch.setattr(
            "swinir_lite.speed.kernels.training_layer.TAIL_BACKWARD", launch
        )
        y = training_layer(x, *pack_for_training(layers), 12, 24, 4, 0)
        results.append(torch.autograd.grad(y, [x, *layers.parameters()], grad))
    for ours, reference in zip(*results):
        assert distance(ours, reference) < TOLERANCE


def test_a_graph_serves_images_of_one_type(monkeypatch):
    recorded = []

    def graphed(function, warmup):
        def replay(x):
            assert x.dtype == dtype  # as a recorded graph is bound to its inputs
            return function(x)

        dtype = image.dtype
        recorded.append(dtype)
        return replay

    monkeypatch.setattr("swinir_lite.speed.cuda.Graphed", graphed)
    config = SwinIRConfig(dim=8, depths=(1,), num_heads=(1,), window_size=2)
    inference = CudaInference(SwinIR(config).eval(), torch.float32)
    for dtype in (torch.float32, torch.float64, torch.float32):
        image = torch.rand(1, 3, 2, 2, dtype=dtype)
        for _ in range(2):
            inference(image)
    assert recorded == [torch.float32, torch.float64]


def test_network_with_fused_attention_trains_the_model():
    config = SwinIRConfig(dim=12, depths=(2,), num_heads=(2,), window_size=4)
    model = noisy(SwinIR(config))
    image, parameters = torch.rand(1, 3, 7, 9), list(model.parameters())
    expected = torch.autograd.grad(model(image).square().sum(), parameters)
    output = fast(model, attention="triton")(image)
    for ours, reference in zip(
        torch.autograd.grad(output.square().sum(), parameters), expected
    ):
        assert distance(ours, reference) < TOLERANCE


@pytest.mark.parametrize("dim", [12, 16])  # with spare channels, and without
def test_network_of_fused_layers_trains_the_model(dim):
    config = SwinIRConfig(dim=dim, depths=(2, 2), num_heads=(2, 2), window_size=4)
    model = noisy(SwinIR(config))
    image, parameters = torch.rand(1, 3, 7, 9), list(model.parameters())
    expected = torch.autograd.grad(model(image).square().sum(), parameters)
    output = fast(model, attention="triton", dtype=torch.float16)(image)
    gradients = torch.autograd.grad(output.float().square().sum(), parameters)
    for ours, reference in zip(gradients, expected):
        assert distance(ours, reference) < 2e-2


def test_a_size_whose_graph_cannot_be_recorded_goes_on_without(monkeypatch):
    tried = []

    def graphed(function, warmup):
        def fail(x):
            tried.append(tuple(x.shape))
            raise GraphError("a CUDA graph was not recorded (no memory)")

        return fail

    monkeypatch.setattr("swinir_lite.speed.cuda.Graphed", graphed)
    config = SwinIRConfig(dim=8, depths=(1,), num_heads=(1,), window_size=2)
    model, image = noisy(SwinIR(config)).eval(), torch.rand(1, 3, 2, 2)
    inference, expected = CudaInference(model, torch.float32), model(image)
    with pytest.warns(
        UserWarning, match=r"no memory\); images of \(1, 3, 2, 2\) go on"
    ):
        results = [inference(image) for _ in range(4)]
    assert all(distance(restored, expected) < TOLERANCE for restored in results)
    assert tried == [(1, 3, 2, 2)]


def test_graphs_of_the_sizes_used_last_are_kept(monkeypatch):
    monkeypatch.setattr("swinir_lite.speed.cuda.MAX_GRAPHS", 2)
    monkeypatch.setattr(
        "swinir_lite.speed.cuda.Graphed", lambda function, warmup: function
    )
    config = SwinIRConfig(dim=8, depths=(1,), num_heads=(1,), window_size=2)
    model = SwinIR(config).eval()
    inference = CudaInference(model, torch.float32)
    images = {width: torch.rand(1, 3, 2, width) for width in (2, 4, 6)}
    for width in (2, 2, 4, 4, 2, 6, 6):  # the second call of a size records it
        with torch.no_grad():
            expected = model(images[width])
        assert distance(inference(images[width]), expected) < TOLERANCE
    assert [shape[-1] for shape, *_ in inference.graphs] == [2, 6]
