"""Mistakes that the checks of chapter 1 must notice."""

from tests.book.seeded_bugs import Bug

BUGS = [
    Bug(
        name="height and width swapped in the tensor",
        cell_contains="def to_tensor(",
        replace="pixels.permute(2, 0, 1)",
        by="pixels.permute(2, 1, 0)",
        caught_by="assert np.array_equal(to_image(to_tensor(astronaut)), astronaut)",
    ),
    Bug(
        name="directions that LR sees taken for those it does not",
        cell_contains="unseen = np.linalg.svd(downsample)",
        replace="[2][32:]",
        by="[2][:32]",
        caught_by="assert np.allclose(first_lr, second_lr)",
    ),
    Bug(
        name="BGR taken for RGB",
        cell_contains="def rgb_to_y(",
        replace="[65.481, 128.553, 24.966]",
        by="[24.966, 128.553, 65.481]",
        caught_by="green > red > blue",
    ),
    Bug(
        name="difference of bytes",
        cell_contains="def prepare_pair(",
        replace="x.astype(np.float64).reshape",
        by="x.reshape",
        caught_by="expected = metrics.peak_signal_noise_ratio(astronaut, bicubic)",
    ),
    Bug(
        name="mean not subtracted from the variance",
        cell_contains="def ssim(",
        replace="F.conv2d(b * b, window) - mean_b**2",
        by="F.conv2d(b * b, window)",
        caught_by="assert ssim(astronaut, astronaut) == 1",
    ),
]
