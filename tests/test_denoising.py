"""Noise against the official protocol."""

import numpy as np
import pytest
import torch
from skimage import data

from swinir_lite.denoising import add_gaussian_noise, gaussian_noise

GRAY = data.camera()[100:333, 150:401]  # 233x251: no multiple of 8
COLOUR = data.astronaut()[20:251, 100:339]  # 231x239


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_the_noise_is_the_official_protocols():
    np.random.seed(0)
    bgr = COLOUR[..., ::-1].astype(np.float32) / 255
    noisy = bgr + np.random.normal(0, 25 / 255.0, bgr.shape)
    expected = torch.from_numpy(noisy[..., ::-1].copy()).permute(2, 0, 1)[None].float()
    torch.testing.assert_close(add_gaussian_noise(COLOUR, sigma=25), expected)
    np.random.seed(0)
    noisy = GRAY / 255 + np.random.normal(0, 50 / 255.0, GRAY.shape)
    expected = torch.from_numpy(noisy)[None, None].float()
    torch.testing.assert_close(add_gaussian_noise(GRAY, sigma=50), expected)


def test_noise_is_not_clipped_and_leaves_the_global_seed_alone():
    before = np.random.get_state()[1].copy()
    noisy = add_gaussian_noise(GRAY, sigma=50)
    assert noisy.min() < 0
    assert noisy.max() > 1
    assert np.array_equal(before, np.random.get_state()[1])


def test_every_image_of_a_batch_draws_its_own_sigma():
    hq = torch.full((64, 1, 48, 48), 0.5)
    noise = (gaussian_noise(hq, seeded(), sigma=(10, 50)) - hq) * 255
    deviations = noise.std((1, 2, 3))
    assert 9 < deviations.min() < 15
    assert 45 < deviations.max() < 53
    assert noise.mean().abs() < 1
    assert torch.equal(noise, (gaussian_noise(hq, seeded(), sigma=(10, 50)) - hq) * 255)
    one = gaussian_noise(hq, seeded(1), sigma=25) - hq
    assert one.std() * 255 == pytest.approx(25, rel=0.01)
    assert gaussian_noise(torch.zeros(1, 1, 8, 8), seeded(), sigma=25).min() < 0


def test_a_negative_sigma_is_named():
    with pytest.raises(ValueError, match="sigma must be at least 0, got -1"):
        gaussian_noise(torch.rand(1, 1, 8, 8), seeded(), sigma=-1)
    with pytest.raises(ValueError, match="sigma must be at least 0, got -1"):
        add_gaussian_noise(GRAY, sigma=-1)
