"""The speedrun's ladder says what the logs of its runs say."""

import json

from experiments.speedrun import RESULTS, changes, ladder, minutes_to, psnr_at
from swinir_lite.training.log import read_log

LOG = [
    {"event": "start"},
    {"event": "validation", "psnr": 37.9, "seconds": 120},
    {"event": "train", "seconds": 300},
    {"event": "validation", "psnr": 38.1, "seconds": 480.01},
]


def test_the_committed_ladder_is_what_the_logs_say():
    committed = json.loads((RESULTS / "speedrun/ladder.json").read_text())
    assert committed == json.loads(json.dumps(ladder()))


def test_a_target_is_met_at_the_first_measurement_that_reaches_it():
    assert minutes_to(37.9, LOG, 0) == 2
    assert minutes_to(38.0, LOG, 24) == 32
    assert minutes_to(38.2, LOG, 0) is None


def test_the_score_at_a_time_is_the_last_one_before_it():
    assert psnr_at(1, LOG) is None
    assert psnr_at(7, LOG) == 37.9
    assert psnr_at(8, LOG) == 38.1


def test_minutes_count_those_of_the_weights_a_run_started_from():
    rungs = {rung["run"]: rung for rung in ladder()["rungs"]}
    warm, before = rungs["lightweight_x2"], rungs["lightweight_x2_24_minutes"]
    assert warm["minutes_before"] == before["minutes"] == 24
    assert warm["minutes"] == 38.5
    shipped = json.loads((RESULTS / "../swinir_lite/weights/manifest.json").read_text())
    training = shipped["lightweight_x2"]["training"]
    assert warm["minutes"] == training["minutes"] + training["minutes_before"]


def test_what_ships_scores_what_its_rung_says():
    shipped = json.loads((RESULTS / "../swinir_lite/weights/manifest.json").read_text())
    results = shipped["lightweight_x2"]["results"]
    rung = next(r for r in ladder()["rungs"] if r["run"] == "lightweight_x2")
    for name in ("Set5", "Set14", "DIV2K"):
        assert rung["psnr"][name] == results[name]["psnr"]


BOOKKEEPING = {"validation", "validate_every", "checkpoint_every", "log_every",
               "data", "cache", "steps", "minutes", "initial_weights"}  # fmt: skip


def test_what_changed_is_all_that_changed():
    """Runs differ in nothing that is not said, so no gain hides a second cause."""
    said = {"optimizer", "lr", "batch", "patch"}
    configs = {}
    for rung in ladder()["rungs"]:
        config = read_log(RESULTS / rung["log"])[0]["config"]
        configs[rung["run"]] = {
            k: v for k, v in config.items() if k not in BOOKKEEPING | said
        }
    first, *others = configs.values()
    assert all(config == first for config in others)


def test_changes_are_told_in_words_and_counted():
    old = {"optimizer": "adam", "lr": 0.001, "batch": 32, "patch": 64, "images": 607,
           "own_minutes": 1.25}  # fmt: skip
    new = {**old, "images": 1165, "lr": 0.002, "code": "faster kernels"}
    assert changes(new, old) == [
        "faster kernels", "rate 0.002 instead of 0.001",
        "1,165 photographs instead of 607",
    ]  # fmt: skip
    more = {**old, "own_minutes": 24, "starts_from": "a", "against": "a"}
    assert changes(more, old) == ["24 minutes more"]
    assert changes(old, None)[:2] == ["Adam", "rate 0.001"]


def test_two_runs_change_one_thing_alone():
    """The optimiser and the minutes; chapter 19 says so of no other run."""
    alone = [rung["run"] for rung in ladder()["rungs"] if rung["changes"] == 1]
    assert alone == ["trial_muon", "lightweight_x2_24_minutes"]
