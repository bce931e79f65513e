"""What each part of a trained SwinIR makes of a photograph: for chapter 8's map.

Three rows, as on the maps at the heads of the chapters: the network, its first block,
and the second layer of that block, whose windows are shifted.
"""

from collections.abc import Mapping
from typing import Any

import figure_data
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from swinir_lite import SwinIR, to_image, to_tensor

CHANNELS = 0, 20, 40  # of the features, shown beside the mean strength of all
HEAD = "A convolution and the pixel shuffle. Dark: the mean colour is added last."
Part = dict[str, Any]
Outputs = Mapping[nn.Module, Tensor]


def outputs(model: SwinIR, image: Tensor) -> Outputs:
    """What every module returns for an image (1, 3, H, W)."""
    found = {}

    def note(module: nn.Module, inputs: tuple, output: Tensor) -> None:
        found[module] = output

    hooks = [module.register_forward_hook(note) for module in model.modules()]
    with torch.no_grad():
        model(image)
    for hook in hooks:
        hook.remove()
    return found


def gray(values: Tensor) -> str:
    """A map (H, W) as a picture, from its least value to its largest."""
    values = values - values.min()
    levels = 255 * values / values.max().clamp(min=1e-9)
    return figure_data.picture(levels.round().byte().numpy())


def part(name: str, text: str, values: Tensor, module: nn.Module | None = None) -> Part:
    """A part of the map; `values` are its output, (1, C, H, W) or (1, H, W, C)."""
    count = sum(p.numel() for p in module.parameters()) if module else 0
    about = {"name": name, "text": text, "parameters": count}
    about["shape"] = list(values.shape)
    if values.shape[1] == 3:
        return {**about, "pictures": [figure_data.picture(to_image(values))]}
    first = values.shape[1] == values.shape[2]  # windows are square, and so is H x W
    maps = values[0].permute(2, 0, 1) if first else values[0]  # (C, H, W)
    shown = [maps.square().mean(dim=0).sqrt(), *maps[list(CHANNELS)]]
    return {**about, "pictures": [gray(one) for one in shown]}


def network(model: SwinIR, found: Outputs, image: Tensor) -> list[Part]:
    """The first row of the map."""
    first, last, head = model.conv_first, model.conv_after_body, model.head
    count = len(model.blocks)
    blocks = [
        part(f"RSTB {k}", f"Residual block {k} of {count}.", found[block], block)
        for k, block in enumerate(model.blocks, 1)
    ]
    together = found[first] + found[last]
    return [
        part("LQ", "The photograph that goes in.", image),
        part("conv", "Shallow features, by a 3x3 convolution.", found[first], first),
        *blocks,
        part("conv", "The convolution after the blocks.", found[last], last),
        part("+", "The long skip adds the shallow features.", together),
        part("head", HEAD, found[head], head),
        part("HQ", "The photograph that comes out.", found[model].clamp(0, 1)),
    ]


def block_row(block: nn.Module, found: Outputs, before: Tensor) -> list[Part]:
    """The second row: a residual Swin Transformer block."""
    windows = {False: "fixed windows", True: "shifted windows"}
    return [
        part("in", "What the block is given.", before),
        *(
            part(f"STL {k}", f"Layer {k}, {windows[s.shift > 0]}.", found[s], s)
            for k, s in enumerate(block.layers, 1)
        ),
        part("conv", "The convolution that ends it.", found[block.conv], block.conv),
        part("+", "The residual adds what came in.", found[block]),
    ]


def layer_row(layer: nn.Module, found: Outputs, before: Tensor) -> list[Part]:
    """The third row: a Swin Transformer layer."""
    norm1, norm2, mlp = layer.norm1, layer.norm2, layer.mlp
    with torch.no_grad():
        attended = layer.attend(found[norm1], None)
    text = "Shift, windows, attention with its bias, and all of it back."
    return [
        part("in", "What the layer is given.", before),
        part("norm", "LayerNorm over the channels.", found[norm1], norm1),
        part("attention", text, attended, layer.attn),
        part("+", "The residual adds what came in.", before + attended),
        part("norm", "LayerNorm over the channels.", found[norm2], norm2),
        part("MLP", "Two linear layers, GELU between.", found[mlp], mlp),
        part("+", "The residual adds what came before.", found[layer]),
    ]


def numbers(model: SwinIR, photo: NDArray) -> dict[str, Any]:
    """The rows of the map for a square photograph (H, H, 3), uint8."""
    image = to_tensor(photo)
    found, block = outputs(model, image), model.blocks[0]
    given = found[model.norm_in]
    rows = [
        ("The network", network(model, found, image)),
        ("RSTB 1, a residual Swin Transformer block", block_row(block, found, given)),
        (
            "STL 2 of it, a Swin Transformer layer with shifted windows",
            layer_row(block.layers[1], found, found[block.layers[0]]),
        ),
    ]
    rows = [{"title": title, "parts": parts} for title, parts in rows]
    return {"rows": rows, "channels": CHANNELS, "dim": model.config.dim}
