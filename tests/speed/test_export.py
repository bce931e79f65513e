from dataclasses import replace

import onnxruntime
import pytest
import torch

from swinir_lite import SwinIR, SwinIRConfig, load_model, save_model
from swinir_lite.__main__ import main
from swinir_lite.speed.export import export_onnx, export_program
from swinir_lite.speed.network import fast
from swinir_lite.variants import RELEASED

SMALL = {"dim": 8, "depths": (2,), "num_heads": (2,)}  # what exporters do not see
# B, H, W: one window each way at last
UNSEEN = [(1, 9, 15), (2, 16, 33), (1, 21, 14), (1, 5, 3)]


def small(variant="lightweight_x2"):
    """A released variant but for its width and depth."""
    model = SwinIR(replace(RELEASED[variant], **SMALL)).eval()
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return model.requires_grad_(False)


@pytest.mark.parametrize("variant", RELEASED)
def test_onnx_equals_the_model_at_sizes_not_seen_in_export(variant, tmp_path):
    model = small(variant)
    path = export_onnx(model, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(path)
    for batch, height, width in UNSEEN:
        image = torch.rand(batch, model.config.in_channels, height, width)
        (restored,) = session.run(["restored"], {"image": image.numpy()})
        expected = model(image)
        error = (torch.from_numpy(restored) - expected).norm() / expected.norm()
        assert error < 1e-5


@pytest.mark.parametrize("variant", RELEASED)
def test_exported_program_equals_the_model_at_sizes_not_seen_in_export(variant):
    model = small(variant)
    program = export_program(model).module()
    for _, height, width in UNSEEN[:3]:  # the last is one window wide: refused
        image = torch.rand(1, model.config.in_channels, height, width)
        torch.testing.assert_close(program(image), model(image))


def test_exporting_leaves_the_model_as_it_was():
    model = small().bfloat16().train()
    model.conv_first.weight.requires_grad_(True)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    export_program(model)
    assert model.training
    assert model.conv_first.weight.requires_grad
    for name, value in model.state_dict().items():
        assert value.dtype == before[name].dtype
        assert torch.equal(value, before[name])


def test_a_missing_folder_is_named_before_anything_is_exported(tmp_path):
    with pytest.raises(FileNotFoundError, match="missing"):
        export_onnx(small(), tmp_path / "missing" / "model.onnx")


def test_half_a_file_computes_the_same(tmp_path):
    model = load_model("lightweight_x2")
    image = torch.rand(1, 3, 24, 17).numpy()
    outputs, sizes = [], []
    for half in (False, True):
        path = export_onnx(model, tmp_path / f"{half}.onnx", half=half)
        sizes.append(path.stat().st_size)
        outputs += onnxruntime.InferenceSession(path).run(None, {"image": image})
    assert (outputs[0] == outputs[1]).all()
    assert sizes[1] < 0.55 * sizes[0]


def test_half_a_file_keeps_what_16_bits_cannot(tmp_path):
    model = small()
    path = export_onnx(model, tmp_path / "model.onnx", half=True)
    image = torch.rand(1, 3, 9, 15)
    (restored,) = onnxruntime.InferenceSession(path).run(None, {"image": image.numpy()})
    torch.testing.assert_close(torch.from_numpy(restored), model(image))


def test_the_command_line_writes_onnx(tmp_path):
    weights, path = tmp_path / "small.safetensors", tmp_path / "small.onnx"
    save_model(SwinIR(SwinIRConfig(dim=8, depths=(1,), num_heads=(2,))), weights)
    main(["export", str(weights), "--onnx", str(path)])
    image = torch.rand(1, 3, 19, 24)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (restored,) = session.run(None, {"image": image.numpy()})
    with torch.no_grad():
        expected = load_model(weights)(image)
    torch.testing.assert_close(torch.from_numpy(restored), expected)


def test_what_is_no_swinir_is_refused_before_a_file_is_written(tmp_path):
    model = fast(SwinIR(SwinIRConfig(dim=8, depths=(1,), num_heads=(2,))))
    with pytest.raises(TypeError, match="expected a SwinIR, got a FastSwinIR"):
        export_onnx(model, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())
