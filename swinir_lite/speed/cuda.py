"""The forward pass of a SwinIR on CUDA with nothing left to set up (chapter 17).

Weights are packed once per version, features stay in one padded channels-last
layout from the first convolution to the last, and a size that comes again is
replayed as a CUDA graph.
"""

import threading
import warnings
import weakref
from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook

from ..swinir import SwinIR, pad_to_multiple
from .cuda_graph import Graphed, GraphError
from .kernels.convolution import (
    last_convolution,
    pack_last_convolution,
    pixel_shuffle,
)
from .kernels.inference_layer import (
    add_features,
    inference_layer,
    inverse_deviation,
)
from .kernels.inference_packing import pack_for_inference
from .kernels.norm import norm_forward
from .limits import FLOAT16_SCALE

MAX_GRAPHS = 4  # each keeps the memory of one forward pass
PACKED = weakref.WeakSet()  # every CudaInference


def weight_version(model: nn.Module) -> int:
    """A number that changes when any parameter is replaced or written to.

    `load_state_dict` and operations on single tensors are noticed, optimisers' steps by
    `forget_old_weights`. Writes through `.data` are not, nor those of a CUDA graph, of
    operations on lists of tensors on a GPU (an average by `torch.optim.swa_utils`, for
    one), or to weights made in inference mode: PyTorch does not count them. After such,
    call `torch.autograd.graph.increment_version` or wrap the model anew.
    """
    return hash(
        tuple(
            (p.data_ptr(), 0 if p.is_inference() else p._version)
            for p in model.parameters()
        )
    )


def forget_old_weights(optimizer: torch.optim.Optimizer, *_) -> None:
    """After an optimiser's step: packed weights of what it has trained are old.

    On a GPU optimisers write to lists of tensors, which PyTorch may not count.
    """
    trained = {id(p) for group in optimizer.param_groups for p in group["params"]}
    for inference in list(PACKED):
        if not trained.isdisjoint(map(id, inference.model.parameters())):
            inference.version = None


register_optimizer_step_post_hook(forget_old_weights)


def _pad8(size: int) -> int:
    return -size % 8


def pad_convolution(
    conv: nn.Conv2d, dtype: torch.dtype, scale: float = 1.0
) -> nn.Conv2d:
    """A convolution with channels padded to multiples of 8, channels last.

    Without the padding cuDNN takes a path half as fast. `scale` is what its inputs are
    multiplied by, and so its outputs.
    """
    outputs, inputs = conv.weight.shape[:2]
    weight = F.pad(conv.weight, (0, 0, 0, 0, 0, _pad8(inputs), 0, _pad8(outputs)))
    bias = F.pad(scale * conv.bias, (0, _pad8(outputs)))
    padded = nn.Conv2d(*weight.shape[1::-1], conv.kernel_size, padding=conv.padding)
    padded.weight = nn.Parameter(weight.detach().to(dtype), requires_grad=False)
    padded.bias = nn.Parameter(bias.detach().to(dtype), requires_grad=False)
    return padded.to(memory_format=torch.channels_last)


def pad_convolutions(
    module: nn.Module, dtype: torch.dtype, scale: float = 1.0
) -> nn.Module:
    """The same for every convolution of a sequence, and pixel shuffles to match."""
    if isinstance(module, nn.Conv2d):
        return pad_convolution(module, dtype, scale)
    parts = list(module)
    padded = []
    for i, part in enumerate(parts):
        if isinstance(part, nn.PixelShuffle):
            part = ChannelsLastShuffle(part.upscale_factor, take_bias(padded[-1]))
        elif isinstance(part, nn.Conv2d):
            part = pad_convolution(part, dtype, scale)
            if isinstance((parts + [None])[i + 1], nn.PixelShuffle):
                order_for_shuffle(part, parts[i + 1].upscale_factor)
        padded.append(part)
    return nn.Sequential(*padded)


def order_for_shuffle(conv: nn.Conv2d, factor: int) -> None:
    """Reorder outputs from (channel, row, column) to (row, column, channel)."""
    for parameter in (conv.weight, conv.bias):
        shaped = parameter.data.unflatten(0, (-1, factor**2))
        parameter.data = shaped.transpose(0, 1).flatten(0, 1)
    conv.to(memory_format=torch.channels_last)


def take_bias(convolution: nn.Module) -> Tensor:
    """The bias of the last convolution, which leaves it to be added later.

    cuDNN writes its output and PyTorch adds the bias in a second pass over it: one
    that can be shared with whatever comes next.
    """
    last = convolution[-1] if isinstance(convolution, nn.Sequential) else convolution
    bias, last.bias = last.bias, None
    return bias.data


class ChannelsLastShuffle(nn.Module):
    """Bias and pixel shuffle, of channels ordered (row, column, channel)."""

    def __init__(self, factor: int, bias: Tensor):
        super().__init__()
        self.factor, self.bias = factor, bias

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(0, 2, 3, 1)
        x = pixel_shuffle(x, self.bias, self.factor)
        return x.permute(0, 3, 1, 2)


def _apply(module: nn.Module, x: Tensor) -> Tensor:
    """A module for `(B, C, H, W)` applied to `(B, H, W, C)`."""
    return module(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


class CudaInference:
    """Computes what `model` computes, in `dtype`, without gradients."""

    def __init__(self, model: SwinIR, dtype: torch.dtype):
        self.model = model
        self.dtype = dtype
        self.scale = FLOAT16_SCALE if dtype == torch.float16 else 1.0
        self.version = None
        self.graphs = OrderedDict()
        self.seen, self.unrecorded = set(), set()
        self.lock, self.done = threading.Lock(), None
        PACKED.add(self)

    def pack(self) -> None:
        model, dtype, scale = self.model, self.dtype, self.scale
        self.layers = [
            [
                (pack_for_inference(layer, dtype, scale), layer.shift)
                for layer in block.layers
            ]
            for block in model.blocks
        ]
        self.convolutions = [
            pad_convolutions(block.conv, dtype, scale) for block in model.blocks
        ]
        self.conv_first = pad_convolution(model.conv_first, dtype)
        self.conv_after_body = pad_convolutions(model.conv_after_body, dtype)
        self.biases = [take_bias(conv) for conv in self.convolutions]
        self.bias_after_body = take_bias(self.conv_after_body)
        last = max(i for i, m in enumerate(model.head) if isinstance(m, nn.Conv2d))
        self.head = pad_convolutions(model.head[:last], dtype)
        self.conv_last = pack_last_convolution(model.head[last], dtype)
        self.after_last = model.head[last + 1 :]
        # Copies, so that a graph reads nothing that the model may give up
        self.mean = model.mean.clone()
        self.norm_in = [scale * p for p in model.norm_in.parameters()]
        self.norm_out = [p.clone() for p in model.norm_out.parameters()]

    def deep_features(self, shallow: Tensor) -> Tensor:
        """All blocks, the convolution after them, and the long residual."""
        config, channels = self.model.config, self.model.config.dim
        x = norm_forward(shallow, *self.norm_in, self.dtype)
        inverse = inverse_deviation(x, channels, self.scale)
        for layers, conv, bias in zip(self.layers, self.convolutions, self.biases):
            residual = x
            for packed, shift in layers:
                x, inverse = inference_layer(
                    x, inverse, packed, channels, config.window_size, shift
                )
            x = _apply(conv, x)
            x, inverse = add_features(residual, x, bias, channels, self.scale)
        x = norm_forward(x, *self.norm_out, self.dtype, self.scale)
        x = _apply(self.conv_after_body, x)
        return add_features(shallow, x, self.bias_after_body, channels)[0]

    def enlarged(self, x: Tensor) -> Tensor:
        """Features of the head. Each lets go of those before: they are the largest."""
        image = F.pad(x, (0, 0, 0, 0, 0, _pad8(x.shape[1]))).to(
            self.dtype, memory_format=torch.channels_last
        )
        x = self.conv_first(image).permute(0, 2, 3, 1)
        x = self.deep_features(x)
        for part in self.head:
            x = _apply(part, x)
        return x

    def forward(self, x: Tensor) -> Tensor:
        config = self.model.config
        x = (pad_to_multiple(x, config.window_size) - self.mean) * config.img_range
        pixels = last_convolution(self.enlarged(x), self.conv_last)
        restored = self.after_last(pixels)
        if config.upsampler == "none":
            restored = x + restored
        return restored / config.img_range + self.mean

    @torch.inference_mode(False)  # what is kept serves calls outside of it, too
    @torch.no_grad()
    def __call__(self, x: Tensor) -> Tensor:
        # Graphs belong to one device
        with torch.cuda.device_of(x), torch.autocast("cuda", enabled=False):
            if x.is_cuda and torch.cuda.is_current_stream_capturing():
                return CudaInference(self.model, self.dtype).recorded(x)
            with self.lock:
                return self.in_turn(x)

    def recorded(self, x: Tensor) -> Tensor:
        """As a part of the caller's CUDA graph, which replays no other.

        It packs the weights itself: it may outlive what is packed outside of it.
        """
        self.pack()
        return self.forward(x)

    def in_turn(self, x: Tensor) -> Tensor:
        """After the call before, also on the GPU: a graph has one input.

        That call may be of another stream, which may not have computed it yet.
        """
        if self.done is not None:
            torch.cuda.current_stream().wait_event(self.done)
        try:
            return self.restore(x)
        finally:
            if x.is_cuda:  # an interpreter is done when it returns
                self.done = torch.cuda.current_stream().record_event()

    def finish(self) -> None:
        """Wait until all calls before are computed, also those of other streams.

        They read what is given up next, and the stream that made it takes its memory
        again without waiting for others.
        """
        if self.done is not None:
            self.done.synchronize()

    def restore(self, x: Tensor) -> Tensor:
        """By a graph from the third image of a size on."""
        key = (x.shape, x.dtype, x.device)
        # Looking at all parameters takes the host a millisecond: a graph is
        # replayed first, and its output dropped if it was that of old weights.
        restored = self.replay(key, x) if key in self.graphs else None
        version = weight_version(self.model)
        if version != self.version:
            self.finish()
            self.pack()
            self.graphs.clear()
            self.seen.clear()
            self.version = version
        elif restored is not None:
            return restored
        if key not in self.seen:  # a graph costs more than it saves on such a size
            self.seen.add(key)
            return self.forward(x)
        if key in self.unrecorded:
            return self.forward(x)
        while len(self.graphs) >= MAX_GRAPHS:
            self.finish()
            self.graphs.popitem(last=False)
        self.graphs[key] = Graphed(self.forward, warmup=1)
        return self.replay(key, x)

    def replay(self, key: tuple, x: Tensor) -> Tensor:
        """By a size's graph, or without one where it cannot be recorded.

        That needs memory of its own, and convolutions that ask the driver nothing.
        """
        self.graphs.move_to_end(key)
        try:
            return self.graphs[key](x).clone()
        except GraphError as error:
            del self.graphs[key]
            self.unrecorded.add(key)
            warnings.warn(
                f"{error}; images of {tuple(x.shape)} go on without it", stacklevel=2
            )
        return self.forward(x)
