"""A small network and small pictures to restore."""

import numpy as np
import pytest
import torch

from swinir_lite import SwinIR, SwinIRConfig, save_model
from swinir_lite.__main__ import main

SMALL = {"dim": 8, "depths": (1,), "num_heads": (2,), "window_size": 4}


@pytest.fixture(scope="session")
def small_models(tmp_path_factory):
    """small_models[scale, channels]: a file of weights of a network to restore with."""
    folder, files = tmp_path_factory.mktemp("models"), {}
    for scale, channels in ((2, 3), (2, 1), (1, 3), (1, 1)):
        torch.manual_seed(scale + channels)
        head = {"upsampler": "none"} if scale == 1 else {}
        config = SwinIRConfig(**SMALL, scale=scale, in_channels=channels, **head)
        files[scale, channels] = folder / f"small_x{scale}_{channels}.safetensors"
        save_model(SwinIR(config), files[scale, channels])
    return files


@pytest.fixture
def photo():
    """photo(height, width): a coloured picture, uint8 (height, width, 3)."""

    def make(height, width):
        down, across = np.mgrid[:height, :width]
        red = 128 + 100 * np.sin(across / 3)
        green = 128 + 100 * np.cos(down / 4)
        blue = 128 + 60 * np.sin((across + down) / 5)
        return np.stack([red, green, blue], 2).round().astype(np.uint8)

    return make


@pytest.fixture
def restore(small_models, capsys):
    """restore(*arguments, scale=2, channels=3): run the command with a small model.

    Returns the exit status, what was printed, and the errors and notes.
    """

    def run(*arguments, scale=2, channels=3):
        capsys.readouterr()
        model = small_models[scale, channels]
        status = 0
        try:
            main(["restore", *map(str, arguments), "-m", str(model)])
        except SystemExit as stopped:
            status = stopped.code
        said = capsys.readouterr()
        return status, said.out, said.err

    return run
