"""Chapter 2's network from several seeds: what is noted is what happened."""

import json

from experiments import cnn_seeds as experiment


def test_the_first_step_below_a_level(monkeypatch):
    monkeypatch.setattr(experiment, "AVERAGED", 2)
    losses = [5, 3, 4, 2, 2, 1]  # means of two: 4, 3.5, 3, 2, 1.5
    assert experiment.first_below(losses, 3.2) == 4
    assert experiment.first_below(losses, 1) is None


def test_every_seed_is_noted(tmp_path):
    out = tmp_path / "found.json"
    experiment.main(["--seeds", "0", "1", "--steps", "2", "--out", str(out)])
    runs = json.loads(out.read_text())["runs"]
    assert [run["seed"] for run in runs] == [0, 1]
    assert runs[0]["gain"] != runs[1]["gain"]
    assert all(run["gain"] < -5 for run in runs)  # two steps teach nothing
    assert all(run["reached bicubic"] is None for run in runs)
