"""The form of the chapters: what every reader may count on in every notebook."""

import json
import re
import statistics

import nbformat
import pytest
import yaml

from .notebooks import CHAPTERS, ROOT, read_cells, tags

ADDRESS = yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]["url"]
BADGE = (
    "[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]"
    "(https://colab.research.google.com/github/{}/blob/main/chapters/{})"
)
SETUP = f"""\
# On Colab this installs the book's package and keeps Colab's torch; elsewhere it \
does nothing
import importlib.util

if importlib.util.find_spec("swinir_lite") is None:
    %pip install -q "swinir-lite[book] @ git+{ADDRESS}"
"""
TAGS = {
    "hide-cell",
    "hide-input",
    "hide-output",
    "nbval-ignore-output",
    "promote",
    "raises-exception",
    "slow",
    "solution",
}
# a measured number that was typed: decibels, or a time
TYPED = re.compile(
    r"[\d.,]*\d\s*(dB|decibels?|ms|milliseconds?|s|sec|seconds?|min|minutes?)\b"
)
MACHINE = re.compile(r"(?<![\w.])/(work|root|tmp|home|Users|content)/\w")
MEGABYTE = 1024**2


def words(source):
    """Markdown without code and formulas, where units stand for something else.

    Without generated parts also, which stand between comments, in pages.
    """
    text = re.sub(r"<!-- (\w+) -->.*?<!-- end of \1 -->", "", source, flags=re.DOTALL)
    text = re.sub(r"```.*?```|`[^`]*`", "", text, flags=re.DOTALL)
    return re.sub(r"\$\$.*?\$\$|\$[^$]*\$|\]\([^)]*\)", "", text, flags=re.DOTALL)


def images(cell):
    """How many pictures a code cell shows."""
    return sum("image/png" in output.get("data", {}) for output in cell.outputs)


def alt_text(cell):
    return cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")


def order_problems(cells):
    counts = [c.execution_count for c in cells if c.cell_type == "code"]
    if counts != list(range(1, len(counts) + 1)):
        yield "was not executed from top to bottom in a fresh kernel"
    for i, cell in enumerate(cells):
        if "execution" in cell.metadata:
            yield f"cell {i} has time stamps"
        for output in cell.get("outputs", ()):
            if output.output_type == "error" and "raises-exception" not in tags(cell):
                yield f"cell {i} failed: {output.ename}"


def opening_problems(path, cells):
    number, place = int(path.stem[:2]), "/".join(ADDRESS.split("/")[-2:])
    if not re.fullmatch(rf"# {number}\. \S.*", cells[0].source.strip()):
        yield f"cell 0 is not the title '# {number}. ...' alone"
    if cells[1].source.strip() != BADGE.format(place, path.name):
        yield "cell 1 is not the badge for the address in _config.yml"
    if cells[2].source.strip() != SETUP.strip():
        yield "cell 2 is not the setup cell for the address in _config.yml"
    for phrase in ("What you will build", "What you need to know", "Runs in"):
        if phrase not in cells[3].source:
            yield f"cell 3 does not say {phrase!r}"


def cell_problems(cells):
    lengths = []
    for i, cell in enumerate(cells):
        if unknown := tags(cell) - TAGS:
            yield f"cell {i} has unknown tags {sorted(unknown)}"
        if found := MACHINE.search(json.dumps(cell)):
            yield f"cell {i} shows a path of one machine: {found.group()}"
        if cell.cell_type == "markdown":
            if found := TYPED.search(words(cell.source)):
                yield f"cell {i} has a typed measurement: {found.group()!r}"
            continue
        lines = len(cell.source.splitlines())
        if lines > 40:
            yield f"cell {i} has {lines} lines, at most 40"
        if not tags(cell) & {"hide-input", "hide-cell"}:
            lengths.append(lines)
        if images(cell) > 1:
            yield f"cell {i} shows {images(cell)} images, at most 1 for its alt text"
        if images(cell) and len(alt_text(cell).split()) < 5:
            yield f"cell {i} shows an image without alt text of five words"
    if (median := statistics.median(lengths)) >= 7:
        yield f"the median code cell on show has {median} lines, below 7"


def exercise_problems(path, cells):
    number, found = int(path.stem[:2]), 0
    for i, cell in enumerate(cells):
        exercise = re.search(r"^\*\*Exercise (\d+\.\d+)", cell.source, re.MULTILINE)
        if not exercise:
            continue
        found += 1
        if exercise.group(1) != f"{number}.{found}":
            yield f"cell {i} should be exercise {number}.{found}"
        solution = next(c for c in cells[i + 1 :] if c.cell_type == "code")
        if not {"hide-cell", "solution"} <= tags(solution):
            yield f"exercise {number}.{found} has no folded solution"
        elif "assert" not in solution.source:
            yield f"the solution of exercise {number}.{found} checks nothing"
    if found < 3:
        yield f"has {found} exercises, at least 3"
    solutions = sum("solution" in tags(cell) for cell in cells)
    if solutions != found:
        yield f"has {found} exercises but {solutions} solutions"


def text_problems(cells):
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    for phrase in ("**Predict", "\n## Exercises", "\n## Summary"):
        if phrase not in f"\n{text}":
            yield f"has no {phrase.strip()!r}"


def chapter_problems(path):
    """Everything that is wrong with a chapter's form, one line each."""
    cells = read_cells(path)
    found = []
    if path.stat().st_size >= MEGABYTE:
        found.append(f"weighs {path.stat().st_size} bytes, less than {MEGABYTE}")
    found += opening_problems(path, cells)
    found += order_problems(cells)
    found += cell_problems(cells)
    found += exercise_problems(path, cells)
    found += text_problems(cells)
    return found


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_form(path):
    found = chapter_problems(path)
    assert not found, "\n".join([path.name, *found])


def typed_numbers(text):
    """What a page says of decibels and times outside its generated parts."""
    return [found.group() for found in TYPED.finditer(words(text))]


@pytest.mark.parametrize("name", ["README.md", "intro.md"])
def test_pages_leave_numbers_to_generated_tables(name):
    assert not typed_numbers((ROOT / name).read_text())


def test_typed_numbers_are_told_from_generated_ones():
    table = "<!-- speed -->\n| 4.77 ms |\n<!-- end of speed -->"
    assert typed_numbers(f"It takes 3 ms.\n{table}\nIt gains 0.2 dB.") == [
        "3 ms",
        "0.2 dB",
    ]
    assert not typed_numbers(f"`sleep 3 s`\n{table}")


def test_chapters_are_numbered_in_order():
    numbers = [int(path.stem[:2]) for path in CHAPTERS]
    assert numbers[:8] == list(range(1, 9))  # the spine has no gaps
    assert len(set(numbers)) == len(numbers)


def markdown(source):
    return nbformat.v4.new_markdown_cell(source)


def code(source, count, *tags, **metadata):
    cell = nbformat.v4.new_code_cell(source, execution_count=count)
    cell.metadata.update(metadata, tags=list(tags))
    return cell


def sound_chapter():
    """The smallest chapter in which nothing is wrong."""
    cells = [
        markdown("# 3. Window partition"),
        markdown(
            BADGE.format("/".join(ADDRESS.split("/")[-2:]), "03_window_partition.ipynb")
        ),
        code(SETUP.strip(), 1, "hide-input"),
        markdown("What you will build, What you need to know, Runs in no time"),
        code("draw()", 2, mystnb={"image": {"alt": "A red square of 4 cells"}}),
        markdown("**Predict.** What?"),
        markdown("## Exercises"),
    ]
    cells[4].outputs = [
        nbformat.v4.new_output("display_data", {"image/png": "aGVsbG8="})
    ]
    for k in (1, 2, 3):
        cells.append(markdown(f"**Exercise 3.{k}** Do it."))
        cells.append(code("assert True", 2 + k, "hide-cell", "solution"))
    cells.append(markdown("## Summary"))
    return cells


def drop_badge(cells):
    cells[1].source = cells[1].source.replace("/chapters/03", "/chapters/04")


def move_address(cells):
    cells[2].source = cells[2].source.replace("git+https://", "git+https://other/")


def fail(cells):
    cells[4].outputs.append(
        nbformat.v4.new_output("error", ename="KeyError", evalue="", traceback=[])
    )


def leak_path(cells):
    cells[4].outputs.append(
        nbformat.v4.new_output("stream", name="stdout", text="see /home/me/x")
    )


DEFECTS = [
    (None, None),
    (lambda c: c.pop(0), "not the title"),
    (drop_badge, "not the badge"),
    (move_address, "not the setup cell"),
    (lambda c: c[3].update(source="Hello"), "Runs in"),
    (lambda c: c[4].update(execution_count=None), "top to bottom"),
    (lambda c: c[4].metadata.update(execution={}), "time stamps"),
    (fail, "failed: KeyError"),
    (leak_path, "path of one machine"),
    (lambda c: c[4].metadata.pop("mystnb"), "without alt text"),
    (lambda c: c[4].outputs.append(c[4].outputs[0]), "2 images"),
    (lambda c: c[4].update(source="x = 1\n" * 41), "41 lines"),
    (lambda c: [x.update(source="x = 1\n" * 7) for x in c[4:5]], "median"),
    (lambda c: c[5].update(source="**Predict.** It gains 0.3 dB."), "'0.3 dB'"),
    (lambda c: c[5].update(source="**Predict.** It takes 12 seconds."), "'12 seconds'"),
    (lambda c: c[4].metadata.tags.append("promoted"), "unknown tags"),
    (lambda c: c[8].metadata.tags.remove("solution"), "no folded solution"),
    (lambda c: c[8].update(source="pass"), "checks nothing"),
    (lambda c: c[9].update(source="**Exercise 3.4** Do it."), "should be exercise 3.2"),
    (lambda c: c.pop(7), "2 exercises, at least 3"),
    (lambda c: c.pop(5), "no '**Predict'"),
    (lambda c: c.pop(6), "no '## Exercises'"),
    (lambda c: c.pop(-1), "no '## Summary'"),
    (lambda c: c[0].metadata.update(padding="x" * MEGABYTE), "weighs"),
]


@pytest.mark.parametrize(("change", "message"), DEFECTS, ids=[m for _, m in DEFECTS])
def test_defects_are_noticed(tmp_path, change, message):
    cells = sound_chapter()
    if change:
        change(cells)
    path = tmp_path / "03_window_partition.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    found = chapter_problems(path)
    assert any(message in line for line in found) if message else not found, found
