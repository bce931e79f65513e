"""Write what every chapter begins with, from one place.

    python chapters/heads.py

The badge that opens a chapter in Colab, the map that says where it stands in SwinIR,
and the set-up cell for Colab are the same in all chapters but for names.  Address and
branch come from _config.yml, which names the tag of the package's version: the notebook
that a reader opens in Colab and the package that it installs are of one release.
"""

import sys
from collections.abc import Iterable
from pathlib import Path

import nbformat
import yaml
from nbformat import NotebookNode

from swinir_lite.whole_files import whole_file

sys.path.insert(0, str(Path(__file__).parent / "images"))
import here
import listing
from listing import Cells

ROOT = Path(__file__).parent.parent
REPOSITORY = yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]
SETUP = """\
# On Colab this fetches the book and installs its package; elsewhere it does nothing
import importlib.util
import os

if importlib.util.find_spec("swinir_lite") is None:
    !git clone -q --depth 1 --branch {branch} {url} book
    %pip install -q "./book[book,train]"
if os.path.isdir("book/chapters"):  # also after a restart of the kernel
    os.chdir("book/chapters")"""
BADGE = "[![Open in Colab](images/colab.svg)]({colab}/{branch}/chapters/{name}.ipynb)"
MAP_BEGINS = "![Where this chapter stands"
SETUP_MARK = 'find_spec("swinir_lite")'


def badge(name: str) -> str:
    """The Markdown of a chapter's badge; `name` is its file's, without ending."""
    colab = REPOSITORY["url"].replace(
        "https://github.com", "https://colab.research.google.com/github"
    )
    return BADGE.format(colab=f"{colab}/blob", branch=REPOSITORY["branch"], name=name)


def setup() -> str:
    """The code of the set-up cell."""
    return SETUP.format(**REPOSITORY)


def where(name: str) -> str:
    """The Markdown of a chapter's map."""
    subject = name[3:]
    return f"![{here.alt(subject)}](images/here_{subject}.svg)"


def is_generated(cell: NotebookNode) -> bool:
    """Whether a cell is one that this file writes."""
    begins = ("[![Open in Colab", MAP_BEGINS)
    if cell.cell_type == "markdown":
        return cell.source.startswith(begins)
    return SETUP_MARK in cell.source


def generated(cells: Cells, begin: str, new: NotebookNode) -> NotebookNode:
    """The cell that already has the role, or a new one."""
    old = (c for c in cells if is_generated(c) and begin in c.source)
    return next(old, new)


def with_head(name: str, cells: Cells) -> Cells:
    """A chapter's cells with the head they should have; nothing else changes."""
    title, rest = cells[0], [c for c in cells[1:] if not is_generated(c)]
    opening, body = rest[0], rest[1:]
    new = nbformat.v4
    button = generated(cells, "Open in Colab", new.new_markdown_cell())
    chart = generated(cells, MAP_BEGINS, new.new_markdown_cell(id="where-we-are"))
    setting = generated(cells, SETUP_MARK, new.new_code_cell(execution_count=1))
    button.source, chart.source, setting.source = badge(name), where(name), setup()
    setting.metadata["tags"] = ["hide-input"]
    return [title, button, opening, chart, setting, *body]


def write_maps(names: Iterable[str]) -> None:
    """Draw the maps of chapters, and drop those of chapters that have gone."""
    for old in here.IMAGES.glob("here_*.svg"):
        old.unlink()
    for name in names:
        with whole_file(here.IMAGES / f"here_{name[3:]}.svg") as file:
            file.write_text(here.draw(name[3:]))


if __name__ == "__main__":
    write_maps(path.stem for path in listing.chapters())
    for path in listing.chapters():
        notebook = nbformat.read(path, as_version=4)
        before = nbformat.writes(notebook)
        notebook.cells = with_head(path.stem, notebook.cells)
        if nbformat.writes(notebook) != before:
            with whole_file(path) as file:
                nbformat.write(notebook, file)
            print(f"{path.name}: its head is written anew")
