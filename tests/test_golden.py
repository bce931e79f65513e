"""Equality with the official network, on stored cases."""

import json

import pytest
import torch
from safetensors import safe_open

from swinir_lite import VARIANTS, SwinIR
from swinir_lite.checkpoint import check_fit, infer_config, key_map
from swinir_lite.weight_files import BUFFERS

from .golden import draw_weights, load_cases, load_official_state_dicts

CASES = load_cases()
OFFICIAL = load_official_state_dicts()
# which variant each of the released files is
NAMES = {
    "001_classicalSR_DIV2K_s48w8_SwinIR-M_x2": "classical_x2",
    "001_classicalSR_DF2K_s64w8_SwinIR-M_x8": "classical_x8",
    "002_lightweightSR_DIV2K_s64w8_SwinIR-S_x2": "lightweight_x2",
    "003_realSR_BSRGAN_DFO_s64w8_SwinIR-M_x4_GAN": "real_world_x4",
    "003_realSR_BSRGAN_DFOWMFC_s64w8_SwinIR-L_x4_GAN": "real_world_large_x4",
    "004_grayDN_DFWB_s128w8_SwinIR-M_noise25": "gray_denoise",
    "005_colorDN_DFWB_s128w8_SwinIR-M_noise25": "color_denoise",
    "006_CAR_DFWB_s126w7_SwinIR-M_jpeg40": "gray_jpeg",
    "006_colorCAR_DFWB_s126w7_SwinIR-M_jpeg40": "color_jpeg",
}


def model_of(state):
    """Build the model that a state dict describes, and fill it."""
    model = SwinIR(infer_config(state)).eval()
    official, own = key_map(model), model.state_dict()
    check_fit({official[key]: value for key, value in own.items()}, state)
    model.load_state_dict({key: state[official[key]] for key in own})
    return model


def assert_equal_images(ours, official):
    assert ours.shape == official.shape
    assert (ours - official).norm() <= 1e-5 * official.norm()


@torch.no_grad()
@pytest.mark.parametrize("name", sorted(CASES))
def test_equals_the_official_network(name):
    state, img_range, x, expected = CASES[name]
    model = model_of(state)
    assert model.config.img_range == img_range
    assert_equal_images(model(x), expected)


@torch.no_grad()
@pytest.mark.parametrize(
    "name",
    [
        "classical_x2",
        "color_denoise",
        "gray_denoise",
        "gray_jpeg_window7",
        "lightweight_x3",
        "realworld_x4_3conv",
    ],
)
def test_equals_the_official_network_on_shared_cases(shared, name):
    with safe_open(shared / f"golden/{name}.safetensors", "pt") as file:
        prefix = "params."
        names = [k for k in file.keys() if k.startswith(prefix)]  # noqa: SIM118
        state = {k.removeprefix(prefix): file.get_tensor(k) for k in names}
        config = json.loads(file.metadata()["config"])
        x, expected = file.get_tensor("input"), file.get_tensor("output")
    model = model_of({k: v for k, v in state.items() if not k.endswith(BUFFERS)})
    assert model.config.img_range == config["img_range"]
    assert_equal_images(model(x), expected)


def test_every_released_file_has_its_variant():
    assert set(NAMES) == set(OFFICIAL)


@pytest.mark.parametrize("stem", sorted(OFFICIAL))
def test_released_files_are_accounted_for(stem):
    config, parameters, shapes = OFFICIAL[stem]
    variant = VARIANTS[NAMES[stem]]
    assert variant.img_range == config["img_range"]
    kept = {key: shape for key, shape in shapes.items() if not key.endswith(BUFFERS)}
    with torch.device("meta"):
        assert infer_config({k: torch.empty(s) for k, s in kept.items()}) == variant
        model = SwinIR(variant)
    official, own = key_map(model), model.state_dict()
    assert {official[key]: tuple(value.shape) for key, value in own.items()} == kept
    assert sum(value.numel() for value in own.values()) == parameters


def test_compact_form_of_the_released_files_is_complete(shared):
    path = shared / "golden/official_state_dicts.json"
    for stem, about in json.loads(path.read_text()).items():
        config, parameters, shapes = OFFICIAL[stem]
        assert config == about["config"]
        assert parameters == about["parameters"]
        assert shapes == {key: tuple(shape) for key, shape in about["keys"].items()}


def test_weights_are_drawn_alike_everywhere():
    drawn = draw_weights({"a.weight": [2, 2], "norm.weight": [1]})
    expected = torch.tensor([[1.247378, 0.282956], [0.692068, 1.584537]])
    torch.testing.assert_close(drawn["a.weight"], expected, rtol=1e-5, atol=1e-6)
