"""Cells tagged `promote` and the package hold the same code.

They are compared as syntax trees, docstrings and annotations aside.
"""

import ast
import difflib
from pathlib import Path

import nbformat
import pytest

from .notebooks import CHAPTERS, ROOT, code_cells, tags

PACKAGE = sorted((ROOT / "swinir_lite").rglob("*.py"))


class Bare(ast.NodeTransformer):
    """Take docstrings and annotations away."""

    def visit_block(self, node):
        self.generic_visit(node)
        if ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
        return node

    def visit_ClassDef(self, node):
        return self.visit_block(node)

    def visit_FunctionDef(self, node):
        node.returns = None
        return self.visit_block(node)

    def visit_arg(self, node):
        node.annotation = None
        return node

    def visit_AnnAssign(self, node):
        if node.value is None:
            return ast.Expr(node.target)
        return ast.Assign([node.target], node.value)


def bare(node):
    """The source of a node without docstrings and annotations."""
    tree = ast.parse(ast.unparse(node))
    return ast.unparse(ast.fix_missing_locations(Bare().visit(tree)))


def defined_name(node):
    """The name that a definition or a constant gets, or None for anything else."""
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        return node.name
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
        return node.targets[0].id
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return node.target.id
    return None


def definitions(source):
    """{name: node} of a module's definitions and constants."""
    nodes = ast.parse(source).body
    return {defined_name(n): n for n in nodes if defined_name(n) is not None}


def promoted(path):
    """[(cell position, node)] of everything in a chapter's promote cells."""
    return [
        (i, node)
        for i, cell in code_cells(path)
        if "promote" in tags(cell)
        for node in ast.parse(cell.source).body
    ]


def problems(path, package):
    """Say where a chapter's promote cells and the package's files differ."""
    defined = {
        (name, file): node
        for file in package
        for name, node in definitions(file.read_text()).items()
    }
    found = []
    for i, node in promoted(path):
        name, cell = defined_name(node), f"{path.name}, cell {i}"
        if name is None:
            found.append(f"{cell}: holds more than definitions: {ast.unparse(node)}")
            continue
        twins = {file: other for (n, file), other in defined.items() if n == name}
        if not twins:
            found.append(f"{cell}: {name} is not in the package")
        elif bare(node) not in map(bare, twins.values()):
            file, other = min(twins.items(), key=lambda twin: twin[0].stem != path.stem)
            there = f"{file.parent.name}/{file.name}, line {other.lineno}"
            lines = bare(node).splitlines(), bare(other).splitlines()
            diff = "\n".join(
                difflib.unified_diff(*lines, cell, there, lineterm="", n=1)
            )
            found.append(f"{name} differs between {cell} and {there}\n{diff}")
    return found


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_promoted_cells_are_the_package(path):
    found = problems(path, PACKAGE)
    assert not found, "\n".join(found)


@pytest.mark.parametrize("path", CHAPTERS[:8], ids=lambda path: path.stem)
def test_a_chapter_derives_all_of_its_module(path):
    module = ROOT / f"swinir_lite/{path.stem[3:]}.py"
    names = set(definitions(module.read_text()))
    missing = names - {defined_name(node) for _, node in promoted(path)}
    assert not missing, f"{path.name} has no promote cell for {sorted(missing)}"


def chapter_of(tmp_path, source):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    notebook.cells[0].metadata["tags"] = ["promote"]
    path = tmp_path / "03_window_partition.ipynb"
    nbformat.write(notebook, path)
    return path


@pytest.mark.parametrize(
    ("cell", "module", "expected"),
    [
        (
            "def f(x):\n    return x",
            "def f(x: int) -> int:\n    'Doc.'\n    return x",
            0,
        ),
        ("class A:\n    a = 1", "class A:\n    '''Doc.'''\n    a: int = 1", 0),
        ("def f(x):\n    return x", "def f(x):\n    return -x", 1),
        ("def f(x):\n    return x", "def f(x=1):\n    return x", 1),
        ("@cache\ndef f(x):\n    return x", "def f(x):\n    return x", 1),
        ("class A:\n    a = 1", "class A:\n    a: int = 2", 1),
        ("A = 1", "A = 2", 1),
        ("def f(x):\n    return x", "def g(x):\n    return x", 1),
        ("print(1)", "A = 1", 1),
    ],
)
def test_drift_is_noticed(tmp_path, cell, module, expected):
    file = Path(tmp_path / "window_partition.py")
    file.write_text(module)
    found = problems(chapter_of(tmp_path, cell), [file])
    assert len(found) == expected
    if "differs" in "".join(found):
        assert "03_window_partition.ipynb, cell 0" in found[0]
        assert "window_partition.py, line 1" in found[0]
