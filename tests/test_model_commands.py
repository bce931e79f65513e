"""The commands about models: the list, what a file holds, files for other programs."""

import json
from dataclasses import asdict

import onnxruntime
import pytest
import torch

from swinir_lite import SwinIR, SwinIRConfig, load_model, save_model
from swinir_lite.__main__ import main
from swinir_lite.model_list import list_models
from swinir_lite.official_weights import save_official
from swinir_lite.released_weights import released_models
from swinir_lite.shipped_weights import shipped_models


@pytest.fixture
def weights(tmp_path):
    """A small file of weights."""
    path = tmp_path / "small.safetensors"
    config = SwinIRConfig(dim=8, depths=(1,), num_heads=(2,))
    save_model(SwinIR(config), path)
    return path


def test_models_lists_what_ships_and_what_can_be_fetched(capsys):
    main(["models"])
    table, *origins = capsys.readouterr().out.split("\n\n")
    head, *rows = table.splitlines()
    assert head.split()[:5] == ["name", "task", "images", "scale", "parameters"]
    assert [row.split()[0] for row in rows] == [*shipped_models(), *released_models()]
    (x2,) = [row for row in rows if row.startswith("lightweight_x2 ")]
    psnr = shipped_models()["lightweight_x2"]["results"]["Set5"]["psnr"]
    assert x2.split() == [
        "lightweight_x2", "super-resolution", "RGB", "x2", "0.9", "M", f"{psnr:.2f}",
        "Set5", "(Y)", "ships",
    ]  # fmt: skip
    for model in list_models():
        (origin,) = [
            o for o in origins if model.name in o.partition(":")[0].split(", ")
        ]
        assert model.licence in origin
        assert model.data in origin


def test_models_as_json_says_all_that_is_known(capsys):
    main(["models", "--json"])
    assert json.loads(capsys.readouterr().out) == [asdict(m) for m in list_models()]


def test_info_says_what_files_hold(weights, capsys):
    main(["info", str(weights), "gray_jpeg_10"])
    said = capsys.readouterr().out
    assert said.startswith(f"{weights}\ntask        super-resolution, RGB\n")
    assert (
        "\ngray_jpeg_10\ntask        JPEG artifact reduction, quality 10, gray" in said
    )


def test_export_writes_the_official_layout(weights, tmp_path, capsys):
    path = tmp_path / "official.pth"
    main(["export", str(weights), "--official", str(path)])
    assert capsys.readouterr().out == f"{path}\n"
    ours, theirs = load_model(weights), load_model(path)
    assert theirs.config == ours.config
    for key, value in ours.state_dict().items():
        assert torch.equal(theirs.state_dict()[key], value)


@pytest.mark.filterwarnings("ignore:.*readers will take")
def test_export_takes_the_image_range_that_a_file_does_not_say(tmp_path):
    model = SwinIR(SwinIRConfig(dim=8, depths=(1,), num_heads=(2,), img_range=255.0))
    save_official(model, tmp_path / "a.pth")
    onnx = tmp_path / "a.onnx"
    main(["export", str(tmp_path / "a.pth"), "--onnx", str(onnx), "--img-range", "255"])
    image = torch.rand(1, 3, 16, 16)
    session = onnxruntime.InferenceSession(onnx, providers=["CPUExecutionProvider"])
    (restored,) = session.run(None, {"image": image.numpy()})
    torch.testing.assert_close(torch.from_numpy(restored), model(image).detach())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["export", "lightweight_x2"], "needs --onnx FILE or --official FILE"),
        (["export", "gone", "--onnx", "a.onnx"], "no such file: gone"),
        (["export", "gone", "--onnx", "no/a.onnx"], "no such folder: no"),
        (["export", "lightweight_x2", "--official", "a.pt"], "ends with .pth"),
        (["info", "gone"], "no such file: gone"),
        (["download", "set55"], "there is no 'set55' to download; there are div2k"),
    ],
)
def test_what_cannot_be_done_is_said(
    refused, tmp_path, monkeypatch, arguments, message
):
    monkeypatch.chdir(tmp_path)
    assert message in refused(*arguments)
    assert not list(tmp_path.iterdir())


def test_download_lists_data_sets_and_weights(capsys):
    main(["download"])
    names = {line.partition(":")[0] for line in capsys.readouterr().out.splitlines()}
    assert {"div2k", "set5", *released_models()} <= names


def test_download_fetches_released_weights(monkeypatch, tmp_path, capsys):
    asked = []
    monkeypatch.setattr(
        "swinir_lite.training.command.download_weights",
        lambda name, folder: asked.append((name, folder)) or tmp_path / "file.pth",
    )
    main(["download", "official_lightweight_x2", "--to", str(tmp_path)])
    assert asked == [("official_lightweight_x2", str(tmp_path))]
    assert capsys.readouterr().out == f"{tmp_path / 'file.pth'}\n"
