import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from swinir_lite import attention_mask, cyclic_shift, window_partition


def original_positions(height, width, shift):
    """Where each pixel of the shifted image stood before: (H, W, 2)."""
    rows = (torch.arange(height) + shift) % height
    columns = (torch.arange(width) + shift) % width
    return torch.stack(torch.meshgrid(rows, columns, indexing="ij"), dim=-1)


def mask_by_brute_force(height, width, size, shift):
    """Two pixels may meet if they were as far apart before the shift as after it."""
    before = window_partition(original_positions(height, width, shift)[None], size)
    after = window_partition(original_positions(height, width, 0)[None], size)
    before, after = before.flatten(1, 2), after.flatten(1, 2)  # (nW, N, 2)
    apart_before = before[:, :, None] - before[:, None]
    apart_after = after[:, :, None] - after[:, None]
    return (apart_before != apart_after).any(dim=-1)


@given(st.integers(1, 4), st.integers(1, 4), st.integers(2, 8), st.data())
def test_mask_separates_pixels_that_were_not_neighbours(rows, columns, size, data):
    shift = data.draw(st.integers(1, size - 1))
    mask = attention_mask(rows * size, columns * size, size, shift)
    expected = mask_by_brute_force(rows * size, columns * size, size, shift)
    assert torch.equal(mask, -100.0 * expected.float())


@pytest.mark.parametrize("size", [7, 8])
def test_there_are_four_patterns_whatever_the_size(size):
    mask = attention_mask(5 * size, 4 * size, size, size // 2)
    assert len(mask.unique(dim=0)) == 4
    inside = mask.view(5, 4, *mask.shape[1:])[:-1, :-1]
    assert not inside.any()


@given(st.integers(1, 9), st.integers(1, 9), st.integers(-9, 9))
def test_cyclic_shift_moves_up_and_left_and_can_be_undone(height, width, shift):
    x = torch.randn(2, height, width, 3)
    shifted = cyclic_shift(x, shift)
    row, column = shift % height, shift % width
    assert torch.equal(shifted[:, 0, 0], x[:, row, column])
    assert torch.equal(cyclic_shift(shifted, -shift), x)


@pytest.mark.parametrize("shift", [0, 8, -1])
def test_shift_must_lie_inside_the_window(shift):
    with pytest.raises(ValueError, match=f"shift must lie in 1..7, got {shift}"):
        attention_mask(16, 16, 8, shift)


def test_window_must_divide():
    with pytest.raises(ValueError, match="multiples of the window 8, got 16x12"):
        attention_mask(16, 12, 8, 4)
