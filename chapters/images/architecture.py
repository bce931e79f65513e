"""Draw the whole of SwinIR as one figure whose parts lead to their chapters.

    python chapters/images/architecture.py

Writes architecture.svg beside this file.  The front page holds it inline, so that
its links work; the README shows it as an image.
"""

from pathlib import Path

from matplotlib.colors import to_hex

from swinir_lite.drawing import AXIS, INK, tint
from swinir_lite.whole_files import whole_file

CHAPTERS = Path(__file__).parent.parent
Part = tuple[float, list[str], int]  # width, lines, chapter
WIDTH, HEIGHT = 980, 520
COLOR = {  # of what each chapter builds
    1: AXIS["B"],
    2: AXIS["C"],
    3: AXIS["M"],
    4: AXIS["h"],
    5: AXIS["d"],
    6: AXIS["W"],
    7: AXIS["H"],
    8: INK,
}


def link(chapter: int, drawing: str) -> str:
    """Make a drawing lead to its chapter, if the chapter exists."""
    for path in CHAPTERS.glob(f"{chapter:02}_*.ipynb"):
        return f'<a href="chapters/{path.stem}.html">{drawing}</a>'
    return drawing


def text(
    x: float,
    y: float,
    words: str,
    size: int = 13,
    anchor: str = "middle",
    weight: str = "normal",
    color: str = INK,
) -> str:
    style = f'font-size="{size}" text-anchor="{anchor}" font-weight="{weight}"'
    return f'<text x="{x}" y="{y}" {style} fill="{color}">{words}</text>'


def badge(x: float, y: float, chapter: int) -> str:
    """The number of a chapter in a disc."""
    disc = f'<circle cx="{x}" cy="{y}" r="9" fill="{COLOR[chapter]}"/>'
    return disc + text(x, y + 4, chapter, 11, weight="bold", color="#FFFFFF")


def box(
    x: float, y: float, width: float, height: float, lines: list[str], chapter: int
) -> str:
    """One operation: a box that leads to the chapter that builds it."""
    color = COLOR[chapter]
    fill = to_hex(tint(color, 0.8))
    shape = (
        f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="6" '
        f'fill="{fill}" stroke="{color}" stroke-width="1.5"/>'
    )
    first = y + height / 2 + 5 - 8 * (len(lines) - 1)
    words = [text(x + width / 2, first + 16 * i, line) for i, line in enumerate(lines)]
    return link(chapter, shape + "".join(words) + badge(x + width, y, chapter))


def frame(
    x: float, y: float, width: float, height: float, title: str, chapter: int
) -> str:
    """A zoom into one box of the row above."""
    shape = (
        f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="10" '
        f'fill="#FFFFFF" stroke="{COLOR[chapter]}" stroke-width="1.5" '
        'stroke-dasharray="6 4"/>'
    )
    title = text(x + 16, y + 24, title, 14, "start", "bold")
    return shape + link(chapter, title + badge(x + width, y, chapter))


def line(*points: tuple[float, float], arrow: bool = True, dashed: bool = False) -> str:
    """A line through points, with an arrow at its end."""
    path = " ".join(f"{x},{y}" for x, y in points)
    end = ' marker-end="url(#arrow)"' if arrow else ""
    dash = ' stroke-dasharray="6 4" stroke-opacity="0.5"' if dashed else ""
    return (
        f'<polyline points="{path}" fill="none" stroke="{INK}" '
        f'stroke-width="1.3"{end}{dash}/>'
    )


def plus(x: float, y: float) -> str:
    """Where a residual is added."""
    disc = f'<circle cx="{x}" cy="{y}" r="11" fill="#FFFFFF" stroke="{INK}"/>'
    return disc + text(x, y + 6, "+", 17)


def pixels(x: float, y: float, side: float, count: int) -> str:
    """An image as a grid of gray pixels, finer for high quality."""
    cell = side / count
    shades = []
    for row in range(count):
        for column in range(count):
            u, v = (row + 0.5) / count, (column + 0.5) / count
            inside = (u - 0.5) ** 2 + (v - 0.5) ** 2 < 0.14
            shade = 90 + round(70 * u) if inside else 225 - round(40 * v)
            shades.append(
                f'<rect x="{x + column * cell:.1f}" y="{y + row * cell:.1f}" '
                f'width="{cell:.1f}" height="{cell:.1f}" '
                f'fill="rgb({shade},{shade},{shade})"/>'
            )
    edge = f'<rect x="{x}" y="{y}" width="{side}" height="{side}" fill="none"'
    return "".join(shades) + f'{edge} stroke="{INK}"/>'


def chain(
    x: float, y: float, height: float, gap: float, parts: list[Part | None]
) -> tuple[list[str], list[float], list[float], float]:
    """Boxes and additions from left to right, with arrows; with their places.

    `parts` are (width, lines, chapter), or None for an addition.  Returns the
    drawings, where residuals may start, where additions are, and the right end.
    """
    drawings, gaps, sums = [], [], []
    middle = y + height / 2
    for part in parts:
        drawings.append(line((x, middle), (x + gap, middle)))
        gaps.append(x + 0.6 * gap)
        x += gap
        if part is None:
            drawings.append(plus(x + 11, middle))
            sums.append(x + 11)
            x += 22
        else:
            width, lines, chapter = part
            drawings.append(box(x, y, width, height, lines, chapter))
            x += width
    return drawings, gaps, sums, x


def residual(start: float, end: float, y: float, top: float) -> str:
    """The line that carries features past some boxes to an addition."""
    return line((start, y), (start, top), (end, top), (end, y - 12))


def network() -> list[str]:
    """The first row: from the low-quality image to the high-quality one."""
    parts = [
        (92, ["3x3", "convolution"], 2),
        (64, ["RSTB"], 7),
        (64, ["RSTB"], 7),
        (64, ["..."], 7),
        (64, ["RSTB"], 7),
        (92, ["3x3", "convolution"], 2),
        None,
        (120, ["reconstruction", "pixel shuffle"], 8),
    ]
    drawings, gaps, sums, end = chain(88, 66, 56, 20, parts)
    low = pixels(20, 60, 68, 6) + badge(88, 60, 1)
    size = WIDTH - 20 - (end + 20)
    high = pixels(end + 20, 94 - size / 2, size, 18)
    measured = badge(end + 20 + size, 94 - size / 2, 1)
    middle = 94
    return [
        link(1, low + text(54, 144, "low quality")),
        *drawings,
        residual(gaps[1], sums[0], middle, 40),
        text(230, 32, "shallow features go around the deep ones", anchor="start"),
        line((end, middle), (end + 19, middle)),
        link(1, high + measured + text(end + 20 + size / 2, 166, "high quality")),
        text(148, 144, "shallow"),
        text(148, 160, "features"),
        text(620, 148, "deep features"),
    ]


def block() -> list[str]:
    """The second row: what is in an RSTB."""
    parts = [
        (80, ["STL"], 6),
        (80, ["STL", "shifted"], 6),
        (64, ["..."], 6),
        (80, ["STL", "shifted"], 6),
        (100, ["3x3", "convolution"], 2),
        None,
    ]
    drawings, gaps, sums, end = chain(168, 242, 50, 22, parts)
    middle = 267
    return [
        line((220, 122), (144, 192), arrow=False, dashed=True),
        line((284, 122), (794, 192), arrow=False, dashed=True),
        frame(144, 192, 650, 120, "Residual Swin Transformer block (RSTB)", 7),
        *drawings,
        residual(gaps[0], sums[0], middle, 229),
        line((end, middle), (end + 22, middle)),
    ]


def layer() -> list[str]:
    """The third row: what is in a Swin Transformer layer."""
    parts = [
        (58, ["Layer", "Norm"], 6),
        (58, ["cyclic", "shift"], 5),
        (74, ["window", "partition"], 3),
        (118, ["attention with", "relative position", "bias and mask"], 4),
        (68, ["window", "reverse"], 3),
        (58, ["shift", "back"], 5),
        None,
        (58, ["Layer", "Norm"], 6),
        (58, ["MLP"], 6),
        None,
    ]
    drawings, gaps, sums, end = chain(34, 420, 64, 23, parts)
    middle = 452
    return [
        line((190, 292), (20, 350), arrow=False, dashed=True),
        line((270, 292), (960, 350), arrow=False, dashed=True),
        frame(20, 350, 940, 156, "Swin Transformer layer (STL)", 6),
        *drawings,
        residual(gaps[0], sums[0], middle, 398),
        residual(gaps[7], sums[1], middle, 398),
        line((end, middle), (end + 22, middle)),
    ]


def draw() -> str:
    """The figure as the text of an SVG file."""
    title = "SwinIR from low quality to high quality, each part with its chapter"
    marker = (
        '<marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        f'markerHeight="7" orient="auto"><path d="M0,0 L8,4 L0,8 z" fill="{INK}"/>'
        "</marker>"
    )
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'font-family="system-ui, sans-serif" role="group" aria-label="{title}">'
    )
    parts = [f"<title>{title}</title>", f"<defs>{marker}</defs>"]
    parts += [*network(), *block(), *layer()]
    return "\n".join([head, *parts, "</svg>"]) + "\n"


if __name__ == "__main__":
    with whole_file(Path(__file__).with_name("architecture.svg")) as file:
        file.write_text(draw())
