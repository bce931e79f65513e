"""Compare with the official network: python -m benchmarks.speed --help

Same process, same weights, same random images, in turn. Without --official only
this project is measured. A section that fails is recorded as that, and the next
one goes on; so is a run with a wrong output. With --only the others of the output
file are kept.
"""

import argparse
import json
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from swinir_lite.speed.routes import attention_backend
from swinir_lite.variants import RELEASED

from . import breakdown
from .comparisons import (
    compiled_training,
    cpu_memory,
    growth,
    inference,
    report_memory,
    set5,
    training,
)
from .counting import H200
from .measure import environment, run_section
from .official import COMMIT, load_official

RESULTS = Path(__file__).parent / "results"
Sections = Iterator[tuple[str, Callable[[], dict] | str]]  # or why it is left out


def needs(args: Namespace, *options: str) -> str | None:
    """Why a section is left out, or None if all that it needs is given."""
    missing = [f"--{name}" for name in options if not getattr(args, name)]
    return f"needs {' and '.join(missing)}" if missing else None


LARGE = ("lightweight_x2", "classical_x4")  # at the size of the goals
# Of every body, head and number of channels; then the variants that repeat them
ROOFLINE = ("color_jpeg", "real_world_large_x4", "real_world_x4", "color_denoise")
ROOFLINE += tuple(v for v in RELEASED if v not in ROOFLINE + LARGE)


def sections_cuda(args: Namespace, results: dict) -> Sections:
    """Names, and what measures them or why nothing does; the dearest ones last."""
    for variant in LARGE:
        yield f"{variant} 360x640", lambda v=variant: inference(args, v, 360, 640)
    yield "training lightweight_x2", lambda: training(args)
    yield "set5", needs(args, "weights", "set5") or (lambda: set5(args))
    yield "machine", lambda: breakdown.machine(args)
    yield "floors", lambda: breakdown.floors(floor_machine(results))
    yield "growth lightweight_x2", lambda: growth(args)
    yield "profile", lambda: breakdown.profile(args)
    yield "equality", lambda: breakdown.equality(args)
    yield "steps lightweight_x2 360x640", lambda: breakdown.steps(args)
    yield "attention 360x640", lambda: breakdown.head_dimensions(args)
    for attention in ("triton", "reference"):
        yield (
            f"compiled for all sizes, {attention} attention",
            lambda a=attention: breakdown.compiled(args, a),
        )
    yield "compiled for one size", lambda: breakdown.compiled_once(args)
    for variant in ROOFLINE:
        yield f"{variant} 252x252", lambda v=variant: inference(args, v, 252, 252)
    others = [variant for variant in RELEASED if variant not in breakdown.BODIES]
    yield "equality, other heads", lambda: breakdown.equality(args, others)
    yield (
        "training lightweight_x2, official",
        needs(args, "official") or (lambda: compiled_training(args)),
    )


def floor_machine(results: dict) -> dict:
    """Rates that this run has measured, or those of an H200."""
    measured = results.get("machine", {})
    return measured if "bytes" in measured else H200


def sections_cpu(args: Namespace, results: dict) -> Sections:
    yield (
        "lightweight_x2 128x128",
        lambda: inference(args, "lightweight_x2", 128, 128, reduced=False),
    )
    yield "memory lightweight_x2 512x512", lambda: cpu_memory(args)
    yield "growth lightweight_x2", lambda: growth(args)


def parse(arguments: list[str] | None = None) -> Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--official", help="path of the official network_swinir.py")
    parser.add_argument("--any-file", action="store_true", help="skip its hash check")
    parser.add_argument("--device", default="cpu", type=torch.device)
    parser.add_argument("--repeats", default=20, type=int)
    parser.add_argument("--threads", default=2, type=int, help="on a CPU")
    parser.add_argument("--weights", help="trained weights, for PSNR on --set5")
    parser.add_argument("--set5", help="folder of the test set")
    parser.add_argument("--only", nargs="+", help="parts of names of sections")
    parser.add_argument("--output", help="where the JSON goes")
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    parser.add_argument("--variant", help=argparse.SUPPRESS)
    parser.add_argument("--side", type=int, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def main() -> None:
    args = parse()
    if args.memory_of:
        torch.set_num_threads(args.threads)
        return report_memory(args)
    if args.official:
        load_official(args.official, args.any_file)  # refused before all else
    if args.device.type == "cuda":
        torch.backends.cudnn.benchmark = True
    else:
        torch.set_num_threads(args.threads)
    found = environment(args.device)
    backend = attention_backend(args.device)
    found["attention"] = f"{backend.name}: {backend.reason}"
    found["official"] = COMMIT if args.official and not args.any_file else None
    path = Path(args.output or RESULTS / f"{machine_name(found)}.json")
    file = {"environment": found, "results": {}}
    kept = bool(args.only) and path.exists()
    if kept:
        file = json.loads(path.read_text())
    sections = sections_cuda if args.device.type == "cuda" else sections_cpu
    started, wrong = time.perf_counter(), []
    for name, section in sections(args, file["results"]):
        if args.only and not any(part in name for part in args.only):
            continue
        if isinstance(section, str):
            file["results"][name] = {"not run": section}
            continue
        result = file["results"][name] = run_section(section, args.device)
        if kept:
            file.setdefault("measured apart", {})[name] = found
        save(path, file)
        wrong += failures(name, result)
        print(f"{time.perf_counter() - started:.0f} s, {name}", flush=True)
    save(path, file)
    print(f"written to {path}")
    if wrong:
        sys.exit("failed, and recorded as that:\n  " + "\n  ".join(wrong))


def machine_name(found: dict) -> str:
    """Of its result file: h200, cpu."""
    gpu = found.get("gpu", "cpu").removeprefix("NVIDIA ")
    return gpu.lower().replace(" ", "_")


def failures(name: str, result: dict) -> list[str]:
    """What failed in a section: all of it, or some of its runs."""
    if "error" in result:
        return [f"{name}: {result['error']['message']}"]
    return [
        f"{name}, {run}: {measured['failed']}"
        for run, measured in result.items()
        if isinstance(measured, dict) and "failed" in measured
    ]


def save(path: Path, file: dict) -> None:
    """After every section, whole or not at all."""
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(file, indent=2) + "\n")
    partial.replace(path)


if __name__ == "__main__":
    main()
