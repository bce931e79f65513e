"""Ways to mix results: the self-ensemble, and the plain enlargement."""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from ..image_restoration import resize_rows


def eightfold(network: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """The geometric self-ensemble: the mean over an image's flips and turns.

    On extended pictures and on tiles alike: their sides are multiples of the window,
    whose grid every flip and turn maps to itself. `(B, C, h, w)`; paper: section 4.2,
    after Lim et al. (2017).
    """
    total = 0
    for turns in range(4):
        for flips in ((), (3,)):
            turned = x.flip(flips).rot90(turns, (2, 3))
            total = total + network(turned).float().rot90(-turns, (2, 3)).flip(flips)
    return total / 8


@lru_cache(maxsize=8)
def enlarging_matrix(length: int, scale: int) -> Tensor:
    """`imresize` along one axis as a matrix `(length * scale, length)`."""
    return torch.from_numpy(resize_rows(np.eye(length), scale)).float()


def enlarge(x: Tensor, scale: int) -> Tensor:
    """The plain enlargement of `(B, C, h, w)`, bicubic as in chapter 1."""
    if scale == 1:
        return x
    down, across = (enlarging_matrix(n, scale).to(x) for n in x.shape[2:])
    return down @ x @ across.T
