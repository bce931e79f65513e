"""Mistakes that the checks of chapter 12 must notice."""

from tests.book.seeded_bugs import Bug

BUGS = [
    Bug(
        name="the mean pattern as long as the others before scaling",
        cell_contains="def dct_matrix(",
        replace="matrix[0] /= 2**0.5",
        by="matrix[0] /= 2",
        caught_by="assert torch.allclose(dct @ dct.T",
    ),
    Bug(
        name="rows transformed where columns should be",
        cell_contains="def transform_blocks(",
        replace="transform_columns(matrix, blocks).mT).mT",
        by="transform_columns(matrix, blocks).mT)",
        caught_by="assert np.allclose(coefficients, dctn(",
    ),
    Bug(
        name="qualities scaled as above 50",
        cell_contains="def quantisation_tables(",
        replace="quality < 50",
        by="quality < 0",
        caught_by="assert steps.flatten().tolist() == list(stored)",
    ),
    Bug(
        name="block borders looked for one pixel late",
        cell_contains="def blocking_effect(",
        replace="% 8 == 7",
        by="% 8 == 0",
        caught_by="assert np.isclose(blocking_effect(stripes)",
    ),
]
