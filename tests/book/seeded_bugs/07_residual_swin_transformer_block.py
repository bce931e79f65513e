"""Mistakes that the checks of chapter 7 must notice."""

from tests.book.seeded_bugs import Bug

BLOCK = "class ResidualSwinTransformerBlock("
BY_HAND = "block_by_hand(y, block.layers, block.conv)"

BUGS = [
    Bug(
        name="dropped long residual",
        cell_contains=BLOCK,
        replace='return x + rearrange(features, "b c h w -> b h w c")',
        by='return rearrange(features, "b c h w -> b h w c")',
        caught_by=BY_HAND,
    ),
    Bug(
        name="rows and columns swapped on the way to the convolution",
        cell_contains=BLOCK,
        replace='self.conv(rearrange(features, "b h w c -> b c h w"))',
        by='self.conv(rearrange(features, "b h w c -> b c w h")).mT',
        caught_by=BY_HAND,
    ),
    Bug(
        name="no layer shifts",
        cell_contains=BLOCK,
        replace="0 if i % 2 == 0 else window_size // 2",
        by="0",
        caught_by="[layer.shift for layer in block.layers]",
    ),
    Bug(
        name="no bias in the closing convolution",
        cell_contains="def body_convolution(",
        replace="return nn.Conv2d(dim, dim, 3, padding=1)",
        by="return nn.Conv2d(dim, dim, 3, padding=1, bias=False)",
        caught_by="assert one == 9 * dim**2 + dim",
    ),
]
