"""Tables from committed results.

python -m benchmarks.tables benchmarks/results/cpu.json ...
"""

import argparse
import json
import re
from pathlib import Path
from typing import NamedTuple

RESULTS = Path(__file__).parent / "results"


class Goal(NamedTuple):
    """What a run was to reach: at most, or at least for a rate."""

    what: str
    section: str
    run: str
    official: str | None
    must: float
    aim: float


LIGHT, CLASSICAL = "lightweight_x2 360x640", "classical_x4 360x640"
TRAINING, BEST = "training lightweight_x2", "ours bfloat16, CUDA graph"
GPU_GOALS = [
    Goal("lightweight x2, 360x640", LIGHT, "ours bfloat16", "official float32", 15, 6),
    Goal("classical x4, 360x640", CLASSICAL, "ours bfloat16", "official float32",
         45, 25),
    Goal("training step, lightweight x2, batch 64 of 64x64", TRAINING, BEST,
         "official float32", 35, 20),
]  # fmt: skip
MEMORY_GOAL = Goal("its peak memory", TRAINING, "ours bfloat16, no graph",
                   "official float32", 9, 5)  # fmt: skip
PSNR_GOAL = (0.01, 0.003)


def load(device: str) -> dict:
    """Committed results: `cpu`, or the GPU's name in lower case."""
    return json.loads((RESULTS / f"{device}.json").read_text())


def is_timing(section: object) -> bool:
    return (
        isinstance(section, dict)
        and bool(section)
        and all(
            isinstance(run, dict) and ("median_ms" in run or "failed" in run)
            for run in section.values()
        )
        and any("median_ms" in run for run in section.values())
    )


def verdict(value: float, must: float, aim: float) -> str:
    if value <= aim:
        return "aim reached"
    return "reached, short of the aim" if value <= must else "**missed**"


def row(*cells: object) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


def section(name: str, results: dict) -> dict | None:
    """A section of results without runs that failed, or None if that leaves none."""
    found = results["results"].get(name, {})
    if failure(found) or "not run" in found:
        return None
    return {n: run for n, run in found.items() if not failure(run)} or None


def current(name: str, run: str, results: dict) -> dict:
    """One run of a section, or what has replaced it since.

    A run whose code has changed keeps its numbers and says `superseded`: the file and
    the run of the same section that measured the new code.
    """
    found = (section(name, results) or {})[run]
    if newer := found.get("superseded"):
        found = load(newer["file"])["results"][name][newer["run"]]
    return found


def failure(found: object) -> str | None:
    """What a section or one of its runs says of its failure."""
    if not isinstance(found, dict):
        return None
    if "error" in found:
        return f"failed: {found['error']['type']}: {found['error']['message']}"
    return f"failed: {found['failed']}" if "failed" in found else None


def value(found: dict | None, run: str | None, key: str) -> float | None:
    """A number of one run, unless that run failed, was disturbed or is not there."""
    measured = (found or {}).get(run, {})
    return None if {"disturbed", "failed"} & set(measured) else measured.get(key)


def first_line(text: str) -> str:
    """For a cell of a table."""
    return text.splitlines()[0].replace("|", "/")


def goal_row(goal: Goal, key: str, unit: str, digits: int, results) -> str:
    found = results["results"].get(goal.section)
    ours = value(found, goal.run, key)
    limits = (f"{goal.must} {unit}", f"{goal.aim} {unit}")
    if ours is None:
        return row(goal.what, "", missing(found, goal.run), "", *limits, "")
    official = value(found, goal.official, key)
    return row(
        goal.what,
        "" if official is None else f"{official:.1f} {unit}",
        f"{ours:.{digits}f} {unit}",
        "" if official is None else f"{official / ours:.1f}",
        *limits,
        verdict(ours, goal.must, goal.aim),
    )


def missing(found: dict | None, run: str | None = None) -> str:
    """Why there is no number: what failed, or that nothing was measured yet."""
    why = failure(found) or failure((found or {}).get(run))
    return first_line(why) if why else "not measured yet"


def gpu_goals(results: dict) -> str:
    """What was to be reached on the GPU, and what was measured, missed or not."""
    found = results["results"]
    lines = [row("one GPU", "official", "ours", "times", "must", "aim", ""),
             "|---|--:|--:|--:|--:|--:|---|"]  # fmt: skip
    for goal in GPU_GOALS:
        lines.append(goal_row(goal, "median_ms", "ms", 2, results))
    lines.append(goal_row(MEMORY_GOAL, "peak_gib", "GiB", 2, results))
    must, aim = PSNR_GOAL
    cells = ["", missing(found.get("set5")), "", f"{must} dB", f"{aim} dB", ""]
    if test := section("set5", results):
        change = test["bfloat16"]["psnr"] - test["float32"]["psnr"]
        cells[1], cells[5] = f"{change:+.4f} dB", verdict(abs(change), must, aim)
    lines.append(row("PSNR on Set5, bfloat16 against float32", *cells))
    growth = found.get("growth lightweight_x2", {})
    wrong = next(filter(failure, growth.values()), growth)
    cells = ["", missing(wrong), "", "10%", "", ""]
    if is_timing(growth) and not failure(wrong):
        low, high = (growth[f"{side}x{side}"]["ns_per_pixel"] for side in (512, 2048))
        change = 100 * (high / low - 1)
        cells[1] = f"{change:+.1f}%"
        cells[5] = "reached" if abs(change) <= 10 else "**missed**"
    lines.append(row("time a pixel, 2048x2048 against 512x512", *cells))
    return "\n".join(lines)


def cpu_goals(results: dict) -> str:
    """The same on a CPU."""
    speed, memory = (
        results["results"].get(name)
        for name in ("lightweight_x2 128x128", "memory lightweight_x2 512x512")
    )
    runs = ("official float32", "ours float32"), ("official", "ours")
    lines = [row(f"CPU, {threads(results['environment'])}", "official", "ours",
                 "times", "must", "aim", ""),
             "|---|--:|--:|--:|--:|--:|---|"]  # fmt: skip
    for what, found, names, key, unit, must, aim in (
        ("lightweight x2, 128x128", speed, runs[0], "median_ms", "ms", 2.2, 3),
        ("its memory at 512x512", memory, runs[1], "added_mib", "MiB", 2, 4),
    ):
        official, ours = (value(found, name, key) for name in names)
        if official is None or ours is None:
            reason = next(
                (why for n in names if (why := missing(found, n)).startswith("failed")),
                "not measured yet",
            )
            lines.append(row(what, "", reason, "", must, aim, ""))
            continue
        lines.append(row(
            what, f"{official:.0f} {unit}", f"{ours:.0f} {unit}",
            f"{official / ours:.{2 if unit == 'ms' else 1}f}", must, aim,
            verdict(ours / official, 1 / must, 1 / aim),
        ))  # fmt: skip
    return "\n".join(lines)


def short_name(kernel: str) -> str:
    """A kernel's name without its templates and arguments."""
    kernel = kernel.replace("(anonymous namespace)::", "").replace("at::native::", "")
    return re.sub(r"^void |[<(].*", "", kernel)[:48]


def profile_table(profile: dict, total_ms: float | None = None) -> str:
    """One profile: kernels by time, what is left, and how long the GPU was busy."""
    entries = {}
    for kernel, entry in profile["kernels"].items():
        known = entries.setdefault(short_name(kernel), {"ms": 0.0, "launches": 0})
        known["ms"] += entry["ms"]
        known["launches"] += entry["launches"]
    lines = [row("kernel", "launches", "ms"), "|---|--:|--:|"]
    for name, entry in sorted(entries.items(), key=lambda found: -found[1]["ms"]):
        lines.append(row(f"`{name}`", entry["launches"], f"{entry['ms']:.2f}"))
    rest = profile["everything else"]
    lines.append(row("everything else", rest["launches"], f"{rest['ms']:.2f}"))
    busy = f"**{profile['busy_ms']:.2f}**"
    lines.append(row("**GPU busy**", f"**{profile['launches']}**", busy))
    if total_ms:
        lines.append(row("whole run, by the clock", "", f"{total_ms:.2f}"))
    return "\n".join(lines)


def number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:,.{digits}f}"


def table(name: str, section: dict[str, dict]) -> str:
    """One section as Markdown: a row a run, times faster than the first official.

    Disturbed runs are left out.
    """
    if why := failure(section):
        return f"{name} {why}"
    section = {n: run for n, run in section.items() if "disturbed" not in run}
    failed = {n: why for n, run in section.items() if (why := failure(run))}
    section = {n: run for n, run in section.items() if n not in failed}
    official = next((r for n, r in section.items() if "official" in n), None)
    lines = [
        f"| {name} | median ms | times as fast as official | peak GiB | relative difference |",  # noqa: E501
        "|---|--:|--:|--:|--:|",
    ]
    for run, measured in section.items():
        ratio = official and official["median_ms"] / measured["median_ms"]
        difference = measured.get("difference", {}).get("relative")
        cells = [
            run,
            number(measured["median_ms"], 2),
            number(ratio, 1),
            number(measured.get("peak_gib"), 2),
            "" if difference is None else f"{difference:.1e}",
        ]
        lines.append(row(*cells))
    for run, why in failed.items():
        lines.append(row(run, first_line(why), "", "", ""))
    return "\n".join(lines)


def threads(found: dict) -> str:
    return f"{found['threads']} thread" + ("s" if found["threads"] > 1 else "")


def heading(found: dict) -> str:
    machine = found.get("gpu") or f"{found['processor']}, {threads(found)}"
    return f"{machine}; PyTorch {found['torch']}; {found['date']}"


def tables(results: dict) -> str:
    """Every timing section of a result file, under its machine and date."""
    parts = [heading(results["environment"])]
    if "note" in results:
        parts.append(results["note"])
    for name, section in results["results"].items():
        if is_timing(section):
            parts.append(table(name, section))
        elif why := failure(section):
            parts.append(f"{name} {why}")
        elif "not run" in section:
            parts.append(f"{name} was not run: {section['not run']}")
        elif name.startswith("memory"):
            rows = [f"| {run} | {m['added_mib']:,.0f} |" for run, m in section.items()]
            parts.append("\n".join([f"| {name} | MiB |", "|---|--:|", *rows]))
    return "\n\n".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", nargs="+", type=Path)
    args = parser.parse_args()
    for path in args.results:
        results = json.loads(path.read_text())
        print(tables(results), end="\n\n")


if __name__ == "__main__":
    main()
