"""Mistakes that the checks of chapter 15 must notice."""

from tests.book.seeded_bugs import Bug

BUGS = [
    Bug(
        name="the projection forgotten",
        cell_contains="matrices = 2 *",
        replace="4 * C * C",
        by="3 * C * C",
        caught_by="counter.get_total_flops()",
    ),
    Bug(
        name="views counted as copies",
        cell_contains="class ByteCounter(",
        replace="if not still:",
        by="if True:",
        caught_by="a.T.contiguous()",
    ),
    Bug(
        name="what is written is not counted",
        cell_contains="class ByteCounter(",
        replace="(args, kwargs, output)",
        by="(args, kwargs)",
        caught_by="a.T.contiguous()",
    ),
]
