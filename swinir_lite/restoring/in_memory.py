"""Restore a picture that is in memory: Pillow's or an array."""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from PIL import Image
from torch import nn

from ..checkpoint import load_model
from ..errors import InputError
from ..shipped_weights import known_degradation, shipped_models
from ..speed.network import fastest
from .decoding import SLACK
from .pictures import Picture, Result
from .tiles import restore_rows

Kind = TypeVar("Kind", Image.Image, np.ndarray)
MODES = ("L", "LA", "RGB", "RGBA", "I;16", "I;16B")
# How another mode becomes one of these without a loss; the rest by "RGB"
CONVERSIONS = {
    "I": ".convert('I;16')", "PA": ".convert('RGBA')", "RGBa": ".convert('RGBA')",
    "La": ".convert('LA')", "1": ".convert('L')",
}  # fmt: skip
PRECISIONS = {
    "float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16,
}  # fmt: skip


def usable_device(asked: torch.device | str) -> torch.device:
    """The device asked for; InputError if there is none, or it does not compute."""
    try:
        device = torch.device(asked)
    except (RuntimeError, TypeError) as error:
        said = "say cpu, cuda, or cuda:1 for the second GPU"
        raise InputError(f"no device is named {str(asked)!r}; {said}") from error
    try:
        torch.ones(1, device=device).tolist()  # a device may exist and not compute
    except (RuntimeError, AssertionError) as error:
        raise InputError(
            f"no device {str(device)!r} here: {first_line(error)}"
        ) from error
    return device


def first_line(error: Exception) -> str:
    """The first sentence of what PyTorch says."""
    return (str(error) or type(error).__name__).splitlines()[0].partition(". ")[0]


@lru_cache(maxsize=1)
def shipped_network(
    name: str, device: torch.device | str | None, dtype: torch.dtype | None
) -> nn.Module:
    """A shipped model's network, kept for the next picture."""
    return fastest(load_model(name), device, dtype)


def load_network(
    model: str | Path | nn.Module,
    img_range: float | None,
    device: torch.device | str | None,
    dtype: torch.dtype | None,
) -> nn.Module:
    """What restores pictures, from a model or whatever `load_model` reads."""
    if isinstance(model, nn.Module):
        if not hasattr(model, "config"):
            raise InputError(
                "a model needs a `config` with scale, in_channels, window_size and "
                "img_range, such as swinir_lite.variants.make_network gives it; this "
                f"{type(model).__name__} has none"
            )
        if img_range not in (None, model.config.img_range):
            own = f"{model.config.img_range:g}"
            raise InputError(f"the model has img_range {own}, not {img_range}")
        return fastest(model, device, dtype)
    if img_range is None and str(model) in shipped_models():
        return shipped_network(str(model), device, dtype)
    return fastest(load_model(model, img_range), device, dtype)


def checked_array(picture: np.ndarray) -> np.ndarray:
    """(H, W, bands) of uint8 or uint16, from what a caller gave; InputError."""
    array = picture[..., None] if picture.ndim == 2 else picture
    if array.ndim != 3 or array.shape[2] not in (1, 2, 3, 4) or 0 in array.shape:
        raise InputError(
            "a picture has shape (H, W) or (H, W, C), C from 1 (gray) to 4 (RGBA), "
            f"got {picture.shape}"
        )
    if np.issubdtype(array.dtype, np.floating):
        low, high = array.min(), array.max()
        if not (low >= -SLACK and high <= 1 + SLACK):  # NaN is neither
            raise InputError(f"a float picture lies in 0..1, got {low:g} to {high:g}")
        if low < 0 or high > 1:
            array = array.clip(0, 1)
    elif array.dtype.newbyteorder("=") not in (np.uint8, np.uint16):
        raise InputError(f"need uint8, uint16 or float, got {array.dtype}")
    return array


def checked_image(image: Image.Image) -> Image.Image:
    """An image of a mode that can be restored, a transparent colour as alpha."""
    if image.mode in ("L", "RGB") and "transparency" in image.info:
        return image.convert("LA" if image.mode == "L" else "RGBA")
    if image.mode in MODES:
        return image
    how = "as by picture" + CONVERSIONS.get(image.mode, ".convert('RGB')")
    if image.mode == "P" and "transparency" in image.info:
        how = "as by picture.convert('RGBA')"
    if image.mode == "F":
        how = "as by numpy.asarray(picture), its values in 0..1"
    raise InputError(
        f"mode {image.mode}, need {', '.join(MODES)}; convert it first, {how}"
    )


def restore_array(
    array: np.ndarray, network: nn.Module, note: Callable[[str], None], **how
) -> np.ndarray:
    """Restore (H, W, bands); the result has the same type."""
    config = network.config
    picture = Picture(array, config.in_channels)
    result = Result(picture, config.scale)
    rows = restore_rows(
        network, picture.read, picture.height, picture.width, scale=config.scale,
        channels=picture.channels, window=config.window_size, note=note,
        dtype=result.takes, **how,
    )  # fmt: skip
    restored = np.concatenate([result.finish(part) for part in rows])
    return restored.astype(array.dtype, copy=False)  # its order of bytes too


def restore_image(
    picture: Kind,
    model: str | Path | nn.Module = "lightweight_x2",
    *,
    img_range: float | None = None,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
    tile: int | None = None,
    overlap: int | None = None,
    self_ensemble: bool = False,
    strength: float = 1.0,
    note: Callable[[str], None] = lambda line: None,
) -> Kind:
    """Restore a picture; gray, RGB, with or without alpha, comes back as the same.

    Gray is gray again whatever the model, and alpha is enlarged on its own. Where the
    model is for gray pictures, a coloured one keeps its colours.

    Args:
        picture: of Pillow, mode L, LA, RGB, RGBA or I;16; or an array, uint8, uint16
            or float in 0..1, of shape (H, W) or (H, W, C) with C from 1 to 4; masks
            of arrays are not looked at. A transparent colour of Pillow's
            (`info["transparency"]`) becomes alpha. It is taken as it lies: a camera's
            is turned upright by `ImageOps.exif_transpose`, before.
        model: the name of a shipped model, a file or folder that `load_model` reads,
            or a model with its configuration as `config`, which is itself moved to
            the device and set to evaluation.
        img_range: as for `load_model`, for a file that does not say it.
        device: by default a GPU if there is one.
        dtype: type of matrix products; by default half precision on GPUs with tensor
            cores for pictures of 8 bits, else float32.
        tile: longest side of a tile in pixels, 0 for the whole picture at once; by
            default what memory allows.
        overlap: pixels that neighbouring tiles share at least.
        self_ensemble: the mean over eight flips and turns.
        strength: 0 to 1; below 1 mixes with the plain enlargement.
        note: told in a line what a user should know: that memory ran out, say.

    Returns:
        The picture restored, of the same kind and type, H * scale by W * scale.

    Raises:
        InputError: for a picture or an option that cannot be.
    """
    how = {
        "tile": tile, "overlap": overlap, "self_ensemble": self_ensemble,
        "strength": strength, "note": note,
        "degradation": known_degradation(model) if isinstance(model, str) else None,
    }  # fmt: skip
    if isinstance(picture, Image.Image):
        picture = checked_image(picture)
        array = np.array(picture)
    elif isinstance(picture, np.ndarray):
        array = np.asarray(picture)  # a matrix has no third axis, a mask hides NaN
    else:
        raise InputError(
            f"need a Pillow image or an array, got {type(picture).__name__}"
        )
    checked = checked_array(array)
    if dtype not in (None, *PRECISIONS.values()):
        known = ", ".join(map(str, PRECISIONS.values()))
        raise InputError(f"need {known} as dtype, got {dtype!r}")
    if device is not None:
        device = usable_device(device)
    if dtype is None and checked.dtype != np.uint8:
        dtype = torch.float32  # half precision has no more than 8 to 11 bits
    network = load_network(model, img_range, device, dtype)
    restored = restore_array(checked, network, **how)
    if array.ndim == 2:
        restored = restored[..., 0]
    if not isinstance(picture, Image.Image):
        return restored
    image = Image.fromarray(restored)
    image.info = dict(picture.info)
    return image
