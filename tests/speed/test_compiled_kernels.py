"""Kernels under torch.compile, which does not follow a default device."""

import torch

from swinir_lite import SwinIR, SwinIRConfig
from swinir_lite.speed.network import fast

from .test_kernels import (
    DEVICE,
    attention_inputs,
    distance,
    noisy,
    outputs_and_gradients,
    triton_window_attention,
)


def test_attention_does_not_break_a_compiled_graph():
    inputs = attention_inputs(4, 2, 5, 1, 1, 1, torch.float32)
    qkv, bias, grad = (x.to(DEVICE) for x in inputs)

    def double(qkv, bias):
        return 2 * triton_window_attention(qkv, bias, 4, 2)

    compiled = torch.compile(double, backend="aot_eager", fullgraph=True)
    expected = outputs_and_gradients(double, (qkv, bias), grad)
    for ours, reference in zip(
        outputs_and_gradients(compiled, (qkv, bias), grad), expected
    ):
        assert torch.equal(ours, reference)


def test_a_network_of_fused_layers_compiles_into_one_graph():
    config = SwinIRConfig(dim=12, depths=(2,), num_heads=(2,), window_size=4)
    model = noisy(SwinIR(config)).to(DEVICE)
    network = fast(model, attention="triton", dtype=torch.float16)
    compiled = torch.compile(network, backend="aot_eager", fullgraph=True)
    image, parameters = torch.rand(1, 3, 7, 9, device=DEVICE), list(model.parameters())
    results = []
    for run in (compiled, network):
        output = run(image)
        results.append(torch.autograd.grad(output.float().sum(), parameters))
    for ours, reference in zip(*results):
        assert distance(ours, reference) < 1e-3
