"""Mistakes that the checks of chapter 6 must notice."""

from tests.book.seeded_bugs import Bug

EQUATIONS = "expected = layer.mlp(layer.norm2(expected)) + expected"

BUGS = [
    Bug(
        name="no nonlinear function in the MLP",
        cell_contains="class MLP(",
        replace="self.fc2(self.act(self.fc1(x)))",
        by="self.fc2(self.fc1(x))",
        caught_by="output = F.conv2d(gelu(hidden)",
    ),
    Bug(
        name="dropped residual around the MLP",
        cell_contains="class SwinTransformerLayer(",
        replace="return x + self.mlp(self.norm2(x))",
        by="return self.mlp(self.norm2(x))",
        caught_by=EQUATIONS,
    ),
    Bug(
        name="residual taken after LayerNorm",
        cell_contains="class SwinTransformerLayer(",
        replace="x = x + self.attend(self.norm1(x), mask)",
        by="x = self.norm1(x) + self.attend(self.norm1(x), mask)",
        caught_by=EQUATIONS,
    ),
    Bug(
        name="missing mask",
        cell_contains="class SwinTransformerLayer(",
        replace="self.attn(tokens, mask.to(x.dtype) if self.shift else None)",
        by="self.attn(tokens)",
        caught_by=EQUATIONS,
    ),
    Bug(
        name="shift not undone",
        cell_contains="class SwinTransformerLayer(",
        replace="return cyclic_shift(x, -self.shift) if self.shift else x",
        by="return x",
        caught_by=EQUATIONS,
    ),
    Bug(
        name="a given mask is ignored",
        cell_contains="class SwinTransformerLayer(",
        replace="if mask is None:",
        by="if True:",
        caught_by="assert not torch.allclose(unmasked",
    ),
]
