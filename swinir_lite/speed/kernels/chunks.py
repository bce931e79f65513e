"""Channels that an inference kernel holds as one tile, as Triton reads their number."""

import triton
import triton.language as tl

from .. import limits

CHUNK = tl.constexpr(limits.CHUNK)


def chunks(channels: int) -> int:
    """That hold the channels and a spare one."""
    return triton.cdiv(channels + 1, limits.CHUNK)
