"""Which chapters there are, and how long each takes to read.

Chapters are notebooks `04_relative_position_attention.ipynb`, appendices
`A1_reading_official_weights.ipynb`.
"""

import re
from pathlib import Path

import nbformat
from nbformat import NotebookNode

Cells = list[NotebookNode]
CHAPTERS = Path(__file__).parent
WORDS_A_MINUTE, LINES_A_MINUTE = 200, 10
RULE = (
    f"Reading times count {WORDS_A_MINUTE} words and {LINES_A_MINUTE} lines of code a "
    "minute, without the exercises' solutions."
)


def chapters() -> list[Path]:
    """Paths of all chapters in order, the appendices last."""
    return sorted(CHAPTERS.glob("[0-9A][0-9]_*.ipynb"))


def number(name: str) -> str:
    """A chapter's number as readers see it: 4 for 04_..., A1 for A1_..."""
    return name[:2].lstrip("0")


def read_cells(path: Path) -> Cells:
    """The cells of a notebook."""
    return nbformat.read(path, as_version=4).cells


def tags(cell: NotebookNode) -> set[str]:
    """The tags of a cell, as a set."""
    return set(cell.metadata.get("tags", ()))


def prose(source: str) -> str:
    """Markdown without code, formulas, addresses and generated parts."""
    text = re.sub(r"<!-- (\w+) -->.*?<!-- end of \1 -->", "", source, flags=re.DOTALL)
    text = re.sub(r"```.*?```|`[^`]*`", "", text, flags=re.DOTALL)
    return re.sub(r"\$\$.*?\$\$|\$[^$]*\$|\]\([^)]*\)", "", text, flags=re.DOTALL)


def markdown(cells: Cells) -> list[str]:
    """The sources of all Markdown cells."""
    return [cell.source for cell in cells if cell.cell_type == "markdown"]


def words(cells: Cells) -> int:
    """How many words a chapter has, with captions, formulas and code in its text."""
    return sum(len(source.split()) for source in markdown(cells))


def words_of_prose(cells: Cells) -> int:
    """How many words there are to read, without captions, formulas and code."""
    lines = [line for source in markdown(cells) for line in prose(source).split("\n")]
    return sum(len(x.split()) for x in lines if not x.startswith("**Figure "))


def code_lines(cells: Cells) -> int:
    """How many lines of code a chapter shows: no empty and no folded ones."""
    code = [
        cell.source
        for cell in cells
        if cell.cell_type == "code" and not tags(cell) & {"hide-input", "hide-cell"}
    ]
    return sum(bool(line.strip()) for line in "\n".join(code).splitlines())


def reading_minutes(cells: Cells) -> int:
    """How long a chapter takes to read, to the next five minutes."""
    reading = words_of_prose(cells) / WORDS_A_MINUTE
    minutes = reading + code_lines(cells) / LINES_A_MINUTE
    return 5 * max(1, round(minutes / 5))
