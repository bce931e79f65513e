"""Mistakes that the checks of chapter 11 must notice."""

from tests.book.seeded_bugs import Bug

BUGS = [
    Bug(
        name="colour noise in the order of RGB",
        cell_contains="def add_gaussian_noise(",
        replace="noise = noise[..., ::-1]",
        by="noise = noise[..., :]",
        caught_by="assert torch.allclose(add_gaussian_noise(face",
    ),
    Bug(
        name="one noise level for a whole batch",
        cell_contains="def gaussian_noise(",
        replace="shape = (len(batch), 1, 1, 1)",
        by="shape = (1, 1, 1, 1)",
        caught_by="assert 9 < deviations.min() < 15",
    ),
    Bug(
        name="the transform in place of its inverse",
        cell_contains="def quantise_blocks(",
        replace="transform_blocks(dct.T, levels * tables)",
        by="transform_blocks(dct, levels * tables)",
        caught_by="assert different < 0.1",
    ),
    Bug(
        name="block borders looked for one pixel late",
        cell_contains="def blocking_effect(",
        replace="square[:, 7::8]",
        by="square[:, 8::8]",
        caught_by="assert np.isclose(blocking_effect(stripes)",
    ),
]
