"""Compare with the official network: python -m benchmarks.speed --help

Same process, same weights, same random images, in turn. Without --official only
this project is measured. A section that fails is recorded as that, and the next
one goes on.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import torch

from swinir_lite.fast import attention_backend

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


def sections_cuda(args, results):
    for variant in ("lightweight_x2", "classical_x4"):
        yield f"{variant} 360x640", lambda v=variant: inference(args, v, 360, 640)
    yield "training lightweight_x2", lambda: training(args)
    if args.weights and args.set5:
        yield "set5", lambda: set5(args)
    yield "machine", lambda: breakdown.machine(args)
    yield "floors", lambda: breakdown.floors(results.get("machine", H200))
    yield "growth lightweight_x2", lambda: growth(args)
    yield "profile", lambda: breakdown.profile(args)
    yield "steps lightweight_x2 360x640", lambda: breakdown.steps(args)
    yield "attention 360x640", lambda: breakdown.head_dimensions(args)
    yield "gradients lightweight_x2", lambda: breakdown.gradients(args)
    for variant in ("color_jpeg", "real_world_large_x4"):
        yield f"{variant} 252x252", lambda v=variant: inference(args, v, 252, 252)
    if args.official:
        yield "training lightweight_x2, official", lambda: compiled_training(args)
    for attention in ("triton", "reference"):
        yield (
            f"compiled for all sizes, {attention} attention",
            lambda a=attention: breakdown.compiled(args, a),
        )


def sections_cpu(args, results):
    yield (
        "lightweight_x2 128x128",
        lambda: inference(args, "lightweight_x2", 128, 128, reduced=False),
    )
    yield "memory lightweight_x2 512x512", lambda: cpu_memory(args)
    yield "growth lightweight_x2", lambda: growth(args)


def parse(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--official", help="path of the official network_swinir.py")
    parser.add_argument("--any-file", action="store_true", help="skip its hash check")
    parser.add_argument("--device", default="cpu", type=torch.device)
    parser.add_argument("--repeats", default=20, type=int)
    parser.add_argument("--threads", default=2, type=int, help="on a CPU")
    parser.add_argument("--weights", help="trained weights, for PSNR on --set5")
    parser.add_argument("--set5", help="folder of the test set")
    parser.add_argument("--only", help="only sections with this in their name")
    parser.add_argument("--output", help="where the JSON goes")
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    parser.add_argument("--variant", help=argparse.SUPPRESS)
    parser.add_argument("--side", type=int, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def main():
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
    results = {}
    path = Path(args.output or RESULTS / f"{args.device.type}.json")
    sections = sections_cuda if args.device.type == "cuda" else sections_cpu
    started = time.perf_counter()
    for name, section in sections(args, results):
        if args.only and args.only not in name:
            continue
        results[name] = run_section(section, args.device)
        save(path, found, results)
        print(f"{time.perf_counter() - started:.0f} s, {name}", flush=True)
    failed = [name for name, result in results.items() if "error" in result]
    print(f"written to {path}")
    if failed:
        sys.exit(f"failed, and recorded as that: {', '.join(failed)}")


def save(path, found, results):
    """After every section, whole or not at all."""
    partial = path.with_suffix(".partial")
    text = json.dumps({"environment": found, "results": results}, indent=2)
    partial.write_text(text + "\n")
    partial.replace(path)


if __name__ == "__main__":
    main()
