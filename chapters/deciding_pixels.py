"""Which input pixels decide each output pixel: for chapter 14's figure.

The gradients of a grid of output pixels, for several networks, with logarithmic levels
as in the chapter's own figure.
"""

from collections.abc import Mapping
from typing import Any

import figure_data
import torch
from torch import Tensor, nn

from swinir_lite import to_image

STEP = 4  # of the grid, in input pixels
DECADES = 5  # below the largest share, down to black


def levels(field: Tensor) -> Tensor:
    """Shares (H, W) as levels 0..255, logarithmic; 0 is for none at all."""
    decades = (field / field.max()).clamp(min=1e-30).log10() + DECADES
    shown = 1 + 254 * (decades / DECADES).clamp(0, 1)
    return torch.where(field > 0, shown, torch.zeros(())).round().byte()


def beyond(field: Tensor, row: int, column: int, distance: int) -> float:
    """The share in percent that lies farther from a pixel than `distance`."""
    rows, columns = (torch.arange(side) for side in field.shape)
    far = (rows - row).abs()[:, None].maximum((columns - column).abs()) > distance
    return 100 * field[far].sum().item()


def fields(network: nn.Module, image: Tensor, places: range) -> list[list[Tensor]]:
    """Share of each input pixel (H, W) in the gradient of each output pixel of a grid.

    `places` are the grid's rows and columns, in input pixels.
    """
    image = image.clone().requires_grad_()
    output = network(image)
    scale = output.shape[-1] // image.shape[-1]

    def field(row: int, column: int) -> Tensor:
        rows, columns = (slice(scale * k, scale * (k + 1)) for k in (row, column))
        block = output[:, :, rows, columns].sum()
        (gradient,) = torch.autograd.grad(block, image, retain_graph=True)
        strength = gradient[0].abs().sum(dim=0)
        return strength / strength.sum()

    return [[field(row, column) for column in places] for row in places]


def numbers(
    networks: Mapping[str, nn.Module], image: Tensor, window: int, distance: int = 4
) -> dict[str, Any]:
    """What the figure needs, for a square image (1, 3, H, W) and windows of one side.

    Said of each output pixel is what lies farther than `distance` pixels away.
    """
    side = image.shape[-1]
    places = range(STEP // 2, side, STEP)
    shown = []
    for name, network in networks.items():
        found = fields(network, image, places)
        sheet = torch.cat([torch.cat([*map(levels, row)], dim=1) for row in found])
        far = [
            [beyond(one, y, x, distance) for one, x in zip(row, places)]
            for row, y in zip(found, places)
        ]
        reached = [[int((one > 0).sum()) for one in row] for row in found]
        about = {"name": name, "sheet": figure_data.picture(sheet.numpy())}
        shown.append({**about, "beyond": far, "reached": reached})
    about = {"side": side, "step": STEP, "distance": distance, "decades": DECADES}
    about["window"] = window
    photo = figure_data.picture(to_image(image))
    return {**about, "photo": photo, "networks": shown}
