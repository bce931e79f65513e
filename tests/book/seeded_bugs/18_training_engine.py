"""Mistakes that the checks of chapter 18 must notice."""

from tests.book.seeded_bugs import Bug

BUGS = [
    Bug(
        name="columns reversed instead of rows",
        cell_contains="upside_down =",
        replace="rows.flip(0)[:, None] * width + columns[None, :]",
        by="rows[:, None] * width + columns.flip(0)[None, :]",
        caught_by="assert torch.equal(turned, torch.rot90(address, -1))",
    ),
    Bug(
        name="learning rate a step late",
        cell_contains="def train_by_hand(",
        replace="config.lr_at(step, config.steps)",
        by="config.lr_at(step + 1, config.steps)",
        caught_by="torch.testing.assert_close(a, b, rtol=0, atol=tolerance)",
    ),
    Bug(
        name="decay fixed from the start",
        cell_contains="def train_by_hand(",
        replace="min(config.ema, (1 + step) / (10 + step))",
        by="config.ema",
        caught_by="torch.testing.assert_close(a, b, rtol=0, atol=tolerance)",
    ),
]
