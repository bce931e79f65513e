"""Adam against Muon: the trainings are what chapter 19 says of them."""

import json

from experiments import optimisers as experiment
from experiments.optimisers import Run


def test_each_optimiser_has_every_rate_and_seed():
    planned = list(experiment.runs(3))
    assert len(planned) == len(set(planned)) == 2 * 3 * len(experiment.RATES)


def test_a_run_is_its_optimiser_rate_and_seed(tmp_path):
    experiment.save_photographs(tmp_path)
    runs = Run("adam", 0.004, 0), Run("muon", 0.004, 0), Run("muon", 0.004, 1)
    first, *others = (experiment.train(run, 20, tmp_path) for run in runs)
    assert len({first, *others}) == 3
    assert experiment.train(runs[0], 20, tmp_path) == first


def test_results_are_written_with_every_run(tmp_path, monkeypatch):
    monkeypatch.setattr(experiment, "RATES", (0.002,))
    monkeypatch.setattr(experiment, "train", lambda run, **_: 30 + run.rate)
    monkeypatch.setattr(experiment, "ProcessPoolExecutor", InThisProcess)
    out = tmp_path / "results.json"
    experiment.main(["--seeds", "1", "--out", str(out)])
    found = json.loads(out.read_text())
    assert [run["optimizer"] for run in found["runs"]] == ["adam", "muon"]
    assert found["steps"] == 400


class InThisProcess:
    """A pool without processes."""

    def __init__(self, workers):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    map = staticmethod(map)
