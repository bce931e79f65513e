"""What holds for the project as a whole."""

import re
import subprocess
import sys

import pytest
import yaml

from .book.notebooks import CHAPTERS, ROOT, code_cells, read_cells

sys.path.insert(0, str(ROOT / "chapters"))
import contents

TEXT = {".cff", ".ipynb", ".md", ".py", ".toml", ".txt", ".yml", ".bib", ""}


def tracked_texts():
    """[(path, text)] of the project's own text files, in a clone or an archive."""
    if (ROOT / ".git").exists():
        names = subprocess.run(
            ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
        )
        paths = [ROOT / name for name in names.stdout.splitlines()]
    else:
        made = {".venv", "_build", "node_modules"}
        paths = [p for p in ROOT.rglob("*") if not made & set(p.parts)]
    return [(p, p.read_text()) for p in paths if p.suffix in TEXT and p.is_file()]


def test_the_address_is_the_same_everywhere():
    address = yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]["url"]
    name = address.rpartition("/")[2]
    pattern = re.compile(rf"github\.com/(?:github/)?[\w-]+/{name}\b")
    plain = address.removeprefix("https://")
    others = {
        f"{path.relative_to(ROOT)}: {found}"
        for path, text in tracked_texts()
        for found in pattern.findall(text)
        if found != plain
    }
    assert not others


def test_no_path_of_a_machine_is_written_anywhere():
    pattern = re.compile(r"(?<![\w.~])/(?:work|root|home|Users)/\w+")
    found = {
        f"{path.relative_to(ROOT)}: {match}"
        for path, text in tracked_texts()
        if "tests" not in path.parts
        for match in pattern.findall(text)
    }
    assert not found


@pytest.mark.parametrize("path", sorted(contents.pages()), ids=lambda path: path.name)
def test_contents_are_up_to_date(path):
    assert path.read_text() == contents.pages()[path], "run `make front-page`"


def test_every_chapter_has_its_module():
    for path in CHAPTERS[:8]:
        assert (ROOT / f"swinir_lite/{path.stem[3:]}.py").is_file(), path.stem


def test_names_in_the_text_of_chapters_are_names_in_code():
    code = [text for path, text in tracked_texts() if path.suffix == ".py"]
    code += [cell.source for path in CHAPTERS for _, cell in code_cells(path)]
    known = set(re.findall(r"\w+", "\n".join(code)))
    gone = [
        f"{path.name}: {name}"
        for path in CHAPTERS
        for cell in read_cells(path)
        if cell.cell_type == "markdown"
        for name in re.findall(r"`([A-Za-z]\w*_\w+)`", cell.source)
        if name not in known
    ]
    assert not gone


def test_every_room_that_contributors_are_sent_to_is_there():
    rows = (ROOT / "CONTRIBUTING.md").read_text().partition("## Which room")[2]
    rows = rows.partition("\n\n| ")[2].partition("\n\n")[0]
    paths = re.findall(r"`([\w./]+/[\w./]*|\w+\.yml)`", rows)
    assert len(paths) > 20
    examples = {"chapters/NN_name.ipynb", "swinir_lite/name.py", "tests/test_name.py"}
    gone = [p for p in paths if p not in examples and not (ROOT / p).exists()]
    assert not gone


def test_readme_s_table_of_folders_is_complete():
    rows = re.findall(
        r"^\| `([\w/]+)/` \|", (ROOT / "README.md").read_text(), re.MULTILINE
    )
    paths = [path.relative_to(ROOT).parts for path, _ in tracked_texts()]
    folders = {parts[0] for parts in paths if len(parts) > 1}
    hidden = {folder for folder in folders if "." in folder or folder[0] == "_"}
    rooms = {
        str(p.parent.relative_to(ROOT))
        for p in (ROOT / "swinir_lite").glob("*/__init__.py")
    }
    assert set(rows) == (folders - hidden) | rooms | {"swinir_lite"}
