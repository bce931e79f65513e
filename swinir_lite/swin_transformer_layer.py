"""The Swin Transformer layer, STL (chapter 6)."""

from torch import nn

from .relative_position_attention import WindowAttention
from .shifted_windows import attention_mask, cyclic_shift
from .window_partition import window_partition, window_reverse


class MLP(nn.Module):
    """Two linear layers with a GELU between, pixel by pixel: (..., dim) -> the same."""

    def __init__(self, dim, hidden_dim):
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden_dim)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(hidden_dim, dim)

    def forward(self, x):
        return self.fc2(self.act(self.fc1(x)))


class SwinTransformerLayer(nn.Module):
    """X = MSA(LN(X)) + X, then X = MLP(LN(X)) + X.

    `dim` channels; `shift` pixels of cyclic shift, 0 for none and less than
    the window; `mlp_ratio` times `dim` channels inside the MLP.  Paper:
    section 3.2; chapter 6.
    """

    def __init__(self, dim, num_heads, window_size, shift=0, mlp_ratio=2.0):
        super().__init__()
        if not 0 <= shift < window_size:
            raise ValueError(f"shift must lie in 0..{window_size - 1}, got {shift}")
        self.window_size = window_size
        self.shift = shift
        self.norm1 = nn.LayerNorm(dim)
        self.attn = WindowAttention(dim, window_size, num_heads)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = MLP(dim, round(dim * mlp_ratio))

    def attend(self, x, mask):
        """Shift, partition, attend, and undo both: (B, H, W, C) -> the same."""
        size = x.shape[1:3]
        if self.shift:
            x = cyclic_shift(x, self.shift)
            if mask is None:
                mask = attention_mask(*size, self.window_size, self.shift, x.device)
        windows = window_partition(x, self.window_size)  # (B * nW, M, M, C)
        tokens = windows.flatten(1, 2)  # (B * nW, N, C)
        tokens = self.attn(tokens, mask.to(x.dtype) if self.shift else None)
        x = window_reverse(tokens.view(windows.shape), self.window_size, *size)
        return cyclic_shift(x, -self.shift) if self.shift else x

    def forward(self, x, mask=None):
        """(B, H, W, C) -> the same; layers may share one `attention_mask` as `mask`."""
        x = x + self.attend(self.norm1(x), mask)
        return x + self.mlp(self.norm2(x))
