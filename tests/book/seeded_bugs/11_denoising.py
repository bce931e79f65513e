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
        replace="uniform(hq, low, high, generator)",
        by="uniform(hq[:1], low, high, generator)",
        caught_by="assert 9 < deviations.min() < 15",
    ),
    Bug(
        name="wavelets of another length than 1",
        cell_contains="def haar_matrix(",
        replace="/ 2**0.5",
        by="/ 2",
        caught_by="assert torch.allclose(rows @ rows.T",
    ),
    Bug(
        name="the transform in place of its inverse",
        cell_contains="def transform_groups(",
        replace="block, across = block.T, across.T",
        by="block, across = block, across",
        caught_by="assert psnr(with_bm3d, gray) > psnr(once, gray)",
    ),
    Bug(
        name="the second pass filters what the first has smoothed",
        cell_contains="def bm3d(",
        replace="image = filter_groups(image, places",
        by="image = filter_groups(basic, places",
        caught_by="assert psnr(with_bm3d, gray) > psnr(once, gray)",
    ),
]
