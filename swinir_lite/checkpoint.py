"""Load official weights and our own, which share one set of names (chapter 8)."""

import json
import math
import re
import struct
from dataclasses import asdict
from pathlib import Path
from pickle import UnpicklingError

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from .convolutional_baseline import ResidualCNN
from .shipped_weights import shipped_file, shipped_models
from .swinir import SwinIR, SwinIRConfig
from .variants import RELEASED

# What the readers raise for bytes that are damaged, or of another kind
UNREADABLE = (
    SafetensorError, UnpicklingError, RuntimeError, EOFError, ValueError, LookupError,
    TypeError, AttributeError, AssertionError, struct.error,
)  # fmt: skip
OFFICIAL = "https://github.com/JingyunLiang/SwinIR/releases"
BUFFERS = ("relative_position_index", "attn_mask")  # rebuilt, not loaded


def official_head(config):
    """The official names of the head's convolutions, first to last."""
    if config.upsampler == "none":
        return ["conv_last"]
    if config.upsampler == "pixelshuffledirect":
        return ["upsample.0"]
    steps = 1 if config.scale == 3 else config.scale.bit_length() - 1
    if config.upsampler == "pixelshuffle":
        middle = [f"upsample.{2 * i}" for i in range(steps)]
    else:
        middle = [f"conv_up{i + 1}" for i in range(steps)] + ["conv_hr"]
    return ["conv_before_upsample.0", *middle, "conv_last"]


def key_map(model):
    """Map each of the model's parameter names to the official one.

    Built in chapter 8.
    """
    convolutions = [
        f"head.{i}" for i, m in enumerate(model.head) if isinstance(m, nn.Conv2d)
    ]
    head = dict(zip(convolutions, official_head(model.config), strict=True))
    names = {}
    for key in model.state_dict():
        official = re.sub(r"^norm_in\.", "patch_embed.norm.", key)
        official = re.sub(r"^norm_out\.", "norm.", official)
        official = re.sub(
            r"^blocks\.(\d+)\.layers\.", r"layers.\1.residual_group.blocks.", official
        )
        official = re.sub(r"^blocks\.(\d+)\.conv\.", r"layers.\1.conv.", official)
        official = re.sub(r"^head\.\d+", lambda m: head[m.group()], official)
        names[key] = official
    return names


def infer_config(state):
    """Read the configuration off the shapes in an official state dict.

    No shape tells the range of the input; the released window-7 models use 255.

    Raises:
        ValueError: if the tensors are not those of a SwinIR.
    """

    def shape(key, rank):
        if key not in state:
            found = ", ".join(list(state)[:3]) or "nothing"
            raise ValueError(f"not a SwinIR state dict: no {key!r} among {found}, ...")
        if state[key].ndim != rank:
            got = tuple(state[key].shape)
            raise ValueError(f"{key} must have {rank} dimensions, got {got}")
        return state[key].shape

    dim, in_channels = shape("conv_first.weight", 4)[:2]
    block = "layers.{}.residual_group.blocks.{}."
    depths, num_heads = [], []
    while block.format(len(depths), 0) + "norm1.weight" in state:
        i, depth = len(depths), 0
        while block.format(i, depth) + "norm1.weight" in state:
            depth += 1
        table = shape(block.format(i, 0) + "attn.relative_position_bias_table", 2)
        depths.append(depth)
        num_heads.append(table[1])
    first = block.format(0, 0)
    table = shape(first + "attn.relative_position_bias_table", 2)
    window_size = (math.isqrt(table[0]) + 1) // 2
    upsampler, scale = infer_head(state, in_channels)
    return SwinIRConfig(
        in_channels=in_channels,
        dim=dim,
        depths=tuple(depths),
        num_heads=tuple(num_heads),
        window_size=window_size,
        mlp_ratio=shape(first + "mlp.fc1.weight", 2)[0] / dim,
        scale=scale,
        upsampler=upsampler,
        resi_connection="1conv" if "conv_after_body.weight" in state else "3conv",
        img_range=255.0 if window_size == 7 else 1.0,
    )


def infer_head(state, in_channels):
    """Tell the kind of reconstruction head and its scale from the keys."""
    if "conv_up1.weight" in state:
        return "nearest+conv", 4 if "conv_up2.weight" in state else 2
    steps = [key for key in state if re.fullmatch(r"upsample\.\d+\.weight", key)]
    if not steps:
        return "none", 1
    direct = "conv_before_upsample.0.weight" not in state
    channels = in_channels if direct else 64
    scale = math.prod(math.isqrt(len(state[key]) // channels) for key in steps)
    return "pixelshuffledirect" if direct else "pixelshuffle", scale


def read_state_dict(path):
    """Read the tensors of a .pth or .safetensors file under their official names.

    Unwraps `params_ema` or `params`, drops a `module.` prefix and the buffers.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no such file: {path}")
    try:
        if path.suffix == ".safetensors":
            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except UNREADABLE as error:
        message = "it is damaged, or holds more than tensors"
        raise ValueError(f"{path} cannot be read as weights: {message}") from error
    if not isinstance(state, dict):
        raise ValueError(f"{path} holds a {type(state).__name__}, not a state dict")
    for wrapper in ("params_ema", "params"):
        if isinstance(state.get(wrapper), dict):
            state = state[wrapper]
            break
    for key, value in state.items():
        if not isinstance(key, str) or not torch.is_tensor(value):
            kind = type(value).__name__
            raise ValueError(f"{path} is no state dict: {key!r} is a {kind}")
    state = {key.removeprefix("module."): value for key, value in state.items()}
    return {k: v for k, v in state.items() if not k.endswith(BUFFERS)}


def stored_config(path):
    """The configuration that `save_model` put beside the tensors, or None."""
    if Path(path).suffix != ".safetensors":
        return None
    with safe_open(path, "pt") as file:
        stored = (file.metadata() or {}).get("swinir_config")
    try:
        return stored and SwinIRConfig(**json.loads(stored))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} holds no SwinIR's configuration: {error}") from error


def check_fit(expected, state):
    """Raise ValueError that names every key that is missing, unknown or misshapen."""
    problems = []
    for key in sorted(expected.keys() | state.keys()):
        want = tuple(expected[key].shape) if key in expected else "nothing"
        got = tuple(state[key].shape) if key in state else "nothing"
        if want != got:
            problems.append(f"{key}: expected {want}, got {got}")
    if problems:
        shown = "\n  ".join(problems[:10])
        more = f"\n  and {len(problems) - 10} more" if len(problems) > 10 else ""
        raise ValueError(f"the weights do not fit the model:\n  {shown}{more}")


def load_model(source):
    """Load a SwinIR from a file of weights, official or our own, or by name.

    Args:
        source: the name of a model that ships with the package, such as
            "lightweight_x2", or a .pth or .safetensors file.  Bare state dicts
            and those under `params` or `params_ema`, with or without `module.`,
            are read; nothing in a file is executed.

    Returns:
        A SwinIR in eval mode, on the CPU, in float32; its configuration is the
        one that `save_model` wrote, or else inferred from the tensors.  The
        shipped convolutional baseline is a ResidualCNN.

    Raises:
        FileNotFoundError: if there is neither such a file nor such a model.
        ValueError: if the file is not a SwinIR; names the keys and both shapes.

    Built in chapter 8.
    """
    shipped = shipped_models()
    entry = shipped.get(str(source))
    if not entry and not Path(source).is_file():
        names = ", ".join(shipped) or "none yet"
        hint = f"; the authors' files: {OFFICIAL}" if str(source) in RELEASED else ""
        message = f"no such file: {source}; shipped models: {names}{hint}"
        raise FileNotFoundError(message)
    path = shipped_file(source) if entry else source
    state = read_state_dict(path)
    if "norm_in.weight" in state:
        raise ValueError(f"{path} says no configuration; use save_model to write it")
    if entry and entry["variant"] == "residual_cnn":
        model = ResidualCNN(**entry["config"])
        official = {key: key for key in state}
    else:
        model = SwinIR(stored_config(path) or infer_config(state))
        official = key_map(model)
    own = model.state_dict()
    check_fit({official.get(key, key): value for key, value in own.items()}, state)
    model.load_state_dict({key: state[official[key]] for key in own})
    return model.float().eval()


def load_initial_weights(model, source):
    """Start a model from another's weights, except for a head of another scale.

    Args:
        source: what `load_model` reads.

    Raises:
        ValueError: that names the weights outside the head that do not fit.
    """
    given, own = load_model(source).state_dict(), model.state_dict()
    fitting = {k: v for k, v in given.items() if k in own and v.shape == own[k].shape}
    body = {key for key in own.keys() | given.keys() if not key.startswith("head.")}
    if misfits := sorted(body - fitting.keys()):
        raise ValueError(f"{source} does not fit the model: {', '.join(misfits[:5])}")
    model.load_state_dict(fitting, strict=False)


def save_model(model, path, dtype=torch.float32):
    """Write a SwinIR's weights and configuration as a .safetensors file.

    The names are the official ones, so whatever reads official weights reads
    these.  `dtype` torch.float16 halves the file.

    Raises:
        TypeError: if the model is no SwinIR; of a fast one, give its `model`.
        ValueError: if the name has another ending.
        FileNotFoundError: if there is no such folder.
    """
    path = Path(path)
    if not isinstance(model, SwinIR):
        raise TypeError(f"expected a SwinIR, got a {type(model).__name__}")
    if path.suffix != ".safetensors":
        raise ValueError(f"expected a name that ends with .safetensors, got {path}")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"no such folder: {path.parent}")
    names = key_map(model)
    state = {names[k]: v.to("cpu", dtype) for k, v in model.state_dict().items()}
    state = {key: value.contiguous() for key, value in state.items()}
    save_file(state, path, {"swinir_config": json.dumps(asdict(model.config))})
