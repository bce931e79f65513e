"""Load official weights and our own, which share one set of names (appendix A1)."""

import json
import math
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from pathlib import Path

import torch
from safetensors.torch import save
from torch import nn

from .errors import InputError
from .released_weights import released_file, released_models
from .runs import is_run, read_run_config, read_run_state
from .shipped_weights import shipped_file, shipped_models
from .swinir import SwinIR, SwinIRConfig
from .variants import (
    RELEASED,
    VARIANTS,
    Config,
    ResidualCNNConfig,
    make_config,
    make_network,
)
from .weight_files import check_tensors, read_metadata, read_tensors, shortened
from .whole_files import whole_file

OFFICIAL = "https://github.com/JingyunLiang/SwinIR/releases"
FIRST_ATTENTION = "layers.0.residual_group.blocks.0.attn."
UNSUPPORTED = {  # what tells it -> what it is; other tools read some of these
    "conv_first.1.weight": "an input that is unshuffled first, as in DiffBIR's cleaner",
    "conv_up3.weight": "a nearest+conv head of x8",
    "absolute_pos_embed": "an embedding of absolute positions",
    FIRST_ATTENTION + "logit_scale": "Swin2SR's attention",
    "layers.0.residual_group.overlap_attn.qkv.weight": "HAT's overlapping attention",
}
MAX_WINDOW_BYTES = 1 << 29  # of the table of pairs of pixels that every layer keeps


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

    Built in appendix A1.
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


@contextmanager
def naming(path: str | Path) -> Iterator[None]:
    """Errors of a block become `InputError`s that name the file."""
    try:
        yield
    except (ValueError, TypeError, ArithmeticError, RecursionError) as error:
        raise InputError(f"{path}: {shortened(str(error), 2000)}") from error


@dataclass(frozen=True)
class Weights:
    """What was read from a file: a network, and what the file says of itself."""

    path: Path
    model: nn.Module  # in eval mode, on the CPU, in float32
    state: dict[str, torch.Tensor]  # as stored
    stated: bool  # the configuration was written down, not inferred


def stored_config(path: str | Path) -> SwinIRConfig | None:
    """The configuration that `save_model` put beside the tensors, or None.

    Raises:
        InputError: for one that makes no SwinIR.
    """
    stored = read_metadata(path).get("swinir_config")
    if stored is None:
        return None
    try:
        fields = json.loads(stored)
        if not isinstance(fields, dict):
            raise ValueError("it must be a dict of fields")
        return make_config("lightweight_x2", fields)
    except (ValueError, RecursionError) as error:
        message = shortened(str(error), 500)
        raise InputError(
            f"{path} holds no SwinIR's configuration: {message}"
        ) from error


def least_weights(config: Config) -> int:
    """How many weights a network has at least, without making it."""
    if isinstance(config, ResidualCNNConfig):
        return 18 * config.num_blocks * config.dim**2
    dim, hidden = config.dim, round(config.dim * config.mlp_ratio)
    matrices, table = 4 * dim**2 + 2 * dim * hidden, (2 * config.window_size - 1) ** 2
    layers = zip(config.depths, config.num_heads)
    return sum(depth * (matrices + heads * table) for depth, heads in layers)


def check_size(config: Config, state: dict[str, torch.Tensor]) -> None:
    """Raise InputError for a configuration of more weights than there are.

    A network is made only of what passes: its size is paid for in memory.
    """
    there = sum(value.numel() for value in state.values())
    if (needed := least_weights(config)) > there:
        raise InputError(
            f"the configuration needs at least {needed} weights, there are {there}"
        )
    if isinstance(config, SwinIRConfig):
        layers = sum(config.depths)
        if layers * 13 > len(state):
            raise InputError(f"{layers} layers have more than {len(state)} tensors")
        if 8 * layers * config.window_size**4 > MAX_WINDOW_BYTES:
            side = config.window_size
            raise InputError(f"windows of {side}x{side} pixels take too much memory")


def check_fit(
    expected: dict[str, torch.Tensor], state: dict[str, torch.Tensor]
) -> None:
    """Raise ValueError that names every key that is missing, unknown or misshapen."""
    problems = []
    for key in sorted(expected.keys() | state.keys()):
        want = tuple(expected[key].shape) if key in expected else "nothing"
        got = tuple(state[key].shape) if key in state else "nothing"
        if want != got:
            problems.append(f"{shortened(key)}: expected {want}, got {got}")
    if problems:
        shown = "\n  ".join(problems[:10])
        more = f"\n  and {len(problems) - 10} more" if len(problems) > 10 else ""
        raise InputError(f"the weights do not fit the model:\n  {shown}{more}")


def check_finite(state: dict[str, torch.Tensor]) -> None:
    """Raise InputError for weights that are infinite or no numbers."""
    for key, value in state.items():
        if not value.float().isfinite().all():
            raise InputError(
                f"{key} holds infinite values, or some that are no numbers"
            )


def fill(
    path: str | Path, config: Config, state: dict[str, torch.Tensor],
    official: bool, stated: bool,
) -> Weights:  # fmt: skip
    """Make the network that tensors were seen to fit.

    Raises:
        InputError: that names the file and what does not fit.
    """
    with naming(path):
        check_size(config, state)
        model = make_network(config)
        own = model.state_dict()
        names = key_map(model) if official else {key: key for key in own}
        check_fit({names[key]: value for key, value in own.items()}, state)
        check_finite(state)
    model.load_state_dict({key: state[name] for key, name in names.items()})
    return Weights(Path(path), model.eval(), state, stated)


def check_supported(state: dict[str, torch.Tensor]) -> None:
    """Raise InputError that says what of a network this one does not have."""
    for key, what in UNSUPPORTED.items():
        if key in state:
            raise InputError(f"{what} ({key}) is not supported")
    features = state.get("conv_before_upsample.0.weight")
    if features is not None and len(features) != 64:
        raise InputError(
            f"a head of {len(features)} features is not supported "
            "(conv_before_upsample.0.weight): heads have 64"
        )


def read_run(folder: str | Path) -> Weights:
    """The averaged weights of a training run's folder."""
    fields, state = read_run_config(folder), read_run_state(folder)["ema"]
    variant = fields.get("variant", "lightweight_x2")
    path = Path(folder) / "state.pt"
    check_tensors(state, path)
    with naming(Path(folder) / "config.json"):
        config = make_config(variant, fields.get("architecture", {}))
    return fill(path, config, state, official=False, stated=True)


def read_file(path: str | Path) -> Weights:
    """The weights of a file in the official layout."""
    state = read_tensors(path)
    if "norm_in.weight" in state:
        raise InputError(f"{path} says no configuration; use save_model to write it")
    stored = stored_config(path)
    with naming(path):
        check_supported(state)
        config = stored or infer_config(state)
    return fill(path, config, state, official=True, stated=stored is not None)


def read_weights(source: str | Path) -> Weights:
    """Read and check what `load_model` makes a network of."""
    if entry := shipped_models().get(str(source)):
        path, variant = shipped_file(str(source)), entry["variant"]
        config, official = make_config(variant, entry["config"]), variant in VARIANTS
        return fill(path, config, read_tensors(path), official, stated=True)
    if entry := released_models().get(str(source)):
        if not (path := released_file(str(source))):
            message = f"{source} is not on this machine: swinir-lite download {source}"
            raise FileNotFoundError(message)
        config = RELEASED[entry["variant"]]
        return fill(path, config, read_tensors(path), official=True, stated=True)
    if is_run(source):
        return read_run(source)
    if not Path(source).is_file():
        what = f"no such file: {source}"
        if str(source) and Path(source).is_dir():
            what = f"{source} is a folder that holds no run: there is no state.pt"
        raise FileNotFoundError(f"{what}; {names_for(str(source))}")
    return read_file(source)


def names_for(wrong: str) -> str:
    """What somebody may have meant by a name that no model has."""
    names = [*shipped_models(), *released_models()]
    if near := get_close_matches(wrong, names, 1, 0.8):
        return f"did you mean {near[0]}? `swinir-lite models` lists them all"
    hint = f"; the authors' files: {OFFICIAL}" if wrong in RELEASED else ""
    return f"shipped models: {', '.join(shipped_models()) or 'none yet'}{hint}"


def set_range(weights: Weights, img_range: float | None) -> None:
    """Tell the network the range of its images, which the caller may say.

    Raises:
        InputError: for a range that is none, or not what the file says.
    """
    config = weights.model.config
    if img_range is None:
        if not weights.stated and config.window_size == 7:
            warnings.warn(
                f"{weights.path} has windows of 7 pixels, so it is taken for a JPEG "
                "model, with img_range=255; say img_range to be sure",
                stacklevel=3,
            )
    elif weights.stated and img_range != config.img_range:
        known = f"{config.img_range:g}"
        raise InputError(f"{weights.path} says img_range {known}, not {img_range}")
    elif not weights.stated:
        if img_range not in (1, 255):
            raise InputError(f"img_range must be 1 or 255, got {img_range}")
        with naming(weights.path):
            fields = asdict(config) | {"img_range": img_range}
            weights.model.config = make_config("lightweight_x2", fields)


def load_model(source: str | Path, img_range: float | None = None) -> nn.Module:
    """Load a SwinIR from a file of weights, official or our own, or by name.

    Args:
        source: the name of a model that ships with the package, such as
            "lightweight_x2", or of a released one that was fetched before, such as
            "official_classical_x2"; a .pth or .safetensors file; or the folder of a
            training run, of which the averaged weights are taken.  Bare state dicts
            and those under `params`, `params_ema`, `state_dict` or `model`, with or
            without `module.`, are read; nothing in a file is executed.
        img_range: what the network expects images in [0, 1] to be multiplied by, 1
            or 255.  Official files do not say it: left out, windows of 7 pixels are
            taken to mean 255, as in the released models, with a warning.

    Returns:
        A SwinIR in eval mode, on the CPU, in float32; its configuration is the
        one that `save_model` wrote, or else inferred from the tensors.  The
        shipped convolutional baseline is a ResidualCNN.

    Raises:
        FileNotFoundError: if there is neither such a file nor such a model.
        ValueError: if the file is not a SwinIR; names the keys and both shapes.

    Built in appendix A1.
    """
    weights = read_weights(source)
    set_range(weights, img_range)
    return weights.model


def load_initial_weights(model: nn.Module, source: str | Path) -> None:
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
        raise InputError(f"{source} does not fit the model: {', '.join(misfits[:5])}")
    model.load_state_dict(fitting, strict=False)


def save_model(
    model: SwinIR, path: str | Path, dtype: torch.dtype = torch.float32
) -> None:
    """Write a SwinIR's weights and configuration as a .safetensors file.

    The names are the official ones, so whatever reads official weights reads
    these.  `dtype` torch.float16 halves the file.

    Raises:
        TypeError: if the model is no SwinIR; of a fast one, give its `model`.
        ValueError: if the name has another ending, and for weights that are not finite
            numbers of the `dtype`.
        FileNotFoundError: if there is no such folder.
    """
    path = Path(path)
    if not isinstance(model, SwinIR):
        raise TypeError(f"expected a SwinIR, got a {type(model).__name__}")
    if path.suffix != ".safetensors":
        raise InputError(f"expected a name that ends with .safetensors, got {path}")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"no such folder: {path.parent}")
    if not dtype.is_floating_point:
        raise InputError(f"weights are floating-point numbers, not {dtype}")
    names = key_map(model)
    state = {names[k]: v.to("cpu", dtype) for k, v in model.state_dict().items()}
    state = {key: value.contiguous() for key, value in state.items()}
    with naming(path):  # as load_model would refuse them
        check_finite(state)
    about = {"swinir_config": json.dumps(asdict(model.config))}
    with whole_file(path) as partial:
        partial.write_bytes(save(state, about))
