"""Draw for each chapter where it stands in SwinIR: a small map, its part coloured.

heads.py writes the maps as here_<name>.svg beside this file.  A map is 360 units wide,
so that a phone shows its words at their size.
"""

from pathlib import Path

from matplotlib.colors import to_hex

from swinir_lite.drawing import AXIS, INK, tint

Part = tuple[str, float, list[str] | str]  # name, width, lines of its label
IMAGES = Path(__file__).parent
WIDTH, HEIGHT = 360, 234
QUIET, EDGE = "#595959", "#B4B4B4"  # words and boxes of the other parts

# rows of (part, width, lines of its label); "+" is where a residual is added
NETWORK = [
    ("low", 34, ["LQ"]),
    ("first", 38, ["conv"]),
    ("blocks", 42, ["RSTB"]),
    ("blocks", 18, ["..."]),
    ("blocks", 42, ["RSTB"]),
    ("last", 38, ["conv"]),
    ("long", 16, "+"),
    ("head", 50, ["pixel", "shuffle"]),
    ("high", 34, ["HQ"]),
]
BLOCK = [
    ("layers", 36, ["STL"]),
    ("layers", 54, ["STL", "shifted"]),
    ("layers", 18, ["..."]),
    ("layers", 54, ["STL", "shifted"]),
    ("end", 38, ["conv"]),
    ("around", 16, "+"),
]
ATTENTION = [
    ("norm", 38, ["norm"]),
    ("shift", 44, ["cyclic", "shift"]),
    ("windows", 56, ["window", "partition"]),
    ("attention", 70, ["attention", "+ bias"]),
    ("windows", 54, ["window", "reverse"]),
    ("shift", 36, ["shift", "back"]),
    ("skip", 16, "+"),
]
MLP = [("norm", 38, ["norm"]), ("mlp", 38, ["MLP"]), ("skip", 16, "+")]
ROWS = [  # title, parts, top
    ("SwinIR", NETWORK, 22),
    ("RSTB, a residual Swin Transformer block", BLOCK, 86),
    ("STL, a Swin Transformer layer", ATTENTION, 150),
    ("", MLP, 194),
]
ALL_OF_NETWORK = {part for part, *_ in NETWORK}
ALL_OF_BLOCK = {part for part, *_ in BLOCK}
ALL_OF_LAYER = {part for part, *_ in ATTENTION + MLP}
LOW, HIGH = {"low"}, {"high"}
CORE = {"shift", "windows", "attention"}

# what each chapter builds or studies: its parts, their name, their colour
PLACES = {
    "image_restoration": (LOW | HIGH, "the images at both ends", AXIS["H"]),
    "convolutional_baseline": (
        {"first", "last", "head", "end"},
        "the convolutions and pixel shuffle",
        AXIS["C"],
    ),
    "window_partition": ({"windows"}, "window partition and reverse", AXIS["M"]),
    "relative_position_attention": ({"attention"}, "the attention", AXIS["h"]),
    "shifted_windows": ({"shift"}, "the cyclic shift and its way back", AXIS["d"]),
    "swin_transformer_layer": (ALL_OF_LAYER, "the whole layer", AXIS["W"]),
    "residual_swin_transformer_block": (ALL_OF_BLOCK, "the whole block", AXIS["H"]),
    "swinir": (ALL_OF_NETWORK, "the whole network", AXIS["H"]),
    "losses_of_pixels": (HIGH, "the image that comes out", AXIS["H"]),
    "losses_that_see": (HIGH, "the image that comes out", AXIS["H"]),
    "denoising": (LOW, "the image that goes in", AXIS["H"]),
    "jpeg_artifacts": (LOW, "the image that goes in", AXIS["H"]),
    "real_world_super_resolution": (LOW, "the image that goes in", AXIS["H"]),
    "looking_inside": (
        ALL_OF_NETWORK | ALL_OF_BLOCK | ALL_OF_LAYER,
        "every part",
        AXIS["H"],
    ),
    "where_the_time_goes": (ALL_OF_LAYER, "the whole layer", AXIS["W"]),
    "fused_attention_kernel": (CORE, "the attention with all around it", AXIS["h"]),
    "whole_network_at_speed": (ALL_OF_NETWORK, "the whole network", AXIS["H"]),
    "reading_official_weights": (ALL_OF_NETWORK, "the whole network", AXIS["H"]),
    "jpeg_to_the_bit": (LOW, "the image that goes in", AXIS["H"]),
    "resizing_as_matlab_does": (LOW, "the image that goes in", AXIS["H"]),
    "more_on_speed": (ALL_OF_LAYER, "the whole layer", AXIS["W"]),
    "your_own_pictures": (LOW | HIGH, "the images at both ends", AXIS["H"]),
    "training_engine": (ALL_OF_NETWORK, "the whole network", AXIS["H"]),
    "speedrun": (ALL_OF_NETWORK, "the whole network", AXIS["H"]),
}


def place(name: str) -> tuple[set[str], str, str]:
    """The parts, their name and their colour for a chapter's name without number."""
    if name not in PLACES:
        raise KeyError(f"say in chapters/images/here.py which parts {name!r} builds")
    return PLACES[name]


def alt(name: str) -> str:
    """The map in words."""
    return (
        "Where this chapter stands: SwinIR as a chain of boxes, below it one of its "
        f"blocks and one layer of a block. The coloured part: {place(name)[1]}."
    )


def text(
    x: float,
    y: float,
    words: str,
    size: int = 12,
    color: str = INK,
    weight: str = "normal",
    anchor: str = "middle",
) -> str:
    style = f'font-size="{size}" text-anchor="{anchor}" font-weight="{weight}"'
    return f'<text x="{x:g}" y="{y:g}" {style} fill="{color}">{words}</text>'


def box(
    x: float, y: float, width: float, lines: list[str] | str, color: str | None
) -> str:
    """A part with its label; `color` is None for the parts of other chapters."""
    fill, edge = (to_hex(tint(color, 0.7)), color) if color else ("#FFFFFF", EDGE)
    ink, weight = (INK, "bold") if color else (QUIET, "normal")
    middle, height = x + width / 2, 36
    if lines == "+":
        shape = f'<circle cx="{middle:g}" cy="{y + 18}" r="8" fill="{fill}"'
        shape += f' stroke="{color or QUIET}" stroke-width="{2 if color else 1}"/>'
        return shape + text(middle, y + 22, "+", 13, ink, weight)
    shape = f'<rect x="{x:g}" y="{y}" width="{width}" height="{height}" rx="5" '
    shape += f'fill="{fill}" stroke="{edge}" stroke-width="{2 if color else 1}"/>'
    size = 12 if len(lines) == 1 else 11
    first = y + 22 - 6 * (len(lines) - 1)
    return shape + "".join(
        text(middle, first + 12 * i, line, size, ink, weight)
        for i, line in enumerate(lines)
    )


def row(parts: list[Part], top: float, here: set[str], color: str) -> list[str]:
    """A chain of parts from left to right."""
    gap = 6 if len(parts) < 9 else (WIDTH - 2 - sum(w for _, w, _ in parts)) / 8
    x, drawings = 1, []
    for i, (part, width, lines) in enumerate(parts):
        if i:
            ends = f'x1="{x - gap:g}" x2="{x:g}" y1="{top + 18}" y2="{top + 18}"'
            drawings.append(f'<line {ends} stroke="{QUIET}"/>')
        drawings.append(box(x, top, width, lines, color if part in here else None))
        x += width + gap
    return drawings


def legend(color: str) -> str:
    """What the colour says, beside the short last row."""
    swatch = f'<rect x="236" y="203" width="20" height="18" rx="4" stroke="{color}"'
    swatch += f' stroke-width="2" fill="{to_hex(tint(color, 0.7))}"/>'
    return swatch + text(264, 216, "you are here", 12, INK, "bold", "start")


def draw(name: str) -> str:
    """The map for a chapter as the text of an SVG file."""
    here, _, color = place(name)
    drawings = [f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#FFFFFF"/>']
    for title, parts, top in ROWS:
        drawings.append(text(1, top - 7, title, 12, QUIET, anchor="start"))
        drawings += row(parts, top, here, color)
    drawings.append(legend(color))
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}" font-family="system-ui, sans-serif">'
    )
    return "\n".join([head, f"<title>{alt(name)}</title>", *drawings, "</svg>"]) + "\n"
