"""Read the chapters as the tests need them."""

from pathlib import Path

import nbformat

ROOT = Path(__file__).parents[2]
CHAPTERS = sorted((ROOT / "chapters").glob("[0-9][0-9]_*.ipynb"))


def read_cells(path):
    """The cells of a notebook."""
    return nbformat.read(path, as_version=4).cells


def tags(cell):
    """The tags of a cell, as a set."""
    return set(cell.metadata.get("tags", ()))


def code_cells(path):
    """[(position from 0, cell)] of all code cells."""
    return [(i, c) for i, c in enumerate(read_cells(path)) if c.cell_type == "code"]
