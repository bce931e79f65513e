"""Mistakes that the checks of appendix A2 must notice."""

from tests.book.seeded_bugs import Bug

BUGS = [
    Bug(
        name="the transform in place of its inverse",
        cell_contains="def quantise_blocks(",
        replace="transform_blocks(dct.T, levels * tables)",
        by="transform_blocks(dct, levels * tables)",
        caught_by="assert (ours != codec).float().mean() < 0.05",
    ),
    Bug(
        name="pixels cut off in place of rounded",
        cell_contains="def quantise_blocks(",
        replace="(pixels + 0.501).floor()",
        by="pixels.floor()",
        caught_by="assert (ours != codec).float().mean() < 0.05",
    ),
    Bug(
        name="Cb and Cr exchanged on the way back",
        cell_contains="def ycbcr_to_rgb(",
        replace="y, cb, cr = ycbcr.int().unbind(1)",
        by="y, cr, cb = ycbcr.int().unbind(1)",
        caught_by="assert gone.max() <= 2",
    ),
    Bug(
        name="colours with the table of brightness",
        cell_contains="def compress(",
        replace="quantisation_tables(CHROMA_TABLE, quality)",
        by="quantisation_tables(LUMA_TABLE, quality)",
        caught_by="assert psnr(ours, codec) > 48",
    ),
]
