"""A file takes its name only when it is complete."""

import os

import pytest

from swinir_lite.whole_files import whole_file


def test_the_file_appears_when_the_block_ends(tmp_path):
    path = tmp_path / "a.txt"
    with whole_file(path) as partial:
        partial.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_what_was_there_stays_if_the_block_raises(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def write_half():
        with whole_file(path) as partial:
            partial.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_nobody_elses_partial_file_is_touched(tmp_path):
    (tmp_path / "a.txt.partial").write_text("mine")
    with whole_file(tmp_path / "a.txt") as first, whole_file(tmp_path / "a.txt") as one:
        assert first != one
        first.write_text("first")
        one.write_text("one")
    assert (tmp_path / "a.txt").read_text() == "first"
    assert (tmp_path / "a.txt.partial").read_text() == "mine"


def test_files_have_the_permissions_of_others(tmp_path):
    (tmp_path / "plain").write_text("")
    with whole_file(tmp_path / "whole") as partial:
        partial.write_text("")
    modes = {(tmp_path / name).stat().st_mode for name in ("plain", "whole")}
    assert len(modes) == 1


def test_a_folder_that_is_not_there_is_named(tmp_path):
    file = whole_file(tmp_path / "nowhere" / "a.txt")
    with pytest.raises(FileNotFoundError, match="nowhere"), file:
        pass
