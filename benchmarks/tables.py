"""Tables and the roofline plot from committed results.

python -m benchmarks.tables benchmarks/results/cpu.json ...
"""

import argparse
import json
import re
from pathlib import Path

from swinir_lite import VARIANTS

from .counting import H200, network_bytes, network_flops


def is_timing(section: object) -> bool:
    return isinstance(section, dict) and all(
        isinstance(run, dict) and "median_ms" in run for run in section.values()
    )


def number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:,.{digits}f}"


def table(name: str, section: dict[str, dict]) -> str:
    """One section as Markdown: a row a run, times faster than the first official."""
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
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def heading(found: dict) -> str:
    machine = found.get("gpu") or f"{found['processor']}, {found['threads']} threads"
    return f"{machine}; PyTorch {found['torch']}; {found['date']}"


def tables(results: dict) -> str:
    """Every timing section of a result file, under its machine and date."""
    parts = [heading(results["environment"])]
    if "note" in results:
        parts.append(results["note"])
    for name, section in results["results"].items():
        if is_timing(section):
            parts.append(table(name, section))
        elif name.startswith("memory"):
            rows = [f"| {run} | {m['added_mib']:,.0f} |" for run, m in section.items()]
            parts.append("\n".join([f"| {name} | MiB |", "|---|--:|", *rows]))
    return "\n\n".join(parts)


def roofline_points(results: dict) -> list[tuple[str, float, float]]:
    """Of every inference: label, operations per byte, operations per second.

    Operations and bytes are those that the fused kernels need, for every run, so
    runs of one network lie above each other.
    """
    points = []
    for name, section in results["results"].items():
        match = re.fullmatch(r"(\w+) (\d+)x(\d+)", name)
        if not match or match[1] not in VARIANTS or not is_timing(section):
            continue
        config, size = VARIANTS[match[1]], (int(match[2]), int(match[3]))
        flops = network_flops(config, *size)
        for run, measured in section.items():
            rate = flops / (measured["median_ms"] / 1000)
            label = f"{match[1]}, {run}"
            points.append((label, flops / network_bytes(config, *size), rate))
    return points


def plot_roofline(results: dict, axes) -> None:
    """Draw the machine's roof and every run under it on matplotlib axes."""
    intensity = [1, H200["flops"] / H200["bytes"], 10_000]
    roof = [min(H200["flops"], x * H200["bytes"]) / 1e12 for x in intensity]
    axes.loglog(intensity, roof, color="#222222")
    for label, x, rate in roofline_points(results):
        marker = "o" if "ours" in label else "x"
        axes.plot(x, rate / 1e12, marker, label=label)
    axes.set(xlabel="operations per byte", ylabel="10¹² operations per second")
    axes.legend(fontsize=7)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", nargs="+", type=Path)
    parser.add_argument("--plot", type=Path, help="where the roofline is drawn")
    args = parser.parse_args()
    for path in args.results:
        results = json.loads(path.read_text())
        print(tables(results), end="\n\n")
        if args.plot:
            import matplotlib.pyplot as plt

            figure, axes = plt.subplots(figsize=(7, 4.5))
            plot_roofline(results, axes)
            figure.savefig(args.plot, bbox_inches="tight")


if __name__ == "__main__":
    main()
