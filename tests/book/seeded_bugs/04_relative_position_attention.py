"""Mistakes that the checks of chapter 4 must notice."""

from tests.book.seeded_bugs import Bug

BUGS = [
    Bug(
        name="transposed bias index",
        cell_contains="def relative_position_index(",
        replace="positions[:, None] - positions[None, :]",
        by="positions[None, :] - positions[:, None]",
        caught_by="assert index[i, j] == (down + M - 1)",
    ),
    Bug(
        name="offsets that collide",
        cell_contains="def relative_position_index(",
        replace="rows * (2 * window_size - 1) + columns",
        by="rows * window_size + columns",
        caught_by="assert index[i, j] == (down + M - 1)",
    ),
    Bug(
        name="forgotten scale",
        cell_contains="class WindowAttention(",
        replace="self.scale * q @ k.transpose(-2, -1)",
        by="q @ k.transpose(-2, -1)",
        caught_by="expected = F.scaled_dot_product_attention(",
    ),
    Bug(
        name="scale of all channels instead of a head's",
        cell_contains="class WindowAttention(",
        replace="(dim // num_heads) ** -0.5",
        by="dim**-0.5",
        caught_by="expected = F.scaled_dot_product_attention(",
    ),
    Bug(
        name="softmax over the pixels that ask",
        cell_contains="class WindowAttention(",
        replace="scores.softmax(dim=-1)",
        by="scores.softmax(dim=-2)",
        caught_by="expected = F.scaled_dot_product_attention(",
    ),
    Bug(
        name="heads put together in the wrong order",
        cell_contains="class WindowAttention(",
        replace="b h n d -> b n (h d)",
        by="b h n d -> b n (d h)",
        caught_by="expected = F.scaled_dot_product_attention(",
    ),
    Bug(
        name="forgotten bias",
        cell_contains="class WindowAttention(",
        replace="scores = scores + self.relative_position_bias()",
        by="scores = scores + 0 * self.relative_position_bias()",
        caught_by="expected = F.scaled_dot_product_attention(",
    ),
    Bug(
        name="transposed bias",
        cell_contains="class WindowAttention(",
        replace='rearrange(bias, "i j h -> h i j")',
        by='rearrange(bias, "i j h -> h j i")',
        caught_by="expected = F.scaled_dot_product_attention(",
    ),
]
