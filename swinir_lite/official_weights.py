"""Our weights in the layout of the authors' files, for tools that read those."""

import warnings
from pathlib import Path

import torch

from .checkpoint import key_map
from .errors import InputError
from .relative_position_attention import relative_position_index
from .shifted_windows import attention_mask
from .swinir import SwinIR, SwinIRConfig
from .weight_files import write_pickle
from .whole_files import whole_file


def training_size(config: SwinIRConfig) -> int:
    """The side of the images for which the official network keeps its masks.

    As in the authors' training: 64 pixels, 128 where nothing is enlarged, in whole
    windows, of which there are at least two.
    """
    windows = (64 if config.scale > 1 else 128) // config.window_size
    return max(windows, 2) * config.window_size


def official_state(
    model: SwinIR, img_size: int | None = None
) -> dict[str, torch.Tensor]:
    """What the official network's `state_dict` would be, with its buffers.

    Args:
        model: whose weights are meant.
        img_size: the side, in pixels, of the images that the official network is
            made for, its `img_size`; left out, `training_size`.

    Raises:
        InputError: for a size that is not two windows or more.
    """
    config = model.config
    window, size = config.window_size, img_size or training_size(config)
    if size % window or size < 2 * window:
        raise InputError(
            f"img_size must be two windows of {window} or more, got {size}"
        )
    names = key_map(model)
    state = {names[key]: value for key, value in model.state_dict().items()}
    index = relative_position_index(window)
    mask = attention_mask(size, size, window, window // 2)
    for i, depth in enumerate(config.depths):
        for j in range(depth):
            block = f"layers.{i}.residual_group.blocks.{j}."
            state[block + "attn.relative_position_index"] = index
            if j % 2:  # the layers whose windows are shifted
                state[block + "attn_mask"] = mask
    return {key: value.detach().to("cpu").clone() for key, value in state.items()}


def save_official(model: SwinIR, path: str | Path, img_size: int | None = None) -> None:
    """Write a SwinIR as the authors' files are, under `params` in a .pth file.

    The official network made for images of `img_size` loads it strictly, and so do
    tools built on spandrel.  They are not told the image range: windows of 7 pixels
    mean 255 to them, other windows 1.

    Raises:
        TypeError: if the model is no SwinIR; of a fast one, give its `model`.
        InputError: if the name has another ending, and as `official_state`.
        OSError: if it cannot be written; what was there stays.
    """
    path = Path(path)
    if not isinstance(model, SwinIR):
        raise TypeError(f"expected a SwinIR, got a {type(model).__name__}")
    if path.suffix != ".pth":
        raise InputError(f"expected a name that ends with .pth, got {path}")
    config = model.config
    taken = 255.0 if config.window_size == 7 else 1.0
    if config.img_range != taken:
        warnings.warn(
            f"{path} cannot say its img_range of {config.img_range:g}: readers will "
            f"take {taken:g}, because its windows have {config.window_size} pixels",
            stacklevel=2,
        )
    state = {"params": official_state(model, img_size)}
    with whole_file(path) as partial:
        write_pickle(state, partial)
