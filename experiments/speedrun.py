"""The ladder of the speedrun from committed logs: python -m experiments.speedrun

results/speedrun/README.md has the rules.  Chapter 19 draws what this writes.
"""

import json
from pathlib import Path
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
SETTINGS = {  # what runs may have otherwise, and how that is said
    "optimizer": "{}",
    "lr": "rate {}",
    "batch": "batch {}",
    "patch": "patches of {}",
    "images": "{} photographs",
    "own_minutes": "{} minutes",
}


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


def rung(record: dict[str, str], target: float, results: Path) -> dict[str, Any]:
    """One record with all that its log says of it.

    Args:
        record: "run", its folder under training/; "against", the run that it is
            compared with; "code", what the code had gained since, in words; and
            "starts_from", the run whose weights it continued.
        target: dB on Set5.
        results: the folder of committed results.
    """
    folder = results / "training" / record["run"]
    log = read_log(folder / "log.jsonl")
    start, end = log[0], events(log, "train")[-1]
    before = 0.0
    if record.get("starts_from"):
        earlier = rung({"run": record["starts_from"]}, target, results)
        before = earlier["minutes"]
    config = start["config"]
    return {
        **record,
        "minutes": round(before + end["seconds"] / 60, 2),
        "minutes_before": before,
        "own_minutes": config["minutes"],
        "steps": end["step"],
        **{k: config[k] for k in ("optimizer", "lr", "batch", "patch")},
        "images": start["images"],
        "psnr": final_scores(folder, log),
        "psnr_at_8_minutes": None if before else psnr_at(8, log),
        "minutes_to_waypoint": None if before else minutes_to(WAYPOINT, log, before),
        "minutes_to_target": minutes_to(target, log, before),
        "seeds": [config["seed"]],
        "device": start["device"],
        "date": start["date"],
        "log": f"training/{record['run']}/log.jsonl",
    }


def shown(value: str | float) -> str:
    """A setting in words: Muon, 0.002, 1,165."""
    return value.capitalize() if isinstance(value, str) else f"{value:,}"


def changes(new: dict[str, Any], old: dict[str, Any] | None) -> list[str]:
    """What a rung has otherwise than `old`, each in words; without it, what it has."""
    found = [new["code"]] if "code" in new else []
    kept = set()
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


def trials(results: Path) -> list[dict[str, Any]]:
    """Runs of 45 seconds, of which only what they printed at their end was kept."""
    found = json.loads((results / "training/trials_45_seconds.json").read_text())
    return found["trials"]


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
    return {
        "target": target, "waypoint": WAYPOINT, "rungs": compared(rungs),
        "trials": trials(results), "steps": steps,
    }  # fmt: skip


def main() -> None:
    """Write results/speedrun/ladder.json."""
    with whole_file(RESULTS / "speedrun/ladder.json") as partial:
        partial.write_text(to_json(ladder(), indent=1) + "\n")


if __name__ == "__main__":
    main()
