"""Restored pictures equal what the official script saves, for every released model."""

import numpy as np
import pytest
import torch
from PIL import Image

from swinir_lite import SwinIR
from swinir_lite.__main__ import main
from swinir_lite.checkpoint import infer_config, key_map
from swinir_lite.restoring.tiles import restore_rows
from swinir_lite.speed.network import fastest
from swinir_lite.variants import RELEASED

from ..golden import draw_weights_for_pictures, load_restored, small_picture

RESTORED = load_restored()


def official_state(config):
    """Random weights under the official names."""
    with torch.device("meta"):
        model = SwinIR(config)
    shapes = {k: list(v.shape) for k, v in model.state_dict().items()}
    return draw_weights_for_pictures(
        {official: shapes[ours] for ours, official in key_map(model).items()}
    )


def test_every_released_model_is_compared():
    assert set(RESTORED) == set(RELEASED)


@pytest.mark.parametrize("name", sorted(RELEASED))
def test_pictures_equal_those_of_the_official_script(name):
    config, expected = RELEASED[name], RESTORED[name]
    state = official_state(config)
    assert infer_config(state) == config
    model = SwinIR(config)
    model.load_state_dict({ours: state[k] for ours, k in key_map(model).items()})
    picture = small_picture(config.in_channels)
    image = picture.astype(np.float32) / 255
    rows = restore_rows(
        fastest(model, "cpu"),
        lambda top, left, height, width: image[top:, left:][:height, :width],
        *image.shape[:2],
        scale=config.scale,
        channels=config.in_channels,
        window=config.window_size,
        tile=0,
        dtype=np.uint8,
    )
    result = np.concatenate(list(rows))
    assert result.shape == expected.shape
    assert np.abs(result.astype(int) - expected).max() <= 1
    assert expected.std() > 10  # so that something is compared


@pytest.mark.parametrize("name", ["lightweight_x2", "color_denoise", "gray_jpeg"])
def test_restored_files_equal_those_of_the_official_script(name, tmp_path):
    """From a file of official weights and a picture's file, by the command."""
    config, expected = RELEASED[name], RESTORED[name]
    weights, source, target = (tmp_path / n for n in ("w.pth", "a.png", "b.png"))
    torch.save({"params": official_state(config)}, weights)
    picture = small_picture(config.in_channels)
    Image.fromarray(picture if config.in_channels == 3 else picture[..., 0]).save(
        source
    )
    main(
        ["restore", str(source), "-m", str(weights), "-o", str(target), "--tile", "0"]
        + ["--device", "cpu", "--quiet"]
    )
    result = np.asarray(Image.open(target)).reshape(expected.shape)
    assert np.abs(result.astype(int) - expected).max() <= 1
