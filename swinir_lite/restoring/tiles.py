"""Restore a picture of any size, tile by tile and row by row."""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import InputError
from .ahead import Ahead
from .mixing import eightfold, enlarge
from .patience import PatientNetwork
from .seams import Piece, blend, blended_rows, cut
from .tile_size import choose_tile, default_overlap

TILES_AHEAD = 3
# Of the rows that are handed on at once, in float32; a GPU waits while they are copied
STRIP_BYTES = {"cpu": 2**24, "cuda": 2**26}

Read = Callable[[int, int, int, int], np.ndarray]


def extended_length(length: int, window: int) -> int:
    """To which length the official test script extends a side; 0 is no window."""
    return (length // window + 1) * window if window else length


def flipped_positions(start: int, stop: int, length: int) -> np.ndarray:
    """Where pixels of an extended side come from: abc|cba|abc, copies of copies."""
    position = np.arange(start, stop) % (2 * length)
    return np.minimum(position, 2 * length - 1 - position)


def read_extended(
    read: Read, size: tuple[int, int], row: Piece, column: Piece
) -> np.ndarray:
    """A tile `(h, w, C)` of the picture, extended by a flipped copy of itself."""
    down = flipped_positions(row.start, row.stop, size[0])
    across = flipped_positions(column.start, column.stop, size[1])
    top, left = int(down.min()), int(across.min())
    area = top, left, int(down.max()) + 1 - top, int(across.max()) + 1 - left
    tile = np.asarray(read(*area))
    return picked(picked(tile, down - top, 0), across - left, 1)


def picked(tile: np.ndarray, position: np.ndarray, axis: int) -> np.ndarray:
    """Rows (axis 0) or columns (1) of a tile, of which the first follow in order.

    These are copied at once; by their indices that would take many times as long.
    """
    turns = np.flatnonzero(np.diff(position) != 1)
    count = int(turns[0]) + 1 if len(turns) else len(position)
    ordered = np.moveaxis(tile, axis, 0)[position[0] :][:count]
    if count == len(position):
        return np.moveaxis(ordered, 0, axis)
    rest = tile.take(position[count:], axis)
    return np.concatenate([np.moveaxis(ordered, 0, axis), rest], axis)


def chosen_sides(
    network: nn.Module,
    size: tuple[int, int],
    tile: int | None,
    overlap: int | None,
    degradation: str | None,
    note: Callable[[str], None],
) -> tuple[int, int, int]:
    """Height and width of the tiles and their overlap, from what the user asked."""
    chosen = default_overlap(network, degradation) if overlap is None else overlap
    if tile is None:
        return *choose_tile(network, size, chosen), chosen
    if tile == 0:
        return *size, chosen
    if overlap is None and chosen > tile // 2:
        chosen = tile // 2
        note(f"tiles of {tile}x{tile} overlap by {chosen}: seams may differ by more")
    if not 0 <= chosen < tile:
        raise InputError(
            f"tiles of {tile}x{tile} cannot overlap by {chosen} pixels; need less"
        )
    return tile, tile, chosen


def restore_rows(
    network: nn.Module,
    read: Read,
    height: int,
    width: int,
    *,
    scale: int,
    channels: int,
    window: int,
    tile: int | None = None,
    overlap: int | None = None,
    degradation: str | None = None,
    self_ensemble: bool = False,
    strength: float = 1.0,
    dtype: type = np.float32,
    note: Callable[[str], None] = print,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Iterator[np.ndarray]:
    """Restore a picture from top to bottom; memory is bounded by a row of tiles.

    With one tile that is what the official test script does: the picture is extended
    by a flipped copy to the next multiple of the window, restored and cropped.

    Args:
        network: what `fastest` returns; its device is where tiles are restored.
        read: (top, left, height, width) -> `(height, width, channels)` of uint8, or
            of float32 in [0, 1]; called from another thread, ahead of what it is
            needed for.
        height, width: of the picture, in pixels.
        scale: by what the network enlarges.
        channels: of the picture and of the network's images.
        window: side of the network's windows, 0 for a network without.
        tile: longest side of a tile, in pixels; 0 is the whole picture at once. By
            default as large as memory allows.
        overlap: the least number of pixels that neighbours share; by default as
            many as it takes for at most 1/255 of difference from one tile.
        degradation: the name of what the network undoes, if that is known; tiles
            overlap by less where that is enough.
        self_ensemble: take the mean over the eight flips and turns.
        strength: share of the restored picture, from 0 to 1; the rest is the plain
            enlargement.
        dtype: of the rows: `np.float32` in [0, 1], or `np.uint8` or `np.uint16`.
        note: told in a line what a user should know: that memory ran out, say.
        progress: called with the number of tiles that are done, and of all.

    Yields:
        `(n, width * scale, channels)`, from top to bottom.

    Raises:
        InputError: for an overlap, a tile or a strength that cannot be.
        MemoryError: if memory does not suffice for the smallest tile.
        FloatingPointError: names the place where the result is not finite.
    """
    if not 0 <= strength <= 1:
        raise InputError(f"strength must lie in 0..1, got {strength}")
    if tile is not None and tile < 0:
        raise InputError(f"a tile needs a side of at least 1, or 0, got {tile}")
    if overlap is not None and overlap < 0:
        raise InputError(f"tiles cannot overlap by {overlap} pixels; need 0 or more")
    extended = extended_length(height, window), extended_length(width, window)
    *sides, overlap = chosen_sides(network, extended, tile, overlap, degradation, note)
    rows, columns = (
        blend(cut(length, longest, overlap, window), scale, kept * scale)
        for length, longest, kept in zip(extended, sides, (height, width))
    )
    compute = partial(restore_tile, scale=scale, many=self_ensemble, strength=strength)
    patient = PatientNetwork(network, scale, window, overlap, compute, note)
    places = [(row, column) for row in rows for column in columns]
    device = patient.device
    stream = torch.cuda.current_stream(device) if device.type == "cuda" else None

    def prepared(place: tuple[Piece, Piece]) -> Tensor:
        # By the stream that computes with it: a thread's own is not waited for. Without
        # one torch.cuda.stream would set up a GPU that there may be, for a CPU's work
        with torch.cuda.stream(stream) if stream else nullcontext():
            return to_device(read_extended(read, (height, width), *place), device)

    tiles = Ahead(map(prepared, places), TILES_AHEAD)
    restored = restored_tiles(patient, tiles, places, progress)
    return strips(blended_rows(restored, rows, columns, scale), dtype)


@torch.inference_mode()
def restore_tile(
    network: nn.Module, x: Tensor, scale: int, many: bool, strength: float
) -> Tensor:
    """Restore `(B, C, h, w)` as the options say."""
    restored = eightfold(network, x) if many else network(x).float()
    if strength == 1:
        return restored
    return torch.lerp(enlarge(x, scale), restored.clamp(0, 1), strength)


def to_device(tile: np.ndarray, device: torch.device) -> Tensor:
    """`(h, w, C)` as read -> `(1, C, h, w)` in [0, 1] on the network's device."""
    # Bytes become numbers on the device: a quarter of the memory is to be copied.  For
    # a copy that need not be waited for, it must be pinned
    dtype = torch.uint8 if tile.dtype == np.uint8 else torch.float32
    x = torch.empty(tile.shape, dtype=dtype, pin_memory=device.type == "cuda")
    x.numpy()[...] = tile
    x = x.to(device, non_blocking=True).permute(2, 0, 1)[None].contiguous()
    return x.float() / 255 if x.dtype == torch.uint8 else x.float()


def restored_tiles(
    network: PatientNetwork,
    tiles: Ahead[Tensor],
    places: list[tuple[Piece, Piece]],
    progress: Callable[[int, int], None],
) -> Iterator[Tensor]:
    """Restore tiles in reading order, on the network's device."""
    try:
        for done, (tile, (row, column)) in enumerate(zip(tiles, places), 1):
            down, across = (f"{p.start} to {p.stop}" for p in (row, column))
            restored = network(tile, f"rows {down}, columns {across}")[0]
            progress(done, len(places))
            yield restored
    finally:
        tiles.close()


def strips(bands: Iterator[Tensor], dtype: type) -> Iterator[np.ndarray]:
    """Hand on restored rows as images `(n, W, C)`, a few at a time."""
    for band in bands:
        most = STRIP_BYTES.get(band.device.type, STRIP_BYTES["cpu"])
        at_once = max(1, most // (4 * band[:, :1].numel()))
        for top in range(0, band.shape[1], at_once):
            yield to_image_type(band[:, top : top + at_once], dtype)


def to_image_type(rows: Tensor, dtype: type) -> np.ndarray:
    """`(C, n, W)` -> `(n, W, C)`, clamped to [0, 1]; integers have their full range."""
    rows = rows.clamp(0, 1).permute(1, 2, 0)
    if dtype != np.float32:
        # Rounded where they are; PyTorch does little with uint16
        kind = torch.uint8 if dtype == np.uint8 else torch.int32
        rows = (rows * np.iinfo(dtype).max).round().to(kind)
    return to_host(rows.contiguous()).numpy().astype(dtype, copy=False)


def to_host(rows: Tensor) -> Tensor:
    """A tensor where NumPy can read it."""
    if rows.device.type != "cuda":
        return rows.cpu()
    # Pinned memory is used again; new memory the system would clear page by page
    kept = torch.empty(rows.shape, dtype=rows.dtype, pin_memory=True)
    kept.copy_(rows, non_blocking=True)
    torch.cuda.current_stream(rows.device).synchronize()
    return kept
