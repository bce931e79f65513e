"""JSON as its standard has it, which knows no infinity."""

import json
import math
from typing import Any


def with_nulls(value: Any) -> Any:
    """A value with null (None) for numbers that are infinite or not a number."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: with_nulls(inner) for key, inner in value.items()}
    return [with_nulls(v) for v in value] if isinstance(value, list | tuple) else value


def to_json(value: Any, indent: int | None = None) -> str:
    """JSON text of nested dicts and lists, such as scores; see `with_nulls`.

    The PSNR of an image that was restored perfectly is infinite.
    """
    return json.dumps(with_nulls(value), indent=indent, allow_nan=False)
