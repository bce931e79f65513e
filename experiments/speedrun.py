"""The ladder of the speedrun from committed logs: python -m experiments.speedrun

results/speedrun/README.md has the rules.  Chapter 19 draws what this writes.
"""

import json
from pathlib import Path
from statistics import fmean
from typing import Any

from swinir_lite.standard_json import to_json
from swinir_lite.training.log import read_log
from swinir_lite.whole_files import whole_file

RESULTS = Path(__file__).parent.parent / "results"
WAYPOINT = 38.0  # dB on Set5, on the way to the target
ANNEALED = (  # runs of one recipe and the same 1,164 photographs, each to its own end
    *(f"lightweight_x2_{steps}_steps" for steps in (500, 1000, 2000, 4000)),
    "lightweight_x2_8_minutes",
    "lightweight_x2_24_minutes",
)
NAMES = {  # of settings that are words
    "adam": "Adam",
    "muon": "Muon",
    "cosine": "a cosine schedule",
    "halving": "a rate halved in steps",
}
SETTINGS = {  # what runs may have otherwise, and how that is said
    "optimizer": "{}",
    "lr": "rate {}",
    "batch": "batch {}",
    "patch": "patches of {}",
    "images": "{} photographs",
    "schedule": "{}",
    "own_minutes": "{} minutes",
}
UNSEEN = {  # of a configuration: the seed, and what no weight depends on
    "seed", "validation", "validate_every", "checkpoint_every", "log_every",
}  # fmt: skip


def events(log: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """The records of a log that tell of one kind of event."""
    return [record for record in log if record["event"] == kind]


def minutes_to(psnr: float, log: list[dict[str, Any]], before: float) -> float | None:
    """Minutes after which a run first measured `psnr` dB on Set5; None for never."""
    for record in events(log, "validation"):
        if record["psnr"] >= psnr:
            return round(before + record["seconds"] / 60, 2)
    return None


def psnr_at(minutes: float, log: list[dict[str, Any]]) -> float | None:
    """The last Set5 PSNR that a run measured within `minutes`; None for none."""
    found = [r for r in events(log, "validation") if r["seconds"] <= 60 * minutes + 1]
    return found[-1]["psnr"] if found else None


def final_scores(folder: Path, log: list[dict[str, Any]]) -> dict[str, float]:
    """{test set: PSNR in dB} of a run's end: its results, else its log's Set5."""
    path = folder / "results.json"
    if path.is_file():
        scores = json.loads(path.read_text())["scores"]
        return {name: score["psnr"] for name, score in scores.items()}
    return {"Set5": events(log, "validation")[-1]["psnr"]}


def settings(log: list[dict[str, Any]]) -> dict[str, Any]:
    """All that decides what a run's weights become, but for its seed."""
    start = {k: v for k, v in log[0].items() if k not in ("config", "date")}
    config = {k: v for k, v in log[0]["config"].items() if k not in UNSEEN}
    return {**start, **config}


def check_seeds(logs: dict[str, list[dict[str, Any]]]) -> None:
    """Refuse runs that are not one run from several seeds.

    Where the minutes are set, each has made as many steps as it could in them.
    """
    (first, log), *others = logs.items()
    expected = settings(log)
    for name, other in others:
        found = settings(other)
        for key in {**expected, **found}:
            if (a := found.get(key)) != (b := expected.get(key)):
                raise ValueError(f"{name} has {key} {a}, {first} has {b}")
    seeds = [log[0]["config"]["seed"] for log in logs.values()]
    if len(set(seeds)) < len(seeds):
        raise ValueError(f"{', '.join(logs)} have seeds {seeds}: one occurs twice")
    for name, log in logs.items():
        minutes, seconds = expected["minutes"], events(log, "train")[-1]["seconds"]
        if minutes and abs(seconds - 60 * minutes) > 1:
            raise ValueError(f"{name} ended after {seconds} s of {minutes} minutes")


def scores_of_seeds(logs: dict[str, list], results: Path) -> dict[str, Any]:
    """Scores on each test set: the mean, how far the seeds are apart, and each one.

    "of_seeds" has None where a seed was not measured, and "spread" is None for one run.
    """
    scores = [final_scores(results / "training" / run, logs[run]) for run in logs]
    names = dict.fromkeys(name for score in scores for name in score)
    found = {name: [s[name] for s in scores if name in s] for name in names}
    spread = {name: max(psnrs) - min(psnrs) for name, psnrs in found.items()}
    return {
        "psnr": {name: fmean(psnrs) for name, psnrs in found.items()},
        "spread": spread if len(logs) > 1 else None,
        "of_seeds": {name: [s.get(name) for s in scores] for name in names},
    }


def rung(record: dict[str, Any], target: float, results: Path) -> dict[str, Any]:
    """One record with all that its log says of it.

    Args:
        record: "run", its folder under training/; "seeds_of", those of the same run
            from other seeds; "against", the run that it is compared with; and
            "starts_from", the run whose weights it continued.
        target: dB on Set5.
        results: the folder of committed results.

    Returns:
        The scores of all seeds; the steps, and what was measured on the way, are
        those of the first.
    """
    runs = [record["run"], *record.get("seeds_of", [])]
    logs = {run: read_log(results / "training" / run / "log.jsonl") for run in runs}
    check_seeds(logs)
    log = logs[record["run"]]
    start, end = log[0], events(log, "train")[-1]
    before = 0.0
    if record.get("starts_from"):
        earlier = rung({"run": record["starts_from"]}, target, results)
        before = earlier["minutes"]
    config = start["config"]
    return {
        **{key: value for key, value in record.items() if key != "seeds_of"},
        "minutes": round(before + end["seconds"] / 60, 2),
        "minutes_before": before,
        "own_minutes": config["minutes"],
        "steps": end["step"],
        **{k: config[k] for k in ("optimizer", "lr", "batch", "patch", "schedule")},
        "images": start["images"],
        **scores_of_seeds(logs, results),
        "psnr_at_8_minutes": None if before else psnr_at(8, log),
        "minutes_to_waypoint": None if before else minutes_to(WAYPOINT, log, before),
        "minutes_to_target": minutes_to(target, log, before),
        "seeds": [log[0]["config"]["seed"] for log in logs.values()],
        "device": start["device"],
        "date": start["date"],
        "log": f"training/{record['run']}/log.jsonl",
    }


def shown(value: str | float) -> str:
    """A setting in words: Muon, 0.002, 1,165."""
    return NAMES[value] if isinstance(value, str) else f"{value:,}"


def changes(new: dict[str, Any], old: dict[str, Any] | None) -> list[str]:
    """What a rung has otherwise than `old`, each in words; without it, what it has."""
    found, kept = [], set()
    if "starts_from" in new:
        assert new["starts_from"] == new["against"]
        found.append(f"{shown(new['own_minutes'])} minutes more")
        kept = {"own_minutes"}
    for key, text in SETTINGS.items():
        if key in kept or (old and new[key] == old[key]):
            continue
        was = f" instead of {shown(old[key])}" if old else ""
        found.append(text.format(shown(new[key])) + was)
    return found


def compared(rungs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rungs, each with what it changed, how many things, and against which one."""
    places = {rung["run"]: k for k, rung in enumerate(rungs, 1)}
    found = []
    for rung in rungs:
        place = places.get(rung.get("against"))
        differences = changes(rung, rungs[place - 1] if place else None)
        begins = f"run {place} with " if place else ""
        found.append({
            **rung,
            "against": place,
            "changes": len(differences) if place else 0,
            "changed": begins + ", ".join(differences),
        })  # fmt: skip
    return found


def steps_against_psnr(results: Path = RESULTS) -> list[dict[str, Any]]:
    """What a number of steps gives when the rate falls to zero at their end."""
    points = []
    for run in ANNEALED:
        log = read_log(results / "training" / run / "log.jsonl")
        last = events(log, "validation")[-1]
        points.append({"run": run, "steps": last["step"], "Set5": last["psnr"]})
    return points


def ladder(results: Path = RESULTS) -> dict[str, Any]:
    """Target, rungs and steps, from the logs of the runs in speedrun/records.json."""
    records = json.loads((results / "speedrun/records.json").read_text())
    paper = json.loads((results / "comparison.json").read_text())["paper"]
    target = {name: v["psnr"] for name, v in paper["lightweight_x2"].items()}
    rungs = [rung(record, target["Set5"], results) for record in records]
    steps = steps_against_psnr(results)
    found = {"target": target, "waypoint": WAYPOINT}
    return {**found, "rungs": compared(rungs), "steps": steps}


def main() -> None:
    """Write results/speedrun/ladder.json."""
    with whole_file(RESULTS / "speedrun/ladder.json") as partial:
        partial.write_text(to_json(ladder(), indent=1) + "\n")


if __name__ == "__main__":
    main()
