"""Mistakes that the checks of chapter 16 must notice."""

from tests.book.seeded_bugs import Bug

BUGS = [
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
        name="the mean of the wrong axis",
        cell_contains="weight -= weight.mean(",
        replace="weight.mean(1",
        by="weight.mean(0",
        caught_by="folded = x @ weight.T",
    ),
    Bug(
        name="softmax to base two",
        cell_contains="scale = torch.tensor([",
        replace="d**-0.5 * LOG2_E",
        by="d**-0.5",
        caught_by="mixed.view(1, H, W, C), expected",
    ),
    Bug(
        name="bias of the wrong head",
        cell_contains="def program(",
        replace="position[head]",
        by="position[0]",
        caught_by="mixed.view(1, H, W, C), expected",
    ),
]
