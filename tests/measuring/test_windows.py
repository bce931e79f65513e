"""Seams and influence on pictures and networks whose answer is known."""

import pytest
import torch
from torch import nn

from swinir_lite.measuring.windows import influence, seam


def stairs(side, window, step, offset=0):
    """(1, side, side, 1): a slope of 1 a pixel, and `step` at each border instead."""
    position = torch.arange(1, side)
    steps = torch.where((position - offset) % window == 0, float(step), 1.0)
    line = torch.cat([torch.zeros(1), steps.cumsum(0)])
    return (line[:, None] + line[None, :])[None, :, :, None]


@pytest.mark.parametrize("step", [1, 3, 0.5])
@pytest.mark.parametrize("offset", [0, 2])
def test_seam_is_the_step_at_borders_over_that_elsewhere(step, offset):
    image = stairs(24, 8, step, offset)
    assert seam(image, 8, offset) == pytest.approx(step)


def test_seam_sees_borders_along_either_axis():
    rows = torch.arange(16.0).view(1, 16, 1, 1).expand(1, 16, 16, 1).clone()
    rows[:, 8:] += 7  # one border of eight times the step, along rows alone
    columns = rows.transpose(1, 2)
    assert seam(rows + columns, 8) == pytest.approx(8)
    assert seam(rows + 1e-3 * columns, 8) > 7


def test_flat_windows_are_all_seam():
    blocks = torch.rand(1, 2, 2, 3).repeat_interleave(4, 1).repeat_interleave(4, 2)
    assert seam(blocks, 4) == float("inf")


def test_influence_of_a_convolution_is_its_kernel():
    conv = nn.Conv2d(2, 3, 3, padding=1)
    x = torch.rand(2, 7, 9, 2)
    moved = influence(lambda x: conv(x.movedim(-1, 1)).movedim(1, -1), x, 3, 4)
    kernel = conv.weight[:, 0].flip(1, 2).norm(dim=0)  # of the first channel
    assert moved.shape == (7, 9)
    torch.testing.assert_close(moved[2:5, 3:6], kernel.detach(), atol=1e-5, rtol=0)
    moved[2:5, 3:6] = 0
    assert moved.abs().max() == 0
