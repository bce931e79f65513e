"""The evaluation protocol and its messages."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from swinir_lite import SwinIR, SwinIRConfig, imresize, psnr, to_image, to_tensor
from swinir_lite.__main__ import main
from swinir_lite.measuring.evaluation import (
    evaluate,
    evaluate_on,
    protocol,
    restore,
    summary,
)
from swinir_lite.measuring.test_sets import read_test_set
from swinir_lite.variants import ResidualCNNConfig


class Bicubic(nn.Module):
    """MATLAB's bicubic as a network, with a parameter to tell its device by."""

    def __init__(self, scale):
        super().__init__()
        self.scale, self.nothing = scale, nn.Parameter(torch.zeros(()))
        self.config = ResidualCNNConfig(scale=scale)

    def forward(self, x):
        return to_tensor(imresize(to_image(x), self.scale))


@pytest.fixture
def photos(tmp_path):
    """A plain folder: one RGB image with odd sides, one gray."""
    for name, shape in (("a", (45, 37, 3)), ("b", (32, 32))):
        pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    return tmp_path


@pytest.mark.parametrize(
    ("scale", "expected"),
    [(2, (33.673, 0.9303)), (3, (30.403, 0.8689)), (4, (28.429, 0.8111))],
)
def test_bicubic_on_set5_scores_what_is_published(shared, scale, expected):
    pairs = read_test_set(shared / "data/testsets/Set5", scale)
    scores = evaluate(Bicubic(scale), pairs, scale)
    assert scores["psnr"] == pytest.approx(expected[0], abs=6e-4)
    assert scores["ssim"] == pytest.approx(expected[1], abs=6e-5)
    assert len(scores["images"]) == 5


def test_lr_images_come_from_files_or_are_made(photos):
    made = read_test_set(photos, 2)
    assert made[0].hq.shape == (44, 36, 3)
    assert made[1].hq.shape == (32, 32, 3)  # gray is shown to an RGB model as RGB
    assert torch.equal(made[0].lq, to_tensor(imresize(made[0].hq, 1 / 2)))
    lr = photos / "set/LR_bicubic/X2"
    lr.mkdir(parents=True)
    (photos / "set/HR").mkdir()
    for name, size in (("a", (18, 22)), ("b", (16, 16))):
        (photos / f"{name}.png").rename(photos / f"set/HR/{name}.png")
        Image.new("RGB", size, (9, 9, 9)).save(lr / f"{name}x2.png")
    pairs = read_test_set(photos / "set", 2)
    assert (pairs[0].lq * 255).round().unique().tolist() == [9]
    Image.new("RGB", (16, 15)).save(lr / "bx2.png")
    with pytest.raises(ValueError, match=r"1 images of .* cannot be used") as info:
        read_test_set(photos / "set", 2)
    assert "LQ is (15, 16), HQ implies (16, 16)" in str(info.value)


def test_images_are_extended_as_the_official_script_does(monkeypatch):
    seen = []

    class Spy(Bicubic):
        def forward(self, x):
            seen.append(x)
            return super().forward(x)

    lq = torch.rand(1, 3, 16, 21)
    restored = restore(Spy(2), lq, 2, window_size=8)
    assert restored.shape == (1, 3, 32, 42)
    (extended,) = seen
    assert extended.shape == (1, 3, 24, 24)  # 16 divides, and still grows
    assert torch.equal(extended[:, :, :16, :21], lq)
    assert torch.equal(extended[:, :, 16:, :21], lq[:, :, 8:].flip(2))
    assert torch.equal(extended[:, :, :16, 21:], lq[..., 18:].flip(3))


def test_tiny_images_are_extended_by_copies_of_copies():
    lq = torch.rand(1, 3, 2, 3)
    restored = restore(Bicubic(1), lq, 1, window_size=8)
    assert restored.shape == lq.shape


def test_the_channel_is_checked_and_said(photos):
    rgb = read_test_set(photos, 2)
    with pytest.raises(ValueError, match="'gray' cannot be measured: super-resolution"):
        evaluate(Bicubic(2), rgb, 2, "gray")
    gray = read_test_set(photos, 2, channels=1)
    with pytest.raises(ValueError, match=r"images are gray, so channel 'Y' cannot"):
        evaluate(Bicubic(2), gray, 2, "Y")
    with pytest.raises(ValueError, match="channel must be one of"):
        evaluate(Bicubic(2), rgb, 2, "luma")
    on_y, on_rgb = (evaluate(Bicubic(2), rgb, 2, channel) for channel in ("Y", "RGB"))
    assert "(on Y, border 2, 2 images)" in summary("ours", on_y)
    assert "(on RGB, border 2, 2 images)" in summary("ours", on_rgb)
    note = "not comparable with papers, which measure Y"
    assert note in summary("ours", on_rgb)
    assert note not in summary("ours", on_y)
    assert note not in summary("denoiser", {**on_rgb, "scale": 1})
    restored = imresize(to_image(rgb[0].lq), 2)
    assert on_rgb["images"]["a"]["psnr"] == psnr(restored, rgb[0].hq, 2)
    assert on_y["images"]["a"]["psnr"] == psnr(restored, rgb[0].hq, 2, y_channel=True)


@pytest.mark.parametrize(
    ("scale", "channels", "expected"),
    [(4, 3, (4, "Y")), (2, 1, (2, "gray")), (1, 3, (0, "RGB")), (1, 1, (0, "gray"))],
)
def test_every_task_is_measured_as_papers_do(scale, channels, expected):
    assert protocol(scale, channels) == expected


def test_scores_of_a_perfect_restoration_are_written_as_json(
    tmp_path, monkeypatch, capsys
):
    Image.new("RGB", (32, 32), (9, 9, 9)).save(tmp_path / "flat.png")
    monkeypatch.setattr(
        "swinir_lite.measuring.command.load_trained",
        lambda source, img_range: (Bicubic(2), {"name": "bicubic"}),
    )
    path = tmp_path / "scores.json"
    main(["evaluate", "ours", str(tmp_path), "--json", str(path)])
    assert "PSNR inf dB" in capsys.readouterr().out

    def refuse(constant):
        pytest.fail(f"{constant} is not JSON")

    (scores,) = json.loads(path.read_text(), parse_constant=refuse)
    assert scores["psnr"] is None
    assert scores["images"]["flat"]["psnr"] is None
    assert scores["ssim"] == 1


def test_a_denoiser_is_measured_on_the_official_noise(photos, capsys):
    config = SwinIRConfig(
        in_channels=1, dim=8, depths=(1,), num_heads=(2,), scale=1, upsampler="none"
    )
    model = SwinIR(config)
    nn.init.zeros_(model.head[0].weight)
    nn.init.zeros_(model.head[0].bias)  # the identity: its score is the noise's
    degradation = {"name": "gaussian_noise", "sigma": 25}
    (scores,) = evaluate_on(model, degradation, [photos]).values()
    assert scores["channel"] == "gray"
    assert scores["border"] == 0
    gray = np.asarray(Image.open(photos / "b.png"))
    noise = np.random.RandomState(0).normal(0, 25 / 255, (32, 32, 1))[..., 0]
    noisy = np.clip((gray / 255 + noise) * 255, 0, 255).round()
    expected = 10 * np.log10(255**2 / np.mean((noisy - gray) ** 2))
    assert scores["images"]["b"]["psnr"] == pytest.approx(expected, abs=0.01)
    with pytest.raises(ValueError, match="'bicubic' does not fit scale 1: what"):
        evaluate_on(model, {"name": "bicubic"}, [photos])
