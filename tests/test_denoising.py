"""Noise against the official protocol, BM3D against its definition."""

import numpy as np
import pytest
import pywt
import torch
from skimage import data

from swinir_lite import psnr
from swinir_lite.denoising import (
    add_gaussian_noise,
    bm3d,
    dct_matrix,
    filter_groups,
    gaussian_noise,
    haar_matrix,
    similar_blocks,
    transform_groups,
)

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


@pytest.mark.parametrize("size", [1, 2, 8, 32])
def test_haar_matrix_is_the_wavelet_transform(size):
    row = torch.randn(size, generator=seeded())
    expected = np.concatenate(pywt.wavedec(row.numpy(), "haar"))
    np.testing.assert_allclose((haar_matrix(size) @ row).numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("rows", [haar_matrix(8), dct_matrix()])
def test_groups_come_back_from_their_spectra(rows):
    groups = torch.randn(2, 64, 4, 3, generator=seeded())
    spectra = transform_groups(groups, rows)
    torch.testing.assert_close(spectra.square().sum(), groups.square().sum())
    torch.testing.assert_close(transform_groups(spectra, rows, inverse=True), groups)


def test_similar_blocks_are_the_nearest_within_reach():
    image = torch.rand(16, 20, generator=seeded())
    places = similar_blocks(image, 5, step=4, reach=3)
    assert places.shape == (5, 3 * 4)
    corners = [(y, x) for y in range(0, 9, 4) for x in range(0, 13, 4)]
    for (y, x), found in zip(corners, places.T):
        near = {
            v * 13 + u: (image[v : v + 8, u : u + 8] - image[y : y + 8, x : x + 8])
            .square()
            .sum()
            .item()
            for v in range(max(y - 3, 0), min(y + 4, 9))
            for u in range(max(x - 3, 0), min(x + 4, 13))
        }
        assert found[0] == y * 13 + x
        assert sorted(near, key=near.get)[:5] == found.tolist()


def test_among_equals_a_block_is_the_first_of_its_group():
    places = similar_blocks(torch.zeros(16, 20), 4)
    assert places[0].tolist() == [y * 13 + x for y in (0, 4, 8) for x in (0, 4, 8, 12)]
    assert torch.equal(
        bm3d(torch.zeros(1, 1, 20, 40), sigma=9), torch.zeros(1, 1, 20, 40)
    )


def test_groups_that_keep_everything_give_the_image_back():
    image = torch.rand(1, 16, 24, generator=seeded())
    places = similar_blocks(image[0], 4)
    torch.testing.assert_close(filter_groups(image, places, sigma=0.0), image)


@pytest.mark.parametrize("sigma", [15, 50])
def test_bm3d_takes_most_of_the_noise_of_a_flat_image(sigma):
    clean = np.full((48, 48), 128, np.uint8)
    noisy = add_gaussian_noise(clean, sigma=sigma)
    assert psnr(bm3d(noisy, sigma=sigma), clean) > psnr(noisy, clean) + 15


def test_bm3d_of_colour_uses_what_channels_share():
    clean = COLOUR[:61, :50]  # no multiples of 4
    noisy = add_gaussian_noise(clean, sigma=25)
    together = bm3d(noisy, sigma=25)
    apart = torch.cat([bm3d(noisy[:, c : c + 1], sigma=25) for c in range(3)], 1)
    assert together.shape == noisy.shape
    assert psnr(together, clean) > psnr(apart, clean) + 0.5


@pytest.mark.parametrize("shape", [(2, 1, 16, 16), (1, 2, 16, 16), (1, 1, 7, 16)])
def test_what_bm3d_cannot_take_is_named(shape):
    with pytest.raises(ValueError, match=f"got .*{shape[2]}, {shape[3]}"):
        bm3d(torch.rand(shape), sigma=25)
    with pytest.raises(ValueError, match="sigma must be above 0, got 0"):
        bm3d(torch.rand(1, 1, 16, 16), sigma=0)
