"""The book's figures: one palette, one colour for each tensor axis.

Needs matplotlib, which the package itself does not.
"""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle
from matplotlib.typing import ColorType
from numpy.typing import ArrayLike

# Okabe and Ito's colours, which readers with any colour vision tell apart
AXIS = {
    "B": "#666666",  # batch
    "C": "#E69F00",  # channels
    "H": "#0072B2",  # image rows
    "W": "#D55E00",  # image columns
    "M": "#009E73",  # window side
    "N": "#009E73",  # pixels of a window, M * M
    "h": "#CC79A7",  # heads
    "d": "#56B4E9",  # channels of a head
}
INK, PAPER, FAINT = "#222222", "#FFFFFF", "#DDDDDD"
SERIES = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"]
SEQUENTIAL, DIVERGING = "viridis", "RdBu_r"

STYLE = {
    "figure.dpi": 110,
    "savefig.bbox": "tight",
    "font.size": 10,
    "axes.prop_cycle": plt.cycler(color=SERIES),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "image.interpolation": "nearest",
    "legend.frameon": False,
}


def use_style() -> None:
    """Give every later figure the book's look."""
    plt.rcParams.update(STYLE)


def canvas(width: float, height: float, scale: float = 0.5) -> Axes:
    """Return axes of width x height units without frame, y pointing down."""
    figure, ax = plt.subplots(figsize=(width * scale, height * scale))
    ax.set(xlim=(0, width), ylim=(height, 0), aspect="equal")
    ax.axis("off")
    figure.subplots_adjust(0, 0, 1, 1)
    return ax


def color_map(name: str, steps: int) -> list[str]:
    """The colours of a matplotlib map from its low to its high end, as #rrggbb."""
    colors = plt.get_cmap(name)(np.linspace(0, 1, steps))
    return [plt.matplotlib.colors.to_hex(color) for color in colors]


def tint(color: ColorType, amount: float = 0.75) -> tuple[float, float, float]:
    """Mix a colour with white; amount 1 gives white."""
    rgb = np.array(plt.matplotlib.colors.to_rgb(color))
    return tuple(rgb + (1 - rgb) * amount)


def cells(
    ax: Axes,
    x: float,
    y: float,
    values: ArrayLike,
    colors: Sequence[Sequence[ColorType]] | None = None,
    size: float = 1.0,
    font: float = 9,
) -> None:
    """Draw a matrix as a grid of cells with its top left corner at (x, y).

    `values` is a 2-D array that is printed in the cells; `colors` a matrix of
    colours, a colour for each cell, or None for paper.
    """
    values = np.asarray(values)
    for row, column in np.ndindex(values.shape):
        color = PAPER if colors is None else colors[row][column]
        corner = x + column * size, y + row * size
        ax.add_patch(Rectangle(corner, size, size, fc=color, ec=INK, lw=0.6))
        centre = corner[0] + size / 2, corner[1] + size / 2
        text = str(values[row, column])
        ax.text(*centre, text, ha="center", va="center", fontsize=font, color=INK)


def outline(
    ax: Axes,
    x: float,
    y: float,
    width: float,
    height: float,
    color: ColorType = INK,
    lw: float = 2.5,
) -> None:
    """Draw a thick frame, such as a window's border."""
    ax.add_patch(Rectangle((x, y), width, height, fc="none", ec=color, lw=lw))


def box(
    ax: Axes,
    x: float,
    y: float,
    width: float,
    height: float,
    text: str,
    color: ColorType = FAINT,
    font: float = 9,
) -> None:
    """Draw a rounded box with centred text: one operation of a network."""
    ax.add_patch(
        FancyBboxPatch(
            (x, y), width, height, fc=tint(color, 0.6), ec=color, lw=1.4,
            boxstyle="round,pad=0,rounding_size=0.15",
        )
    )  # fmt: skip
    centre = x + width / 2, y + height / 2
    ax.text(*centre, text, ha="center", va="center", fontsize=font, color=INK)


def arrow(
    ax: Axes,
    start: tuple[float, float],
    end: tuple[float, float],
    text: str = "",
    color: ColorType = INK,
    bend: float = 0.0,
) -> None:
    """Draw an arrow from start to end, with a label beside its middle."""
    style = {"arrowstyle": "-|>", "color": color, "lw": 1.3, "shrinkA": 1, "shrinkB": 1}
    style["connectionstyle"] = f"arc3,rad={bend}"
    ax.annotate("", xy=end, xytext=start, arrowprops=style)
    if text:
        middle = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2 - 0.15
        ax.text(*middle, text, ha="center", va="bottom", fontsize=9, color=color)


def axis_label(
    ax: Axes,
    x: float,
    y: float,
    name: str,
    text: str | None = None,
    rotation: float = 0,
) -> None:
    """Write the name of a tensor axis in its colour."""
    style = {"color": AXIS[name], "fontweight": "bold", "rotation": rotation}
    ax.text(x, y, text or name, ha="center", va="center", fontsize=10, **style)


def show_images(
    images: Sequence[ArrayLike], titles: Sequence[str], width: float = 6.5
) -> Figure:
    """Show images (uint8, or 2-D float) under their titles, at most three in a row.

    At the width given here, in inches, a phone shows the titles at a size that can be
    read.
    """
    columns = 2 if len(images) == 4 else min(3, len(images))
    rows = -(-len(images) // columns)
    size = width, rows * width / columns
    figure, grid = plt.subplots(rows, columns, figsize=size, squeeze=False)
    for ax in grid.flat:
        ax.axis("off")
    for ax, image, title in zip(grid.flat, images, titles):
        peak = 255 if np.asarray(image).dtype == np.uint8 else None
        cmap = "gray" if np.ndim(image) == 2 else None
        ax.imshow(image, cmap=cmap, vmin=0 if peak else None, vmax=peak)
        ax.set_title(title, fontsize=9)
    figure.tight_layout()
    return figure


def window_grid(
    ax: Axes,
    height: int,
    width: int,
    window_size: int,
    shift: int = 0,
    color: ColorType = INK,
    lw: float = 1.6,
) -> None:
    """Draw the windows' borders, moved by `shift`, over an image on `imshow` axes."""
    style = {"color": color, "lw": lw, "clip_on": False}
    for y in sorted({0, height, *range(shift, height, window_size)}):
        ax.plot([-0.5, width - 0.5], [y - 0.5, y - 0.5], **style)
    for x in sorted({0, width, *range(shift, width, window_size)}):
        ax.plot([x - 0.5, x - 0.5], [-0.5, height - 0.5], **style)


def influence_map(
    ax: Axes,
    change: ArrayLike,
    pixel: tuple[int, int],
    window_size: int,
    shift: int = 0,
) -> None:
    """Show how much each pixel (H, W) moved when `pixel` (row, column) was changed.

    The colours are logarithmic, pixels that did not move stay white, and the
    changed pixel has a cross.
    """
    change = np.asarray(change)
    change = np.ma.masked_less(change, 1e-6 * change.max())  # rounding errors
    colors = plt.get_cmap(SEQUENTIAL).with_extremes(bad=PAPER)
    ax.imshow(change, norm="log", cmap=colors)
    window_grid(ax, *change.shape, window_size, shift)
    ax.plot(pixel[1], pixel[0], marker="x", ms=8, mew=2.5, color=SERIES[1])
    ax.axis("off")
