"""Time, memory and agreement of functions that compute the same thing."""

import datetime
import os
import platform
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor


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

    What disturbs the machine then disturbs all of them.
    """
    times = {name: [] for name in functions}
    for i in range(-warmup, repeats):
        for name, function in functions.items():
            duration = milliseconds(function, device)
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
