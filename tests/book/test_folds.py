"""What folds on the site: a small chapter, built and looked at."""

import nbformat
import pytest
from bs4 import BeautifulSoup
from sphinx.application import Sphinx

from .notebooks import ROOT

CONFIG = f"""
import sys
sys.path.insert(0, {str(ROOT / "chapters")!r})
extensions = ["myst_nb", "folds"]
nb_execution_mode = "off"
html_theme = "basic"
"""
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9"
    "awAAAABJRU5ErkJggg=="
)


def text(source):
    return nbformat.v4.new_markdown_cell(source)


def code(source, *tags, shows=None):
    """A code cell; `shows` is what it prints, or "figure"."""
    cell = nbformat.v4.new_code_cell(source, execution_count=1)
    cell.metadata["tags"] = list(tags)
    if shows == "figure":
        data = {"image/png": PIXEL, "text/plain": "<Figure>"}
        cell.outputs = [nbformat.v4.new_output("display_data", data)]
    elif shows:
        cell.outputs = [nbformat.v4.new_output("stream", text=shows)]
    return cell


CELLS = [
    text("# 4. Attention"),
    code('importlib.util.find_spec("a")\n# %pip install a', "hide-input"),
    text("Here it is, as figure 4.1 says.\n\n**Predict.** How many?"),
    code("count()", "hide-output", shows="printed seven"),
    code("draw(4)", "hide-input", shows="figure"),
    text("**Figure 4.1.** All seven.\n\nSeven, no more.\n\nWe go on from here."),
    text("**Predict.** And now?"),
    code("assert now == 3", "hide-output"),
    text("Three. As figure 99.9 of that paper has it.\n\n**Predict.** At last?"),
    code("last = 1 + 1", "hide-cell", "hide-output", shows="printed two"),
    text("The formula is:\n\n$$a = b$$\n\nAnd so on."),
    code("draw(5)", "hide-input", shows="figure"),
    text("## Exercises"),
    text("**Exercise 4.1** (easy). Add."),
    code("assert add() == 2", "hide-cell", "solution"),
    code("helpers()", "hide-input"),
]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    source = tmp_path_factory.mktemp("book")
    (source / "chapters").mkdir()
    (source / "conf.py").write_text(CONFIG)
    (source / "index.md").write_text(
        "# Book\n\n```{toctree}\nchapters/04_attention\n```"
    )
    nbformat.write(
        nbformat.v4.new_notebook(cells=CELLS), source / "chapters/04_attention.ipynb"
    )
    site, trees = source / "site", source / "trees"
    Sphinx(source, source, site, trees, "html", status=None).build()
    return BeautifulSoup(
        (site / "chapters/04_attention.html").read_text(), "html.parser"
    )


def folds(page):
    """{name: texts of all folds with that name}."""
    found = {}
    for fold in page.find_all("details"):
        name = fold.find("summary").get_text()
        found.setdefault(name, []).append(fold.get_text())
    return found


def test_folds_are_named_by_what_is_in_them(page):
    assert sorted(folds(page)) == [
        "Code",
        "Code for figure 4.1",
        "Code for the figure",
        "See what happens",
        "Set-up for Colab",
        "Solution to exercise 4.1",
    ]
    assert "add() == 2" in folds(page)["Solution to exercise 4.1"][0]


def test_an_answer_takes_in_outputs_figures_and_the_first_paragraph(page):
    first, second, third = folds(page)["See what happens"]
    assert all(part in first for part in ("printed seven", "draw(4)", "Seven, no more"))
    assert "Figure 4.1." in first
    assert "go on" not in first
    assert "count()" not in first  # the question's code stays in view
    assert "Three." in second
    assert "At last?" not in second
    assert "1 + 1" in third
    assert "printed two" in third
    assert "a = b" in third
    assert "so on" not in third


def test_nothing_but_answers_and_hidden_code_is_folded(page):
    open_text = page.get_text()
    for fold in page.find_all("details"):
        open_text = open_text.replace(fold.get_text(), "")
    for part in ("How many?", "count()", "go on", "And now?", "now == 3", "so on"):
        assert part in open_text


def test_figures_named_in_the_text_are_linked(page):
    link = page.find("a", string="figure 4.1")
    assert page.find(id=link["href"].removeprefix("#"))["class"] == ["caption"]
    assert page.find("a", string="figure 99.9") is None
