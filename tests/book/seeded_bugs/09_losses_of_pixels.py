"""Mistakes that the checks of chapter 9 must notice."""

from tests.book.seeded_bugs import Bug

BUGS = [
    Bug(
        name="L1 without its absolute value",
        cell_contains="def l1_loss(",
        replace="difference(restored, target).abs().mean()",
        by="difference(restored, target).mean()",
        caught_by="assert torch.isclose(l1_loss(a, b), F.l1_loss(a, b))",
    ),
    Bug(
        name="the root of L2 taken for each pixel",
        cell_contains="def root_l2_loss(",
        replace="return l2_loss(restored, target).sqrt()",
        by="return l2_loss(restored, target).mean() ** 2 + l1_loss(restored, target)",
        caught_by="assert torch.isclose(same, torch.tensor(1.0))",
    ),
    Bug(
        name="Adam's memory of squares forgotten",
        cell_contains="def last_step(",
        replace="v = beta2 * v + (1 - beta2) * gradient**2",
        by="v = gradient**2 * (1 - beta2 ** len(gradients))",
        caught_by="assert last_step(fading, 0.999) < 0.2",
    ),
    Bug(
        name="epsilon squared, as the paper prints it",
        cell_contains="def charbonnier_loss(",
        replace="+ eps).sqrt()",
        by="+ eps**2).sqrt()",
        caught_by="assert torch.allclose(restored.grad, expected)",
    ),
    Bug(
        name="one norm over all pixels in place of one a pixel",
        cell_contains="def charbonnier_loss(",
        replace="(difference(restored, target).square() + eps).sqrt().mean()",
        by="(difference(restored, target).square().mean() + eps).sqrt()",
        caught_by="assert torch.allclose(restored.grad, expected)",
    ),
]
