from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F

from swinir_lite import MLP, SwinTransformerLayer, attention_mask

SIZE, SHIFT, DIM = 4, 2, 6


def layer_by_loops(layer, x):
    """The layer's definition, without rolling, masking or partitioning.

    A shifted window is a window of the unshifted image that starts `shift` pixels
    earlier; at the image's edge it is cut off, and its parts attend by themselves.
    """
    y = layer.norm1(x)
    attended = torch.empty_like(x)
    height, width = x.shape[1:3]
    rows, columns = (
        [0, *range(layer.shift or SIZE, side, SIZE), side] for side in (height, width)
    )
    for top, bottom in pairwise(rows):
        for left, right in pairwise(columns):
            window = y[:, top:bottom, left:right]
            attended[:, top:bottom, left:right] = attend(layer.attn, window, top, left)
    x = x + attended
    hidden = F.gelu(layer.mlp.fc1(layer.norm2(x)))
    return x + layer.mlp.fc2(hidden)


def attend(attention, window, top, left):
    """Attention among the pixels of one window or part of one: (B, m, n, C)."""
    batch, m, n, dim = window.shape
    heads = attention.num_heads
    q, k, v = attention.qkv(window.reshape(batch, m * n, dim)).chunk(3, dim=-1)
    rows, columns = torch.arange(m * n) // n, torch.arange(m * n) % n
    index = (rows[:, None] - rows + SIZE - 1) * (2 * SIZE - 1)
    index = index + columns[:, None] - columns + SIZE - 1
    bias = attention.relative_position_bias_table[index]  # (mn, mn, h)
    results = []
    for head in range(heads):
        part = slice(head * dim // heads, (head + 1) * dim // heads)
        scores = q[..., part] @ k[..., part].transpose(1, 2)
        scores = scores / (dim // heads) ** 0.5 + bias[..., head]
        results.append(scores.softmax(dim=-1) @ v[..., part])
    return attention.proj(torch.cat(results, dim=-1)).view(window.shape)


@pytest.fixture(params=[0, SHIFT])
def layer(request):
    layer = SwinTransformerLayer(DIM, 3, SIZE, shift=request.param)
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return layer


@pytest.mark.parametrize(("height", "width"), [(4, 4), (8, 12), (12, 4)])
def test_equals_attention_in_windows_that_the_border_cuts(layer, height, width):
    x = torch.randn(2, height, width, DIM)
    expected = layer_by_loops(layer, x)
    torch.testing.assert_close(layer(x), expected, rtol=1e-4, atol=1e-4)


def test_a_given_mask_changes_nothing(layer):
    x = torch.randn(1, 8, 12, DIM)
    mask = attention_mask(8, 12, SIZE, SHIFT)
    assert torch.equal(layer(x, mask), layer(x))


def test_influence_ends_at_the_window():
    for shift, reach in [(0, (0, 4)), (SHIFT, (2, 6))]:
        layer = SwinTransformerLayer(DIM, 3, SIZE, shift)
        x = torch.randn(1, 8, 8, DIM)
        changed = x.clone()
        changed[0, 3, 3] = torch.randn(DIM)
        moved = (layer(x) - layer(changed)).abs().amax(dim=(0, 3)) > 0
        expected = torch.zeros(8, 8, dtype=torch.bool)
        expected[slice(*reach), slice(*reach)] = True
        assert torch.equal(moved, expected)


def test_mlp_acts_on_each_pixel_alone():
    mlp = MLP(DIM, 12)
    x = torch.randn(2, 3, 5, DIM)
    pixels = [mlp(pixel) for pixel in x.reshape(-1, DIM)]
    torch.testing.assert_close(mlp(x), torch.stack(pixels).view(x.shape))


@pytest.mark.parametrize("shift", [-1, 4, 5])
def test_shift_must_lie_inside_the_window(shift):
    with pytest.raises(ValueError, match=f"shift must lie in 0..3, got {shift}"):
        SwinTransformerLayer(DIM, 3, SIZE, shift)


def test_window_must_divide(layer):
    with pytest.raises(ValueError, match="multiples of the window 4, got 8x9"):
        layer(torch.zeros(1, 8, 9, DIM))
