"""Where a training step's time goes (chapter 14)."""

import time
from tempfile import TemporaryDirectory

import torch

from .train import Trainer


def synchronize(device):
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def timed(function, steps, device):
    """Seconds of a call, averaged over steps that run one behind the other."""
    synchronize(device)
    start = time.perf_counter()
    for _ in range(steps):
        function()
    synchronize(device)
    return (time.perf_counter() - start) / steps


def busy_seconds(events):
    """Time in which at least one of the GPU's kernels or copies ran, and its span."""
    spans = sorted((e.time_range.start, e.time_range.end) for e in events)
    busy, end = 0.0, spans[0][0]
    for start, stop in spans:
        busy += max(0.0, stop - max(start, end))
        end = max(end, stop)
    return busy / 1e6, (end - spans[0][0]) / 1e6


def profile(config, steps=50):
    """Run a few training steps and say how long the device waited.

    Returns:
        A dict: `step_ms`; `data_ms`, what making a batch adds to it; on a GPU
        `gpu_waiting`, the share of the time in which no kernel ran, from
        PyTorch's profiler; and the memory.
    """
    with TemporaryDirectory() as folder:
        trainer = Trainer(config, folder)
        trainer.total = 10 * steps  # where the schedule stands matters not
        for _ in range(10):
            trainer.train_step()
        whole = timed(trainer.train_step, steps, trainer.device)
        result = {"device": trainer.description()["device"], "batch": config.batch}
        if trainer.device.type == "cuda":
            activities = [torch.profiler.ProfilerActivity.CUDA]
            with torch.profiler.profile(activities=activities) as trace:
                timed(trainer.train_step, steps, trainer.device)
            on_gpu = torch.autograd.DeviceType.CUDA
            events = [e for e in trace.events() if e.device_type == on_gpu]
            busy, span = busy_seconds(events)
            result["gpu_waiting"] = 1 - busy / span
            result["gpu_memory_gib"] = torch.cuda.max_memory_allocated() / 2**30
        batch = trainer.sampler.batch(0)
        trainer.sampler.batch = lambda step: batch
        fixed = timed(trainer.train_step, steps, trainer.device)
        trainer.log.close()
    result |= {"step_ms": 1e3 * whole, "data_ms": 1e3 * (whole - fixed)}
    return result | {"images_per_second": config.batch / whole}
