"""Mistakes that the checks of chapter 14 must notice."""

from tests.book.seeded_bugs import Bug

BUGS = [
    Bug(
        name="bias of the swapped pair",
        cell_contains="def attention_weights(",
        replace="position * attention.relative_position_bias()",
        by="position * attention.relative_position_bias().mT",
        caught_by="assert torch.allclose(out, attention(tokens, mask), atol=1e-5)",
    ),
    Bug(
        name="window on the wrong side of the shift",
        cell_contains="def attention_map(",
        replace="(row - shift) % height",
        by="(row + shift) % height",
        caught_by="assert torch.equal(reached, where.sum(0) > 1e-12)",
    ),
    Bug(
        name="bias map upside down",
        cell_contains="def bias_maps(",
        replace="maps.flip(1, 2)",
        by="maps",
        caught_by="assert torch.equal(bias[:, query, key]",
    ),
    Bug(
        name="mirrored instead of turned",
        cell_contains="def symmetry(",
        replace="centred.flip(1, 2)",
        by="centred.flip(1)",
        caught_by="slope = torch.arange(15.0)",
    ),
]
