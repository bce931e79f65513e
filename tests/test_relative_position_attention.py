import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from swinir_lite import WindowAttention, relative_position_index


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8])
def test_index_is_shared_by_exactly_the_pairs_with_one_offset(size):
    index = relative_position_index(size)
    offsets = {}
    for i in range(size * size):
        for j in range(size * size):
            offset = i // size - j // size, i % size - j % size
            offsets.setdefault(offset, set()).add(index[i, j].item())
    rows = [row for rows in offsets.values() for row in rows]
    assert all(len(rows) == 1 for rows in offsets.values())
    assert sorted(rows) == list(range((2 * size - 1) ** 2))
    assert index[0, -1] == 0  # from the last pixel, the first is furthest up and left
    assert index[-1, 0] == (2 * size - 1) ** 2 - 1


def bias_from_offsets(attention, size):
    """(h, N, N): look up every pair by its offset, one at a time."""
    table = attention.relative_position_bias_table.detach()
    bias = torch.empty(attention.num_heads, size * size, size * size)
    for i in range(size * size):
        for j in range(size * size):
            rows, columns = i // size - j // size, i % size - j % size
            row = (rows + size - 1) * (2 * size - 1) + columns + size - 1
            bias[:, i, j] = table[row]
    return bias


@given(st.integers(1, 4), st.integers(1, 3), st.integers(1, 4), st.integers(1, 6))
def test_equals_scaled_dot_product_attention(size, windows, heads, head_dim):
    dim = heads * head_dim
    attention = WindowAttention(dim, size, heads)
    torch.nn.init.normal_(attention.relative_position_bias_table)
    x = torch.randn(2 * windows, size * size, dim)
    mask = -100.0 * torch.randint(0, 2, (windows, size * size, size * size))
    mask = mask * (1 - torch.eye(size * size))  # a pixel always sees itself

    qkv = attention.qkv(x).reshape(2 * windows, size * size, 3, heads, head_dim)
    q, k, v = qkv.permute(2, 0, 3, 1, 4)
    bias = bias_from_offsets(attention, size) + mask.repeat(2, 1, 1)[:, None]
    expected = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
    expected = attention.proj(expected.transpose(1, 2).reshape(x.shape))
    torch.testing.assert_close(attention(x, mask), expected, rtol=1e-4, atol=1e-5)

    unmasked = bias_from_offsets(attention, size)
    expected = F.scaled_dot_product_attention(q, k, v, attn_mask=unmasked)
    expected = attention.proj(expected.transpose(1, 2).reshape(x.shape))
    torch.testing.assert_close(attention(x), expected, rtol=1e-4, atol=1e-5)


def test_windows_do_not_see_each_other():
    attention = WindowAttention(8, 2, 2)
    x = torch.randn(3, 4, 8)
    changed = x.clone()
    changed[1] += 1
    difference = (attention(x) - attention(changed)).abs().amax(dim=(1, 2))
    assert (difference > 0).tolist() == [False, True, False]


@pytest.mark.parametrize(("dim", "heads"), [(60, 7), (4, 8), (8, 0), (8, -1)])
def test_heads_must_divide(dim, heads):
    with pytest.raises(
        ValueError, match=f"num_heads {heads} does not divide dim {dim}"
    ):
        WindowAttention(dim, 4, heads)
