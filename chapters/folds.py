"""Fold on the site what a reader opens: answers, solutions, the code of figures.

An extension of Sphinx.  A cell's tags say what is folded, its place in the chapter how
the fold is called:

- `hide-output` after a question: one fold takes in the output, the code cells that
  follow without text between them, and the first paragraph after them, the answer.
- `hide-input`: the code.
- `hide-cell`: all of a cell; with `solution`, under the number of its exercise; with
  `hide-output`, as part of the answer, where the code would give it away.

In notebooks everything stays where it is.
"""

import re
from collections.abc import Iterator

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.writers.html5 import HTML5Translator

ANSWER = "See what happens"
SETUP = "Set-up for Colab"
CAPTION = re.compile(r"Figure (\w+\.\d+)\.$")
EXERCISE = re.compile(r"Exercise (\w+\.\d+)$")
QUESTION = re.compile(r"Predict\.$")


class fold(nodes.General, nodes.Element):  # noqa: N801 (docutils names nodes so)
    """Content under a name, `name`, that a reader opens."""


def visit_fold(translator: HTML5Translator, node: fold) -> None:
    """Begin a fold in HTML."""
    classes = " ".join(["fold", *node["classes"]])
    name = translator.encode(node["name"])
    translator.body.append(f'<details class="{classes}"><summary>{name}</summary>\n')


def depart_fold(translator: HTML5Translator, node: fold) -> None:
    """End a fold in HTML."""
    translator.body.append("</details>\n")


def opening(node: nodes.Node | None, pattern: re.Pattern) -> re.Match | None:
    """The match of `pattern` in the bold words that a paragraph begins with."""
    if not isinstance(node, nodes.paragraph):
        return None
    first = next((child for child in node if child.astext()), None)
    return isinstance(first, nodes.strong) and pattern.match(first.astext())


def is_cell(node: nodes.Node | None) -> bool:
    """Whether a node is a code cell of a notebook."""
    return isinstance(node, nodes.container) and node.get("nb_element") == "cell_code"


def part(cell: nodes.container, element: str) -> nodes.Element | None:
    """A code cell's source or output, or None."""
    return next((n for n in cell if n.get("nb_element") == element), None)


def following(node: nodes.Node) -> nodes.Node | None:
    """The node after this one in the same section, or None."""
    return node.next_node(descend=False, siblings=True)


def tags(cell: nodes.container) -> set[str]:
    """The tags of a code cell."""
    return set(cell["cell_metadata"].get("tags", ()))


def code_name(cell: nodes.container) -> str:
    """What a fold of a cell's code is called."""
    if "importlib.util.find_spec" in cell.astext() and "pip install" in cell.astext():
        return SETUP
    if not list(cell.findall(nodes.image)):
        return "Code"
    caption = opening(following(cell), CAPTION)
    return f"Code for figure {caption.group(1)}" if caption else "Code for the figure"


def into(place: nodes.Element, name: str, *classes: str) -> fold:
    """Put a fold where `place` is, and `place` into it."""
    wrapped = fold(name=name, classes=list(classes))
    place.parent.replace(place, wrapped)
    wrapped.append(place)
    return wrapped


def move(node: nodes.Node, target: nodes.Element) -> None:
    node.parent.remove(node)
    target.append(node)


def fold_answer(cell: nodes.container) -> None:
    """Fold a cell's output and what belongs to the answer after it."""
    answer = fold(name=ANSWER, classes=["answer"])
    cell.parent.insert(cell.parent.index(cell) + 1, answer)
    if "hide-cell" in tags(cell):
        move(cell, answer)
    elif output := part(cell, "cell_code_output"):
        shell = nodes.container(classes=[*cell["classes"]])
        move(output, shell)
        answer.append(shell)
    after = following(answer)
    while is_cell(after) or opening(after, CAPTION):
        move(after, answer)
        after = following(answer)
    if isinstance(after, nodes.paragraph) and not opening(after, QUESTION):
        move(after, answer)
        if after.astext().endswith(":") and not is_cell(following(answer)):
            move(following(answer), answer)  # the formula or list that it announces


class Fold(SphinxPostTransform):
    """Fold the cells of a chapter, before myst-nb would do it under its own names."""

    default_priority = 198
    formats = ("html",)

    def run(self, **kwargs: object) -> None:
        exercise = ""
        for node in list(self.document.findall(nodes.Element)):
            if found := opening(node, EXERCISE):
                exercise = found.group(1)
            elif found := opening(node, CAPTION):
                node["classes"].append("caption")
                node["ids"].append(nodes.make_id(f"figure-{found.group(1)}"))
            elif opening(node, QUESTION):
                node["classes"].append("question")
            elif is_cell(node):
                self.fold_cell(node, exercise)

    def fold_cell(self, cell: nodes.container, exercise: str) -> None:
        """Fold what the tags of a code cell say."""
        found = tags(cell)
        cell["hide_mode"] = None  # myst-nb need not fold it any more
        if "solution" in found:
            name = f"Solution to exercise {exercise}"
            cell[:] = [fold("", *cell.children, name=name, classes=["solution"])]
        elif "hide-cell" in found and "hide-output" not in found:
            cell[:] = [fold("", *cell.children, name=code_name(cell))]
        elif "hide-input" in found:
            into(part(cell, "cell_code_source"), code_name(cell), "code")
        if "hide-output" in found:
            fold_answer(cell)


class LinkFigures(SphinxPostTransform):
    """Make "figure 4.2" in the text lead to the figure."""

    default_priority = 199
    formats = ("html",)
    mention = re.compile(r"\b[Ff]igure (A?\d+)\.(\d+)\b")

    def run(self, **kwargs: object) -> None:
        pages = {}
        for name in self.env.found_docs:
            if chapter := re.match(r"chapters/0*(A?\d+)_", name):
                pages[chapter.group(1)] = name
        for text in list(self.document.findall(nodes.Text)):
            plain = isinstance(text.parent, nodes.paragraph | nodes.emphasis)
            if plain and self.mention.search(text):
                text.parent.replace(text, list(self.linked(text, pages)))

    def linked(self, text: nodes.Text, pages: dict[str, str]) -> Iterator[nodes.Node]:
        """The pieces of a text, figures' names among them as links."""
        end = 0
        for found in self.mention.finditer(text):
            page = pages.get(found.group(1))
            if page is None:  # a figure of some paper
                continue
            address = "#" + nodes.make_id(f"figure-{found.group(1)}.{found.group(2)}")
            if page != self.env.docname:
                builder = self.app.builder
                address = builder.get_relative_uri(self.env.docname, page) + address
            yield nodes.Text(text[end : found.start()])
            link = nodes.reference("", found.group(), refuri=address, internal=True)
            yield link
            end = found.end()
        yield nodes.Text(text[end:])


def setup(app: Sphinx) -> dict[str, bool]:
    """Tell Sphinx what this extension adds."""
    app.add_node(fold, html=(visit_fold, depart_fold))
    app.add_post_transform(Fold)
    app.add_post_transform(LinkFigures)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
