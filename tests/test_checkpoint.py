import json
import math
import resource
import subprocess
import sys
import warnings
import zipfile
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from swinir_lite import ResidualCNN, SwinIR, SwinIRConfig, load_model, save_model
from swinir_lite.checkpoint import key_map, load_initial_weights
from swinir_lite.errors import InputError
from swinir_lite.official_weights import save_official
from swinir_lite.speed.network import fast
from swinir_lite.swinir import SCALES
from swinir_lite.trained_models import load_trained
from swinir_lite.variants import ResidualCNNConfig, make_config, make_network

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


@pytest.mark.filterwarnings("ignore:.*windows of 7")
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
        lambda state, other: {"state_dict": state, "epoch": 3},
        lambda state, other: {"model": state, "optimizer": {}},
        lambda state, other: {f"module.{k}": v for k, v in state.items()},
        lambda state, other: {"params": {f"module.{k}": v for k, v in state.items()}},
    ],
    ids=[
        "bare",
        "params",
        "params_ema",
        "both",
        "state_dict",
        "model",
        "module",
        "params and module",
    ],
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


@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("\n<!DOCTYPE html><html>404: not found</html>", "it is a web page"),
        ("version https://git-lfs.github.com/spec/v1\noid sha256:4", "Git LFS"),
    ],
)
def test_what_was_saved_in_place_of_weights_is_named(
    tmp_path, ending, content, message
):
    path = tmp_path / f"weights{ending}"
    path.write_text(content)
    with pytest.raises(InputError, match=message):
        load_model(path)


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        ("{", "Expecting property name"),
        ("[]", "must be a dict"),
        ("3", "must be a dict"),
        ("[" * 100_000, "recursion|Stack overflow"),  # the latter by Python 3.14
        ('{"width": 3}', "no 'width'; there are .*'dim'"),
        ('{"dim": -6}', "sizes must be whole and > 0"),
        ('{"scale": 2.0}', r"scale must be a whole number, got 2\.0"),
        ('{"in_channels": 3.0}', "in_channels must be a whole number"),
        ('{"dim": true}', "dim must be a whole number, got True"),
        ('{"depths": 6}', "depths must be a list of whole numbers, got 6"),
        ('{"depths": ["6", 6]}', "depths must be a list of whole numbers"),
        ('{"mlp_ratio": Infinity}', "mlp_ratio must be a number below a billion"),
        ('{"mlp_ratio": NaN}', "mlp_ratio must be a number below a billion, got nan"),
        ('{"img_range": 1e400}', "img_range must be a number below a billion"),
        ('{"img_range": 1' + "0" * 400 + "}", "img_range must be a number below"),
        ('{"upsampler": 3}', "upsampler must be text, got 3"),
    ],
)
def test_a_damaged_configuration_is_refused(tmp_path, stored, message):
    state = {k: v.contiguous() for k, v in official_state(tiny()).items()}
    path = tmp_path / "model.safetensors"
    save_file(state, path, {"swinir_config": stored})
    with pytest.raises(ValueError, match="holds no SwinIR's configuration") as info:
        load_model(path)
    info.match(message)
    assert len(str(info.value)) < 1000


@pytest.fixture
def made(monkeypatch):
    """How many weights each network had that was made."""
    sizes, original = [], SwinIR.__init__

    def spy(self, config):
        original(self, config)
        sizes.append(sum(value.numel() for value in self.state_dict().values()))

    monkeypatch.setattr(SwinIR, "__init__", spy)
    return sizes


@pytest.mark.parametrize(
    "changes",
    [
        {"dim": 60_000},
        {"dim": 10**30},
        {"depths": [50_000], "num_heads": [2]},
        {"depths": [1] * 50_000, "num_heads": [2] * 50_000},
        {"mlp_ratio": 1e8},
        {"window_size": 100},
        {"window_size": 10**9},
        {"num_heads": [8, 8], "window_size": 9},
    ],
    ids=str,
)
def test_sizes_are_checked_before_memory_is_taken(tmp_path, changes, made):
    model = tiny()
    state = {k: v.contiguous() for k, v in official_state(model).items()}
    config = json.dumps({**asdict(model.config), **changes})
    save_file(state, tmp_path / "model.safetensors", {"swinir_config": config})
    made.clear()
    with pytest.raises(
        ValueError, match=r"at least .* weights|do not fit|layers"
    ) as info:
        load_model(tmp_path / "model.safetensors")
    assert "model.safetensors" in str(info.value)
    assert sum(made) < 10**5


def test_windows_that_would_take_gigabytes_are_refused(tmp_path, made):
    model = tiny(dim=2, depths=(11,), num_heads=(1,), window_size=2)
    state = official_state(model)
    for key in state:
        if key.endswith("relative_position_bias_table"):
            state[key] = torch.zeros(199**2, 1)
    torch.save(state, tmp_path / "model.pth")
    made.clear()
    with pytest.raises(ValueError, match="windows of 100x100 pixels take too much"):
        load_model(tmp_path / "model.pth")
    assert not made


def test_expanded_tensors_are_refused(tmp_path, made):
    state = official_state(tiny())
    state["conv_first.weight"] = torch.zeros(1, 1, 1, 1).expand(10**9, 3, 3, 3)
    torch.save(state, tmp_path / "model.pth")
    made.clear()
    with pytest.raises(ValueError, match=r"model\.pth holds fewer bytes than its tens"):
        load_model(tmp_path / "model.pth")
    assert not made


@pytest.mark.filterwarnings("error")  # what PyTorch says of them is not for users
@pytest.mark.parametrize(
    ("odd", "message"),
    [
        (lambda w: w.to_sparse(), "sparse, quantized or nested"),
        (lambda w: w.reshape(8, 27).to_sparse_csr(), "sparse, quantized or nested"),
        (lambda w: w.to("meta"), "without values"),
        (
            lambda w: torch.quantize_per_tensor(w, 0.1, 0, torch.qint8),
            "sparse, quantized or nested",
        ),
        (lambda w: torch.nested.nested_tensor([w, w]), "sparse, quantized or nested"),
        (lambda w: w[:0], r"of the shape \(0, 3, 3, 3\)"),
        (lambda w: w[0, 0, 0, 0].clone(), r"of the shape \(\)"),
        (lambda w: w.int(), r"torch\.int32, not of floating-point"),
        (lambda w: w.bool(), r"torch\.bool, not of floating-point"),
        (lambda w: w.to(torch.complex64), r"torch\.complex64, not of floating-point"),
        (lambda w: w * math.nan, "infinite values, or some that are no numbers"),
        (lambda w: w.fill_(math.inf), "infinite values, or some that are no numbers"),
        (lambda w: w.double().fill_(1e300), "infinite values"),
        (lambda w: [w], "a list"),
        (lambda w: None, "a NoneType"),
    ],
)
def test_odd_tensors_are_refused_by_name(tmp_path, odd, message):
    state = official_state(tiny())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        state["conv_first.weight"] = odd(state["conv_first.weight"].detach().clone())
        torch.save(state, tmp_path / "model.pth")
    with pytest.raises(ValueError, match=message) as info:
        load_model(tmp_path / "model.pth")
    assert "model.pth" in str(info.value)
    assert "conv_first.weight" in str(info.value)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.999])
def test_files_that_were_cut_are_named(tmp_path, zipped, part):
    path = tmp_path / "model.pth"
    state = official_state(tiny())
    torch.save(state, path, _use_new_zipfile_serialization=zipped)
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    with pytest.raises(ValueError, match=r"model\.pth cannot be read as weights"):
        load_model(path)


def test_archives_that_unpack_to_more_than_they_are_do_not_unpack(tmp_path):
    path = tmp_path / "model.pth"
    torch.save(official_state(tiny()), path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
        archive.writestr("model/data/bomb", bytes(10**7))
    with pytest.raises(ValueError, match=r"model\.pth cannot be read as weights"):
        load_model(path)


def test_memory_is_not_taken_by_a_number_in_a_pickle(tmp_path):
    class Bomb:
        def __reduce__(self):
            return bytearray, (10,)  # any number would do

    state = {**official_state(tiny()), "bomb": Bomb()}
    for zipped in (True, False):
        path = tmp_path / "model.pth"
        torch.save(state, path, _use_new_zipfile_serialization=zipped)
        with pytest.raises(ValueError, match=r"model\.pth cannot be read as weights"):
            load_model(path)


def test_a_message_stays_short_whatever_a_file_holds(tmp_path):
    nested = []
    for _ in range(60):
        nested = [nested, nested]  # written out it has 2 ** 60 parts
    state = official_state(tiny())
    for odd in ({"x" * 10**6: torch.zeros(1)}, {"x" * 10**6: nested}, {(1,) * 999: 1}):
        torch.save({**state, **odd}, tmp_path / "model.pth")
        with pytest.raises(ValueError, match="model") as info:
            load_model(tmp_path / "model.pth")
        assert len(str(info.value)) < 1000


def test_the_image_range_is_what_the_caller_says(tmp_path):
    model = tiny(window_size=7, img_range=1.0)
    path = tmp_path / "model.pth"
    torch.save(official_state(model), path)
    with pytest.warns(UserWarning, match=r"model\.pth has windows of 7 .* JPEG model"):
        assert load_model(path).config.img_range == 255
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_same_model(load_model(path, img_range=1), model)
        torch.save(official_state(tiny()), path)
        expected = replace(tiny().config, img_range=255)
        assert load_model(path, img_range=255).config == expected
        for wrong in (0, -1, 3, math.nan, math.inf, True, "255"):
            with pytest.raises(ValueError, match="img_range"):
                load_model(path, img_range=wrong)


def test_a_stated_image_range_is_not_overruled(tmp_path):
    path = tmp_path / "model.safetensors"
    save_model(tiny(), path)
    assert load_model(path, img_range=1).config == tiny().config
    with pytest.raises(ValueError, match="says img_range 1, not 255"):
        load_model(path, img_range=255)
    save_model(tiny(img_range=2.0), path)
    assert load_model(path, img_range=2).config.img_range == 2


def test_shipped_models_load_by_a_path_of_their_name():
    assert isinstance(load_model(Path("lightweight_x2")), SwinIR)
    assert load_model("lightweight_x2", img_range=1).config.img_range == 1


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
    with pytest.raises(FileNotFoundError, match="a folder that holds no run"):
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


def save_run(folder, model, **fields):
    """What a training run leaves in its folder, as far as loading reads it."""
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(fields))
    torch.save({"ema": model.state_dict(), "step": 3}, folder / "state.pt")


RUN = {"variant": "lightweight_x2", "architecture": TINY, "steps": 3}


def test_a_run_is_loaded_without_the_code_that_trains(tmp_path):
    noise = {"name": "gaussian_noise", "sigma": 25}
    save_run(tmp_path, tiny(), **RUN, degradation=noise)
    script = """
import sys
from swinir_lite.trained_models import load_trained

model, degradation = load_trained(sys.argv[1])
assert not [name for name in sys.modules if name.startswith("swinir_lite.training")]
print(degradation["sigma"], model.config.dim)
"""
    command = [sys.executable, "-c", script, str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout == "25 8\n"
    model = tiny()
    save_run(tmp_path, model, **RUN)
    assert_same_model(load_model(tmp_path), model)
    assert load_trained(str(tmp_path))[1] == {"name": "bicubic"}


def test_a_run_of_the_baseline_is_loaded(tmp_path):
    config = ResidualCNNConfig(dim=4, num_blocks=1, scale=3)
    model = make_network(config)
    save_run(tmp_path, model, variant="residual_cnn", architecture=asdict(config))
    loaded = load_model(tmp_path)
    assert loaded.config == config
    assert torch.equal(loaded.head[0].weight, model.head[0].weight)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: (f / "config.json").write_text("{"), r"config\.json is not JSON"),
        (lambda f: (f / "config.json").write_text("[" * 10**5), "is not JSON"),
        (lambda f: (f / "config.json").write_text("[]"), "must hold a dict"),
        (lambda f: save_run(f, tiny(), variant=[1]), r"no variant \[1\]; there are"),
        (lambda f: save_run(f, tiny(), architecture=[]), "architecture must be a dict"),
        (
            lambda f: save_run(f, tiny(), architecture={**TINY, "depths": [10**9]}),
            r"config\.json: every RSTB needs heads",
        ),
        (
            lambda f: save_run(f, tiny(), architecture={**TINY, "window_size": 100}),
            r"state\.pt: the configuration needs at least \d+ weights",
        ),
        (
            lambda f: save_run(f, tiny(dim=16), architecture=TINY),
            r"state\.pt: the weights do not fit the model",
        ),
        (lambda f: torch.save({}, f / "state.pt"), r"state\.pt is no run's state"),
        (lambda f: torch.save([], f / "state.pt"), r"state\.pt is no run's state"),
        (
            lambda f: torch.save({"ema": {"a": 3}}, f / "state.pt"),
            r"state\.pt is no state dict: a is a int",
        ),
        (lambda f: (f / "state.pt").write_bytes(b"no"), r"state\.pt is damaged"),
    ],
)
def test_damaged_runs_are_refused_by_name(tmp_path, change, message):
    save_run(tmp_path, tiny(), **RUN)
    change(tmp_path)
    with pytest.raises(ValueError, match=message):
        load_model(tmp_path)


def test_initial_weights_come_from_files_names_and_runs(tmp_path):
    source, other_scale = tiny(), tiny(scale=4)
    save_run(tmp_path / "run", source, **RUN)
    save_model(source, tmp_path / "model.safetensors")
    for given in (tmp_path / "run", str(tmp_path / "model.safetensors")):
        model = tiny(scale=4)
        head = model.head[0].weight.clone()
        load_initial_weights(model, given)
        assert torch.equal(model.conv_first.weight, source.conv_first.weight)
        assert torch.equal(model.head[0].weight, head)
    with pytest.raises(ValueError, match=r"lightweight_x2 does not fit .* blocks\.0"):
        load_initial_weights(other_scale, "lightweight_x2")


@pytest.mark.parametrize("variant", ["lightweight_x2", "gray_jpeg_10", "residual_cnn"])
def test_every_network_is_asked_for_its_facts_alike(variant):
    model = make_network(make_config(variant, {}))
    config = model.config
    with torch.no_grad():
        output = model(torch.rand(1, config.in_channels, 7, 7))
    assert output.shape[2] == 7 * config.scale
    assert config.dim == len(model.conv_first.weight)
    if config.window_size:
        table = model.blocks[0].layers[0].attn.relative_position_bias_table
        assert len(table) == (2 * config.window_size - 1) ** 2


def test_saving_leaves_the_model_as_it_was(tmp_path):
    model = tiny().to(memory_format=torch.channels_last)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    save_model(model, tmp_path / "model.safetensors", dtype=torch.float16)
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key])
        assert value.stride() == before[key].stride()
    save_model(model, tmp_path / "model.safetensors")
    assert_same_model(load_model(tmp_path / "model.safetensors"), model)


@pytest.mark.parametrize(
    ("value", "dtype", "message"),
    [
        (1e6, torch.float16, "conv_first.weight holds infinite values"),
        (math.nan, torch.float32, "conv_first.weight holds infinite values"),
        (1.0, torch.int8, "weights are floating-point numbers, not torch.int8"),
    ],
)
def test_what_could_not_be_loaded_is_not_saved(tmp_path, value, dtype, message):
    model = tiny()
    torch.nn.init.constant_(model.conv_first.weight, value)
    with pytest.raises(InputError, match=message):
        save_model(model, tmp_path / "model.safetensors", dtype)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("write", "name"), [(save_model, "a.safetensors"), (save_official, "a.pth")]
)
def test_a_full_disk_is_said_and_what_was_there_stays(tmp_path, write, name):
    (tmp_path / name).write_bytes(b"what was there")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, hard))
    try:
        with pytest.raises(OSError, match=f"File too large: .*{name}"):
            write(tiny(), tmp_path / name)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    (kept,) = tmp_path.iterdir()
    assert kept.read_bytes() == b"what was there"
