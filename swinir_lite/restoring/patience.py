"""A network that a lack of memory does not stop."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from ..errors import is_out_of_memory
from ..speed.network import FastSwinIR, fast
from .seams import blend, blended_rows, cut

SMALLEST_TILE = 16


class PatientNetwork:
    """A network that halves the tile when memory runs out, and goes on.

    Called with `(B, C, h, w)`, h and w multiples of the window, and with where in the
    picture that lies, for messages.

    Args:
        network: what `fastest` returns.
        scale: by what it enlarges.
        window: side of its windows, 0 for a network without.
        overlap: what smaller tiles share, unless they are too small for it.
        compute: (network, tile) -> what becomes of the tile.
        note: told in a line what a user should know.
    """

    def __init__(
        self,
        network: nn.Module,
        scale: int,
        window: int,
        overlap: int,
        compute: Callable[[nn.Module, Tensor], Tensor],
        note: Callable[[str], None],
    ):
        self.network, self.compute, self.note = network, compute, note
        self.scale, self.window, self.overlap = scale, window, overlap
        self.device = next(network.parameters()).device
        self.longest = math.inf  # side of a tile that there is memory for

    def __call__(self, x: Tensor, place: str) -> Tensor:
        side = max(x.shape[2:])
        if side <= self.longest:
            try:
                return self.finite(x, place)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
            # Not above, where the error keeps alive what the network had computed
            self.shorten(side, x.device)
        return torch.stack([self.in_parts(tile, place) for tile in x])

    def shorten(self, side: int, device: torch.device) -> None:
        if device.type == "cuda":
            torch.cuda.empty_cache()
        self.longest = side // 2
        if self.longest < max(SMALLEST_TILE, 2 * self.window):
            raise MemoryError(f"memory does not suffice for a tile of {side}x{side}")
        less = self.longest // 2 < self.overlap
        self.note(
            f"memory ran out with tiles of {side}x{side}; going on with "
            f"{self.longest}x{self.longest}"
            + (", which overlap by less: seams may differ by more" if less else "")
        )

    def in_parts(self, tile: Tensor, place: str) -> Tensor:
        """Restore `(C, h, w)` by smaller tiles, as a picture by tiles."""
        overlap = min(self.overlap, self.longest // 2)
        rows, columns = (
            blend(
                cut(length, self.longest, overlap, self.window),
                self.scale,
                length * self.scale,
            )
            for length in tile.shape[1:]
        )
        parts = (
            self(tile[None, :, r.start : r.stop, c.start : c.stop], place)[0]
            for r in rows
            for c in columns
        )
        return torch.cat(list(blended_rows(parts, rows, columns, self.scale)), 1)

    def finite(self, x: Tensor, place: str) -> Tensor:
        """Restore; if there is NaN or infinity in the result, once more in float32."""
        restored = self.compute(self.network, x).float()
        if not restored.isfinite().all():
            restored = self.compute(in_float32(self.network), x)
            if not restored.isfinite().all():
                raise FloatingPointError(
                    f"the network's result is not finite at {place}, "
                    "also when computed in float32"
                )
            self.note(
                f"the result was not finite at {place}; right when computed in float32"
            )
        return restored


def in_float32(network: nn.Module) -> nn.Module:
    """The same network, whatever type it computes in."""
    if isinstance(network, FastSwinIR):
        return fast(network.model, network.attention, torch.float32)
    return network
