"""Mistakes that the checks of appendix A3 must notice."""

from tests.book.seeded_bugs import Bug

DEFINITION = "assert np.allclose(resize_rows(row, scale), expected), scale"

BUGS = [
    Bug(
        name="kernel not widened when shrinking",
        cell_contains="def resize_rows(",
        replace="stretch = min(scale, 1.0)",
        by="stretch = 1.0",
        caught_by=DEFINITION,
    ),
    Bug(
        name="replicated instead of symmetric edges",
        cell_contains="def resize_rows(",
        replace="taps = taps % (2 * rows_in)",
        by="taps = taps.clip(0, rows_in - 1)",
        caught_by=DEFINITION,
    ),
    Bug(
        name="pixel corners taken for pixel centres",
        cell_contains="def resize_rows(",
        replace="(np.arange(rows_out) + 0.5) / scale - 0.5",
        by="np.arange(rows_out) / scale",
        caught_by=DEFINITION,
    ),
    Bug(
        name="rounding only after the second pass",
        cell_contains="def imresize(",
        replace="if image.dtype == np.uint8:",
        by="if axis == 1:",
        caught_by="assert 0.1 < (error > 0).mean() < 0.2",
    ),
]
