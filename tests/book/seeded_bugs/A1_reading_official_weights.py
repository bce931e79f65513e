"""Mistakes that the checks of appendix A1 must notice."""

from tests.book.seeded_bugs import Bug

BUGS = [
    Bug(
        name="norms before and behind the body exchanged",
        cell_contains="def key_map(",
        replace='r"^norm_in\\.", "patch_embed.norm."',
        by='r"^norm_in\\.", "norm."',
        caught_by='assert names["norm_in.weight"] == "patch_embed.norm.weight"',
    ),
    Bug(
        name="scale read as the number of channels",
        cell_contains="def infer_head(",
        replace="math.isqrt(len(state[key]) // channels)",
        by="len(state[key]) // channels",
        caught_by="assert infer_config(shapes) == config, name",
    ),
    Bug(
        name="range of JPEG models forgotten",
        cell_contains="def infer_config(",
        replace="255.0 if window_size == 7 else 1.0",
        by="1.0",
        caught_by="assert infer_config(shapes) == config, name",
    ),
]
