"""Time, memory and agreement of functions that compute the same thing."""

import datetime
import gc
import os
import platform
import statistics
import time
import traceback
from collections.abc import Callable
from contextlib import contextmanager

import torch
from torch import Tensor

LOW = torch.bfloat16
SHORT_MS = 100.0


def environment(device: torch.device) -> dict:
    """Hardware, versions and date."""
    found = {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M"),
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


def processor_name() -> str:
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def milliseconds(function: Callable[[], object], device: torch.device) -> float:
    """Duration of one call, by CUDA events on a GPU."""
    if device.type == "cuda":
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        function()
        end.record()
        end.synchronize()
        return start.elapsed_time(end)
    start = time.perf_counter()
    function()
    return 1000 * (time.perf_counter() - start)


def time_in_turn(
    functions: dict[str, Callable[[], object]],
    device: torch.device,
    repeats: int = 20,
    warmup: int = 1,
) -> dict[str, dict]:
    """Median milliseconds of each function, all called in turn in every round.

    What disturbs the machine then disturbs all of them. A short run on a GPU is
    called once more before it is timed: the slow ones leave the GPU waiting for
    its host, and its clock falls.
    """
    times = {name: [] for name in functions}
    shortest = dict.fromkeys(functions, float("inf"))
    for i in range(-warmup, repeats):
        for name, function in functions.items():
            if device.type == "cuda" and shortest[name] < SHORT_MS:
                function()
            duration = milliseconds(function, device)
            shortest[name] = min(shortest[name], duration)
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


def without_gradients(function, *inputs, autocast=False):
    def run():
        with torch.no_grad(), torch.autocast(inputs[0].device.type, LOW, autocast):
            return function(*inputs)

    return run


@contextmanager
def exact_convolutions():
    """No TF32, three digits, to which PyTorch lets cuDNN round float32 by default."""
    allowed = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = allowed


def compare(
    runs: dict[str, Callable[[], Tensor]],
    device: torch.device,
    repeats: int = 20,
    reference: str | None = None,
) -> dict[str, dict]:
    """Differences from a reference, peak memory on a GPU, and times in turn."""
    results = {name: {} for name in runs}
    with exact_convolutions():
        expected = runs[reference]() if reference else None
        for name, run in runs.items():
            output = run()  # and all that a first call sets up
            if expected is not None and name != reference:
                results[name]["difference"] = difference(output, expected)
    del expected, output
    if device.type == "cuda":
        for name, run in runs.items():
            results[name]["peak_gib"] = peak_gpu_memory(run)
    for name, measured in time_in_turn(runs, device, repeats).items():
        results[name] |= measured
        print(f"  {name:40} {measured['median_ms']:9.2f} ms", flush=True)
    return results


def kernels(run: Callable[[], object], count: int = 14) -> dict:
    """Where a run's time on the GPU goes: milliseconds and launches by kernel."""
    for _ in range(6):  # compiled, packed and recorded as a graph by then
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
        text = str(error)
        result = {"error": {"type": type(error).__name__, "message": text[:1000]}}
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    return result
