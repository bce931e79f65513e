"""Operations and bytes of a SwinIR, counted, and the times they set a floor under."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from swinir_lite import SwinIR, SwinIRConfig

# Operations and bytes a second: bfloat16 products and copies, as measured on one
H200 = {"flops": 790e12, "bytes": 4.2e12}


# The vendor's figures of a T4: float32 on CUDA cores, float16 on tensor cores
T4 = {"float32": 8.1e12, "float16": 65e12, "bytes": 0.32e12}


class ByteCounter(TorchDispatchMode):
    """Bytes that PyTorch's operations read and write, as chapter 15 counts them."""

    def __init__(self):
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, op, types, args=(), kwargs=None):
        output = op(*args, **(kwargs or {}))
        name = op._schema.name
        if not ("view" in name or "empty" in name or op.is_view):
            found = tree_leaves((args, kwargs, output))
            self.total += sum(size(t) for t in found if torch.is_tensor(t))
        return output


def size(tensor: Tensor) -> int:
    """Bytes that must be read: broadcast copies of a tensor are read once."""
    whole = tensor.numel() * tensor.element_size()
    return min(whole, tensor.untyped_storage().nbytes())


def moved_bytes(function: Callable[..., object], *inputs: Tensor) -> int:
    """Of one call, without gradients; tensors on `meta` are counted as well."""
    with torch.no_grad(), ByteCounter() as counter:
        function(*inputs)
    return counter.total


def layers(config: SwinIRConfig) -> int:
    return sum(config.depths)


def padded_pixels(config: SwinIRConfig, height: int, width: int) -> int:
    side = config.window_size
    return -(-height // side) * -(-width // side) * side**2


def layer_flops(config: SwinIRConfig, tokens: int) -> int:
    """Of one Swin Transformer layer; a multiplication and an addition are two."""
    dim, window = config.dim, config.window_size**2
    hidden = int(dim * config.mlp_ratio)
    projections = 4 * dim * dim + 2 * dim * hidden  # qkv and proj, fc1 and fc2
    attention = 2 * window * dim  # scores, and their sums of values
    return 2 * tokens * (projections + attention)


def convolution_flops(config: SwinIRConfig, tokens: int) -> int:
    """Of all convolutions; those of the head work on ever more pixels."""
    model = SwinIR(config).to("meta")
    total = 0
    head = {id(module) for module in model.head.modules()}
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and id(module) not in head:
            total += 2 * tokens * module.weight.numel()
    for module in model.head:
        if isinstance(module, nn.PixelShuffle):
            tokens *= module.upscale_factor**2
        elif isinstance(module, nn.Upsample):
            tokens *= int(module.scale_factor) ** 2
        elif isinstance(module, nn.Conv2d):
            total += 2 * tokens * module.weight.numel()
    return total


def network_flops(config: SwinIRConfig, height: int, width: int) -> int:
    """Of one forward pass for one image."""
    tokens = padded_pixels(config, height, width)
    return layers(config) * layer_flops(config, tokens) + convolution_flops(
        config, tokens
    )


def layer_bytes(config: SwinIRConfig, tokens: int, element: int = 2) -> int:
    """That the two kernels of a layer move in inference, each tensor once.

    attend reads x and writes mixed values, tail reads x and these and writes the
    new x: 5 times the features.
    """
    return 5 * tokens * config.dim * element


def network_bytes(
    config: SwinIRConfig, height: int, width: int, element: int = 2
) -> int:
    """Of the layers and the features that convolutions read and write."""
    tokens = padded_pixels(config, height, width)
    features = tokens * config.dim * element
    convolutions = 3 * len(config.depths) + 4  # read, write, and read the residual
    return layers(config) * layer_bytes(config, tokens, element) + (
        convolutions * features
    )


def composed_bytes(config: SwinIRConfig, tokens: int, half: bool) -> int:
    """That a layer of PyTorch's operations around the fused attention moves.

    In units of a token's features in float32: LayerNorm twice 2, qkv 4, attention 4,
    projection 2, its residual 3, fc1 3, GELU 4, fc2 3, residual 3; 30 in all. In half
    precision products read and write half units, and the features stay in float32: 18.
    """
    units = 22 + 4 * config.mlp_ratio  # the hidden layer is written and read twice
    units -= 8 + 2 * config.mlp_ratio if half else 0
    return round(units * tokens * config.dim * 4)


def t4_ms(config: SwinIRConfig, height: int, width: int, kind: str) -> dict[str, float]:
    """Floors of an image on a T4, by arithmetic: nobody has measured it there.

    Triton multiplies for the attention on CUDA cores, in tiles of powers of two;
    PyTorch's libraries multiply for everything else, in float16 on tensor cores.
    """
    tokens, window = padded_pixels(config, height, width), config.window_size**2
    head_dim = config.dim // config.num_heads[0]
    padded = 2 ** (head_dim - 1).bit_length() / head_dim
    attention = layers(config) * 4 * window * config.dim * tokens
    others = network_flops(config, height, width) - attention
    moved = layers(config) * composed_bytes(config, tokens, kind == "float16")
    return {
        "attention": round(1000 * padded * attention / T4["float32"], 1),
        "other products": round(1000 * others / T4[kind], 1),
        "bytes": round(1000 * moved / T4["bytes"], 1),
    }


def training_bytes(
    config: SwinIRConfig, batch: int, side: int, element: int = 2
) -> int:
    """Of the layers in a training step: forward 11 times the features, backward 18.

    Forward, head reads x and writes qkv, attention reads qkv and writes its output,
    tail reads x and that and writes the new x. Backward, attention reads qkv and a
    gradient and writes one of qkv (7); tail reads x, mixed and a gradient and writes
    two (5); head reads x and the gradients of qkv and of the residual and writes one
    (6).
    """
    tokens = batch * padded_pixels(config, side, side)
    return layers(config) * 29 * tokens * config.dim * element


def floor_ms(flops: float, bytes_moved: float, machine: dict = H200) -> dict:
    """Milliseconds that operations and bytes alone take on a machine."""
    return {
        "operations": round(1000 * flops / machine["flops"], 3),
        "bytes": round(1000 * bytes_moved / machine["bytes"], 3),
    }


def counts(config: SwinIRConfig, height: int, width: int, machine: dict = H200) -> dict:
    """Operations and bytes of one forward pass, and the floors they set."""
    flops = network_flops(config, height, width)
    bytes_moved = network_bytes(config, height, width)
    floor = floor_ms(flops, bytes_moved, machine)
    return {"flops": flops, "bytes": bytes_moved, "floor_ms": floor}
