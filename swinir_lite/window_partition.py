"""Cut a feature map into windows and put it together again (chapter 3)."""

from einops import rearrange


def check_windows(height, width, window_size):
    """Raise ValueError unless both sides are multiples of the window."""
    if window_size < 1 or height % window_size or width % window_size:
        raise ValueError(
            f"sides must be multiples of the window {window_size}, got {height}x{width}"
        )


def window_partition(x, window_size):
    """Cut (B, H, W, C) into windows of M pixels a side: (B * H/M * W/M, M, M, C).

    The windows of one image come in reading order.  Raises ValueError for
    another rank or sides that M does not divide.  Paper: section 3.2; chapter 3.
    """
    if x.ndim != 4:
        raise ValueError(f"expected shape (B, H, W, C), got {tuple(x.shape)}")
    check_windows(x.shape[1], x.shape[2], window_size)
    return rearrange(
        x, "b (nh m) (nw n) c -> (b nh nw) m n c", m=window_size, n=window_size
    )


def window_reverse(windows, window_size, height, width):
    """Put windows (B * H/M * W/M, M, M, C) back in their places: (B, H, W, C).

    The inverse of `window_partition`.  Raises ValueError for windows that do
    not tile images of `height` x `width`.  Chapter 3.
    """
    check_windows(height, width, window_size)
    rows, columns = height // window_size, width // window_size
    square = windows.ndim == 4 and windows.shape[1:3] == (window_size, window_size)
    if not square or windows.shape[0] % (rows * columns):
        raise ValueError(
            f"images of {height}x{width} need a multiple of {rows * columns} windows "
            f"({window_size}, {window_size}, C), got {tuple(windows.shape)}"
        )
    return rearrange(
        windows, "(b nh nw) m n c -> b (nh m) (nw n) c", nh=rows, nw=columns
    )
