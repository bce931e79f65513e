"""L1 against L2: the trainings are what chapter 9 says of them."""

import json

import pytest
import torch
import torch.nn.functional as F

from experiments import losses_and_optimisers as experiment
from experiments.losses_and_optimisers import Run
from swinir_lite.losses import l2_loss


def test_the_root_has_the_direction_of_l2_and_another_length():
    restored, target = torch.rand(2, 2, 3, 8, 8)
    restored.requires_grad_()
    root, square = (
        torch.autograd.grad(loss(restored, target), restored)[0].flatten()
        for loss in (experiment.root_l2_loss, l2_loss)
    )
    assert F.cosine_similarity(root, square, 0).item() == pytest.approx(1)
    length = square.norm() / (2 * l2_loss(restored, target).sqrt())
    assert root.norm().item() == pytest.approx(length.item())


def test_areas_are_the_smooth_and_the_detailed_part():
    _, (_, hr) = experiment.photographs()
    areas = experiment.areas(hr)
    assert areas["all"].all()
    assert areas["smooth half"].float().mean() == pytest.approx(0.5, abs=0.01)
    assert areas["detailed tenth"].float().mean() == pytest.approx(0.1, abs=0.01)
    assert not (areas["smooth half"] & areas["detailed tenth"]).any()


def test_adam_divides_a_constant_factor_away(monkeypatch):
    factor = {**experiment.LOSSES, "scaled": lambda a, b: 1000 * l2_loss(a, b)}
    monkeypatch.setattr(experiment, "LOSSES", factor)
    plain, scaled = (
        experiment.train(Run(loss, 0.999, 4e-3, 20, 0)) for loss in ("L2", "scaled")
    )
    assert scaled["step"] == pytest.approx(plain["step"], rel=0.05)
    assert scaled["gradient"][0] == pytest.approx(1000 * plain["gradient"][0], rel=0.1)


def test_with_a_short_memory_steps_stay_longer():
    long, short = (
        experiment.train(Run("L2", beta2, 4e-3, 60, 0)) for beta2 in (0.999, 0.9)
    )
    assert short["step"][-1] > 1.2 * long["step"][-1]


def test_results_are_written_with_every_run(tmp_path):
    out = tmp_path / "results.json"
    experiment.main(
        ["--seeds", "1", "--steps", "10", "--longer", "20", "--out", str(out)]
    )
    found = json.loads(out.read_text())["runs"]
    assert len(found) == len(experiment.runs(1, 10, 20)) == 14
    assert {len(run["step"]) for run in found} == {1, 2}
