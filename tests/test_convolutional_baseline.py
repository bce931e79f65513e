import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from swinir_lite import ResidualCNN


@given(
    st.integers(1, 3),
    st.sampled_from([1, 3]),
    st.integers(1, 9),
    st.integers(1, 9),
    st.integers(1, 4),
)
def test_shape(batch, channels, height, width, scale):
    model = ResidualCNN(channels, dim=4, num_blocks=1, scale=scale)
    y = model(torch.rand(batch, channels, height, width))
    assert y.shape == (batch, channels, height * scale, width * scale)


def test_equals_its_definition():
    model = ResidualCNN(3, dim=4, num_blocks=2, scale=2)
    x = torch.rand(1, 3, 6, 7)
    features = shallow = F.conv2d(x, *model.conv_first.parameters(), padding=1)
    for block in model.blocks:
        hidden = F.conv2d(features, *block.conv1.parameters(), padding=1).relu()
        features = features + F.conv2d(hidden, *block.conv2.parameters(), padding=1)
    deep = F.conv2d(features, *model.conv_after_body.parameters(), padding=1)
    wide = F.conv2d(deep + shallow, *model.head[0].parameters(), padding=1)
    # sub-pixel convolution: channel (c, i, j) fills pixel (i, j) of each 2x2 cell
    expected = torch.empty(1, 3, 12, 14)
    for i in range(2):
        for j in range(2):
            expected[:, :, i::2, j::2] = wide[:, 2 * i + j :: 4]
    torch.testing.assert_close(model(x), expected)


def test_receptive_field_grows_by_one_pixel_a_convolution():
    blocks = 2
    model = ResidualCNN(1, dim=8, num_blocks=blocks, scale=1)
    x = torch.rand(1, 1, 31, 31, requires_grad=True)
    model(x)[0, 0, 15, 15].backward()
    seen = x.grad[0, 0].nonzero()
    reach = 1 + 2 * blocks + 1 + 1
    assert (seen - 15).abs().max() == reach


def test_every_parameter_gets_a_gradient():
    model = ResidualCNN(3, dim=8, num_blocks=2)
    model(torch.rand(1, 3, 8, 8)).square().mean().backward()
    assert all(p.grad.abs().sum() > 0 for p in model.parameters())


def test_channels_must_fit():
    with pytest.raises(RuntimeError, match="channels"):
        ResidualCNN(3)(torch.rand(1, 1, 8, 8))
