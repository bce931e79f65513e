"""Figures that move on the site, by the scripts of _static/figures.

An extension of Sphinx.  The cell that draws a figure names, in its metadata, the script
that lets it move: `"moving": "windows"` stands for _static/figures/windows.js, which
reads the numbers of data/windows.json.  The picture that the cell drew stands in the
page, for print and for readers without JavaScript; the script replaces it.  Numbers
are part of the page, so that it works from a disk as well.
"""

import json
import re
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.writers.html5 import HTML5Translator

from swinir_lite import drawing

DATA = Path(__file__).parent / "data"
SHARED = ["palette", "figure", "chart"]  # scripts that every moving figure needs
COLORS = 64  # of each colour map
NAMED = re.compile(r'class="moving" data-figure="(\w+)"')


class moving(nodes.General, nodes.Element):  # noqa: N801 (docutils names nodes so)
    """A still figure, with the numbers from which the script `name` makes it move."""


def visit_moving(translator: HTML5Translator, node: moving) -> None:
    """Begin a moving figure in HTML, with its numbers."""
    name = node["name"]
    numbers = (DATA / f"{name}.json").read_text().strip()
    numbers = numbers.replace("<", "\\u003c")  # which could end the script
    translator.body.append(
        f'<div class="moving" data-figure="{name}">\n'
        f'<script type="application/json">{numbers}</script>\n<div class="still">\n'
    )


def depart_moving(translator: HTML5Translator, node: moving) -> None:
    """End a moving figure in HTML."""
    translator.body.append("</div></div>\n")


def moving_name(cell: nodes.Element) -> str | None:
    """The name of the script that lets a cell's figure move, or None."""
    return cell.get("cell_metadata", {}).get("moving")


class Move(SphinxPostTransform):
    """Wrap the pictures that a script replaces."""

    default_priority = 197  # before folds move the pictures
    formats = ("html",)

    def run(self, **kwargs: object) -> None:
        for cell in list(self.document.findall(nodes.container)):
            if name := moving_name(cell):
                for output in cell:
                    if output.get("nb_element") == "cell_code_output":
                        output[:] = [moving("", *output.children, name=name)]


def note_numbers(app: Sphinx, doctree: nodes.document) -> None:
    """Make a page anew when the numbers of one of its figures change."""
    for cell in doctree.findall(nodes.container):
        if name := moving_name(cell):
            app.env.note_dependency(str(DATA / f"{name}.json"))


def add_scripts(
    app: Sphinx, page: str, template: str, context: dict, doctree: nodes.document | None
) -> None:
    """Load what a page's moving figures need, and nothing on other pages."""
    for kind in ("script_files", "css_files"):  # Jupyter Book adds all of _static
        context[kind][:] = [
            file
            for file in context[kind]
            if not str(file.filename).startswith("_static/figures/")
        ]
    names = dict.fromkeys(NAMED.findall(context.get("body", "")))
    if names:
        app.add_css_file("figures/figures.css")
    for name in [*SHARED, *names] if names else []:
        app.add_js_file(f"figures/{name}.js", loading_method="defer")


def palette() -> dict:
    """The book's colours, as the scripts know them."""
    return {
        "axis": drawing.AXIS,
        "series": drawing.SERIES,
        "ink": drawing.INK,
        "paper": drawing.PAPER,
        "faint": drawing.FAINT,
        "sequential": drawing.color_map(drawing.SEQUENTIAL, COLORS),
        "diverging": drawing.color_map(drawing.DIVERGING, COLORS),
    }


def write_palette(app: Sphinx, exception: Exception | None) -> None:
    """Write swinir_lite/drawing.py's colours where the scripts read them."""
    if not exception and app.builder.format == "html":
        target = Path(app.outdir) / "_static/figures/palette.js"
        target.write_text(f"const PALETTE = {json.dumps(palette())};\n")


def setup(app: Sphinx) -> dict[str, bool]:
    """Tell Sphinx what this extension adds."""
    app.add_node(moving, html=(visit_moving, depart_moving))
    app.add_post_transform(Move)
    app.connect("doctree-read", note_numbers)
    app.connect("html-page-context", add_scripts, priority=890)
    app.connect("build-finished", write_palette)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
