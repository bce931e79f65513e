"""Mistakes that the checks of chapter 3 must notice."""

from tests.book.seeded_bugs import Bug

BUGS = [
    Bug(
        name="swapped permute: windows counted column by column",
        cell_contains="def window_partition(",
        replace="-> (b nh nw) m n c",
        by="-> (b nw nh) m n c",
        caught_by="assert windows.equal(partition_by_loop(feature, M))",
    ),
    Bug(
        name="transposed window",
        cell_contains="def window_partition(",
        replace="-> (b nh nw) m n c",
        by="-> (b nh nw) n m c",
        caught_by="assert windows.equal(partition_by_loop(feature, M))",
    ),
    Bug(
        name="batch counted last",
        cell_contains="def window_partition(",
        replace="-> (b nh nw) m n c",
        by="-> (nh nw b) m n c",
        caught_by="assert windows.equal(partition_by_loop(feature, M))",
    ),
    Bug(
        name="reshape without permute",
        cell_contains="def window_partition(",
        replace='"b (nh m) (nw n) c -> (b nh nw) m n c", m=window_size, n=window_size',
        by='"b h w c -> b h w c"',
        caught_by="assert windows.equal(partition_by_loop(feature, M))",
    ),
    Bug(
        name="rows and columns of windows swapped",
        cell_contains="def window_reverse(",
        replace="nh=rows, nw=columns",
        by="nh=columns, nw=rows",
        caught_by="assert window_reverse(window_partition(feature, M), M, H, W)",
    ),
]
