import json

import pytest
import torch
from safetensors.torch import save_file

from swinir_lite import ResidualCNN, SwinIR, SwinIRConfig, load_model, save_model
from swinir_lite.checkpoint import key_map
from swinir_lite.speed.network import fast
from swinir_lite.swinir import SCALES

TINY = {"dim": 8, "depths": (2, 1), "num_heads": (2, 4), "window_size": 4}
SETTINGS = [
    *({"upsampler": head, "scale": s} for head, ss in SCALES.items() for s in ss),
    {"in_channels": 1},
    {"in_channels": 1, "upsampler": "none", "scale": 1},
    {"window_size": 7, "img_range": 255.0},
    {"resi_connection": "3conv"},
    {"mlp_ratio": 4.0},
]


def tiny(**changes):
    return SwinIR(SwinIRConfig(**{**TINY, **changes})).eval()


def official_state(model):
    """The model's weights as the official network would store them, with buffers."""
    names = key_map(model)
    state = {names[key]: value for key, value in model.state_dict().items()}
    block = "layers.0.residual_group.blocks.1."
    state[block + "attn_mask"] = torch.zeros(4, 16, 16)
    state[block + "attn.relative_position_index"] = torch.zeros(16, 16).long()
    return state


def assert_same_model(loaded, model):
    assert loaded.config == model.config
    assert not loaded.training
    for name, value in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value), name
        assert loaded.state_dict()[name].dtype == torch.float32


@pytest.mark.parametrize("changes", SETTINGS, ids=str)
def test_configuration_is_inferred(tmp_path, changes):
    model = tiny(**changes)
    torch.save(official_state(model), tmp_path / "model.pth")
    assert_same_model(load_model(tmp_path / "model.pth"), model)
    save_model(model, tmp_path / "model.safetensors")
    assert_same_model(load_model(tmp_path / "model.safetensors"), model)


@pytest.mark.parametrize("hidden", range(8, 33))
def test_any_hidden_width_of_the_mlp_is_inferred(tmp_path, hidden):
    model = tiny(dim=12, num_heads=(2, 3), mlp_ratio=hidden / 12)
    state = {k: v for k, v in official_state(model).items() if "attn_mask" not in k}
    torch.save(state, tmp_path / "model.pth")
    loaded = load_model(tmp_path / "model.pth")
    assert loaded.blocks[0].layers[0].mlp.fc1.out_features == hidden


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state, other: state,
        lambda state, other: {"params": state},
        lambda state, other: {"params_ema": state},
        lambda state, other: {"params": other, "params_ema": state},
        lambda state, other: {f"module.{k}": v for k, v in state.items()},
        lambda state, other: {"params": {f"module.{k}": v for k, v in state.items()}},
    ],
    ids=["bare", "params", "params_ema", "both", "module", "params and module"],
)
def test_wrappings_are_read(tmp_path, wrap):
    model, other = tiny(), tiny()
    wrapped = wrap(official_state(model), official_state(other))
    torch.save(wrapped, tmp_path / "model.pth")
    assert_same_model(load_model(str(tmp_path / "model.pth")), model)


@pytest.mark.parametrize(
    "changes",
    [{"window_size": 7}, {"img_range": 255.0}, {"dim": 10, "mlp_ratio": 2.72}],
    ids=str,
)
def test_what_no_shape_tells_is_saved(tmp_path, changes):
    model = tiny(**{"num_heads": (2, 1), **changes})
    save_model(model, tmp_path / "model.safetensors")
    assert_same_model(load_model(tmp_path / "model.safetensors"), model)


@pytest.mark.parametrize(
    "stored", ["{", "[]", "3", '{"width": 3}', json.dumps({"dim": -6})]
)
def test_a_damaged_configuration_is_refused(tmp_path, stored):
    state = {k: v.contiguous() for k, v in official_state(tiny()).items()}
    path = tmp_path / "model.safetensors"
    save_file(state, path, {"swinir_config": stored})
    with pytest.raises(ValueError, match="holds no SwinIR's configuration"):
        load_model(path)


def test_half_precision_files_become_float32(tmp_path):
    model = tiny()
    save_model(model, tmp_path / "half.safetensors", dtype=torch.float16)
    loaded = load_model(tmp_path / "half.safetensors")
    for name, value in model.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], value.half().float())


class Malicious:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def test_files_execute_nothing(tmp_path):
    trap = tmp_path / "executed"
    state = {**official_state(tiny()), "trap": Malicious(str(trap))}
    torch.save(state, tmp_path / "model.pth")
    with pytest.raises(ValueError, match="cannot be read as weights"):
        load_model(tmp_path / "model.pth")
    assert not trap.exists()


def broken(change):
    state = official_state(tiny())
    change(state)
    return state


@pytest.mark.parametrize(
    ("change", "messages"),
    [
        (
            lambda s: s.pop("layers.0.conv.weight"),
            ["layers.0.conv.weight", "expected (8, 8, 3, 3), got nothing"],
        ),
        (
            lambda s: s.update({"extra.weight": torch.zeros(3, 5)}),
            ["extra.weight", "expected nothing, got (3, 5)"],
        ),
        (
            lambda s: s.update({"norm.weight": torch.zeros(9)}),
            ["norm.weight", "expected (8,), got (9,)"],
        ),
        (
            lambda s: s.pop("conv_first.weight"),
            ["not a SwinIR", "conv_first.weight"],
        ),
        (
            lambda s: s.update({"conv_first.weight": torch.zeros(8)}),
            ["conv_first.weight", "(8,)"],
        ),
        (lambda s: s.clear(), ["not a SwinIR", "nothing"]),
        (lambda s: s.update({"norm.weight": 3}), ["norm.weight", "int"]),
        (lambda s: s.update({3: torch.zeros(1)}), ["3"]),
    ],
)
def test_errors_name_keys_and_both_shapes(tmp_path, change, messages):
    torch.save(broken(change), tmp_path / "model.pth")
    with pytest.raises(ValueError) as error:  # noqa: PT011
        load_model(tmp_path / "model.pth")
    for message in messages:
        assert message in str(error.value)


def test_many_problems_are_counted(tmp_path):
    state = official_state(tiny())
    state.update({f"extra.{i}": torch.zeros(1) for i in range(25)})
    torch.save(state, tmp_path / "model.pth")
    with pytest.raises(ValueError, match="and 15 more"):
        load_model(tmp_path / "model.pth")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".png"])
@pytest.mark.parametrize("content", [b"", b"not weights", bytes(range(256)) * 4])
def test_other_files_are_refused(tmp_path, suffix, content):
    path = tmp_path / f"model{suffix}"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="cannot be read as weights"):
        load_model(path)


def test_other_objects_are_refused(tmp_path):
    torch.save(torch.zeros(3), tmp_path / "tensor.pth")
    with pytest.raises(ValueError, match="holds a Tensor, not a state dict"):
        load_model(tmp_path / "tensor.pth")
    save_file({"weight": torch.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="not a SwinIR state dict"):
        load_model(tmp_path / "other.safetensors")


def test_a_bare_state_dict_of_ours_is_refused_with_the_remedy(tmp_path):
    torch.save(tiny().state_dict(), tmp_path / "model.pth")
    with pytest.raises(ValueError, match="no configuration; use save_model"):
        load_model(tmp_path / "model.pth")


def test_missing_files(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        load_model(tmp_path / "nowhere.pth")
    with pytest.raises(FileNotFoundError, match="no such file"):
        load_model(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"classical_x4; .*github\.com/Jing"):
        load_model("classical_x4")


@pytest.mark.parametrize(
    ("make", "name", "error", "message"),
    [
        (tiny, "model.pth", ValueError, r"ends with \.safetensors, got .*\.pth"),
        (tiny, "absent/model.safetensors", FileNotFoundError, "no such folder: .*abse"),
        (ResidualCNN, "model.safetensors", TypeError, "SwinIR, got a ResidualCNN"),
        (lambda: fast(tiny()), "model.safetensors", TypeError, "got a FastSwinIR"),
    ],
)
def test_what_cannot_be_saved(tmp_path, make, name, error, message):
    with pytest.raises(error, match=message):
        save_model(make(), tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_saving_leaves_the_model_as_it_was(tmp_path):
    model = tiny().to(memory_format=torch.channels_last)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    save_model(model, tmp_path / "model.safetensors", dtype=torch.float16)
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key])
        assert value.stride() == before[key].stride()
    save_model(model, tmp_path / "model.safetensors")
    assert_same_model(load_model(tmp_path / "model.safetensors"), model)
