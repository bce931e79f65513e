"""The checks that the chapters teach with are checked: a planted bug must be caught."""

import importlib

import matplotlib
import matplotlib.pyplot as plt
import pytest
from tqdm.auto import tqdm

from .notebooks import CHAPTERS, code_cells, tags

CAUGHT = AssertionError, ValueError


def load_bugs():
    """[(path of the chapter, bug)] for all chapters that have a list of bugs."""
    bugs = []
    for path in CHAPTERS:
        try:
            module = importlib.import_module(f"tests.book.seeded_bugs.{path.stem}")
        except ModuleNotFoundError:
            continue
        bugs += [(path, bug) for bug in module.BUGS]
    return bugs


BUGS = load_bugs()
LISTED = sorted({path for path, _ in BUGS})


def find_cell(cells, text):
    """The position of the only code cell, slow ones aside, that contains `text`."""
    found = [i for i, cell in cells if text in cell.source]
    assert len(found) == 1, f"{len(found)} cells contain {text!r}, expected one"
    return found[0]


def fast_cells(path):
    """The chapter's code cells but for the setup and those tagged slow."""
    return [
        (i, cell)
        for i, cell in code_cells(path)
        if "%pip" not in cell.source and "slow" not in tags(cell)
    ]


def execute(path, last, bug=None):
    """Run the chapter up to cell `last`, with the bug; tell the cell that failed.

    Returns (position, error), or None if all went well.
    """
    cells = fast_cells(path)
    planted = find_cell(cells, bug.cell_contains) if bug else None
    namespace = {"__name__": "__main__", "display": lambda *objects: None}
    for i, cell in cells:
        if i > last:
            break
        source = cell.source
        if i == planted:
            assert bug.replace in source, f"{bug.replace!r} is not in {path.name}"
            source = source.replace(bug.replace, bug.by)
        try:
            exec(compile(source, f"{path.name}, cell {i}", "exec"), namespace)
        except Exception as error:
            return i, error
        finally:
            plt.close("all")
    return None


@pytest.fixture(autouse=True)
def _no_figures(monkeypatch, root):
    monkeypatch.setattr(plt, "show", lambda *args, **kwargs: None)
    monkeypatch.setattr(tqdm, "__init__", tqdm.__init__)  # chapters hide their bars
    monkeypatch.chdir(root / "chapters")
    with matplotlib.rc_context():
        matplotlib.use("agg")
        yield


@pytest.mark.parametrize("path", LISTED, ids=lambda path: path.stem)
def test_without_bugs_every_check_passes(path):
    cells = fast_cells(path)
    last = max(find_cell(cells, bug.caught_by) for p, bug in BUGS if p == path)
    failed = execute(path, last)
    assert failed is None, f"{path.name}, cell {failed[0]}: {failed[1]!r}"


@pytest.mark.parametrize(
    ("path", "bug"), BUGS, ids=[f"{path.stem[:2]}-{bug.name}" for path, bug in BUGS]
)
def test_bug_is_caught(path, bug):
    check = find_cell(fast_cells(path), bug.caught_by)
    failed = execute(path, check, bug)
    assert failed, f"the check in cell {check} of {path.name} did not notice"
    cell, error = failed
    assert cell == check, f"cell {cell} failed, expected {check}: {error!r}"
    assert isinstance(error, CAUGHT), f"cell {check} failed by accident: {error!r}"


def test_there_are_enough_bugs():
    assert len(BUGS) >= 12
