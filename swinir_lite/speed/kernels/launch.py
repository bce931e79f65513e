"""How a kernel is launched: tiles and warps, found by measurement on an H200."""

import sys
from typing import NamedTuple

import torch
import triton
from torch import Tensor

from ..limits import FIRST_WITH_TENSOR_CORES


class Launch(NamedTuple):
    """Of a kernel whose programs each work on tiles of tokens."""

    tile: int  # tokens
    warps: int
    stages: int
    programs_per_sm: int = 0  # 0: a program for every tile


def has_tensor_cores(x: Tensor) -> bool:
    """Whether Triton's products use them on the device of x."""
    if not x.is_cuda:
        return False
    gpu = torch.cuda.get_device_properties(x.device)
    return (gpu.major, gpu.minor) >= FIRST_WITH_TENSOR_CORES


def precision(x: Tensor) -> str:
    """Of matrix products. Tensor cores have TF32, which is three digits of float32.

    Three such products sum to all digits, in less time than other cores take for one.
    """
    if x.dtype != torch.float32:
        return "tf32"
    return "tf32x3" if has_tensor_cores(x) else "ieee"


def shared_memory(x: Tensor) -> int:
    """Bytes that a program may have on the device of x: 227 KiB on an H200."""
    if not x.is_cuda:  # the interpreter knows no limit
        return sys.maxsize
    properties = triton.runtime.driver.active.utils.get_device_properties
    return properties(x.device.index)["max_shared_mem"]
