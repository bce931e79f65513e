"""Where tiles lie, and how they are put together without a seam.

Tiles begin on the borders of windows, so that every pixel meets the same windows in
its tile as in the whole picture. At its sides a tile sees less than the picture has
there: neighbours overlap, what lies near a side is dropped, and in the middle of the
overlap one tile fades into the next.
"""

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

FADE = 8  # pixels of the input over which one tile fades into the next


class Piece(NamedTuple):
    """What one tile covers on one axis."""

    start: int  # of the tile, in pixels of the extended input
    stop: int
    low: int  # of what is kept of it, in pixels of the output
    high: int
    weights: Tensor  # (high - low,): 1, but for the fading at either end


def cut(length: int, tile: int, overlap: int, window: int) -> list[tuple[int, int]]:
    """Where tiles start and stop on a side: all of one size, at borders of windows.

    Args:
        length: of the side, in pixels; a multiple of the window.
        tile: the longest that a tile may be.
        overlap: the least that neighbours share.
    """
    step = max(window, 1)
    tile = max(tile // step, 1) * step
    if tile >= length:
        return [(0, length)]
    overlap = min(math.ceil(overlap / step) * step, tile - step)
    count = math.ceil((length - overlap) / (tile - overlap))
    share = (length + (count - 1) * overlap) / count
    tile = math.ceil(share / step) * step
    starts = (min(i * (tile - overlap), length - tile) for i in range(count))
    return [(start, start + tile) for start in sorted(set(starts))]


def blend(spans: list[tuple[int, int]], scale: int, kept: int) -> list[Piece]:
    """What is kept of tiles, and with which weights; at every pixel they sum to 1.

    Args:
        spans: where the tiles start and stop.
        scale: pixels of the output for one of the input.
        kept: how many pixels of the output there are; what lies behind is dropped.
    """
    fades = [(0.0, 0.0)]
    for (before, stop), (start, _) in pairwise(spans):
        half = min(FADE, stop - start, start - before) / 2
        middle = (start + stop) / 2
        fades.append(((middle - half) * scale, (middle + half) * scale))
    fades.append((math.inf, math.inf))
    pieces = []
    for (start, stop), fade_in, fade_out in zip(spans, fades, fades[1:]):
        low = math.floor(fade_in[0])
        high = min(kept, stop * scale, math.ceil(min(fade_out[1], kept)))
        if low < high:
            position = torch.arange(low, high) + 0.5
            weights = share_of_next(position, *fade_in)
            weights = weights - share_of_next(position, *fade_out)
            pieces.append(Piece(start, stop, low, high, weights))
    return pieces


def share_of_next(position: Tensor, begin: float, end: float) -> Tensor:
    """How much of the tile behind a fade is in the result: from 0 to 1."""
    if begin == end:
        return (position >= begin).float()
    return ((position - begin) / (end - begin)).clamp(0, 1)


def blended_rows(
    tiles: Iterator[Tensor], rows: list[Piece], columns: list[Piece], scale: int
) -> Iterator[Tensor]:
    """Put restored tiles together.

    Args:
        tiles: each `(C, h, w)`, in reading order.
        rows, columns: what they cover.
        scale: pixels of the output for one of the input.

    Yields:
        `(C, n, W)`, from top to bottom: of every row of tiles what no later one
        changes. One row of tiles is in memory.
    """
    width, fading = columns[-1].high, None
    for row, below in zip(rows, [*rows[1:], None]):
        band = None
        for column, tile in zip(columns, tiles):
            if band is None:
                band = tile.new_zeros(len(tile), row.high - row.low, width)
            down = slice(row.low - row.start * scale, row.high - row.start * scale)
            across = (x - column.start * scale for x in (column.low, column.high))
            weights = row.weights.to(tile)[:, None] * column.weights.to(tile)
            band[:, :, column.low : column.high].addcmul_(
                tile[:, down, slice(*across)], weights
            )
        if fading is not None:
            band[:, : fading.shape[1]] += fading
        done = (below.low if below else row.high) - row.low
        fading = band[:, done:].clone()
        yield band[:, :done]
