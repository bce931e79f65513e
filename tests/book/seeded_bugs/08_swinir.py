"""Mistakes that the checks of chapter 8 must notice."""

from tests.book.seeded_bugs import Bug

SWINIR = "class SwinIR(nn.Module):"
BY_HAND = "by_hand = model.head(shallow + deep) + mean"

BUGS = [
    Bug(
        name="padding repeats the border pixel",
        cell_contains="def pad_to_multiple(",
        replace="(period - position) % period",
        by="(period - 1 - position) % period",
        caught_by='expected = np.pad(image[0, 0].numpy(), missing, mode="reflect")',
    ),
    Bug(
        name="forgotten long skip",
        cell_contains=SWINIR,
        replace="self.head(shallow + self.deep_features(shallow))",
        by="self.head(self.deep_features(shallow))",
        caught_by=BY_HAND,
    ),
    Bug(
        name="output cropped to the size of the input",
        cell_contains=SWINIR,
        replace="side * self.config.scale for side",
        by="side for side",
        caught_by="for height, width in (1, 1), (3, 5), (8, 8), (9, 17):",
    ),
    Bug(
        name="restoration head without the input",
        cell_contains=SWINIR,
        replace="restored = x + restored",
        by="restored = restored",
        caught_by="denoiser = silence_head(",
    ),
]
