import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from swinir_lite import window_partition, window_reverse

sides = st.integers(1, 4)


@given(sides, sides, sides, st.integers(1, 8), st.integers(1, 3))
def test_windows_are_crops_in_reading_order(batch, rows, columns, size, channels):
    x = torch.randn(batch, rows * size, columns * size, channels)
    crops = [
        image[r * size : (r + 1) * size, c * size : (c + 1) * size]
        for image in x
        for r in range(rows)
        for c in range(columns)
    ]
    assert torch.equal(window_partition(x, size), torch.stack(crops))


@given(sides, sides, sides, st.integers(1, 8), st.integers(1, 3))
def test_reverse_undoes_partition(batch, rows, columns, size, channels):
    x = torch.randn(batch, rows * size, columns * size, channels)
    windows = window_partition(x, size)
    assert torch.equal(window_reverse(windows, size, *x.shape[1:3]), x)


@pytest.mark.parametrize(
    ("shape", "size", "message"),
    [
        ((8, 8, 1), 4, r"\(B, H, W, C\), got \(8, 8, 1\)"),
        ((1, 8, 9, 1), 4, "multiples of the window 4, got 8x9"),
        ((1, 9, 8, 1), 4, "multiples of the window 4, got 9x8"),
        ((1, 8, 8, 1), 0, "window 0"),
    ],
)
def test_partition_refuses(shape, size, message):
    with pytest.raises(ValueError, match=message):
        window_partition(torch.zeros(shape), size)


@pytest.mark.parametrize(
    ("shape", "height", "width", "message"),
    [
        ((3, 4, 4, 1), 8, 8, r"multiple of 4 windows.*got \(3, 4, 4, 1\)"),
        ((4, 4, 4), 8, 8, r"got \(4, 4, 4\)"),
        ((4, 4, 5, 1), 8, 8, r"\(4, 4, C\), got \(4, 4, 5, 1\)"),
        ((4, 4, 4, 1), 8, 9, "multiples of the window 4, got 8x9"),
    ],
)
def test_reverse_refuses(shape, height, width, message):
    with pytest.raises(ValueError, match=message):
        window_reverse(torch.zeros(shape), 4, height, width)
