"""The models that ship: what the manifest says of them holds."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import swinir_lite
from swinir_lite import VARIANTS, ResidualCNN, SwinIR, SwinIRConfig
from swinir_lite import shipped_weights as module
from swinir_lite.__main__ import main
from swinir_lite.measuring.evaluation import evaluate_on
from swinir_lite.measuring.test_sets import sample_photographs
from swinir_lite.shipped_weights import MAX_BYTES, WEIGHTS, shipped_models
from swinir_lite.trained_models import load_trained
from swinir_lite.training.config import load_config
from swinir_lite.training.engine import Trainer
from swinir_lite.training.shipping import ship

SHIPPED = shipped_models()
FILES = {entry["file"]: name for name, entry in SHIPPED.items()}  # one name each


def measure_again(name, test_set, folder):
    """The manifest's scores on a test set, recomputed from the shipped file."""
    model, degradation = load_trained(name)
    claim = SHIPPED[name]["results"][test_set]
    (scores,) = evaluate_on(model, degradation, [folder]).values()
    assert scores["channel"] == claim["channel"]
    assert scores["psnr"] == pytest.approx(claim["psnr"], abs=0.01)
    assert scores["ssim"] == pytest.approx(claim["ssim"], abs=2e-4)


@pytest.mark.parametrize("name", FILES.values())
def test_shipped_models_score_what_the_manifest_says(name, tmp_path):
    scale = swinir_lite.load_model(name).config.scale
    measure_again(name, "samples", sample_photographs(tmp_path, scale))


@pytest.mark.parametrize("name", [n for n in SHIPPED if n.startswith("lightweight_x")])
def test_shipped_models_score_on_set5_what_the_manifest_says(name, shared):
    measure_again(name, "Set5", shared / "data/testsets/Set5")


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_models_are_what_the_manifest_says(name):
    entry = SHIPPED[name]
    path = WEIGHTS / entry["file"]
    assert path.stat().st_size == entry["bytes"] <= MAX_BYTES
    model = swinir_lite.load_model(name)
    assert not model.training
    assert all(p.dtype == torch.float32 for p in model.parameters())
    if isinstance(model, SwinIR):
        assert model.config == VARIANTS[name]
        tuples = {
            k: tuple(v) if isinstance(v, list) else v
            for k, v in entry["config"].items()
        }
        assert model.config == SwinIRConfig(**tuples)
    training = entry["training"]
    for key in ("data", "device", "minutes", "iterations", "seed"):
        assert training[key] is not None
    starts_anew = not training["config"]["initial_weights"]
    assert (training["minutes_before"] == 0) == starts_anew


def test_using_models_needs_no_package_beyond_the_required_ones(tmp_path):
    picture = sample_photographs(tmp_path, 1) / "coffee.png"
    script = """
import sys
for package in ("accelerate", "tensorboard", "skimage", "matplotlib"):
    sys.modules[package] = None
from swinir_lite.__main__ import main
main(["restore", sys.argv[1], "--out", sys.argv[3]])
main(["evaluate", "lightweight_x2", sys.argv[2]])
main(["download"])
"""
    folders = [str(picture), str(picture.parent), str(tmp_path / "to")]
    command = [sys.executable, "-c", script, *folders]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "samples: PSNR" in result.stdout
    assert "set5: Set5" in result.stdout
    assert (tmp_path / "to/coffee.png").is_file()


def test_what_a_model_cannot_undo_is_said(tmp_path, refused):
    jpeg = ["--degradation", '{"name": "jpeg", "quality": 10}']
    said = refused("evaluate", "lightweight_x2", tmp_path, *jpeg)
    assert "degradation 'jpeg' does not fit scale 2" in said


@pytest.mark.parametrize("name", ["name", "my-name_2"])
def test_a_folder_without_a_run_is_named(tmp_path, refused, name):
    said = refused("ship", tmp_path, name, "Set5", "--data", "photographs")
    assert re.search(r"holds no run: there is no .*state\.pt", said)


def test_a_damaged_state_is_named(tmp_path, refused):
    (tmp_path / "config.json").write_text('{"steps": 1}')
    for content in (b"damaged", b"junk\n"):  # pickle fails on them in two ways
        (tmp_path / "state.pt").write_bytes(content)
        assert "state.pt is damaged" in refused("evaluate", tmp_path, "Set5")
        said = refused("restore", "photo.jpg", "-m", tmp_path / "state.pt")
        assert "state.pt cannot be read as weights" in said


def test_every_file_of_weights_is_in_the_manifest():
    files = {path.name for path in WEIGHTS.glob("*.safetensors")}
    assert files == {entry["file"] for entry in SHIPPED.values()}


@pytest.fixture
def run(tmp_path, monkeypatch):
    """run(name, **changes): ship a tiny model of one step to a folder of ours.

    Returns the model, the manifest's new entries and the folder.
    """
    weights = tmp_path / "weights"
    monkeypatch.setattr(module, "WEIGHTS", weights)
    photos = sample_photographs(tmp_path / "photos")

    def make(name, degradations=None, **changes):
        config = load_config(
            {
                "architecture": {"dim": 8, "depths": [1], "num_heads": [2]},
                "steps": 1, "patch": 8, "batch": 2, "device": "cpu",
                "data": str(photos), "cache": str(tmp_path / "cache"), **changes,
            }
        )  # fmt: skip
        trainer = Trainer(config, tmp_path / name)
        trainer.run()
        entries = ship(tmp_path / name, name, [], "photographs", degradations)
        return trainer.ema, entries, weights

    return make


def test_a_run_becomes_a_model_that_loads_by_name(run, capsys):
    model, entries, weights = run("tiny")
    entry = entries["tiny"]
    loaded = swinir_lite.load_model("tiny")
    assert loaded.config == model.config
    half = model.conv_first.weight.half().float()
    assert torch.equal(loaded.conv_first.weight, half)
    assert entry["results"]["samples"]["channel"] == "Y"
    assert entry["training"]["iterations"] == 1
    manifest = json.loads((weights / "manifest.json").read_text())
    assert manifest["tiny"]["sha256"] == module.sha256(weights / "tiny.safetensors")
    photos = weights.parent / "photos/samples"
    again = ["ship", str(weights.parent / "tiny"), "again", str(photos), "--data", "d"]
    main([*again, "--minutes-before", "24"])
    assert capsys.readouterr().out.endswith("shipped as again\n")
    minutes = {n: e["training"]["minutes_before"] for n, e in shipped_models().items()}
    assert minutes == {"tiny": 0, "again": 24}
    assert shipped_models()["again"]["sha256"] == manifest["tiny"]["sha256"]
    cnn = {"dim": 8, "num_blocks": 1, "scale": 2}
    model, _, _ = run("cnn", variant="residual_cnn", architecture=cnn)
    loaded = swinir_lite.load_model("cnn")
    assert isinstance(loaded, ResidualCNN)
    half = model.head[0].weight.half().float()
    assert torch.equal(loaded.head[0].weight, half)
    assert list(shipped_models()) == ["again", "cnn", "tiny"]


def test_a_model_for_a_range_has_a_name_for_each_level_and_one_file(run):
    noise = {"name": "gaussian_noise"}
    _, entries, weights = run(
        "denoise",
        [{**noise, "sigma": 15}, {**noise, "sigma": 50}],
        degradation={**noise, "sigma": [0, 50]},
        architecture={
            "dim": 8, "depths": [1], "num_heads": [2], "scale": 1, "upsampler": "none",
        },
    )  # fmt: skip
    assert list(entries) == list(shipped_models()) == ["denoise_15", "denoise_50"]
    assert [path.name for path in weights.glob("*.safetensors")] == [
        "denoise.safetensors"
    ]
    low, high = (load_trained(name) for name in entries)
    assert low[1] == {**noise, "sigma": 15}
    assert high[1] == {**noise, "sigma": 50}
    assert torch.equal(low[0].conv_first.weight, high[0].conv_first.weight)
    low, high = (entry["results"]["samples"] for entry in entries.values())
    assert low["psnr"] != high["psnr"]
    assert high["channel"] == "RGB"


def test_altered_missing_and_unknown_weights_are_refused(run):
    _, _, weights = run("tiny")
    path = weights / "tiny.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="not the file of the manifest"):
        swinir_lite.load_model("tiny")
    path.unlink()
    with pytest.raises(FileNotFoundError, match="install it again"):
        swinir_lite.load_model("tiny")
    with pytest.raises(
        FileNotFoundError, match="no such file: huge; shipped models: t"
    ):
        swinir_lite.load_model("huge")


def test_shipping_that_fails_leaves_what_was_there(run, monkeypatch):
    _, _, weights = run("tiny")
    before = {path.name: path.read_bytes() for path in weights.iterdir()}

    def fill_disk(self, data):
        raise OSError("no space left")

    monkeypatch.setattr(Path, "write_bytes", fill_disk)
    with pytest.raises(OSError, match="no space left"):
        module.add_to_manifest("tiny.safetensors", b"half", {"tiny": {}})
    assert {path.name: path.read_bytes() for path in weights.iterdir()} == before


def test_large_weights_do_not_ship(run, monkeypatch):
    monkeypatch.setattr(module, "MAX_BYTES", 1000)
    with pytest.raises(
        ValueError, match=r"tiny\.safetensors has \d+ bytes; at most 1000"
    ):
        run("tiny")
    assert not module.WEIGHTS.exists()


@pytest.mark.parametrize("name", ["", "a/b", "../a", "a.b", "-a"])
def test_a_name_that_is_none_does_not_ship(name, tmp_path):
    with pytest.raises(ValueError, match="a model's name has letters, digits, _ and -"):
        ship(tmp_path, name, [], "photographs")
