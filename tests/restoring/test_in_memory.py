"""restore_image: a picture comes back as the kind that it was."""

import numpy as np
import pytest
import torch
from PIL import Image

import swinir_lite
from swinir_lite import imresize, load_model, to_image, to_tensor
from swinir_lite.errors import InputError
from swinir_lite.measuring.evaluation import restore as reading_path
from swinir_lite.official_weights import save_official

DTYPES = (np.uint8, np.uint16, np.float32, np.float64)


@pytest.fixture
def model(small_models):
    return load_model(small_models[2, 3])


def as_type(array, dtype):
    """uint8 pixels in another type, white where it was."""
    white = np.iinfo(dtype).max if np.issubdtype(dtype, np.integer) else 1
    return (array * (white / 255)).astype(dtype)


def test_the_default_is_lightweight_x2(photo):
    array = photo(16, 24)
    expected = reading_path(load_model("lightweight_x2"), to_tensor(array), 2, 8)
    restored = swinir_lite.restore_image(array)
    assert np.abs(restored.astype(int) - to_image(expected)).max() <= 1
    assert restored.dtype == np.uint8


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "I;16"])
def test_pillow_images_keep_their_mode(photo, model, mode):
    array = photo(9, 12)
    image = Image.fromarray(array).convert("RGB" if mode == "I;16" else mode)
    if mode == "I;16":
        image = Image.fromarray(as_type(array[..., 0], np.uint16))
    image.info["icc_profile"] = b"profile"
    restored = swinir_lite.restore_image(image, model)
    assert (restored.mode, restored.size) == (mode, (24, 18))
    assert restored.info == image.info


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bands", [None, 1, 2, 3, 4])
def test_arrays_keep_their_type_and_rank(photo, model, dtype, bands):
    array = np.dstack([photo(9, 12), photo(9, 12)[::-1, :, :1]])
    array = array[..., 0] if bands is None else array[..., :bands]
    array = as_type(array, dtype)
    restored = swinir_lite.restore_image(array, model)
    assert restored.dtype == dtype
    assert restored.shape == (18, 24, *array.shape[2:])
    plain = swinir_lite.restore_image(array, model, strength=0)
    white = 1 if dtype in (np.float32, np.float64) else np.iinfo(dtype).max
    expected = imresize(array.astype(float) / white, 2).clip(0, 1)
    if bands in (None, 1, 3):  # elsewhere hidden colours are filled
        np.testing.assert_allclose(plain / white, expected, atol=0.51 / min(white, 255))


def test_types_agree(photo, model):
    array = photo(9, 12)
    results = [
        swinir_lite.restore_image(as_type(array, dtype), model) for dtype in DTYPES
    ]
    for dtype, result in zip(DTYPES, results):
        white = 1 if dtype in (np.float32, np.float64) else np.iinfo(dtype).max
        np.testing.assert_allclose(result / white, results[-1], atol=0.0021)


@pytest.mark.parametrize("dtype", [">u2", ">f4", "<f2"])
def test_arrays_keep_their_order_of_bytes(photo, model, dtype):
    native = np.dtype(dtype).newbyteorder("=")
    array = as_type(photo(9, 12), np.uint16 if "u" in dtype else native)
    restored = swinir_lite.restore_image(array.astype(dtype), model)
    assert restored.dtype == dtype
    np.testing.assert_array_equal(restored, swinir_lite.restore_image(array, model))


def test_a_pillow_image_of_the_other_order_of_bytes(photo, model):
    image = Image.fromarray(as_type(photo(9, 12)[..., 0], np.uint16).astype(">u2"))
    restored = swinir_lite.restore_image(image, model)
    assert (image.mode, restored.mode) == ("I;16B", "I;16B")


@pytest.mark.parametrize(("mode", "with_alpha"), [("L", "LA"), ("RGB", "RGBA")])
def test_a_transparent_colour_of_pillow_becomes_alpha(photo, model, mode, with_alpha):
    array = photo(12, 16)
    array[:4, :4] = 5
    image = Image.fromarray(array).convert(mode)
    image.info["transparency"] = image.getpixel((0, 0))
    restored = swinir_lite.restore_image(image, model)
    assert restored.mode == with_alpha
    assert "transparency" not in restored.info
    alpha = np.array(restored)[..., -1]
    assert alpha[0, 0] == 0
    assert alpha[-1, -1] == 255
    assert "transparency" in image.info


def test_a_float_a_little_beyond_its_range(photo, model):
    array = as_type(photo(9, 12), np.float32)
    expected = swinir_lite.restore_image(array.clip(0, 1), model)
    array[array == array.max()] = 1 + 1e-6
    array[array == array.min()] = -1e-6
    restored = swinir_lite.restore_image(array, model)
    assert restored.min() >= 0
    assert restored.max() <= 1
    assert np.abs(restored - expected).max() < 0.5


def test_a_model_without_a_configuration_is_refused(photo):
    with pytest.raises(InputError, match=r"`config` with scale.*ResidualCNN has none"):
        swinir_lite.restore_image(photo(9, 12), swinir_lite.ResidualCNN())


def test_what_was_given_stays(photo, model):
    array = photo(9, 12)
    before = array.copy()
    swinir_lite.restore_image(array, model)
    np.testing.assert_array_equal(array, before)


@pytest.mark.filterwarnings("ignore:the matrix subclass")
def test_matrices_maps_and_masked_arrays_are_taken_as_arrays(photo, model, tmp_path):
    """NumPy writes beyond the memory of a matrix that is given a third axis."""
    gray = photo(9, 12)[..., 0]
    np.save(tmp_path / "gray.npy", gray)
    expected = swinir_lite.restore_image(gray, model)
    for array in (
        np.ma.masked_array(gray, gray > 100),
        np.load(tmp_path / "gray.npy", mmap_mode="r"),
        np.asmatrix(gray),
    ):
        restored = swinir_lite.restore_image(array, model)
        assert type(restored) is np.ndarray
        np.testing.assert_array_equal(restored, expected)


def test_gray_through_a_colour_model_is_gray(photo, model):
    gray = photo(9, 12)[..., 0]
    coloured = swinir_lite.restore_image(np.dstack([gray] * 3), model)
    luma = coloured @ np.array([0.299, 0.587, 0.114])
    restored = swinir_lite.restore_image(gray, model)
    assert np.abs(restored - luma).max() <= 1


@pytest.mark.parametrize(
    ("picture", "said"),
    [
        (np.zeros((3, 4), np.int64), "need uint8, uint16 or float, got int64"),
        (np.zeros((3, 4, 5), np.uint8), r"got \(3, 4, 5\)"),
        (np.zeros((0, 4), np.uint8), r"got \(0, 4\)"),
        (np.full((3, 4), 2.0), "lies in 0..1, got 2 to 2"),
        (np.full((3, 4), np.nan), "lies in 0..1, got nan"),
        (np.ma.masked_invalid([[np.nan, 0.5]]), "lies in 0..1, got nan"),
        (Image.new("P", (4, 3)), r"mode P, need L.*picture.convert\('RGB'\)"),
        (Image.new("I", (4, 3)), r"picture.convert\('I;16'\)"),
        (Image.new("PA", (4, 3)), r"picture.convert\('RGBA'\)"),
        (Image.new("F", (4, 3)), r"numpy.asarray\(picture\)"),
        ([[1]], "need a Pillow image or an array, got list"),
        (torch.zeros(3, 4), "need a Pillow image or an array, got Tensor"),
    ],
)
def test_what_is_no_picture_is_said(model, picture, said):
    with pytest.raises(InputError, match=said):
        swinir_lite.restore_image(picture, model)


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ({"device": "tpu"}, "no device is named 'tpu'; say cpu"),
        ({"device": "cuda:99"}, "no device 'cuda:99' here"),
        ({"device": "meta"}, "no device 'meta' here"),
        ({"dtype": torch.int8}, "need torch.float32"),
        ({"dtype": "float16"}, "need torch.float32"),
    ],
)
def test_devices_and_types_that_cannot_be(photo, model, option, said):
    with pytest.raises(InputError, match=said):
        swinir_lite.restore_image(photo(8, 8), model, **option)


def test_options_reach_the_tiles(photo, model):
    array = photo(40, 40)
    whole = swinir_lite.restore_image(array, model, tile=0)
    tiled = swinir_lite.restore_image(array, model, tile=32, overlap=16)
    assert np.abs(whole.astype(int) - tiled).max() <= 1
    many = swinir_lite.restore_image(array, model, self_ensemble=True)
    assert (many != whole).any()
    with pytest.raises(InputError, match="strength"):
        swinir_lite.restore_image(array, model, strength=2)
    with pytest.raises(InputError, match="overlap by -1 pixels"):
        swinir_lite.restore_image(array, model, overlap=-1)
    least = swinir_lite.restore_image(array, model, overlap=0)
    np.testing.assert_array_equal(least, whole)


def test_the_image_range_is_what_the_caller_says(photo, model, tmp_path):
    path, array = tmp_path / "foreign.pth", photo(9, 12)
    save_official(model, path)
    changed = load_model(path, img_range=255)
    expected = swinir_lite.restore_image(array, changed)
    assert not np.array_equal(expected, swinir_lite.restore_image(array, path))
    restored = swinir_lite.restore_image(array, path, img_range=255)
    np.testing.assert_array_equal(restored, expected)
    for known in (model, "lightweight_x2"):
        with pytest.raises(InputError, match="img_range 1, not 255"):
            swinir_lite.restore_image(array, known, img_range=255)
