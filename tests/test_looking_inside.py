"""Which pixels decide: on networks of which it is known."""

import math

import pytest
import torch
from torch import nn

from swinir_lite import ResidualCNN
from swinir_lite.looking_inside import (
    blur_path,
    detail,
    diffusion_index,
    effective_receptive_field,
    local_attribution_map,
)

TARGET = (slice(None), slice(None), slice(8, 16), slice(8, 16))


def blur_chain(layers):
    """Convolutions of 3x3 that average, one after another."""
    chain = nn.Sequential(*[nn.Conv2d(1, 1, 3, padding=1) for _ in range(layers)])
    for parameter in chain.parameters():
        nn.init.constant_(parameter, 1 / 9 if parameter.ndim > 1 else 0)
    return chain


def test_the_field_of_one_convolution_is_its_kernel():
    field = effective_receptive_field(blur_chain(1), torch.rand(2, 1, 9, 9), 4, 5)
    expected = torch.zeros(9, 9)
    expected[3:6, 4:7] = 1 / 9
    assert torch.allclose(field, expected)


@pytest.mark.parametrize("layers", [3, 11])
def test_the_field_of_a_chain_is_as_wide_as_published(layers):
    """Luo et al., 2016: a standard deviation of the root of 2n / 3 pixels."""
    image = torch.rand(1, 1, 41, 41)
    field = effective_receptive_field(blur_chain(layers), image, 20, 20)
    offsets = torch.arange(41.0) - 20
    deviation = (field.sum(1) * offsets**2).sum().sqrt().item()
    assert deviation == pytest.approx(math.sqrt(2 * layers / 3), rel=1e-3)


def test_the_field_of_an_enlarging_network_is_that_of_a_whole_block():
    """A pixel shuffle spreads what belongs to one input pixel over four."""
    field = effective_receptive_field(nn.PixelShuffle(2), torch.rand(1, 4, 6, 6), 2, 3)
    assert field[2, 3] == 1


def test_the_field_of_the_cnn_ends_where_its_structure_says():
    field = effective_receptive_field(ResidualCNN(), torch.rand(1, 3, 40, 40), 20, 20)
    rows, columns = (field > 0).nonzero().T
    assert (rows - 20).abs().max() == (columns - 20).abs().max() == 11


def test_the_path_ends_at_the_image_and_gains_detail():
    image = torch.rand(1, 3, 24, 24)
    path = blur_path(image, 4, 1.5)
    assert torch.allclose(path[-1], image[0])
    details = [detail(step[None]).item() for step in path]
    assert details == sorted(details)


def test_the_parts_add_up_to_the_growth():
    network, image = blur_chain(2).requires_grad_(False), torch.rand(1, 1, 24, 24)
    parts = local_attribution_map(network, image, TARGET, steps=40)
    blurred, sharp = (
        detail(network(x[None])[TARGET]).item() for x in blur_path(image, 1, 1.2)
    )
    assert parts.sum().item() == pytest.approx(sharp - blurred, rel=0.05)


def test_what_cannot_be_seen_has_no_part():
    network, image = blur_chain(2).requires_grad_(False), torch.rand(1, 1, 24, 24)
    parts = local_attribution_map(network, image, TARGET)[0]
    parts[6:18, 6:18] = 0  # the target and two pixels around it
    assert not parts.any()


def test_the_diffusion_index_runs_from_one_pixel_to_all():
    one = torch.zeros(3, 10, 10)
    one[1, 3, 4] = -2
    assert diffusion_index(torch.ones(3, 10, 10)).item() == pytest.approx(100, abs=1e-3)
    assert diffusion_index(one).item() == pytest.approx(1, abs=1e-3)
