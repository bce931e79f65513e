"""Resizing by libraries: what each function does is what appendix A3 says."""

import numpy as np
import pytest
from skimage import data

from experiments import resizers
from swinir_lite import imresize

HERE = [name for name in resizers.METHODS if "OpenCV" not in name]
PHOTO = data.astronaut()[:96, 128:224]


@pytest.mark.parametrize("name", HERE)
def test_sizes_and_kind_are_kept(name):
    for size in ((24, 24), (192, 192)):
        resized = resizers.METHODS[name](PHOTO, size)
        assert resized.shape == (*size, 3)
        assert resized.dtype == np.uint8


@pytest.mark.parametrize(
    ("name", "near"),
    [("Pillow, BICUBIC", True), ("torch, antialias=True", True)]
    + [("torch, default", False)],
)
def test_who_is_near_to_matlab(name, near):
    right = imresize(PHOTO, 1 / 2).astype(int)
    distance = np.abs(resizers.METHODS[name](PHOTO, (48, 48)) - right).mean()
    assert (distance < 0.5) == near


def test_matlabs_own_is_at_no_distance():
    photo = PHOTO[:64, :64]
    method = resizers.METHODS["MATLAB's (imresize)"]
    scores = resizers.measure(method, photo, 2, resizers.load_model("lightweight_x2"))
    assert scores["differ"] == scores["levels"] == 0
    assert scores["network"] > scores["enlarged"]
