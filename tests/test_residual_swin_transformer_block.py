import pytest
import torch
from torch import nn

from swinir_lite import ResidualSwinTransformerBlock


@pytest.mark.parametrize("kind", ["1conv", "3conv"])
def test_is_its_layers_then_a_convolution_then_the_residual(kind):
    block = ResidualSwinTransformerBlock(8, 3, 2, 4, resi_connection=kind)
    x = torch.randn(2, 8, 12, 8)
    features = x
    for layer in block.layers:
        features = layer(features)
    features = block.conv(features.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    torch.testing.assert_close(block(x), x + features)


@pytest.mark.parametrize(("window", "shift"), [(7, 3), (8, 4)])
def test_shift_alternates(window, shift):
    block = ResidualSwinTransformerBlock(8, 5, 2, window)
    assert [layer.shift for layer in block.layers] == [0, shift, 0, shift, 0]


def test_a_silent_convolution_leaves_the_input():
    block = ResidualSwinTransformerBlock(8, 2, 2, 4)
    nn.init.zeros_(block.conv.weight)
    nn.init.zeros_(block.conv.bias)
    x = torch.randn(1, 8, 8, 8)
    assert torch.equal(block(x), x)


def test_unknown_convolution():
    with pytest.raises(ValueError, match=r"'2conv'.*'1conv' or '3conv'"):
        ResidualSwinTransformerBlock(8, 1, 2, 4, resi_connection="2conv")
