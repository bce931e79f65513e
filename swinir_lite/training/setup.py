"""What a training run needs before its first step (chapter 18)."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy

import torch
from accelerate import Accelerator
from accelerate.utils import AutocastKwargs

from ..errors import InputError
from ..measuring.test_sets import TestPair, read_test_set
from ..tasks import make_degradation
from .config import FP16_REFUSED, TrainConfig
from .data import PatchSampler, PhotoCache, find_photos


def make_accelerator(config: TrainConfig) -> Accelerator:
    """Accelerate on the configured device, in bf16 where that has it.

    Raises:
        InputError: for fp16, for a GPU or bf16 where there is none, and for a batch
            that does not divide by the number of processes.
    """
    if os.environ.get("ACCELERATE_MIXED_PRECISION") == "fp16":
        raise InputError(FP16_REFUSED)
    if config.device == "cuda" and not torch.cuda.is_available():
        raise InputError("device cuda: PyTorch finds no such GPU; use device auto")
    on_cpu = config.device == "cpu" or not torch.cuda.is_available()
    has_bf16 = not on_cpu and torch.cuda.is_bf16_supported(including_emulation=False)
    if config.precision == "bf16" and not has_bf16:
        raise InputError("this device does not compute in bf16; use precision fp32")
    mixed = "bf16" if has_bf16 and config.precision != "fp32" else "no"
    accelerator = Accelerator(
        mixed_precision=mixed,
        cpu=config.device == "cpu",
        # A CUDA graph must cast the weights anew at every replay
        kwargs_handlers=[AutocastKwargs(cache_enabled=False)],
    )
    if config.batch % accelerator.num_processes:
        processes = accelerator.num_processes
        raise InputError(f"batch {config.batch} does not divide by {processes}")
    return accelerator


@contextmanager
def one_process_first(accelerator: Accelerator) -> Iterator[None]:
    """A block that one process of every machine goes through before the others.

    Accelerate's own names a GPU to processes on CPUs as well, which fails where
    there are fewer GPUs than processes.
    """

    def wait() -> None:
        gpu = accelerator.device.index
        torch.distributed.barrier(device_ids=None if gpu is None else [gpu])

    alone = accelerator.num_processes == 1
    if not alone and not accelerator.is_local_main_process:
        wait()
    yield
    if not alone and accelerator.is_local_main_process:
        wait()


def make_sampler(config: TrainConfig, accelerator: Accelerator) -> PatchSampler:
    """Check the training set, decode it once, and put it on the device."""
    photos = find_photos(
        config.data, config.scale, config.patch, config.expected_images
    )
    degrade = make_degradation(config.degradation)
    with one_process_first(accelerator):  # the others find the cache built
        cache = PhotoCache(photos, config.cache, config.scale if not degrade else 1)
    return PatchSampler(
        cache,
        config.scale,
        config.patch,
        config.batch // accelerator.num_processes,
        accelerator.device,
        channels=config.in_channels,
        seed=config.seed,
        rank=accelerator.process_index,
        degrade=degrade,
    )


def name_batch(sampler: PatchSampler, step: int, processes: int) -> list[str]:
    """The patches of a step in words, those of all processes' samplers."""
    names = []
    for rank in range(processes):
        sampler = copy(sampler)
        sampler.rank = rank
        names += sampler.describe(step)
    return names


def make_test_set(config: TrainConfig) -> list[TestPair]:
    """The images that the run is validated on; none where none are configured."""
    if not config.validation:
        return []
    degrade = make_degradation(config.test_degradation, test=True)
    path = config.validation["path"]
    return read_test_set(path, config.scale, config.in_channels, degrade)
