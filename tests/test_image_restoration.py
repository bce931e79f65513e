import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from skimage import data
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from swinir_lite import imresize, psnr, rgb_to_y, ssim, to_image, to_tensor


def random_image(*shape, seed=0):
    return np.random.RandomState(seed).randint(0, 256, shape).astype(np.uint8)


def keys_cubic(x):
    """Keys' kernel with a = -0.5, as published: branch by branch."""
    x = abs(x)
    if x < 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    if x < 2:
        return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return 0.0


def resize_matrix(length, scale):
    """The dense matrix that resizes a line, from the definition, one tap at a time."""
    out = int(np.ceil(length * scale))
    widen = max(1, 1 / scale)
    matrix = np.zeros((out, length))
    mirrored = [*range(length), *reversed(range(length))]
    for i in range(out):
        centre = (i + 0.5) / scale - 0.5
        for tap in range(int(centre - 2 * widen) - 2, int(centre + 2 * widen) + 3):
            weight = keys_cubic((centre - tap) / widen)
            matrix[i, mirrored[tap % (2 * length)]] += weight
    return matrix / matrix.sum(axis=1, keepdims=True)


@given(
    st.integers(1, 13),
    st.integers(1, 13),
    st.sampled_from([0.25, 1 / 3, 0.5, 0.7, 1, 1.5, 2, 3, 4]),
)
def test_imresize_equals_its_definition(height, width, scale):
    image = np.random.RandomState(0).rand(height, width)
    rows, columns = resize_matrix(height, scale), resize_matrix(width, scale)
    expected = rows @ image @ columns.T
    np.testing.assert_allclose(imresize(image, scale), expected, atol=1e-12)


@pytest.mark.parametrize("scale", [1 / 2, 1 / 3, 1 / 4])
def test_imresize_equals_torchs_antialiased_bicubic_away_from_the_border(scale):
    image = torch.rand(1, 1, 48, 60, dtype=torch.float64)
    size = round(48 * scale), round(60 * scale)
    theirs = F.interpolate(image, size=size, mode="bicubic", antialias=True)
    ours = imresize(image[0, 0].numpy(), scale)
    inner = np.s_[3:-3, 3:-3]
    np.testing.assert_allclose(ours[inner], theirs[0, 0].numpy()[inner], atol=1e-9)


def test_imresize_rounds_uint8_after_each_pass():
    image = random_image(17, 23, 3)
    rows, columns = resize_matrix(17, 0.5), resize_matrix(23, 0.5)
    expected = np.empty((9, 12, 3), np.uint8)
    for channel in range(3):
        halfway = np.floor(rows @ image[..., channel] + 0.5).clip(0, 255)
        both = halfway @ columns.T
        expected[..., channel] = np.floor(both + 0.5).clip(0, 255)
    np.testing.assert_array_equal(imresize(image, 0.5), expected)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_imresize_is_bit_exact_on_set5(shared, scale):
    folder = shared / "data/testsets/Set5"
    paths = sorted((folder / f"LR_bicubic/X{scale}").glob("*.png"))
    assert len(paths) == 5
    for path in paths:
        original = folder / "HR" / path.name.replace(f"x{scale}.png", ".png")
        image = np.array(Image.open(original).convert("RGB"))
        height, width = (side // scale * scale for side in image.shape[:2])
        ours = imresize(image[:height, :width], 1 / scale)
        np.testing.assert_array_equal(ours, np.array(Image.open(path).convert("RGB")))


@pytest.mark.parametrize(
    ("scale", "expected"),
    [(2, (33.673, 0.9303)), (3, (30.403, 0.8689)), (4, (28.429, 0.8111))],
)
def test_bicubic_on_set5_scores_what_papers_report(shared, scale, expected):
    folder = shared / "data/testsets/Set5"
    scores = []
    for path in sorted((folder / f"LR_bicubic/X{scale}").glob("*.png")):
        upscaled = imresize(np.array(Image.open(path).convert("RGB")), scale)
        original = folder / "HR" / path.name.replace(f"x{scale}.png", ".png")
        height, width = upscaled.shape[:2]
        image = np.array(Image.open(original).convert("RGB"))[:height, :width]
        pair = upscaled, image
        scores.append([f(*pair, crop_border=scale, y_channel=True) for f in METRICS])
    mean = np.mean(scores, axis=0)
    assert mean == pytest.approx(expected, abs=1e-3)


METRICS = psnr, ssim


@pytest.mark.parametrize("shape", [(11, 11), (40, 33), (24, 30, 3)])
def test_metrics_equal_those_of_scikit_image(shape):
    a = random_image(*shape)
    b = np.clip(a + np.random.RandomState(1).normal(0, 20, shape), 0, 255)
    b = b.astype(np.uint8)
    assert psnr(a, b) == pytest.approx(peak_signal_noise_ratio(a, b), abs=1e-9)
    theirs = structural_similarity(
        a,
        b,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=255,
        channel_axis=2 if len(shape) == 3 else None,
    )
    assert ssim(a, b) == pytest.approx(theirs, abs=1e-7)


def test_crop_border_and_y_channel_are_what_they_say():
    a, b = random_image(32, 30, 3), random_image(32, 30, 3, seed=1)
    inner = np.s_[4:-4, 4:-4]
    for metric in METRICS:
        assert metric(a, b, crop_border=4) == metric(a[inner], b[inner])
    r, g, blue = (a[..., i].astype(float) for i in range(3))
    luma = (65.481 * r + 128.553 * g + 24.966 * blue) / 255 + 16
    np.testing.assert_allclose(rgb_to_y(a), luma, atol=1e-10)
    mse = np.mean((rgb_to_y(a) - rgb_to_y(b)) ** 2)
    expected = 10 * np.log10(255**2 / mse)
    assert psnr(a, b, y_channel=True) == pytest.approx(expected)


def test_metrics_take_tensors_clamped_and_rounded():
    a, b = random_image(16, 16, 3), random_image(16, 16, 3, seed=1)
    assert psnr(to_tensor(a), b) == psnr(a, b)
    bright = torch.full((1, 3, 16, 16), 1.7)
    assert psnr(bright, np.full((16, 16, 3), 255, np.uint8)) == float("inf")
    assert ssim(a, a) == pytest.approx(1)


@given(st.integers(1, 9), st.integers(1, 9), st.sampled_from([None, 1, 3]))
def test_image_to_tensor_and_back(height, width, channels):
    image = random_image(height, width, *([channels] if channels else []))
    tensor = to_tensor(image)
    assert tensor.shape == (1, channels or 1, height, width)
    expected = image[..., 0] if channels == 1 else image
    np.testing.assert_array_equal(to_image(tensor), expected)
    np.testing.assert_array_equal(to_image(tensor[0]), expected)


def test_noise_and_blur_lower_both_metrics():
    image = data.camera()[100:228, 100:228]
    noisy = np.clip(image + np.random.RandomState(0).normal(0, 25, image.shape), 0, 255)
    worse = np.clip(image + np.random.RandomState(0).normal(0, 50, image.shape), 0, 255)
    for metric in METRICS:
        low, high = (metric(x.astype(np.uint8), image) for x in (worse, noisy))
        assert low < high


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: to_tensor(np.zeros((4, 4))), TypeError, "uint8.*float64"),
        (lambda: to_tensor([[1]]), TypeError, "uint8.*list"),
        (lambda: to_tensor(np.zeros(4, np.uint8)), ValueError, r"\(4,\)"),
        (lambda: to_tensor(np.zeros((0, 4), np.uint8)), ValueError, r"\(0, 4\)"),
        (lambda: to_image(np.zeros((3, 4, 4))), TypeError, "float tensor"),
        (lambda: to_image(torch.zeros(4, 4)), ValueError, r"\(4, 4\)"),
        (lambda: to_image(torch.zeros(2, 3, 4, 4)), ValueError, r"\(2, 3, 4, 4\)"),
        (lambda: to_image(torch.zeros(3, 4, 4).int()), TypeError, "int32"),
        (lambda: to_image(torch.full((1, 4, 4), torch.nan)), ValueError, "NaN"),
        (lambda: to_image(torch.full((1, 4, 4), torch.inf)), ValueError, "infinity"),
        (lambda: imresize(np.zeros(4), 2), ValueError, r"\(4,\)"),
        (lambda: imresize(np.zeros((0, 4)), 2), ValueError, r"\(0, 4\)"),
        (lambda: imresize(np.zeros((4, 4)), 0), ValueError, "positive.*got 0"),
        (lambda: imresize(np.zeros((4, 4)), -1), ValueError, "positive.*got -1"),
        (lambda: imresize(np.zeros((4, 4)), float("nan")), ValueError, "nan"),
        (lambda: imresize(np.zeros((4, 4)), float("inf")), ValueError, "got inf"),
        (lambda: rgb_to_y(random_image(4, 4)), ValueError, r"RGB.*\(4, 4\)"),
        (lambda: rgb_to_y(np.zeros((4, 4, 3))), TypeError, "uint8.*float64"),
        (lambda: rgb_to_y([[1]]), TypeError, "uint8.*list"),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    ("a", "b", "arguments", "error", "message"),
    [
        ((16, 16), (16, 15), {}, ValueError, r"\(16, 16\) and \(16, 15\)"),
        ((16, 16), (16, 16), {"crop_border": 8}, ValueError, "8 does not fit 16x16"),
        ((16, 16), (16, 16), {"crop_border": -1}, ValueError, "-1"),
        ((16, 16), (16, 16), {"y_channel": True}, ValueError, r"RGB.*\(16, 16\)"),
        ((16,), (16,), {}, ValueError, r"\(16,\)"),
    ],
)
def test_bad_input_of_metrics(metric, a, b, arguments, error, message):
    with pytest.raises(error, match=message):
        metric(random_image(*a), random_image(*b), **arguments)


@pytest.mark.parametrize("metric", METRICS)
def test_a_broken_model_has_no_score(metric):
    image = random_image(16, 16)
    broken = to_tensor(image)
    broken[0, 0, 5, 5] = torch.nan
    with pytest.raises(ValueError, match="finite"):
        metric(broken, image)


def test_metrics_refuse_floats_and_ssim_small_images():
    with pytest.raises(TypeError, match="float64"):
        psnr(np.zeros((4, 4)), np.zeros((4, 4)))
    with pytest.raises(ValueError, match="11x11"):
        ssim(random_image(10, 12), random_image(10, 12))
