"""Our network beside the official one on a CPU: python -m benchmarks.processors --help

With the instructions that this processor has and with older ones, on a quiet machine
and beside two busy processes, with threads that spin briefly while they wait, as the
package asks for, and as long as OpenMP's library does by itself. Every case is a
process of its own, since these settings are read once.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path

import torch

from .measure import environment
from .speed import RESULTS, save

SECTION = "lightweight_x2 128x128"
INSTRUCTIONS = {  # what oneDNN and PyTorch may use at most, and its flag in Linux
    "AVX2": ("AVX2", "avx2", "avx2"),
    "AVX-512": ("AVX512_CORE_BF16", "avx512", "avx512bw"),
}
SPINNING = {"spin briefly": "10000", "spin long": "300000"}  # ours, and libgomp's own
BUSY = 2  # processes
LOOP = "while True: pass"


def has(flag: str) -> bool:
    """Whether this processor has some instructions, as far as Linux says."""
    path = Path("/proc/cpuinfo")
    return path.exists() and flag in path.read_text().split()


@contextmanager
def busy_processes(count: int) -> Iterator[None]:
    started = [subprocess.Popen([sys.executable, "-c", LOOP]) for _ in range(count)]
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


def case(args: argparse.Namespace, instructions: str, spin: str) -> dict:
    """Both networks in a process with these settings."""
    onednn, aten, _ = INSTRUCTIONS[instructions]
    settings = {
        **os.environ,
        "ONEDNN_MAX_CPU_ISA": onednn,
        "ATEN_CPU_CAPABILITY": aten,
        "GOMP_SPINCOUNT": spin,
        "OMP_NUM_THREADS": str(args.threads),
    }
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "found.json"
        command = [sys.executable, "-m", "benchmarks.speed", "--output", str(output)]
        command += ["--only", SECTION, "--repeats", str(args.repeats)]
        command += ["--threads", str(args.threads), "--official", args.official]
        subprocess.run(command, env=settings, check=True)
        return json.loads(output.read_text())["results"][SECTION]


def ratio(found: dict) -> float:
    """How many times as long the official network takes."""
    times = [found[f"{who} float32"]["median_ms"] for who in ("official", "ours")]
    return round(times[0] / times[1], 2)


def measure(args: argparse.Namespace, path: Path) -> None:
    """All cases, written after each."""
    file = {"environment": environment(torch.device("cpu")), "results": {}}
    file["environment"]["threads"] = args.threads
    there = [name for name, (*_, flag) in INSTRUCTIONS.items() if has(flag)]
    for instructions, busy, spinning in product(there, (0, BUSY), SPINNING):
        beside = f"beside {busy} busy processes" if busy else "quiet"
        name = f"{instructions}, {beside}, {spinning}"
        with busy_processes(busy):
            found = case(args, instructions, SPINNING[spinning])
        file["results"][name] = found | {"times as fast": ratio(found)}
        print(f"{name}: {ratio(found)} times", flush=True)
        save(path, file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--official", required=True, help="its network_swinir.py")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--output", type=Path, default=RESULTS / "processors.json")
    args = parser.parse_args()
    measure(args, args.output)


if __name__ == "__main__":
    main()
