"""Read the chapters as the tests need them."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "chapters"))
import listing
from listing import read_cells, tags

__all__ = ["CHAPTERS", "ROOT", "code_cells", "read_cells", "tags"]

ROOT = Path(__file__).parents[2]
CHAPTERS = listing.chapters()


def code_cells(path):
    """[(position from 0, cell)] of all code cells."""
    return [(i, c) for i, c in enumerate(read_cells(path)) if c.cell_type == "code"]
