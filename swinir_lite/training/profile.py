"""Where a training step's time goes (chapter 18)."""

import time
from collections.abc import Callable, Iterable
from tempfile import TemporaryDirectory
from typing import Any

import torch

from .config import TrainConfig
from .engine import Trainer

LAUNCH_GAP = 10.0  # microseconds


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds_per_call(
    function: Callable[[], object], calls: int, device: torch.device
) -> float:
    """The mean over calls that run one behind the other, as training steps do."""
    synchronize(device)
    start = time.perf_counter()
    for _ in range(calls):
        function()
    synchronize(device)
    return (time.perf_counter() - start) / calls


def idle_seconds(events: Iterable) -> tuple[float, float, float]:
    """How long no kernel or copy ran on the GPU, and the span of them all.

    Gaps of up to LAUNCH_GAP between two kernels are what the hardware needs to
    start the second.  In longer ones the GPU had nothing to do: it waited.

    Returns:
        (seconds of waiting, seconds of all gaps, seconds from first to last event).
    """
    spans = sorted((e.time_range.start, e.time_range.end) for e in events)
    waiting, idle, end = 0.0, 0.0, spans[0][0]
    for start, stop in spans:
        gap = max(0.0, start - end)
        idle += gap
        waiting += gap if gap > LAUNCH_GAP else 0.0
        end = max(end, stop)
    return waiting / 1e6, idle / 1e6, (end - spans[0][0]) / 1e6


def profile(config: TrainConfig, steps: int = 50) -> dict[str, Any]:
    """Run a few training steps and say how long the device waited.

    Returns:
        A dict: the run's circumstances, as in its log; `step_ms`; `data_ms`, what
        making a batch adds to it; on a GPU `gpu_waiting`, the share of the time in
        which the GPU had nothing to do, and `gpu_idle`, which adds the short gaps
        between kernels, both from PyTorch's profiler; and the memory.
    """
    with TemporaryDirectory() as folder:
        trainer = Trainer(config, folder)
        trainer.total = 10 * steps  # where the schedule stands matters not
        for _ in range(10):
            trainer.train_step()
        whole = seconds_per_call(trainer.train_step, steps, trainer.device)
        result = {**trainer.description(), "batch": config.batch}
        if trainer.device.type == "cuda":
            activities = [torch.profiler.ProfilerActivity.CUDA]
            with torch.profiler.profile(activities=activities) as trace:
                seconds_per_call(trainer.train_step, steps, trainer.device)
            on_gpu = torch.autograd.DeviceType.CUDA
            events = [e for e in trace.events() if e.device_type == on_gpu]
            waiting, idle, span = idle_seconds(events)
            result |= {"gpu_waiting": waiting / span, "gpu_idle": idle / span}
            result["gpu_memory_gib"] = torch.cuda.max_memory_allocated() / 2**30
        batch = trainer.sampler.batch(0)
        trainer.sampler.batch = lambda step: batch
        fixed = seconds_per_call(trainer.train_step, steps, trainer.device)
    result |= {"step_ms": 1e3 * whole, "data_ms": 1e3 * (whole - fixed)}
    return result | {"images_per_second": config.batch / whole}
