"""The speedrun's ladder says what the logs of its runs say."""

import json

from experiments.speedrun import RESULTS, ladder, minutes_to, psnr_at

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
