"""How a kernel is launched: tiles and warps, found by measurement on an H200."""

from typing import NamedTuple


class Launch(NamedTuple):
    """Of a kernel whose programs each work on tiles of tokens."""

    tile: int  # tokens
    warps: int
    stages: int
    programs_per_sm: int = 0  # 0: a program for every tile
