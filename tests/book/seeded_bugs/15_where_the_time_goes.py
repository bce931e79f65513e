"""Mistakes that the checks of chapter 15 must notice."""

from tests.book.seeded_bugs import Bug

BUGS = [
    Bug(
        name="views counted as copies",
        cell_contains="class ByteCounter(",
        replace="if not still:",
        by="if True:",
        caught_by="a.T.contiguous()",
    ),
    Bug(
        name="shifted the wrong way",
        cell_contains="def token_rows(",
        replace="token // M + shift",
        by="token // M - shift",
        caught_by="number = torch.arange(H * W)",
    ),
    Bug(
        name="mask at the upper edge",
        cell_contains="def shift_region(",
        replace="(token // M >= M - shift)",
        by="(token // M < shift)",
        caught_by="def shift_region(",
    ),
    Bug(
        name="softmax to base two",
        cell_contains="def program(",
        replace="d**-0.5 * LOG2_E",
        by="d**-0.5",
        caught_by="for program_id in range(",
    ),
]
