"""Mistakes that the checks of chapter 2 must notice."""

from tests.book.seeded_bugs import Bug

BUGS = [
    Bug(
        name="row and column offsets swapped",
        cell_contains="def pixel_shuffle(",
        replace="(h r1) (w r2)",
        by="(h r2) (w r1)",
        caught_by="assert torch.equal(pixel_shuffle(x, 3), nn.PixelShuffle(3)(x))",
    ),
    Bug(
        name="dropped residual",
        cell_contains="class ResidualConvBlock(",
        replace="return x + self.conv2",
        by="return self.conv2",
        caught_by="assert torch.equal(block(x), x)",
    ),
    Bug(
        name="too much padding",
        cell_contains="class ResidualCNN(",
        replace="self.conv_first = nn.Conv2d(in_channels, dim, 3, padding=1)",
        by="self.conv_first = nn.Conv2d(in_channels, dim, 3, padding=2)",
        caught_by="for height, width in [(1, 1), (4, 7), (16, 16)]:",
    ),
    Bug(
        name="dropped long skip",
        cell_contains="class ResidualCNN(",
        replace="self.conv_after_body(self.blocks(shallow)) + shallow",
        by="self.conv_after_body(self.blocks(shallow))",
        caught_by="assert torch.equal(model(x), model.head(model.conv_first(x)))",
    ),
    Bug(
        name="HR patch not at the LR patch's place",
        cell_contains="def random_patches(",
        replace="image[0, :, s * top :, s * left :]",
        by="image[0, :, top:, left:]",
        caught_by="again = to_tensor(imresize(to_image(large), 1 / 2))[0]",
    ),
    Bug(
        name="only HR turned",
        cell_contains="def random_patches(",
        replace="patch.rot90(turns, (1, 2))",
        by="patch.rot90(turns * (s > 1), (1, 2))",
        caught_by="again = to_tensor(imresize(to_image(large), 1 / 2))[0]",
    ),
]
