"""JPEG and PSNR-B against libjpeg and definitions."""

import io
from pathlib import Path

import numpy as np
import pytest
import scipy.fft
import torch
from PIL import Image
from skimage import data

from swinir_lite import psnr, to_image, to_tensor
from swinir_lite.denoising import add_gaussian_noise, dct_matrix
from swinir_lite.jpeg_artifacts import (
    CHROMA_TABLE,
    LUMA_TABLE,
    add_jpeg_artifacts,
    compress,
    jpeg,
    psnr_b,
    quantisation_tables,
    transform_blocks,
    y_image,
)

CLASSIC5 = Path(__file__).parents[1] / "../shared/data/testsets/classic5"
GRAY = data.camera()[100:333, 150:401]  # 233x251: no multiple of 8
COLOUR = data.astronaut()[20:251, 100:339]  # 231x239
PHOTOS = pytest.mark.parametrize("photo", [GRAY, COLOUR], ids=["gray", "colour"])


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_dct_is_the_orthonormal_one():
    block = torch.rand(3, 8, 8, generator=seeded())
    expected = scipy.fft.dctn(block.numpy(), axes=(1, 2), norm="ortho")
    result = transform_blocks(dct_matrix(), block)
    torch.testing.assert_close(result, torch.from_numpy(expected))


def test_quantisation_tables_are_libjpegs_at_every_quality():
    for quality in range(1, 101):
        file = io.BytesIO()
        Image.fromarray(COLOUR[:8, :8]).save(file, "JPEG", quality=quality)
        stored = Image.open(file).quantization
        for i, base in enumerate((LUMA_TABLE, CHROMA_TABLE)):
            table = quantisation_tables(base, torch.tensor([quality]))
            assert table.flatten().tolist() == list(stored[i]), quality


@PHOTOS
@pytest.mark.parametrize("quality", [10, 20, 30, 40, 90])
def test_batched_jpeg_agrees_with_libjpeg(photo, quality):
    codec = add_jpeg_artifacts(photo, quality=quality)
    ours = compress(to_tensor(photo), torch.tensor([quality]))
    assert psnr(ours, codec) > 50
    assert abs(psnr(ours, photo) - psnr(codec, photo)) < 0.01
    assert (ours != codec).float().mean() < 0.1


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_returns_eight_bit_values_without_gradient(channels):
    hq = torch.rand(2, channels, 9, 21, generator=seeded(), requires_grad=True)
    result = jpeg(hq, seeded(), quality=30)
    assert result.shape == hq.shape
    assert not result.requires_grad
    torch.testing.assert_close(result * 255, (result * 255).round())
    assert 0 <= result.min() <= result.max() <= 1


@PHOTOS
def test_every_image_has_its_own_quality(photo):
    hq = to_tensor(photo[:64, :48]).repeat(3, 1, 1, 1)
    qualities = torch.tensor([10, 95, 40])
    together = compress(hq, qualities)
    for one, quality, result in zip(hq, qualities, together):
        assert torch.equal(compress(one[None], quality[None])[0], result)
    assert len({psnr(result, hq[0]) for result in together}) == 3


def test_random_quality_covers_its_range_and_follows_the_seed():
    hq = to_tensor(GRAY[:32, :32]).repeat(200, 1, 1, 1)
    drawn = jpeg(hq, seeded(), quality=(10, 13))
    assert torch.equal(drawn, jpeg(hq, seeded(), quality=(10, 13)))
    possible = compress(hq[:4], torch.arange(10, 14))
    matches = (drawn[:, None] == possible).flatten(2).all(2)  # (image, quality)
    assert matches.any(1).all()
    assert matches.any(0).all()


def test_flat_images_pass_unharmed():
    flat = torch.full((1, 1, 16, 16), 128 / 255)
    assert torch.equal(compress(flat, torch.tensor([10])), flat)


def test_y_image_is_the_rounded_luma():
    colours = np.array([[[255, 255, 255], [0, 0, 0], [0, 255, 0]]], np.uint8)
    result = y_image(colours)
    assert result.dtype == np.uint8
    assert result.tolist() == [[235, 16, 145]]


@pytest.mark.parametrize("quality", [0, 101, (10, 200), (0, 5)])
def test_a_quality_out_of_range_is_named(quality):
    with pytest.raises(ValueError, match=r"quality must be in 1\.\.100"):
        jpeg(torch.rand(1, 1, 8, 8), seeded(), quality=quality)


def test_wrong_input_is_named():
    with pytest.raises(ValueError, match=r"\(1, 2, 8, 8\)"):
        jpeg(torch.rand(1, 2, 8, 8), seeded(), quality=10)
    with pytest.raises(ValueError, match=r"\(low, high\), got \(40, 10\)"):
        jpeg(torch.rand(1, 1, 8, 8), seeded(), quality=(40, 10))
    with pytest.raises(ValueError, match="16x16"):
        psnr_b(GRAY[:15, :40], GRAY[:15, :40])


def psnr_b_by_loops(restored, target):
    """Yim and Bovik's definition, pair by pair."""
    restored = restored.astype(float)
    height, width = restored.shape
    across, within = [], []
    for y in range(height):
        for x in range(width):
            if x + 1 < width:
                gap = (restored[y, x] - restored[y, x + 1]) ** 2
                (across if x % 8 == 7 else within).append(gap)
            if y + 1 < height:
                gap = (restored[y, x] - restored[y + 1, x]) ** 2
                (across if y % 8 == 7 else within).append(gap)
    excess = np.mean(across) - np.mean(within)
    share = np.log2(8) / np.log2(min(height, width))
    effect = share * excess if excess > 0 else 0
    return 10 * np.log10(255**2 / (np.mean((restored - target) ** 2) + effect))


@pytest.mark.parametrize(("height", "width"), [(64, 40), (61, 47), (33, 32), (40, 49)])
def test_psnr_b_is_yim_and_boviks(height, width):
    target = GRAY[:height, :width]
    for quality in (5, 30):
        restored = to_image(add_jpeg_artifacts(target, quality=quality))
        expected = psnr_b_by_loops(restored, target)
        assert psnr_b(restored, target) == pytest.approx(expected, rel=1e-12)
        if quality == 5:  # where blocks show
            assert psnr_b(restored, target) < psnr(restored, target)


def test_psnr_b_is_psnr_where_no_blocks_show():
    noisy = to_image(add_gaussian_noise(np.full((64, 64), 128, np.uint8), sigma=20))
    smooth_blocks = np.kron(noisy[::8, ::8], np.ones((8, 8), np.uint8))
    shifted = np.roll(smooth_blocks, 4, (0, 1))  # edges within the blocks alone
    target = np.full((64, 64), 128, np.uint8)
    assert psnr_b(shifted, target) == psnr(shifted, target)
    assert psnr_b(smooth_blocks, target) < psnr(smooth_blocks, target) - 1
    assert psnr_b(target, target) == float("inf")


def test_psnr_b_of_colour_is_the_mean_over_channels():
    target = COLOUR[:64, :64]
    restored = to_image(add_jpeg_artifacts(target, quality=10))
    each = [psnr_b(restored[..., c], target[..., c]) for c in range(3)]
    assert psnr_b(restored, target) == pytest.approx(np.mean(each), rel=1e-12)


@pytest.mark.skipif(not CLASSIC5.exists(), reason="needs the classic5 test set")
def test_classic5_at_quality_10_measures_as_published():
    pairs = []
    for path in sorted(CLASSIC5.iterdir()):
        image = np.asarray(Image.open(path))
        pairs.append((to_image(add_jpeg_artifacts(image, quality=10)), image))
    assert len(pairs) == 5
    assert np.mean([psnr(*pair) for pair in pairs]) == pytest.approx(27.82, abs=0.005)
    assert np.mean([psnr_b(*pair) for pair in pairs]) == pytest.approx(25.21, abs=0.02)
