"""Strips by a thread each, or shared by all: python -m benchmarks.strips --help

Our network on a CPU, both ways in turn in one process, by several numbers of threads.
`swinir_lite.speed.cpu.MOST` follows from it.
"""

import argparse
import json
import statistics
import time
from pathlib import Path
from unittest import mock

import torch

from swinir_lite import SwinIR, fast
from swinir_lite.speed import cpu
from swinir_lite.standard_json import to_json
from swinir_lite.variants import VARIANTS
from swinir_lite.whole_files import whole_file

from .measure import environment
from .speed import RESULTS

WAYS = {"side": 2**10, "shared": 1}  # the most threads that compute side by side


def seconds(net: torch.nn.Module, x: torch.Tensor, most: int) -> float:
    """Of one call with at most so many threads side by side."""
    with mock.patch.object(cpu, "MOST", most), torch.inference_mode():
        began = time.perf_counter()
        net(x)
        return time.perf_counter() - began


def row(net: torch.nn.Module, side: int, threads: int, repeats: int) -> dict:
    """Both ways for an image of that side: medians in ms, and their ratio."""
    torch.set_num_threads(threads)
    x = torch.rand(1, 3, side, side)
    taken = {way: [] for way in WAYS}
    for _ in range(repeats + 1):
        for way, most in WAYS.items():
            taken[way].append(seconds(net, x, most))
    taken = {way: times[1:] for way, times in taken.items()}  # the first warms up
    ratios = [shared / alone for alone, shared in zip(*taken.values())]
    medians = {way: round(1e3 * statistics.median(t), 1) for way, t in taken.items()}
    return {
        "size": side, "threads": threads, **medians,
        "times shared/side": round(statistics.median(ratios), 3),
    }  # fmt: skip


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.strips")
    parser.add_argument("--threads", type=int, nargs="+", default=[2, 4, 8, 12])
    parser.add_argument("--sizes", type=int, nargs="+", default=[128, 256])
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--output", type=Path, default=RESULTS / "strips.json")
    args = parser.parse_args(arguments)
    torch.manual_seed(0)
    net = fast(SwinIR(VARIANTS["lightweight_x2"]).eval().requires_grad_(False))
    found = {"environment": environment(torch.device("cpu")), "rows": []}
    for side in args.sizes:
        for threads in args.threads:
            found["rows"].append(row(net, side, threads, args.repeats))
            print(json.dumps(found["rows"][-1]), flush=True)
    with whole_file(args.output) as partial:
        partial.write_text(to_json(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
