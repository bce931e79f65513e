"""The reconstruction head in strips of rows."""

import pytest
import torch

from swinir_lite import SwinIR, SwinIRConfig
from swinir_lite.speed import head
from swinir_lite.speed.network import FastSwinIR
from swinir_lite.swinir import SCALES

TINY = {"dim": 12, "depths": (1,), "num_heads": (2,), "window_size": 4}
HEADS = [(upsampler, scale) for upsampler in SCALES for scale in SCALES[upsampler]]


def rows_at_once(monkeypatch, rows, width, scale):
    most = rows * width * scale**2 * head.CHANNELS * 4
    monkeypatch.setattr(head, "LARGEST", most)


@pytest.mark.parametrize(("upsampler", "scale"), HEADS)
@pytest.mark.parametrize("rows", [1, 7])
def test_strips_give_the_pixels_of_the_whole(upsampler, scale, rows, monkeypatch):
    model = SwinIR(SwinIRConfig(**TINY, upsampler=upsampler, scale=scale)).eval()
    features = torch.randn(2, 17, 5, 12)
    with torch.no_grad():
        rows_at_once(monkeypatch, 2 * rows, 5, scale)
        strips = head.in_strips(model.head, features, scale)
        whole = model.head(features.permute(0, 3, 1, 2))
    assert strips.shape == whole.shape
    torch.testing.assert_close(strips, whole, rtol=1e-5, atol=1e-5)


def test_a_network_takes_strips_only_where_no_gradients_follow(monkeypatch):
    taken = []
    whole = head.in_turn
    monkeypatch.setattr(head, "in_turn", lambda h, x: taken.append(x) or whole(h, x))
    rows_at_once(monkeypatch, 4, 8, 2)
    model = SwinIR(SwinIRConfig(**TINY)).eval()
    image = torch.rand(1, 3, 16, 8)
    network = FastSwinIR(model, path="composed")
    with torch.no_grad():
        assert (network(image) - model(image)).abs().max() < 1e-5
    assert len(taken) == 4
    network(image).sum().backward()
    assert len(taken) == 4
