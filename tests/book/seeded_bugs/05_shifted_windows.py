"""Mistakes that the checks of chapter 5 must notice."""

from tests.book.seeded_bugs import Bug

BUGS = [
    Bug(
        name="shift in the wrong direction",
        cell_contains="def cyclic_shift(",
        replace="shifts=(-shift, -shift)",
        by="shifts=(shift, shift)",
        caught_by="torch.equal(shifted[:, i, j]",
    ),
    Bug(
        name="only rows come round",
        cell_contains="def attention_mask(",
        replace="2 * came_round(height)[:, None] + came_round(width)[None, :]",
        by="2 * came_round(height)[:, None] + 0 * came_round(width)[None, :]",
        caught_by="torch.equal(mask == 0, allowed)",
    ),
    Bug(
        name="mask for another shift",
        cell_contains="def attention_mask(",
        replace=">= length - shift",
        by=">= length - window_size + shift",
        caught_by="torch.equal(mask == 0, allowed)",
    ),
    Bug(
        name="minus infinity times zero",
        cell_contains="def attention_mask(",
        replace="return -100.0 *",
        by='return float("-inf") *',
        caught_by="torch.equal(mask == 0, allowed)",
    ),
    Bug(
        name="missing mask",
        cell_contains="def shifted_attend(",
        replace="x = attend(x, mask)",
        by="x = attend(x)",
        caught_by="assert torch.allclose(shifted_attend(wide, 2, mask), expected",
    ),
]
