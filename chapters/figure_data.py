"""The numbers behind the figures that move, which chapters' cells make.

    figure_data.keep("windows", {"sides": [2, 4, 8]})

compares the numbers with those in data/windows.json, which the site shows, and prints
a line if they differ; `make chapters` writes them instead.
"""

import base64
import io
import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image

from swinir_lite.standard_json import to_json
from swinir_lite.whole_files import whole_file

FOLDER = Path(__file__).parent / "data"
WRITE = "WRITE_FIGURE_DATA"  # set by execute.py
URI = "data:image/png;base64,"
LEVELS = 2  # of 255, by which a picture may differ from one machine to another,
FEW = 0.01  # but for so small a share: training turns rounding into faint differences


def picture(image: ArrayLike) -> str:
    """An image (uint8, (H, W) or (H, W, 3)) as text that a page can show."""
    file = io.BytesIO()
    Image.fromarray(np.asarray(image)).save(file, "PNG", optimize=True)
    return URI + base64.b64encode(file.getvalue()).decode()


def pixels(text: str) -> np.ndarray:
    """The image that `picture` has written."""
    file = io.BytesIO(base64.b64decode(text.removeprefix(URI)))
    return np.asarray(Image.open(file)).astype(int)


def plain(values: Any, digits: int) -> Any:
    """Tensors, arrays and numbers as lists and numbers, rounded to `digits` places."""
    if isinstance(values, Mapping):
        return {str(key): plain(value, digits) for key, value in values.items()}
    if hasattr(values, "tolist"):  # an array or a tensor
        values = values.tolist()
    if isinstance(values, Sequence) and not isinstance(values, str):
        return [plain(value, digits) for value in values]
    return round(values, digits) if isinstance(values, float) else values


def alike(new: Any, old: Any, step: float) -> bool:
    """Whether two values say the same, but for the last digits of numbers."""
    if isinstance(new, dict):
        same = isinstance(old, dict) and list(new) == list(old)
        return same and all(alike(new[key], old[key], step) for key in new)
    if isinstance(new, list):
        same = isinstance(old, list) and len(new) == len(old)
        return same and all(alike(a, b, step) for a, b in zip(new, old))
    numbers = [isinstance(v, float | int) and v is not None for v in (new, old)]
    if all(numbers):
        return math.isclose(new, old, rel_tol=1e-2, abs_tol=2 * step)
    if isinstance(new, str) and isinstance(old, str) and new.startswith(URI):
        a, b = pixels(new), pixels(old)
        return a.shape == b.shape and (np.abs(a - b) > LEVELS).mean() <= FEW
    return new == old


def keep(name: str, values: Mapping[str, Any], digits: int = 3) -> None:
    """Compare a figure's numbers with data/NAME.json, or write them there.

    `values` are nested dicts and lists of numbers, text, arrays and tensors; floats
    are kept to `digits` decimal places.
    """
    values = json.loads(to_json(plain(values, digits)))
    path = FOLDER / f"{name}.json"
    old = json.loads(path.read_text()) if path.is_file() else None
    if alike(values, old, 10.0**-digits):
        return
    if WRITE in os.environ:
        with whole_file(path) as file:
            file.write_text(json.dumps(values, separators=(",", ":")) + "\n")
    else:
        print(f"data/{path.name} holds other numbers: `make chapters` writes these")
