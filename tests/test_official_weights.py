"""Our weights in the official layout, and other layouts than the released ones."""

import pytest
import torch

from swinir_lite import ResidualCNN, SwinIR, SwinIRConfig, load_model
from swinir_lite.checkpoint import key_map
from swinir_lite.official_weights import official_state, save_official
from swinir_lite.variants import RELEASED
from swinir_lite.weight_descriptions import describe_weights

from .golden import load_official_state_dicts
from .test_golden import NAMES

OFFICIAL = load_official_state_dicts()
TINY = {"dim": 8, "depths": (2, 3), "num_heads": (2, 4), "window_size": 4}


def tiny(**changes):
    return SwinIR(SwinIRConfig(**{**TINY, **changes})).eval()


@pytest.mark.parametrize("stem", sorted(OFFICIAL))
def test_names_and_shapes_are_those_of_the_released_file(stem):
    config, _, shapes = OFFICIAL[stem]
    model = SwinIR(RELEASED[NAMES[stem]])
    state = official_state(model, config["img_size"])
    assert {key: tuple(value.shape) for key, value in state.items()} == shapes


def test_the_buffers_say_what_the_official_network_computes():
    state = official_state(tiny(), 12)
    block = "layers.1.residual_group.blocks.1."
    index = state[block + "attn.relative_position_index"]
    assert index.dtype == torch.int64
    for i in range(16):
        for j in range(16):
            rows, columns = i // 4 - j // 4, i % 4 - j % 4
            assert index[i, j] == (rows + 3) * 7 + columns + 3
    # windows by the regions that a shift by 2 brings together
    region = torch.tensor([0] * 8 + [1] * 2 + [2] * 2)
    labels = (3 * region[:, None] + region[None]).view(3, 4, 3, 4)
    labels = labels.transpose(1, 2).reshape(9, 16)
    expected = -100.0 * (labels[:, None] != labels[:, :, None])
    assert torch.equal(state[block + "attn_mask"], expected)
    assert "layers.1.residual_group.blocks.2.attn_mask" not in state


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"upsampler": "pixelshuffle", "scale": 3},
        {"upsampler": "nearest+conv", "scale": 4, "resi_connection": "3conv"},
        {"upsampler": "none", "scale": 1, "in_channels": 1},
        {"window_size": 5},
    ],
    ids=str,
)
def test_what_is_written_is_read_as_the_same_network(tmp_path, changes):
    model = tiny(**changes)
    save_official(model, tmp_path / "model.pth")
    stored = torch.load(tmp_path / "model.pth", weights_only=True)
    assert list(stored) == ["params"]
    loaded = load_model(tmp_path / "model.pth")
    assert loaded.config == model.config
    for key, value in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[key], value)


def test_an_image_range_that_readers_cannot_know_is_said(tmp_path):
    for window, img_range, taken in ((4, 255.0, "1"), (7, 1.0, "255")):
        model = tiny(window_size=window, img_range=img_range)
        with pytest.warns(UserWarning, match=f"readers will take {taken}, because"):
            save_official(model, tmp_path / "model.pth")


def test_what_cannot_be_written_is_refused(tmp_path):
    with pytest.raises(TypeError, match="expected a SwinIR, got a ResidualCNN"):
        save_official(ResidualCNN(), tmp_path / "model.pth")
    with pytest.raises(ValueError, match=r"ends with \.pth, got .*model\.safetensors"):
        save_official(tiny(), tmp_path / "model.safetensors")
    with pytest.raises(OSError, match=r"cannot write in .*absent"):
        save_official(tiny(), tmp_path / "absent/model.pth")
    for size in (4, 13, -8):
        with pytest.raises(ValueError, match=f"two windows of 4 or more, got {size}"):
            save_official(tiny(), tmp_path / "model.pth", size)
    assert not list(tmp_path.iterdir())


def renamed(state, old, new):
    return {key.replace(old, new): value for key, value in state.items()}


def with_features(state, features):
    """A pixelshuffle head with another number of features than 64."""
    sizes = {64: features, 256: 4 * features}
    return {
        key: torch.zeros([sizes.get(side, side) for side in value.shape])
        if key.startswith(("conv_before", "upsample", "conv_last"))
        else value
        for key, value in state.items()
    }


def with_steps(state, steps):
    """A pixelshuffle head of so many steps of two."""
    more = {
        f"upsample.{2 * i}.{kind}": state[f"upsample.0.{kind}"].clone()
        for i in range(steps)
        for kind in ("weight", "bias")
    }
    return {**state, **more}


PIXELSHUFFLE = {"upsampler": "pixelshuffle", "scale": 2}
NEAREST = {"upsampler": "nearest+conv", "scale": 4}


@pytest.mark.parametrize(
    ("changes", "change", "message"),
    [
        (
            NEAREST,
            lambda s: renamed(s, "conv_first.", "conv_first.1."),
            r"an input that is unshuffled first, as in DiffBIR's cleaner \(conv_fi",
        ),
        (
            NEAREST,
            lambda s: {**s, "conv_up3.weight": s["conv_up2.weight"].clone()},
            r"a nearest\+conv head of x8 \(conv_up3\.weight\) is not supported",
        ),
        (
            PIXELSHUFFLE,
            lambda s: with_features(s, 32),
            "a head of 32 features is not supported",
        ),
        (PIXELSHUFFLE, lambda s: with_steps(s, 4), "no 'pixelshuffle' x16; there are"),
        (
            {},
            lambda s: {**s, "absolute_pos_embed": torch.zeros(1, 64, 8)},
            "absolute positions",
        ),
        (
            {},
            lambda s: renamed(s, "relative_position_bias_table", "logit_scale"),
            "Swin2SR",
        ),
    ],
)
def test_networks_that_this_one_is_not_are_refused_by_what_they_have(
    tmp_path, changes, change, message
):
    model = tiny(**changes)
    names = key_map(model)
    state = {names[key]: value for key, value in model.state_dict().items()}
    torch.save({"params": change(state)}, tmp_path / "model.pth")
    with pytest.raises(ValueError, match=message) as info:
        load_model(tmp_path / "model.pth")
    assert "model.pth" in str(info.value)
    assert "\n" not in str(info.value)


@pytest.mark.parametrize("window", [2, 3, 5, 6, 12, 16])
def test_any_window_is_read(tmp_path, window):
    model = tiny(window_size=window)
    save_official(model, tmp_path / "model.pth")
    assert load_model(tmp_path / "model.pth").config == model.config


def test_a_file_is_described(tmp_path):
    path = tmp_path / "model.pth"
    save_official(tiny(), path)
    about = describe_weights(path)
    assert about.task == "super-resolution"
    assert (about.scale, about.channels, about.dtype) == (2, 3, "float32")
    assert about.parameters == sum(p.numel() for p in tiny().parameters())
    assert about.img_range == 1
    assert "assumed" in about.img_range_known
    assert str(path) in about.lines()[0]
    about = describe_weights("gray_jpeg_10")
    assert about.task == "JPEG artifact reduction, quality 10"
    assert (about.scale, about.channels, about.dtype) == (1, 1, "float16")
    assert about.img_range == 255
    assert "assumed" not in about.img_range_known
