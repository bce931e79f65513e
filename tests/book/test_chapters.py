"""The form of the chapters: what every reader may count on in every notebook."""

import ast
import base64
import inspect
import io
import json
import re
import statistics
import sys

import nbformat
import pytest
from PIL import Image

import swinir_lite
from swinir_lite import drawing

from .notebooks import CHAPTERS, ROOT, read_cells, tags

sys.path.insert(0, str(ROOT / "chapters"))
import heads
import listing

LIMITS = {"cells": 95, "lines of code on show": 320, "words": 2900}
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
# how an exercise begins
EXERCISE = re.compile(r"^\*\*Exercise \S+\*\* \((warm-up|medium|harder)\)\. ", re.M)
MACHINE = re.compile(r"(?<![\w.])/(work|root|tmp|home|Users|content)/\w")
MEGABYTE = 1024**2
# 6.5 inches, and the 0.1 inches that matplotlib's tight box adds on each side
WIDEST = round((6.5 + 2 * 0.1) * drawing.STYLE["figure.dpi"])
SMALLEST = 9  # points
FONTS = {"font", "fontsize", "labelsize", "title_fontsize", "font.size"}
WRITES = {"text", "annotate", "set_title", "set_xlabel", "set_ylabel", "suptitle"}
PLACES = {  # where swinir_lite.drawing's functions take a font
    name: list(inspect.signature(getattr(drawing, name)).parameters).index("font")
    for name in ("box", "cells")
}
SMALL = {"xx-small", "x-small", "small", "smaller"}


def pictures(cell):
    """The PNG files that a code cell shows, in base64."""
    shown = [output.get("data", {}) for output in cell.outputs]
    return [data["image/png"] for data in shown if "image/png" in data]


def images(cell):
    """How many pictures a code cell shows."""
    return len(pictures(cell))


def alt_text(cell):
    return cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")


def caption(number, k):
    """How the caption of a chapter's k-th figure begins."""
    return f"**Figure {number}.{k}.** "


def sizes(path, cells):
    """What a chapter may have only so much of, by name."""
    figures = captions = 0
    for cell, after in zip(cells, [*cells[1:], None]):
        if cell.cell_type == "code" and images(cell) and "solution" not in tags(cell):
            figures += 1
            begins = caption(listing.number(path.stem), figures)
            captions += after is not None and after.source.startswith(begins)
    return {
        "cells": len(cells),
        "lines of code on show": listing.code_lines(cells),
        "words": listing.words(cells),
        "figures without their caption": figures - captions,
    }


def size_problems(path, cells):
    for name, count in sizes(path, cells).items():
        if count > (limit := LIMITS.get(name, 0)):
            yield f"has {count} {name}, at most {limit}"


def answer_problems(cells):
    """Questions whose answer stands open on the site."""
    for i, cell in enumerate(cells):
        if cell.cell_type != "markdown" or "**Predict.**" not in cell.source:
            continue
        for after in cells[i + 1 :]:
            if "hide-output" in tags(after):
                break
            if re.search(r"^(## |\*\*Predict\.)", after.source, re.MULTILINE):
                yield f"cell {i} asks, and no cell after it has the tag hide-output"
                break


def stray_answer_problems(cells):
    """Folds of an answer that no question waits for, such as one within another."""
    asked = False
    for i, cell in enumerate(cells):
        if cell.cell_type == "markdown":
            asked = asked or "**Predict.**" in cell.source
        elif "hide-output" in tags(cell):
            if not asked:
                yield f"cell {i} hides an output, and no question waits for it"
            asked = False


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
    number = listing.number(path.stem)
    if not re.fullmatch(rf"# {number}\. \S.*", cells[0].source.strip()):
        yield f"cell 0 is not the title '# {number}. ...' alone"
    should = [c.source for c in heads.with_head(path.stem, nbformat.from_dict(cells))]
    if [c.source for c in cells] != should:
        yield "its badge, map or set-up is not as `make front-page` writes them"
    # the two forms of an opening; the first goes with the last chapter that has it
    old = ("What you will build", "What you need to know", "Runs in")
    new = ("**You need**", "**Runs in**")
    if not any(all(p in cells[2].source for p in form) for form in (old, new)):
        yield f"cell 2, the opening, does not say {new}"


def cell_problems(cells):
    lengths = []
    for i, cell in enumerate(cells):
        if unknown := tags(cell) - TAGS:
            yield f"cell {i} has unknown tags {sorted(unknown)}"
        if "code_prompt_show" in cell.metadata.get("mystnb", {}):
            yield f"cell {i} names its fold itself"
        if found := MACHINE.search(json.dumps(cell)):
            yield f"cell {i} shows a path of one machine: {found.group()}"
        if cell.cell_type == "markdown":
            if found := TYPED.search(listing.prose(cell.source)):
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


def named_values(node):
    """The pairs of name and value in a dictionary's or a call's code."""
    if isinstance(node, ast.Dict):
        keys = [getattr(key, "value", None) for key in node.keys]
        return [*zip(keys, node.values)]
    if not isinstance(node, ast.Call):
        return []
    function = getattr(node.func, "attr", None)
    named = [(keyword.arg, keyword.value) for keyword in node.keywords]
    if function in WRITES:
        named += [("font", value) for name, value in named if name == "size"]
    if function in PLACES:
        named += [("font", value) for value in node.args[PLACES[function] :]]
    return named


def fonts(source):
    """The sizes of fonts that code names, in points or in matplotlib's words."""
    for node in ast.walk(ast.parse(source)):
        for name, value in named_values(node):
            if name in FONTS and isinstance(value, ast.Constant):
                yield value.value


def phone_problems(cells):
    """Figures whose labels a phone, 390 pixels wide, shows too small to read."""
    for i, cell in enumerate(cells):
        if cell.cell_type != "code" or "solution" in tags(cell):
            continue
        for picture in pictures(cell):
            width = Image.open(io.BytesIO(base64.b64decode(picture))).width
            if width > WIDEST:
                yield f"cell {i} shows {width} pixels of width, at most {WIDEST}"
        for size in fonts(cell.source) if "%pip" not in cell.source else ():
            if size in SMALL or (isinstance(size, int | float) and size < SMALLEST):
                yield f"cell {i} has a font of {size} points, at least {SMALLEST}"


def is_appendix(path):
    """Whether a chapter may do without questions and exercises."""
    return path.stem.startswith("A")


def exercise_problems(path, cells):
    number, found = listing.number(path.stem), 0
    for i, cell in enumerate(cells):
        exercise = re.search(r"^\*\*Exercise (\w+\.\d+)", cell.source, re.MULTILINE)
        if not exercise:
            continue
        found += 1
        if exercise.group(1) != f"{number}.{found}":
            yield f"cell {i} should be exercise {number}.{found}"
        if not EXERCISE.search(cell.source):
            yield f"exercise {number}.{found} does not say '(medium). ' or so"
        solution = next(c for c in cells[i + 1 :] if c.cell_type == "code")
        if not {"hide-cell", "solution"} <= tags(solution):
            yield f"exercise {number}.{found} has no folded solution"
        elif "assert" not in solution.source:
            yield f"the solution of exercise {number}.{found} checks nothing"
    if found < 3 and not is_appendix(path):
        yield f"has {found} exercises, at least 3"
    solutions = sum("solution" in tags(cell) for cell in cells)
    if solutions != found:
        yield f"has {found} exercises but {solutions} solutions"


def text_problems(cells):
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    ends = "\n## Exercises", "\n## Summary", "\n## Further reading"
    for phrase in ("**Predict", *ends):
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
    found += size_problems(path, cells)
    found += answer_problems(cells)
    found += stray_answer_problems(cells)
    found += cell_problems(cells)
    found += phone_problems(cells)
    found += exercise_problems(path, cells)
    if not is_appendix(path):
        found += text_problems(cells)
    return found


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_form(path):
    found = chapter_problems(path)
    assert not found, "\n".join([path.name, *found])


def typed_numbers(text):
    """What a page says of decibels and times outside its generated parts."""
    return [found.group() for found in TYPED.finditer(listing.prose(text))]


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


def test_reading_time_counts_prose_alone():
    text = "**Figure 3.1.** A square.\n\nRead this: `x = 1` is $x = 1$."
    assert listing.words([markdown(text)]) == 13
    assert listing.words_of_prose([markdown(text)]) == 4  # Read, this:, is and a dot


def test_colab_gets_the_notebook_and_the_package_of_one_release():
    assert heads.REPOSITORY["branch"] == f"v{swinir_lite.__version__}"
    assert f"--branch v{swinir_lite.__version__} " in heads.setup()


def test_no_chapter_fetches_the_repository_again():
    for path in CHAPTERS:
        places = [c for c in read_cells(path) if re.search(r"git\W+clone", c.source)]
        assert [c.source for c in places] == [heads.setup()], path.name


def test_chapters_are_numbered_in_order():
    numbers = [int(path.stem[:2]) for path in CHAPTERS if not is_appendix(path)]
    assert numbers[:8] == list(range(1, 9))  # the spine has no gaps
    assert len(set(numbers)) == len(numbers)


def markdown(source):
    return nbformat.v4.new_markdown_cell(source)


def code(source, count, *tags, **metadata):
    cell = nbformat.v4.new_code_cell(source, execution_count=count)
    cell.metadata.update(metadata, tags=list(tags))
    return cell


def picture(width):
    """A PNG file in base64."""
    file = io.BytesIO()
    Image.new("L", (width, 4)).save(file, "png")
    return base64.b64encode(file.getvalue()).decode()


def sound_chapter():
    """The smallest chapter in which nothing is wrong."""
    name = "03_window_partition"
    cells = [
        markdown("# 3. Window partition"),
        markdown(heads.badge(name)),
        markdown("**You need** tensors. **Runs in** no time"),
        markdown(heads.where(name)),
        code(heads.setup(), 1, "hide-input"),
        markdown("**Predict.** What?"),
        code(
            "draw()",
            2,
            "hide-output",
            mystnb={"image": {"alt": "A red square of 4 cells"}},
        ),
        markdown("**Figure 3.1.** A square."),
        markdown("## Exercises"),
    ]
    cells[6].outputs = [
        nbformat.v4.new_output("display_data", {"image/png": picture(WIDEST)})
    ]
    for k in (1, 2, 3):
        cells.append(markdown(f"**Exercise 3.{k}** (medium). Do it."))
        cells.append(code("assert True", 2 + k, "hide-cell", "solution"))
    cells += [markdown("## Summary"), markdown("## Further reading")]
    return cells


def drop_badge(cells):
    cells[1].source = cells[1].source.replace("/chapters/03", "/chapters/04")


def move_address(cells):
    cells[4].source = cells[4].source.replace("https://", "https://other/")


def hide_map(cells):
    cells[3], cells[4] = cells[4], cells[3]


def fail(cells):
    cells[6].outputs.append(
        nbformat.v4.new_output("error", ename="KeyError", evalue="", traceback=[])
    )


def leak_path(cells):
    cells[6].outputs.append(
        nbformat.v4.new_output("stream", name="stdout", text="see /home/me/x")
    )


def talk(cells, before="\n", after=""):
    """Add a paragraph, or continue the caption, a formula or code: all are words."""
    cells[7].source += before + "word " * (LIMITS["words"] + 1) + after


def fill(cells):
    cells[8:8] = [markdown("one more") for _ in range(LIMITS["cells"])]


DEFECTS = [
    (None, None),
    (lambda c: c[0].update(source="Window partition"), "not the title"),
    (drop_badge, "badge, map or set-up"),
    (move_address, "badge, map or set-up"),
    (hide_map, "badge, map or set-up"),
    (lambda c: c[2].update(source="Hello"), "Runs in"),
    (lambda c: c[6].update(execution_count=None), "top to bottom"),
    (lambda c: c[6].metadata.update(execution={}), "time stamps"),
    (fail, "failed: KeyError"),
    (leak_path, "path of one machine"),
    (lambda c: c[6].metadata.pop("mystnb"), "without alt text"),
    (lambda c: c[6].metadata.mystnb.update(code_prompt_show="!"), "names its fold"),
    (lambda c: c[6].outputs.append(c[6].outputs[0]), "2 images"),
    (
        lambda c: c[6].outputs[0].data.update({"image/png": picture(WIDEST + 1)}),
        f"cell 6 shows {WIDEST + 1} pixels of width",
    ),
    *(
        (lambda c, drawn=drawn: c[6].update(source=drawn), f"font of {size} points")
        for drawn, size in [
            ("draw(fontsize=8.5)", 8.5),
            ("style = {'labelsize': 7}", 7),
            ("ax.text(0, 0, 'here', size=6)", 6),
            ("ax.legend(fontsize='small')", "small"),
            ("drawing.box(ax, 0, 0, 1, 1, 'conv', color, 5)", 5),
        ]
    ),
    (lambda c: c[6].update(source="x = 1\n" * 41), "41 lines"),
    (lambda c: c[6].update(source="x = 1\n" * 7), "median"),
    (lambda c: c[6].update(source="x = 1\n" * 321), "321 lines of code on show"),
    (talk, "words, at most"),
    (lambda c: talk(c, " "), "words, at most"),
    (lambda c: talk(c, " $", "$"), "words, at most"),
    (lambda c: talk(c, "\n`", "`"), "words, at most"),
    (fill, "cells, at most"),
    (lambda c: c[7].update(source="**Figure 3.2.** A square."), "1 figures without"),
    (lambda c: c.pop(7), "1 figures without"),
    (lambda c: c[6].metadata.tags.remove("hide-output"), "cell 5 asks"),
    (lambda c: c[10].metadata.tags.append("hide-output"), "cell 10 hides an output"),
    (lambda c: c[5].update(source="**Predict.** It gains 0.3 dB."), "'0.3 dB'"),
    (lambda c: c[5].update(source="**Predict.** It takes 12 seconds."), "'12 seconds'"),
    (lambda c: c[6].metadata.tags.append("promoted"), "unknown tags"),
    (lambda c: c[10].metadata.tags.remove("solution"), "no folded solution"),
    (lambda c: c[10].update(source="pass"), "checks nothing"),
    (
        lambda c: c[11].update(source="**Exercise 3.4** (medium). Do it."),
        "should be exercise 3.2",
    ),
    (
        lambda c: c[11].update(source="**Exercise 3.2** Do it."),
        "3.2 does not say '(medium). '",
    ),
    (lambda c: c.pop(9), "2 exercises, at least 3"),
    (lambda c: c.pop(5), "no '**Predict'"),
    (lambda c: c.pop(8), "no '## Exercises'"),
    (lambda c: c.pop(-2), "no '## Summary'"),
    (lambda c: c.pop(-1), "no '## Further reading'"),
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
