"""The package's rooms: imports run one way, nobody reaches for what is
private, and what is public has type hints.

Imports inside functions count as well: they are read off the syntax trees.
"""

import ast
import subprocess
import sys

import pytest

from .book.notebooks import CHAPTERS, ROOT
from .book.test_promotion import defined_name, promoted

FILES = {"cores", "errors", "image_files", "standard_json", "whole_files"}
DERIVED = {  # by the chapters
    "convolutional_baseline", "denoising", "discriminator", "image_restoration",
    "jpeg_artifacts", "looking_inside", "losses", "real_world_super_resolution",
    "relative_position_attention", "residual_swin_transformer_block",
    "shifted_windows", "small_training", "swin_transformer_layer", "swinir",
    "window_partition",
}  # fmt: skip
FOLDERS = {"measuring", "restoring", "speed", "training"}

# room -> the rooms that it may import, besides itself; a module counts as a room
MODELS = {"files", "chapters", "models", "speed"}
MAY_IMPORT = {
    "files": {"errors"},
    "chapters": set(),
    "kernels": {"speed.limits"},
    "speed": {"files", "chapters", "kernels"},
    "models": MODELS,
    "measuring": MODELS,
    "restoring": MODELS | {"measuring"},
    "training": MODELS | {"measuring"},
    "command line": MODELS | {"measuring", "restoring", "training"},
}
# what a room may import from other packages, where that is limited
MAY_NEED = {"kernels": {"torch", "triton"}}


def room(module):
    """The room of a module, by its name within the package."""
    top, *rest = module.split(".")
    if top == "speed" and rest[:1] == ["kernels"]:
        return "kernels"
    if top in FOLDERS:
        return top
    if top in ("__init__", "__main__"):
        return "command line" if top == "__main__" else "models"
    return "files" if top in FILES else "chapters" if top in DERIVED else "models"


def read(package):
    """{module: syntax tree}, each by its name within the package."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        if parts[-1] == "__init__" and len(parts) > 1:
            parts = parts[:-1]
        found[".".join(parts)] = ast.parse(path.read_text())
    return found


def targets(module, tree, modules, name, in_folder):
    """(modules of the package, other packages) that a module imports."""
    inside, outside = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = [name, *module.split(".")]
            kept = len(start) - node.level + in_folder
            base = start[:kept] if node.level else []
            base = ".".join(base + ([node.module] if node.module else []))
            found = [f"{base}.{alias.name}" for alias in node.names]
        else:
            continue
        for target in found:
            top, _, rest = target.partition(".")
            if top != name:
                outside.add(top)
                continue
            while rest not in modules and "." in rest:
                rest = rest.rpartition(".")[0]
            inside.add(rest if rest in modules else "__init__")
    return inside, outside - sys.stdlib_module_names


def imports(package):
    """{module: (modules of the package, other packages)} that each imports."""
    modules = read(package)
    folders = {
        m for m in modules if any(other.startswith(f"{m}.") for other in modules)
    }
    return {
        module: targets(module, tree, modules, package.name, module in folders)
        for module, tree in modules.items()
    }


def wrong_imports(package):
    """Every import that leads where its room may not go."""
    for module, (inside, outside) in imports(package).items():
        if module == "__init__":
            continue  # it gathers public names; what it imports is checked itself
        here = room(module)
        allowed = MAY_IMPORT[here] | {here}
        for target in sorted(inside):
            if target != "__init__" and not {target, room(target)} & allowed:
                yield f"{module} ({here}) imports {target} ({room(target)})"
        for target in sorted(outside - MAY_NEED.get(here, outside)):
            yield f"{module} ({here}) imports {target}"


def is_private(name):
    """Whether a name has one leading underscore."""
    return name[0] == "_" and not name.startswith("__")


def defined(tree):
    """The private names that a module gives to something."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            name = node.name
        elif isinstance(getattr(node, "ctx", None), ast.Store):
            name = getattr(node, "id", getattr(node, "attr", "x"))
        else:
            continue
        if is_private(name):
            yield name


def reached(tree):
    """The private names that a module imports, or reads off what is not itself."""
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.ImportFrom):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.Attribute):
            own = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
            names = [] if own else [node.attr]
        yield from filter(is_private, names)


def test_imports_run_one_way():
    assert not list(wrong_imports(ROOT / "swinir_lite"))


def test_every_room_is_there():
    modules = read(ROOT / "swinir_lite").keys()
    assert set(map(room, modules)) == MAY_IMPORT.keys()
    assert modules >= FILES | DERIVED


def test_nobody_reaches_for_private_names():
    folders = "swinir_lite", "benchmarks", "experiments"
    modules = {
        f"{folder}/{name}": tree
        for folder in folders
        for name, tree in read(ROOT / folder).items()
    }
    ours = {name for tree in modules.values() for name in defined(tree)}
    found = {
        f"{module}: {name}"
        for module, tree in modules.items()
        for name in ours.intersection(reached(tree))
    }
    assert not found


@pytest.fixture
def made(tmp_path):
    """made(path, text): a small package with one module more; returns its folder."""

    def add(path, text):
        package = tmp_path / "swinir_lite"
        for name in ("swinir", "speed/__init__", "speed/network", "training/__init__",
                     "training/engine", "trained_models", "errors",
                     "speed/limits", "speed/kernels/__init__"):  # fmt: skip
            file = package / f"{name}.py"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
        (package / path).write_text(text)
        return package

    return add


@pytest.mark.parametrize(
    ("path", "text", "found"),
    [
        ("swinir.py", "from .speed.network import fast", "speed.network"),
        ("swinir.py", "from .speed import network", "speed.network"),
        ("swinir.py", "def f():\n    from . import speed", "speed (speed)"),
        ("swinir.py", "import swinir_lite.training.engine", "training.engine"),
        ("trained_models.py", "from .training import engine", "training.engine"),
        (
            "speed/network.py",
            "from ..training.engine import Trainer",
            "training.engine",
        ),
        ("speed/__init__.py", "from ..training import engine", "training.engine"),
        ("speed/kernels/norm.py", "from ...swinir import SwinIR", "swinir"),
        ("speed/kernels/norm.py", "from ..network import fast", "speed.network"),
        ("speed/kernels/norm.py", "import einops", "einops"),
        ("errors.py", "from .swinir import SwinIR", "swinir"),
    ],
)
def test_a_wrong_import_is_found(made, path, text, found):
    (wrong,) = wrong_imports(made(path, text))
    assert f"imports {found}" in wrong


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("__main__.py", "from .training import engine"),
        ("training/data.py", "from ..speed import network\nfrom . import engine"),
        ("speed/kernels/norm.py", "import triton\nfrom ..limits import SIZE"),
        ("trained_models.py", "import numpy\nfrom .speed.network import fast"),
    ],
)
def test_a_right_import_is_let_through(made, path, text):
    assert not list(wrong_imports(made(path, text)))


def test_private_names_are_found():
    text = "from .a import _b\nself._own\nmodel._prepared\nc.__name__"
    assert list(reached(ast.parse(text))) == ["_b", "_prepared"]
    text = "def _f(): pass\n_CONSTANT = 1\nself._own = 2\n__all__ = []"
    assert set(defined(ast.parse(text))) == {"_f", "_CONSTANT", "_own"}


def without_hints(tree):
    """Public functions and methods with an argument or a result of no stated type."""
    scopes = [("", tree)]
    for prefix, scope in scopes:
        for node in scope.body:
            if isinstance(node, ast.ClassDef):
                scopes.append((f"{prefix}{node.name}.", node))
            elif isinstance(node, ast.FunctionDef) and node.name[0] != "_":
                if any(
                    ast.unparse(d).startswith("triton.jit") for d in node.decorator_list
                ):
                    continue  # a kernel, whose arguments are no objects
                given = node.args.posonlyargs + node.args.args + node.args.kwonlyargs
                typed = [a.annotation for a in given if a.arg not in ("self", "cls")]
                if None in (*typed, node.returns):
                    yield prefix + node.name


def test_public_functions_outside_of_the_chapters_have_type_hints():
    derived = {defined_name(n) for path in CHAPTERS for _, n in promoted(path)}
    found = {
        f"{module}: {name}"
        for module, tree in read(ROOT / "swinir_lite").items()
        if room(module) != "chapters"
        for name in without_hints(tree)
        if name.partition(".")[0] not in derived
    }
    assert not found


def test_a_missing_hint_is_found():
    text = "def f(x): ...\ndef g(x: int): ...\nclass A:\n  def h(self) -> int: ...\n"
    assert list(without_hints(ast.parse(text))) == ["f", "g"]


def test_the_fast_path_is_there_without_triton():
    script = """
import sys
sys.modules["triton"] = None
import torch
import swinir_lite
from swinir_lite.speed import network
model = swinir_lite.SwinIR(swinir_lite.SwinIRConfig(dim=8, depths=(1,), num_heads=(2,)))
assert swinir_lite.fast(model.eval())(torch.rand(1, 3, 8, 8)).shape == (1, 3, 16, 16)
assert not [name for name in sys.modules if "speed.kernels." in name]
"""
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT)
