"""Mistakes that the chapters' checks must notice, as plain data.

A module for each chapter lists its bugs.  test_seeded_bugs.py plants them one by
one, executes the chapter's cells up to the check that should notice, and requires
that this very cell fails.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Bug:
    """One mistake in one cell, and the cell whose check must fail.

    `cell_contains` and `caught_by` are text that only those two cells contain;
    `replace` is the right code in the first, `by` the wrong code.
    """

    name: str
    cell_contains: str
    replace: str
    by: str
    caught_by: str
