"""The convolutions of a SwinIR on (B, H, W, C) (chapter 17)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def pad_operands(
    x: Tensor, weight: Tensor, bias: Tensor
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Operands of a convolution with channels padded to multiples of 8, for CUDA.

    Without it cuDNN takes a path half as fast. Spare channels of the input are ones,
    and the bias is the weight of the first in the middle of the kernel: that saves a
    pass over the output, and over its gradient a sum.
    """
    outputs, inputs, side = weight.shape[:3]
    spare = -inputs % 8
    if spare:
        if x.shape[-1] == inputs:
            x = F.pad(x, (0, spare), value=1.0)
        bias = F.pad(bias[:, None, None, None], (side // 2,) * 4)
        weight, bias = torch.cat([weight, bias], 1), None
    else:
        bias = F.pad(bias, (0, -outputs % 8))
    weight = F.pad(weight, (0, 0, 0, 0, 0, -weight.shape[1] % 8, 0, -outputs % 8))
    return x, weight.contiguous(memory_format=torch.channels_last), bias


def convolve(
    module: nn.Module, x: Tensor, keep_spare: bool = False, scale: float = 1.0
) -> Tensor:
    """A part of the reading path, made for `(B, C, H, W)`, on `(B, H, W, C)`.

    On CUDA `x` may have spare channels of ones, and with `keep_spare` the result
    of a convolution has spare channels of zeros. `scale` is what the others are
    multiplied by, and so the result.
    """
    if isinstance(module, nn.Sequential):
        for part in module[:-1]:
            x = convolve(part, x, scale=scale)
        return convolve(module[-1], x, keep_spare, scale)
    if not isinstance(module, nn.Conv2d):
        return module(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    weight, bias = module.weight, module.bias
    if scale != 1.0:
        bias = scale * bias
    outputs, inputs = weight.shape[:2]
    if x.is_cuda or keep_spare or x.shape[-1] > inputs:
        x, weight, bias = pad_operands(x, weight, bias)
    x = F.conv2d(x.permute(0, 3, 1, 2), weight, bias, padding=module.padding)
    x = x.permute(0, 2, 3, 1)
    return x if keep_spare else x[..., :outputs]
