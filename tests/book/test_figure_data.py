"""The numbers of figures that move: kept as they were, and each in its place."""

import json
import re
import sys

import numpy as np
import pytest
import torch

from .notebooks import CHAPTERS, ROOT, code_cells, tags

sys.path.insert(0, str(ROOT / "chapters"))
import figure_data
import moving

VALUES = {
    "sides": [2, 4, 8],
    "share": torch.tensor([0.12345, 1.5]),
    "name": "one",
    "photo": figure_data.picture(np.full((4, 4), 100, np.uint8)),
}


@pytest.fixture(name="kept")
def kept_fixture(tmp_path, monkeypatch):
    """The file in which VALUES are kept."""
    monkeypatch.setattr(figure_data, "FOLDER", tmp_path)
    monkeypatch.setenv(figure_data.WRITE, "yes")
    figure_data.keep("one", VALUES)
    monkeypatch.delenv(figure_data.WRITE)
    return tmp_path / "one.json"


def test_numbers_are_written_rounded_and_pictures_come_back(kept):
    values = json.loads(kept.read_text())
    assert values["share"] == [0.123, 1.5]
    assert (figure_data.pixels(values["photo"]) == 100).all()


def test_the_same_numbers_are_passed_over(kept, capsys):
    figure_data.keep("one", {**VALUES, "share": [0.1239, 1.5001]})
    assert not capsys.readouterr().out


@pytest.mark.parametrize("few", [1, 2])
def test_a_hundredth_of_a_picture_may_be_other_after_a_training(kept, capsys, few):
    picture = np.full((10, 10), 100, np.uint8)
    figure_data.FOLDER.joinpath("two.json").write_text(
        json.dumps({"photo": figure_data.picture(picture)})
    )
    picture[0, :few] = 120
    figure_data.keep("two", {"photo": figure_data.picture(picture)})
    assert ("holds other numbers" in capsys.readouterr().out) == (few > 1)


@pytest.mark.parametrize(
    "change",
    [
        {"sides": [2, 4, 9]},
        {"sides": [2, 4]},
        {"share": [0.13, 1.5]},
        {"name": "two"},
        {"photo": figure_data.picture(np.full((4, 4), 110, np.uint8))},
        {"photo": figure_data.picture(np.full((4, 2), 100, np.uint8))},
        {"new": 1},
        {"sides": None},
    ],
)
def test_other_numbers_are_told_and_not_written(kept, capsys, change):
    before = kept.read_text()
    figure_data.keep("one", {**VALUES, **change})
    assert "one.json holds other numbers" in capsys.readouterr().out
    assert kept.read_text() == before


def test_every_moving_figure_has_its_numbers_script_and_cell():
    """One figure in one chapter, whose cells make its numbers."""
    moved, made = {}, {}
    for path in CHAPTERS:
        for _, cell in code_cells(path):
            if name := cell.metadata.get("moving"):
                assert name not in moved, name
                moved[name] = path.stem
            for name in re.findall(r'figure_data\.keep\(\s*"(\w+)"', cell.source):
                made[name] = path.stem
                assert "nbval-ignore-output" not in tags(cell), f"{name} may drift"
    files = {path.stem for path in figure_data.FOLDER.glob("*.json")}
    scripts = {path.stem for path in (ROOT / "_static/figures").glob("*.js")}
    assert moved == made
    assert set(moved) == files == scripts - set(moving.SHARED)


def test_no_chapter_was_executed_with_other_numbers():
    for path in CHAPTERS:
        assert "holds other numbers" not in path.read_text(), path.name
