"""Time, memory and agreement of functions that compute the same thing."""

import datetime
import gc
import math
import os
import platform
import re
import resource
import statistics
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import swinir_lite

LOW = torch.bfloat16
SHORT_MS = 100.0
# Largest relative difference that rounding explains, by type of matrix products
LIMITS = {"float32": 1e-5, "bfloat16": 2e-2, "float16": 4e-3}


def limit(name: str) -> float:
    """How far a run may be from its reference; bfloat16 unless its name tells."""
    found = (most for kind, most in LIMITS.items() if kind in name)
    return next(found, LIMITS["bfloat16"])


def complaint(what: str, value: float, most: float) -> str | None:
    """Why a number cannot be right, if it is not finite or too large."""
    if math.isfinite(value) and value <= most:
        return None
    return f"{what} {value:.1e}, at most {most:.0e} expected"


def describe(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:1000]


def environment(device: torch.device) -> dict:
    """Hardware, versions and date."""
    found = {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M"),
        "commit": commit(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "processor": processor_name(),
        "threads": torch.get_num_threads(),
    }
    if device.type == "cuda":
        import triton

        properties = torch.cuda.get_device_properties(device)
        found |= {
            "gpu": properties.name,
            "gpu_memory_gib": round(properties.total_memory / 2**30, 1),
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),
            "triton": triton.__version__,
        }
    return found


def commit() -> str:
    """Of this project, or its version where git does not know it."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        return subprocess.check_output(
            command, text=True, stderr=subprocess.DEVNULL
        ).strip()
    except (OSError, subprocess.CalledProcessError):
        return f"version {swinir_lite.__version__}"


def processor_name() -> str:
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def timed(function: Callable[[], object], device: torch.device) -> tuple[Any, float]:
    """What one call returns and its milliseconds, by CUDA events on a GPU."""
    if device.type == "cuda":
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        output = function()
        end.record()
        end.synchronize()
        return output, start.elapsed_time(end)
    start = time.perf_counter()
    output = function()
    return output, 1000 * (time.perf_counter() - start)


def time_in_turn(
    functions: dict[str, Callable[[], object]],
    device: torch.device,
    repeats: int = 20,
    warmup: int = 1,
) -> dict[str, dict]:
    """Median milliseconds of each function, all called in turn in every round.

    What disturbs the machine then disturbs all of them. Before a run on a GPU is
    timed the GPU works and is waited for, so that no run finds a lower clock, nor
    launches of its own kernels ahead of time: the run itself goes first, or, if it
    takes long, the shortest of all.
    """
    times = {name: [] for name in functions}
    shortest = {}
    for i in range(-warmup, repeats):
        for name, function in functions.items():
            if device.type == "cuda" and i >= 0:
                quick = shortest[name] < SHORT_MS
                functions[name if quick else min(shortest, key=shortest.get)]()
                torch.cuda.synchronize()
            _, duration = timed(function, device)
            shortest[name] = min(shortest.get(name, math.inf), duration)
            if i >= 0:
                times[name].append(duration)
    return {
        name: {
            "median_ms": round(statistics.median(t), 3),
            "min_ms": round(min(t), 3),
            "max_ms": round(max(t), 3),
            "repeats": repeats,
        }
        for name, t in times.items()
    }


def peak_memory() -> int:
    """Most bytes that this process has had in memory, everything included.

    On Linux by its own account: getrusage's counts what a parent had when it began.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return 1024 * int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text())[1])
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most


def peak_gpu_memory(function: Callable[[], object]) -> float:
    """Most GiB that PyTorch held at once during a call, weights included."""
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    function()
    torch.cuda.synchronize()
    return round(torch.cuda.max_memory_allocated() / 2**30, 3)


def difference(output: Tensor, reference: Tensor) -> dict[str, float]:
    """Relative and largest difference of an output from a reference."""
    error = output.double() - reference.double()
    return {
        "relative": float(error.norm() / reference.double().norm()),
        "largest": float(error.abs().max()),
    }


def without_gradients(
    function: Callable, *inputs: Tensor, autocast: torch.dtype | bool = False
) -> Callable[[], Any]:
    """A call of a function, under autocast to a type, or to bfloat16 if True."""
    dtype = LOW if isinstance(autocast, bool) else autocast

    def run():
        device = inputs[0].device.type
        with torch.no_grad(), torch.autocast(device, dtype, bool(autocast)):
            return function(*inputs)

    return run


@contextmanager
def exact_convolutions() -> Iterator[None]:
    """No TF32, three digits, to which PyTorch lets cuDNN round float32 by default.

    Nor a search for the quickest convolution, which timed runs make for themselves.
    """
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, allow_tf32=False):
        yield


def settled(run: Callable[[], Tensor], device: torch.device) -> Tensor:
    """The output once all is set up: of the fourth call, by then a CUDA graph's.

    Of the second, if that is slow.
    """
    run()
    for _ in range(3):
        output, duration = timed(run, device)
        if duration > SHORT_MS:
            break
    return output


def disagreement(output: Tensor, expected: Tensor | None, name: str) -> dict:
    """Difference of a run's output from the expected one; "failed" if it is wrong."""
    if not output.isfinite().all():
        return {"failed": "NaN or infinite values in its output"}
    if expected is None:
        return {}
    found = difference(output, expected)
    wrong = complaint("relative difference", found["relative"], limit(name))
    return {"difference": found} | ({"failed": wrong} if wrong else {})


def compare(
    runs: dict[str, Callable[[], Tensor]],
    device: torch.device,
    repeats: int = 20,
    reference: str | None = None,
) -> dict[str, dict]:
    """Differences from a reference, peak memory on a GPU, and times in turn.

    A run that raises is not timed, one whose output is wrong is: both say so under
    "failed", and the others go on.
    """
    results = {name: {} for name in runs}
    expected, ran = None, {}
    with exact_convolutions():
        for name in sorted(runs, key=lambda name: name != reference):
            try:
                output = settled(runs[name], device)
            except Exception as error:
                traceback.print_exc()
                results[name]["failed"] = describe(error)
                continue
            ran[name] = runs[name]
            results[name] |= disagreement(output, expected, name)
            if name == reference:
                expected = output
    expected = output = None
    if device.type == "cuda":
        for name, run in ran.items():
            run()  # chooses its convolutions, which takes memory of its own
            held = torch.cuda.memory_allocated() / 2**30  # by all networks, masks too
            results[name] |= {
                "peak_gib": peak_gpu_memory(run), "held_gib": round(held, 3)
            }  # fmt: skip
    for name, measured in time_in_turn(ran, device, repeats).items():
        results[name] |= measured
    for name, measured in results.items():
        took = f"{measured['median_ms']:9.2f} ms" if "median_ms" in measured else ""
        wrong = f"failed: {measured['failed']}" if "failed" in measured else ""
        print(f"  {name:40} {took} {wrong}", flush=True)
    return results


def kernels(run: Callable[[], object], count: int = 14, warmup: int = 6) -> dict:
    """Where a run's time on the GPU goes: milliseconds and launches by kernel.

    After six calls all is compiled, packed and recorded as a graph.
    """
    for _ in range(warmup):
        run()
    torch.cuda.synchronize()
    activities = [torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profiler:
        run()
        torch.cuda.synchronize()
    found = {}
    for event in profiler.key_averages():
        if not event.self_device_time_total:
            continue
        entry = found.setdefault(event.key[:80], {"ms": 0.0, "launches": 0})
        entry["ms"] += event.self_device_time_total / 1000
        entry["launches"] += event.count
    ordered = sorted(found.items(), key=lambda item: -item[1]["ms"])
    for _, entry in ordered:
        entry["ms"] = round(entry["ms"], 3)
    rest = [entry for _, entry in ordered[count:]]
    return {
        "busy_ms": round(sum(entry["ms"] for _, entry in ordered), 3),
        "launches": sum(entry["launches"] for _, entry in ordered),
        "kernels": dict(ordered[:count]),
        "everything else": {
            "ms": round(sum(entry["ms"] for entry in rest), 3),
            "launches": sum(entry["launches"] for entry in rest),
        },
    }


def run_section(section: Callable[[], dict], device: torch.device) -> dict:
    """What a section measures, or what it raised."""
    try:
        result = section()
    except Exception as error:
        traceback.print_exc()
        message = str(error)[:1000]
        result = {"error": {"type": type(error).__name__, "message": message}}
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    return result
