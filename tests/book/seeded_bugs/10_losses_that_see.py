"""Mistakes that the checks of chapter 10 must notice."""

from tests.book.seeded_bugs import Bug

BUGS = [
    Bug(
        name="layer weights forgotten",
        cell_contains="def feature_loss(",
        replace="weight * l1_loss(a, b)",
        by="l1_loss(a, b)",
        caught_by="assert torch.isclose(value, 1.0 * gaps[0] + 0.5 * gaps[1])",
    ),
    Bug(
        name="a VGG feature after its ReLU",
        cell_contains="class VGG19Features(",
        replace="features.append(x)",
        by="features.append(x.relu())",
        caught_by="assert torch.allclose(feature, chain[: i + 1](normal)",
    ),
    Bug(
        name="the generator paid for being caught",
        cell_contains="def adversarial_loss(",
        replace="-logits if real else logits",
        by="logits if real else -logits",
        caught_by="assert torch.isclose(adversarial_loss(z_fake, True)",
    ),
    Bug(
        name="spectral norm left out",
        cell_contains="def bounded_convolution(",
        replace="return spectral_norm(conv)",
        by="return conv",
        caught_by="assert torch.isclose(largest, torch.tensor(1.0)",
    ),
]
