"""What a training run needs before its first step (chapter 18)."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy

import torch
from accelerate import Accelerator

from ..errors import InputError
from ..measuring.evaluation import check_sizes, protocol
from ..measuring.test_sets import TestPair, read_test_set
from ..speed.network import quickest_type
from ..tasks import make_degradation
from .config import TrainConfig
from .data import PatchSampler, PhotoCache, find_photos

PRECISION_OF = {
    torch.bfloat16: "bf16", torch.float16: "fp16", torch.float32: "fp32",
}  # fmt: skip


def make_accelerator(config: TrainConfig) -> Accelerator:
    """Accelerate on the configured device, in bf16 where that is chosen.

    fp16 is for the engine, which scales the loss itself.

    Raises:
        InputError: for a GPU or a precision where there is none, and for a batch that
            does not divide by the number of processes.
    """
    if config.device == "cuda" and not torch.cuda.is_available():
        raise InputError("device cuda: PyTorch finds no such GPU; use device auto")
    on_cpu = config.device == "cpu" or not torch.cuda.is_available()
    precision = choose_precision(config, torch.device("cpu" if on_cpu else "cuda"))
    mixed = "bf16" if precision == "bf16" else "no"
    accelerator = Accelerator(mixed_precision=mixed, cpu=config.device == "cpu")
    if config.batch % accelerator.num_processes:
        processes = accelerator.num_processes
        raise InputError(f"batch {config.batch} does not divide by {processes}")
    return accelerator


def choose_precision(config: TrainConfig, device: torch.device) -> str:
    """Of matrix products: `"bf16"`, `"fp16"` or `"fp32"`.

    Raises InputError for one that the device does not compute in hardware.
    """
    kind = PRECISION_OF[quickest_type(device)]
    served = {"fp32", kind} | ({"fp16"} if kind == "bf16" else set())
    chosen = kind if config.precision == "auto" else config.precision
    if chosen not in served:
        others = " or ".join(sorted(served))
        raise InputError(f"{device} does not compute in {chosen}; use {others}")
    return chosen


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
    path, scale, channels = config.validation["path"], config.scale, config.in_channels
    pairs = read_test_set(path, scale, channels, degrade)
    check_sizes(pairs, protocol(scale, channels)[0])  # not after thousands of steps
    return pairs
