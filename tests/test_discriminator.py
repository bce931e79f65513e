"""The U-Net discriminator against its definition."""

import pytest
import torch
import torch.nn.functional as F

from swinir_lite.discriminator import UNetDiscriminator, bounded_convolution


def test_one_logit_for_each_pixel():
    logits = UNetDiscriminator(in_channels=1, dim=4)(torch.rand(2, 1, 16, 24))
    assert logits.shape == (2, 1, 16, 24)


def test_as_many_parameters_as_the_published_network():
    dim = 64
    inner = 16 * (2 + 8 + 32) + 9 * (32 + 8 + 2 + 1 + 1)  # kernel areas x channels
    ends = (3 * 9 + 1) * dim + dim * 9 + 1
    parameters = UNetDiscriminator(dim=dim).parameters()
    assert sum(p.numel() for p in parameters) == inner * dim**2 + ends == 4_376_897


def test_features_go_down_and_up_and_end_before_the_logits():
    features = UNetDiscriminator(dim=4).features(torch.rand(1, 3, 16, 16))
    shapes = [tuple(f.shape[1:3]) for f in features]
    assert shapes == [(4, 16), (8, 8), (16, 4), (32, 2), (16, 4), (8, 8), (4, 16)]


def test_the_way_up_adds_the_maps_of_the_way_down():
    torch.manual_seed(0)
    model = UNetDiscriminator(dim=4).eval()
    x0, x1, x2, *ups = model.features(torch.rand(1, 3, 16, 16))
    convolutions = (model.up1, model.up2, model.up3)
    for conv, before, after, skip in zip(convolutions, ups, ups[1:], (x2, x1, x0)):
        doubled = F.interpolate(before, scale_factor=2, mode="bilinear")
        added = after - F.leaky_relu(conv(doubled), 0.2)
        torch.testing.assert_close(added, skip)


def test_spectral_norm_brings_the_largest_singular_value_to_one():
    torch.manual_seed(0)
    conv = bounded_convolution(6, 8, 4, stride=2)
    for _ in range(60):
        conv(torch.zeros(1, 6, 8, 8))  # one power iteration for each pass in training
    raw = conv.parametrizations.weight.original.detach().flatten(1)
    largest = torch.linalg.matrix_norm(raw, 2)
    torch.testing.assert_close(conv.weight.detach().flatten(1), raw / largest)


def test_every_parameter_gets_a_gradient():
    model = UNetDiscriminator(dim=4)
    model(torch.rand(1, 3, 16, 16)).square().mean().backward()
    assert all(p.grad.abs().sum() > 0 for p in model.parameters())


def test_a_pixel_changes_the_verdict_on_others():
    model = UNetDiscriminator(dim=4).eval()
    x = torch.rand(1, 3, 32, 32, requires_grad=True)
    model(x)[0, 0, 16, 16].backward()
    rows = x.grad[0].abs().sum((0, 2)).nonzero()
    assert rows.max() - rows.min() > 20


def test_sides_that_do_not_halve_three_times_are_named():
    with pytest.raises(ValueError, match=r"multiples of 8.*20, 16"):
        UNetDiscriminator(dim=4)(torch.rand(1, 3, 20, 16))
