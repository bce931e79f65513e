"""Draw the picture that chats and search engines show beside a link to the book.

    python chapters/images/social.py

Writes social.png, of 1200x630 pixels, into _static.
"""

from pathlib import Path

import before_after
import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from swinir_lite import drawing
from swinir_lite.whole_files import whole_file

STATIC = Path(__file__).parents[2] / "_static"
WIDTH, HEIGHT, DPI = 1200, 630, 100


def draw() -> Figure:
    """The title over a part of a photograph before and after restoration."""
    low, restored, *_ = before_after.restore("enlarged 4x")
    figure = plt.figure(figsize=(WIDTH / DPI, HEIGHT / DPI), dpi=DPI)
    side = 400
    pictures = {"in": (low, 300), "out": (restored, 750)}
    for name, (picture, left) in pictures.items():
        place = (left - 100) / WIDTH, 40 / HEIGHT, side / WIDTH, side / HEIGHT
        ax = figure.add_axes(place)
        _ = ax.imshow(picture, interpolation="nearest")
        ax.axis("off")
        middle = (left - 100 + side / 2) / WIDTH
        _ = figure.text(middle, 455 / HEIGHT, name, ha="center", fontsize=18)
    style = {"ha": "center", "color": drawing.INK}
    _ = figure.text(0.5, 0.87, "SwinIR from scratch", fontsize=44, **style)
    words = "image restoration with transformers, built step by step"
    _ = figure.text(0.5, 0.79, words, fontsize=20, **style)
    return figure


if __name__ == "__main__":
    drawing.use_style()
    exact = plt.rc_context({"savefig.bbox": "standard"})
    with exact, whole_file(STATIC / "social.png") as file:
        draw().savefig(file, dpi=DPI, format="png")
