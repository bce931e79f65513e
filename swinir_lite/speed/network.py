"""SwinIR at the speed of the hardware, beside the reading path (chapter 17).

`fast(model)` wraps a SwinIR of the chapters in a module with the same parameters
and the same function, computed with fewer bytes moved. `fastest(model)` also moves
it to where it is quickest. Which path computes is for `routes` to say; there is one
method for each.
"""

import functools
import warnings
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import InputError
from ..swinir import SwinIR, SwinIRConfig, check_input, pad_to_multiple
from . import first_use
from .channels_last import convolve
from .composed import compiled_layer, layer_weights, swin_layer
from .cpu import add_deep_features
from .head import in_strips, in_turn
from .inspection import Inspection
from .limits import FIRST_WITH_FLOAT16, FIRST_WITH_TENSOR_CORES, FLOAT16_SCALE
from .routes import Route, choose_route

TYPES = (torch.float32, torch.bfloat16, torch.float16, torch.float64)


def check_without_waiting(x: Tensor, in_channels: int) -> None:
    """The model's own check, but for values on CUDA, which the host would wait for."""
    on_cuda = torch.is_tensor(x) and x.is_cuda and x.is_floating_point()
    fits = on_cuda and x.ndim == 4 and x.shape[1] == in_channels and x.numel()
    if not fits:
        check_input(x, in_channels)


def feature_scale(dtype: torch.dtype) -> float:
    """What features between layers are multiplied by."""
    return FLOAT16_SCALE if dtype == torch.float16 else 1.0


class FastSwinIR(nn.Module):
    """The function of a SwinIR, in channels-last layout (chapter 17).

    Shares the model's parameters: training this module trains the model, and
    checkpoints are saved from the model.

    Args:
        model: as its configuration builds it; InputError for one with changed parts
            or hooks, which would be passed over.
        attention: backend to insist on; see `attention_backend`.
        dtype: type of matrix products; None follows autocast, and without it the
            model's own type.
        path: one of `routes.PATHS` to insist on.
        gradients: False for one that only restores, also outside of
            `torch.no_grad()`.
    """

    def __init__(
        self,
        model: SwinIR,
        attention: str | None = None,
        dtype: torch.dtype | None = None,
        path: str | None = None,
        gradients: bool = True,
    ):
        super().__init__()
        if not (dtype is None or dtype in TYPES):
            raise InputError(f"dtype must be one of {TYPES}, got {dtype!r}")
        self.model = model
        self.attention = attention
        self.dtype = dtype
        self.path = path
        self.gradients = gradients
        self.inference = {}  # by type of matrix products
        self.inspection = Inspection(model)
        self.train(model.training)

    def __getstate__(self):
        """For copies and pickles: what belongs to this model's parts is made anew."""
        return {**self.__dict__, "inference": {}, "inspection": None}

    def __setstate__(self, state):
        super().__setstate__(state)
        self.inspection = Inspection(self.model)

    pad = staticmethod(pad_to_multiple)

    @property
    def config(self) -> SwinIRConfig:
        return self.model.config

    @property
    def route(self) -> Route:
        """How a call is computed now, where the model is; `str` of it says so."""
        return self.route_on(self.model.mean.device)

    def route_on(self, device: torch.device) -> Route:
        """How a call with images on a device is computed now."""
        followed = self.gradients and torch.is_grad_enabled()
        return choose_route(
            self.config,
            device,
            self.compute_dtype(device),
            followed or torch.compiler.is_compiling(),
            self.attention,
            self.path,
        )

    def checked_route_on(self, device: torch.device) -> Route:
        """The same, after a look at what its first use on a device computes."""
        route = self.route_on(device)
        while first_use.is_due(route, self.config):
            first_use.check(self, route)
            route = self.route_on(device)
        return route

    def explicit(self, model: SwinIR, dtype: torch.dtype) -> "FastSwinIR":
        """A model by PyTorch's own operations alone, to compare kernels with."""
        return FastSwinIR(model, "reference", dtype, "composed")

    def compute_dtype(self, device: torch.device) -> torch.dtype:
        """Type of matrix products: the one asked for, or autocast's, or the model's."""
        if self.dtype is not None:
            return self.dtype
        if torch.is_autocast_enabled(device.type):
            return torch.get_autocast_dtype(device.type)
        return self.model.norm_in.weight.dtype

    def autocast(self, x: Tensor, dtype: torch.dtype) -> torch.autocast:
        """For half precision, unless image and model are in that type already."""
        given = {x.dtype, self.model.norm_in.weight.dtype}
        needed = dtype.itemsize == 2 and given != {dtype}
        return torch.autocast(x.device.type, dtype, needed)

    def forward(self, x: Tensor) -> Tensor:
        """Restore `(B, C, H, W)` in [0, 1], as the model itself does."""
        check_without_waiting(x, self.config.in_channels)
        height, width = (side * self.config.scale for side in x.shape[-2:])
        checked = not torch.compiler.is_compiling()
        with torch.set_grad_enabled(self.gradients and torch.is_grad_enabled()):
            route = self.checked_route_on(x.device)
            if checked and route.path != "inference_kernels":
                self.inspection.check()
            restored = self.compute(x, route)
            if checked and route.dtype == torch.float16 and not route.followed:
                restored = self.finite(restored, x)
        if checked and route.path == "inference_kernels":
            self.inspection.check()  # last, while the GPU is at work
        return restored[:, :, :height, :width]

    def finite(self, restored: Tensor, x: Tensor) -> Tensor:
        """What float16 restored, or where its range did not hold, float32.

        Weights that are float16 themselves are not helped by that, nor is a CUDA graph
        that is being recorded.
        """
        recording = x.is_cuda and torch.cuda.is_current_stream_capturing()
        stored = self.model.norm_in.weight.dtype
        if recording or stored.itemsize == 2 or restored.isfinite().all():
            return restored
        warnings.warn(
            "a value was beyond the range of float16: this image is computed once "
            "more in float32",
            RuntimeWarning,
            stacklevel=3,
        )
        again = FastSwinIR(self.model, self.attention, torch.float32, gradients=False)
        again.inference = self.inference  # packed weights and graphs are kept
        with torch.autocast(x.device.type, enabled=False):
            return again(x.float())

    def compute(self, x: Tensor, route: Route) -> Tensor:
        """Restore images by a path, whatever speaks against it."""
        with self.autocast(x, route.dtype):
            return getattr(self, route.path)(x, route)

    def inference_kernels(self, x: Tensor, route: Route) -> Tensor:
        """Two kernels a layer, from packed weights, as a CUDA graph; no gradients."""
        from .cuda import CudaInference

        if route.dtype not in self.inference:
            self.inference[route.dtype] = CudaInference(self.model, route.dtype)
        return self.inference[route.dtype](x)

    def training_kernels(self, x: Tensor, route: Route) -> Tensor:
        """Kernels that hold a layer's weights on chip, with gradients.

        Features have spare channels of ones from the first convolution to the last.
        """
        from .kernels.norm import triton_layer_norm

        model, dtype, scale = self.model, route.dtype, feature_scale(route.dtype)

        def features(shallow: Tensor) -> Tensor:
            shallow = F.pad(shallow, (0, -self.config.dim % 8), value=1.0)
            norm_in = (scale * p for p in model.norm_in.parameters())
            x = triton_layer_norm(shallow, *norm_in, dtype)
            x = self.blocks_of_kernels(x, scale)
            x = triton_layer_norm(x, *model.norm_out.parameters(), dtype, scale)
            return shallow + convolve(model.conv_after_body, x, keep_spare=True)

        def head(features: Tensor) -> Tensor:
            return convolve(model.head, features).permute(0, 3, 1, 2)

        return self.around(x, route, features, head)

    def blocks_of_kernels(self, x: Tensor, scale: float) -> Tensor:
        """All RSTBs, for `training_kernels`."""
        from .kernels.training_layer import pack_for_training, training_layer

        blocks = self.model.blocks
        layers = [layer for block in blocks for layer in block.layers]
        packed = iter(pack_for_training(layers, scale))
        for block in blocks:
            residual = x
            for layer in block.layers:
                hidden = layer.mlp.fc1.out_features
                x = training_layer(
                    x, next(packed), self.config.dim, hidden, layer.window_size,
                    layer.shift, scale,
                )  # fmt: skip
            x = residual + convolve(block.conv, x, keep_spare=True, scale=scale)
        return x

    def strips(self, x: Tensor, route: Route) -> Tensor:
        """On a CPU, a few rows of windows at a time and in place; no gradients."""
        return self.around(x, route, lambda x: add_deep_features(self.model, x))

    def composed(self, x: Tensor, route: Route) -> Tensor:
        """PyTorch's operations around the attention."""
        return self.by_layers(x, route, swin_layer)

    def compiled(self, x: Tensor, route: Route) -> Tensor:
        """The same, each layer through torch.compile."""
        return self.by_layers(x, route, compiled_layer())

    def by_layers(
        self, x: Tensor, route: Route, layer_function: Callable[..., Tensor]
    ) -> Tensor:
        """Features by one function, `swin_layer` or what computes the same."""
        model, backend = self.model, route.attention.name

        def features(shallow: Tensor) -> Tensor:
            stored = model.norm_in.weight.dtype
            x = self.norm(model.norm_in, shallow, backend, stored)
            for block in model.blocks:
                residual = x
                for layer in block.layers:
                    x = layer_function(
                        x, layer.attn.relative_position_bias(), layer_weights(layer),
                        layer.window_size, layer.shift, backend,
                    )  # fmt: skip
                x = residual + self.block_convolution(block.conv, x, route)
            x = self.norm(model.norm_out, x, backend, route.dtype)
            return shallow + convolve(model.conv_after_body, x)

        return self.around(x, route, features)

    def block_convolution(self, module: nn.Module, x: Tensor, route: Route) -> Tensor:
        """The end of an RSTB, where features outgrow float16 before all else."""
        scale, stored = feature_scale(route.dtype), self.model.norm_in.weight.dtype
        if scale == 1.0 or stored == torch.float16:
            return convolve(module, x)
        return convolve(module, scale * x, scale=scale).float() / scale

    def norm(
        self, module: nn.LayerNorm, x: Tensor, backend: str, dtype: torch.dtype
    ) -> Tensor:
        if backend == "triton":
            from .kernels.norm import triton_layer_norm

            return triton_layer_norm(x, module.weight, module.bias, dtype)
        return F.layer_norm(x, x.shape[-1:], module.weight, module.bias)

    def around(
        self,
        x: Tensor,
        route: Route,
        features: Callable[[Tensor], Tensor],
        head: Callable[[Tensor], Tensor] | None = None,
    ) -> Tensor:
        """The ends of the network, around what makes features of shallow ones.

        `features` takes and returns `(B, H, W, C)`; `head` makes pixels of them, by
        default the model's own.
        """
        model, config = self.model, self.config
        x = (self.pad(x, config.window_size) - model.mean) * config.img_range
        if head is None and route.followed:
            head = functools.partial(in_turn, model.head)
        elif head is None:
            head = functools.partial(in_strips, model.head, scale=config.scale)
        restored = head(features(convolve(model.conv_first, x.permute(0, 2, 3, 1))))
        if config.upsampler == "none":
            restored = x + restored
        return restored / config.img_range + model.mean


def fast(
    model: SwinIR,
    attention: str | None = None,
    dtype: torch.dtype | None = None,
    compiled: bool = False,
) -> FastSwinIR:
    """Wrap a model of chapter 8 in its fast path (chapter 17).

    Which path that is depends on device, type and width. On GPUs from compute
    capability 8.0 on, networks of up to 255 channels restore images by whole layers as
    kernels, in float32 of up to 63, and those of up to 63 train by them in half
    precision. Everything else on a GPU runs PyTorch's operations around the fused
    attention, which is SDPA for windows larger than 8x8 and heads of more than 32
    channels. Without gradients, a CPU works in strips. In float16 the largest features
    are kept within its range; an image where a value still leaves it is computed once
    more in float32, with a warning.
    The `route` of the result says what was chosen and why.

    Args:
        model: parameters are shared, not copied. InputError for one with changed
            parts or hooks, which would be passed over.
        attention: backend to insist on; see `attention_backend`.
        dtype: type of matrix products, `torch.bfloat16` for speed; None
            follows autocast, and without it the model's own type.
        compiled: run the layers through `torch.compile`, around the attention,
            in place of this project's fused layers. Meant for wide models.
    """
    return FastSwinIR(model, attention, dtype, "compiled" if compiled else None)


def fastest(
    model: nn.Module,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> nn.Module:
    """The network as it restores pictures quickest, in evaluation (chapter 17).

    Needs no `torch.no_grad()`: no gradients flow. The `route` of the result says
    which path computes, in which type, and why.

    Args:
        model: moved there and set to evaluation itself. What is no SwinIR, such as a
            ResidualCNN, is returned as it is otherwise.
        device: by default CUDA if there is one.
        dtype: type of matrix products; by default that of `quickest_type`.
    """
    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    model = model.to(device).eval()
    if not isinstance(model, SwinIR):
        return model
    if dtype is None:
        dtype = quickest_type(torch.device(device))
    return FastSwinIR(model, dtype=dtype, gradients=False)


def quickest_type(device: torch.device) -> torch.dtype:
    """Of matrix products that tensor cores compute: bfloat16 if a GPU has it.

    That is from compute capability 8.0 on, and float16 from 7.0 on. float32 elsewhere.
    """
    if device.type != "cuda":
        return torch.float32
    capability = torch.cuda.get_device_capability(device)
    if capability >= FIRST_WITH_TENSOR_CORES:
        return torch.bfloat16
    return torch.float16 if capability >= FIRST_WITH_FLOAT16 else torch.float32
