"""How the package is built and installed: Pythons, versions, what an archive holds."""

import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from .book.notebooks import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PYTHONS = ["3.11", "3.12", "3.13", "3.14"]


def requirements():
    """What `make book` and `make test` need."""
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    texts = [line.partition("#")[0].strip() for line in lines]
    return [Requirement(text) for text in texts if text]


def pinned(name):
    """{package: version} of a file of constraints."""
    lines = (ROOT / f"constraints/{name}.txt").read_text().splitlines()
    pairs = [line.split("==") for line in lines]
    return {canonicalize_name(package): Version(version) for package, version in pairs}


def dependencies(extra=None):
    """What the package needs, itself or for an extra."""
    if extra:
        return [Requirement(r) for r in PROJECT["optional-dependencies"][extra]]
    return [Requirement(r) for r in PROJECT["dependencies"]]


def test_the_same_pythons_are_stated_tested_and_resolved_for():
    stated = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    assert stated == PYTHONS
    assert PROJECT["requires-python"] == f">={PYTHONS[0]}"
    workflow = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text())
    matrix = workflow["jobs"]["everything"]["strategy"]["matrix"]
    assert matrix["python"] == PYTHONS
    made = re.search("^PYTHONS := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert made[1].split() == PYTHONS
    files = {path.stem for path in (ROOT / "constraints").iterdir()}
    assert files == {*PYTHONS, "lowest"}
    for page in ("README.md", "intro.md", "CONTRIBUTING.md"):
        said = f"Python {PYTHONS[0]} to {PYTHONS[-1]}"
        assert said in (ROOT / page).read_text(), page


@pytest.mark.parametrize("python", PYTHONS)
def test_a_version_of_everything_required_is_pinned_for_each_python(python):
    versions = pinned(python)
    for requirement in requirements():
        name = canonicalize_name(requirement.name)
        if name == "triton":  # each build of PyTorch for CUDA says which it needs
            continue
        assert name in versions, f"{name}: run `make constraints`"
        assert requirement.specifier.contains(versions[name]), name


def test_what_notebooks_compute_with_is_of_one_version_on_every_python():
    shared = [pinned(python) for python in PYTHONS]
    for name in (
        "torch",
        "numpy",
        "pillow",
        "matplotlib",
        "scikit-image",
        "pywavelets",
    ):
        assert len({versions[name] for versions in shared}) == 1, name


def test_the_book_s_requirements_contain_the_package_s():
    required = {canonicalize_name(r.name) for r in requirements()}
    for extra in (None, "book", "export", "train"):
        for dependency in dependencies(extra):
            assert canonicalize_name(dependency.name) in required


def test_the_lowest_versions_are_those_that_the_package_allows():
    versions = pinned("lowest")
    for extra in (None, "book", "export", "train"):
        for dependency in dependencies(extra):
            name = canonicalize_name(dependency.name)
            (bound,) = dependency.specifier
            assert bound.operator == ">="
            assert versions[name] >= Version(bound.version)
            assert versions[name].major == Version(bound.version).major, name


def build(kind, folder):
    """Build an archive of the package from a copy of its files; return its path."""
    source = folder / "source"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "swinir_lite", source / "swinir_lite", ignore=ignored)
    (source / "tests").mkdir()
    (source / "tests/test_swinir.py").write_text("")
    for name in ("pyproject.toml", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    command = [sys.executable, "-m", "build", "--no-isolation", f"--{kind}"]
    where = ["--outdir", str(folder), str(source)]
    done = subprocess.run([*command, *where], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (archive,) = folder.glob("*.tar.gz" if kind == "sdist" else "*.whl")
    return archive


def package_files():
    """Paths of the package's files in the repository."""
    return {
        str(path.relative_to(ROOT))
        for path in (ROOT / "swinir_lite").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_source_archive_holds_the_package_without_tests(tmp_path):
    with tarfile.open(build("sdist", tmp_path)) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert package_files() <= names
    assert not [name for name in names if name.startswith("tests")]


def test_the_wheel_holds_every_file_of_the_package_and_the_command(tmp_path):
    with zipfile.ZipFile(build("wheel", tmp_path)) as archive:
        names = set(archive.namelist())
        (entry,) = [name for name in names if name.endswith("entry_points.txt")]
        commands = archive.read(entry).decode()
    assert package_files() == {
        name for name in names if name.startswith("swinir_lite/")
    }
    assert "swinir-lite = swinir_lite.__main__:main" in commands
