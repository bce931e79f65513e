"""The benchmark of restoring: what it counts, on networks that take no time."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks import restoring
from swinir_lite import SwinIR, SwinIRConfig
from swinir_lite.restoring.pipeline import Outcome, Seconds
from swinir_lite.speed.network import fastest

TINY = {"dim": 8, "depths": (2,), "num_heads": (2,), "window_size": 4}


@pytest.fixture
def network():
    model = SwinIR(SwinIRConfig(**TINY))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, 0, 0.1)
    return fastest(model, "cpu")


def test_worst_differences_shrink_with_the_overlap(network):
    image = np.random.default_rng(0).random((70, 60, 3), np.float32)
    worst = restoring.worst_differences(
        network, [image, image / 2], 64, restoring.OVERLAPS
    )
    assert list(worst) == ["0", "16", "32", "48"]
    assert worst["0"] > worst["48"]
    assert worst["48"] < 0.01


def test_partly_restored_tiles_have_the_size_of_restored_ones(network):
    partly, x = restoring.Partly(network, 3), torch.rand(1, 3, 8, 8)
    results = [partly(x) for _ in range(4)]
    assert {tuple(y.shape) for y in results} == {(1, 3, 16, 16)}
    assert torch.equal(results[0], network(x))
    assert torch.equal(results[1], x.repeat_interleave(2, 2).repeat_interleave(2, 3))
    assert torch.equal(results[3], results[0])


def test_a_profile_adds_up_what_pictures_took():
    outcomes = [Outcome("a", pixels=2_000_000, seconds=Seconds(1, 4, 2))] * 2
    found = restoring.profile(outcomes, 10.0)
    assert found["megapixels a second"] == 0.4
    assert found["seconds by part"] == {"decoding": 2, "computing": 8, "encoding": 4}
    assert found["megapixels a second by part, one thread"]["computing"] == 0.5
    assert found["share of the time that the network worked"] == 0.8


def test_photographs_are_made_alike_and_differ_from_each_other(tmp_path):
    paths = restoring.write_photographs(tmp_path, 20, (48, 64), ".png")
    assert len({path.read_bytes() for path in paths}) == 2
    assert np.array_equal(
        restoring.photograph((48, 64), 1), restoring.photograph((48, 64), 1)
    )


def test_photographs_are_made_from_those_of_a_folder(tmp_path):
    source = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    Image.fromarray(source).save(tmp_path / "source.png")
    given = tmp_path, 2, (50, 24), ".png", [tmp_path / "source.png"]
    for path in restoring.write_photographs(*given):
        with Image.open(path) as image:
            made = np.array(image)
        flipped = source[::-1, :24]
        expected = np.concatenate([source[:, :24], flipped, source[:10, :24]])
        np.testing.assert_array_equal(made, expected)


def test_results_of_parts_share_a_file(tmp_path, monkeypatch, capsys):
    path = tmp_path / "r.json"
    path.write_text('{"memory": {"kept": true}}')
    monkeypatch.setitem(restoring.PARTS, "tiles", lambda args: {"found": 1})
    threads = torch.get_num_threads()
    restoring.main(["tiles", "x", "--output", str(path), "--threads", str(threads)])
    file = json.loads(path.read_text())
    assert file["memory"] == {"kept": True}
    assert file["tiles"]["found"] == 1
    assert "commit" in file["tiles"]["environment"]
