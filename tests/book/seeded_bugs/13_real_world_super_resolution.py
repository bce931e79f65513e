"""Mistakes that the checks of chapter 13 must notice."""

from tests.book.seeded_bugs import Bug

BUGS = [
    Bug(
        name="kernels turned the other way",
        cell_contains="def gaussian_kernels(",
        replace="x * angle.cos() + y * angle.sin()",
        by="x * angle.cos() - y * angle.sin()",
        caught_by="assert torch.allclose(covariance,",
    ),
    Bug(
        name="another image's kernel",
        cell_contains="def filter_each(",
        replace="kernels.repeat_interleave(channels, 0)",
        by="kernels.repeat(channels, 1, 1, 1)",
        caught_by="assert torch.allclose(result, one[:, 0]",
    ),
    Bug(
        name="counts of photons not turned back into light",
        cell_contains="def poisson_noise(",
        replace="/ photons - light",
        by="/ 1000 - light",
        caught_by="assert abs(ratio - 2) < 0.3",
    ),
    Bug(
        name="the final resizing anywhere",
        cell_contains="def shuffled_steps(",
        replace="steps[first], steps[second] = random_resize, final_resize",
        by="steps[second], steps[first] = random_resize, final_resize",
        caught_by="assert all(chain.index(random_resize)",
    ),
    Bug(
        name="gradients not sorted",
        cell_contains="def gradient_sizes(",
        replace="return np.sort(np.concatenate(differences))",
        by="return np.concatenate(differences)",
        caught_by="assert np.isclose(gradient_distance(soft, photo), expected)",
    ),
]
