"""The speedrun's ladder says what the logs of its runs say."""

import json
from copy import deepcopy

import pytest

from experiments.speedrun import (
    RESULTS,
    changes,
    check_seeds,
    ladder,
    minutes_to,
    psnr_at,
    scores_of_seeds,
)
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
    said = {"optimizer", "lr", "batch", "patch", "schedule"}
    configs = {}
    for rung in ladder()["rungs"]:
        config = read_log(RESULTS / rung["log"])[0]["config"]
        configs[rung["run"]] = {
            k: v for k, v in config.items() if k not in BOOKKEEPING | said
        }
    first, *others = configs.values()
    assert all(config == first for config in others)


def test_changes_are_told_in_words_and_counted():
    old = {"optimizer": "adam", "lr": 0.001, "batch": 32, "patch": 64, "images": 1164,
           "schedule": "halving", "own_minutes": 8}  # fmt: skip
    new = {**old, "images": 2485, "lr": 0.002, "schedule": "cosine"}
    assert changes(new, old) == [
        "rate 0.002 instead of 0.001", "2,485 photographs instead of 1,164",
        "a cosine schedule instead of a rate halved in steps",
    ]  # fmt: skip
    more = {**old, "own_minutes": 24, "starts_from": "a", "against": "a"}
    assert changes(more, old) == ["24 minutes more"]
    assert changes(old, None)[:2] == ["Adam", "rate 0.001"]


def test_one_run_changes_one_thing_alone():
    """The schedule or the minutes; chapter 19 says so of no other run."""
    alone = [rung["run"] for rung in ladder()["rungs"] if rung["changes"] == 1]
    assert alone == ["lightweight_x2_8_minutes_halving", "lightweight_x2_24_minutes"]


def logs_of_seeds(*seeds):
    """Starts and ends of runs that differ in nothing but the seed."""
    config = {"minutes": 8, "lr": 0.002, "batch": 16, "validate_every": 4000}
    return {
        f"seed_{seed}": [
            {"event": "start", "date": f"2026-11-0{seed}", "images": 1164,
             "config": {**config, "seed": seed}},
            {"event": "train", "step": 56_000 + seed, "seconds": 480.1},
        ]
        for seed in seeds
    }  # fmt: skip


def test_seeds_may_differ_in_date_steps_and_how_often_they_were_measured():
    logs = logs_of_seeds(1, 2, 3)
    logs["seed_3"][0]["config"]["validate_every"] = 10_000
    check_seeds(logs)


@pytest.mark.parametrize(("place", "key", "value", "message"), [
    ("config", "lr", 0.004, "seed_2 has lr 0.004, seed_1 has 0.002"),
    ("config", "batch", 32, "seed_2 has batch 32, seed_1 has 16"),
    ("config", "minutes", 24, "seed_2 has minutes 24, seed_1 has 8"),
    ("config", "ema", 0.9, "seed_2 has ema 0.9, seed_1 has None"),
    ("start", "images", 2485, "seed_2 has images 2485, seed_1 has 1164"),
    ("config", "seed", 1, "one occurs twice"),
    ("end", "seconds", 300, "seed_2 ended after 300 s of 8 minutes"),
])  # fmt: skip
def test_another_seed_with_another_setting_is_refused(place, key, value, message):
    logs = logs_of_seeds(1, 2)
    start, end = logs["seed_2"]
    {"config": start["config"], "start": start, "end": end}[place][key] = value
    with pytest.raises(ValueError, match=message):
        check_seeds(logs)


def test_a_committed_run_is_refused_among_the_seeds_of_another():
    runs = "lightweight_x2_8_minutes", "lightweight_x2_24_minutes"
    logs = {r: read_log(RESULTS / f"training/{r}/log.jsonl") for r in runs}
    with pytest.raises(ValueError, match="has minutes 24"):
        check_seeds(logs)
    other = deepcopy(logs[runs[0]])
    other[0]["config"]["seed"], other[0]["config"]["patch"] = 7, 96
    with pytest.raises(ValueError, match="has patch 96"):
        check_seeds({runs[0]: logs[runs[0]], "other": other})


def test_the_mean_is_of_the_seeds_that_were_measured(tmp_path):
    measured = {"a": {"Set5": 38.0, "city": 33.0}, "b": {"Set5": 38.5}}
    for run, scores in measured.items():
        (tmp_path / "training" / run).mkdir(parents=True)
        found = {"scores": {name: {"psnr": psnr} for name, psnr in scores.items()}}
        (tmp_path / "training" / run / "results.json").write_text(json.dumps(found))
    assert scores_of_seeds({"a": LOG, "b": LOG}, tmp_path) == {
        "psnr": {"Set5": 38.25, "city": 33.0},
        "spread": {"Set5": 0.5, "city": 0.0},
        "of_seeds": {"Set5": [38.0, 38.5], "city": [33.0, None]},
    }
    assert scores_of_seeds({"a": LOG}, tmp_path)["spread"] is None


def test_two_runs_have_the_three_seeds_that_the_rules_ask_for():
    """results/speedrun/README.md and chapter 19 say so."""
    seeds = {rung["run"]: rung["seeds"] for rung in ladder()["rungs"]}
    assert seeds.pop("lightweight_x2_8_minutes") == [0, 1, 2]
    assert seeds.pop("lightweight_x2_scratch") == [0, 1, 2]
    assert set(map(tuple, seeds.values())) == {(0,)}
