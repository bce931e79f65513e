"""Mistakes that the checks of chapter 17 must notice."""

from tests.book.seeded_bugs import Bug

BUGS = [
    Bug(
        name="the spare channel left empty",
        cell_contains="wide = torch.cat(",
        replace="torch.ones(5, 1)",
        by="torch.zeros(5, 1)",
        caught_by="wide = torch.cat(",
    ),
    Bug(
        name="softmax without its sum on the way back",
        cell_contains="grad_v = weights.T @ grad",
        replace=" - (weights * grad_weights).sum(1, keepdim=True)",
        by="",
        caught_by="grad_v = weights.T @ grad",
    ),
    Bug(
        name="gradients of q and k exchanged",
        cell_contains="grad_v = weights.T @ grad",
        replace="grad_scores @ k * d**-0.5, grad_scores.T @ q * d**-0.5",
        by="grad_scores @ q * d**-0.5, grad_scores.T @ k * d**-0.5",
        caught_by="grad_v = weights.T @ grad",
    ),
]
