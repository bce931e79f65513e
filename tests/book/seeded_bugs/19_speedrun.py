"""Mistakes that the checks of chapter 19 must notice."""

from tests.book.seeded_bugs import Bug

BUGS = [
    Bug(
        name="momentum without a look ahead",
        cell_contains="def muon_step(",
        replace="newton_schulz(ahead)",
        by="newton_schulz(average)",
        caught_by="torch.testing.assert_close(weight, theirs.detach())",
    ),
    Bug(
        name="scale of the shorter side",
        cell_contains="def muon_step(",
        replace="max(weight.shape)",
        by="min(weight.shape)",
        caught_by="torch.testing.assert_close(weight, theirs.detach())",
    ),
    Bug(
        name="two rounds",
        cell_contains="def newton_schulz(",
        replace="for _ in range(5):",
        by="for _ in range(2):",
        caught_by="torch.testing.assert_close(weight, theirs.detach())",
    ),
]
