import dataclasses

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import swinir_lite
from swinir_lite import VARIANTS, SwinIR, SwinIRConfig
from swinir_lite.swinir import SCALES, pad_to_multiple
from swinir_lite.variants import RELEASED

TINY = {"dim": 8, "depths": (2, 1), "num_heads": (2, 4), "window_size": 4}
HEADS = [(head, scale) for head, scales in SCALES.items() for scale in scales]
# counts of the released files, measured on the official network
PARAMETERS = {
    "classical_x2": 11_752_487,
    "classical_x3": 11_937_127,
    "classical_x4": 11_900_199,
    "classical_x8": 12_047_911,
    "lightweight_x2": 910_152,
    "lightweight_x3": 918_267,
    "lightweight_x4": 929_628,
    "real_world_x2": 11_678_631,
    "real_world_x4": 11_715_559,
    "real_world_large_x4": 28_013_059,
    "gray_denoise": 11_497_681,
    "color_denoise": 11_504_163,
    "gray_jpeg": 11_485_585,
    "color_jpeg": 11_492_067,
}


def tiny(**changes):
    return SwinIR(SwinIRConfig(**{**TINY, **changes})).eval()


def test_every_released_variant_has_its_parameter_count():
    counts = {}
    with torch.device("meta"):
        for name, config in RELEASED.items():
            counts[name] = sum(p.numel() for p in SwinIR(config).parameters())
    assert counts == PARAMETERS


def test_our_own_variants_are_of_the_lightweight_size():
    own = VARIANTS.keys() - RELEASED.keys()
    assert {"gray_denoise_50", "color_jpeg_10", "lightweight_real_world_x4_gan"} <= own
    light = VARIANTS["lightweight_x2"]
    size = {"dim": light.dim, "depths": light.depths, "num_heads": light.num_heads}
    for name in own:
        released, _, level = name.rpartition("_")
        if not level.isdigit():
            released = "real_world_x4"
        assert VARIANTS[name] == dataclasses.replace(VARIANTS[released], **size)


@torch.no_grad()
@given(
    st.sampled_from(HEADS),
    st.sampled_from([1, 3]),
    st.integers(1, 2),
    st.integers(1, 19),
    st.integers(1, 19),
    st.sampled_from([2, 4, 7]),
    st.sampled_from(["1conv", "3conv"]),
)
def test_any_size_is_scaled(head, channels, batch, height, width, window, kind):
    upsampler, scale = head
    model = tiny(
        upsampler=upsampler,
        scale=scale,
        in_channels=channels,
        window_size=window,
        resi_connection=kind,
    )
    y = model(torch.rand(batch, channels, height, width))
    assert y.shape == (batch, channels, height * scale, width * scale)
    assert y.isfinite().all()


@pytest.mark.parametrize(("upsampler", "scale"), HEADS)
def test_every_parameter_gets_a_gradient(upsampler, scale):
    model = tiny(upsampler=upsampler, scale=scale)
    model(torch.rand(1, 3, 9, 8)).square().mean().backward()
    silent = [n for n, p in model.named_parameters() if not p.grad.abs().sum() > 0]
    assert not silent


def test_initial_weights_are_those_of_the_official_code():
    model = SwinIR(SwinIRConfig(dim=32, depths=(2,), num_heads=(4,)))
    for module in model.modules():
        if isinstance(module, torch.nn.Linear):
            assert 0.018 < module.weight.std() < 0.022
            assert not module.bias.any()
        if isinstance(module, torch.nn.LayerNorm):
            assert module.eps == 1e-5
    for name, table in model.named_parameters():
        if "bias_table" in name:
            assert 0.018 < table.std() < 0.022
    assert model.conv_first.weight.std() > 0.05  # as torch starts convolutions


@torch.no_grad()
def test_images_of_a_batch_do_not_mix():
    model, batch = tiny(), torch.rand(3, 3, 7, 10)
    alone = torch.cat([model(image[None]) for image in batch])
    torch.testing.assert_close(model(batch), alone)


@torch.no_grad()
def test_training_and_evaluation_agree():
    model, x = tiny(), torch.rand(1, 3, 8, 8)
    assert torch.equal(model(x), model.train()(x))


@torch.no_grad()
def test_float64_is_the_same_function():
    model, x = tiny(), torch.rand(1, 3, 9, 8)
    expected = model(x)
    torch.testing.assert_close(model.double()(x.double()).float(), expected)


@torch.no_grad()
def test_images_are_padded_by_reflection_at_the_bottom_and_right():
    model = tiny(upsampler="none", scale=1)
    x = torch.rand(1, 3, 6, 5)
    padded = torch.nn.functional.pad(x, (0, 3, 0, 2), mode="reflect")
    torch.testing.assert_close(model(x), model(padded)[..., :6, :5])


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 12))
def test_padding_reflects_as_often_as_it_must(height, width, multiple):
    x = torch.rand(1, 2, height, width)
    rows, columns = (bounce(side, multiple) for side in (height, width))
    expected = x[:, :, rows][:, :, :, columns]
    assert torch.equal(pad_to_multiple(x, multiple), expected)


def bounce(length, multiple):
    """Walk back and forth over 0..length-1, up to the next multiple."""
    position, step, walk = 0, 1, []
    while len(walk) < length or len(walk) % multiple:
        walk.append(position)
        if not 0 <= position + step < length:
            step = -step
        position += step if length > 1 else 0
    return walk


@torch.no_grad()
def test_a_silent_restoration_network_returns_its_input():
    model = tiny(upsampler="none", scale=1, img_range=255.0)
    torch.nn.init.zeros_(model.head[0].weight)
    torch.nn.init.zeros_(model.head[0].bias)
    x = torch.rand(1, 3, 9, 6)
    torch.testing.assert_close(model(x), x)


def test_only_parameters_are_stored():
    model = tiny()
    names = {name for name, _ in model.named_parameters()}
    assert set(model.state_dict()) == names


def test_public_names_exist():
    for name in swinir_lite.__all__:
        assert getattr(swinir_lite, name).__doc__, name


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"upsampler": "bilinear"}, "no 'bilinear' x2; there are .*pixelshuffle"),
        ({"scale": 5}, "no 'pixelshuffledirect' x5"),
        ({"upsampler": "none", "scale": 2}, "no 'none' x2"),
        ({"upsampler": "nearest+conv", "scale": 3}, r"no 'nearest\+conv' x3"),
        ({"in_channels": 4}, "in_channels must be 1 or 3, got 4"),
        ({"dim": 0}, "sizes must be whole and > 0.* got .*dim=0"),
        ({"dim": -8}, "sizes must be whole and > 0.* got .*dim=-8"),
        ({"dim": 8.0}, r"sizes must be whole and > 0.* got .*dim=8\.0"),
        ({"window_size": 1}, "windows > 1, got .*window_size=1"),
        ({"depths": (2, 0)}, r"sizes must be whole and > 0.* got .*\(2, 0\)"),
        ({"num_heads": (2, 0)}, r"sizes must be whole and > 0.* got .*\(2, 0\)"),
        ({"mlp_ratio": 0}, "mlp_ratio and img_range must be > 0, got .*mlp_ratio=0"),
        ({"img_range": 0}, "mlp_ratio and img_range must be > 0, got .*img_range=0"),
        ({"num_heads": (2,)}, r"heads that divide dim, got .*num_heads=\(2,\)"),
        ({"num_heads": (3, 4)}, r"heads that divide dim, got .*num_heads=\(3, 4\)"),
        ({"depths": (), "num_heads": ()}, r"every RSTB.* got .*depths=\(\)"),
    ],
)
def test_config_refuses(changes, message):
    with pytest.raises(ValueError, match=message):
        SwinIRConfig(**{**TINY, **changes})


def test_model_refuses():
    with pytest.raises(ValueError, match=r"'2conv'.*'1conv' or '3conv'"):
        tiny(resi_connection="2conv")
    with pytest.raises(TypeError, match="expected a SwinIRConfig, got 'lightweight_x2"):
        SwinIR("lightweight_x2")


def test_lists_become_tuples():
    lists = SwinIRConfig(**TINY | {"depths": [2, 1], "num_heads": [2, 4]})
    assert lists == SwinIRConfig(**TINY)
    assert hash(lists) == hash(SwinIRConfig(**TINY))


def test_config_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        VARIANTS["lightweight_x2"].dim = 61


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (torch.rand(3, 8, 8), ValueError, r"\(B, 3, H, W\).*got \(3, 8, 8\)"),
        (torch.rand(1, 1, 8, 8), ValueError, r"\(B, 3, H, W\).*got \(1, 1, 8, 8\)"),
        (torch.rand(1, 3, 0, 8), ValueError, r"got \(1, 3, 0, 8\)"),
        (torch.rand(0, 3, 8, 8), ValueError, r"got \(0, 3, 8, 8\)"),
        (torch.full((1, 3, 8, 8), torch.nan), ValueError, r"\[0, 1\].* values to nan"),
        (torch.full((1, 3, 8, 8), torch.inf), ValueError, r"\[0, 1\].* values to inf"),
        (torch.full((1, 3, 8, 8), -255.0), ValueError, r"\[0, 1\].* values to 255"),
        (torch.zeros(1, 3, 8, 8, dtype=torch.uint8), TypeError, "float.*uint8"),
        ([[0.5]], TypeError, "float tensor.*list"),
    ],
)
def test_bad_input(x, error, message):
    with pytest.raises(error, match=message):
        tiny()(x)


def test_the_core_is_read_in_one_sitting(root):
    core = [
        "window_partition",
        "relative_position_attention",
        "shifted_windows",
        "swin_transformer_layer",
        "residual_swin_transformer_block",
        "swinir",
    ]
    lines = {
        name: len((root / f"swinir_lite/{name}.py").read_text().splitlines())
        for name in core
    }
    assert sum(lines.values()) <= 400, lines
