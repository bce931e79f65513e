"""The official network, read from a file that the user names."""

import functools
import hashlib
import importlib.util
import sys
import types
from pathlib import Path

import torch
from torch import nn

from swinir_lite import SwinIR, SwinIRConfig
from swinir_lite.checkpoint import key_map

COMMIT = "6545850fbf8df298df73d81f3e8cba638787c8bd"
SHA256 = "9e143898679ebeebc5d2fc94ad1b89c38aa4a4d43da4e0fcba0f93e476994913"


def timm_stand_in() -> dict[str, types.ModuleType]:
    """The three names that the network takes from timm.models.layers."""
    layers = types.ModuleType("timm.models.layers")
    layers.DropPath = nn.Identity  # stochastic depth is off in every comparison
    layers.to_2tuple = lambda x: x if isinstance(x, tuple) else (x, x)
    layers.trunc_normal_ = nn.init.trunc_normal_
    names = ("timm", "timm.models", "timm.models.layers")
    return dict(zip(names, (types.ModuleType("timm"), types.ModuleType("m"), layers)))


def load_official(path: str | Path, any_file: bool = False) -> type[nn.Module]:
    """The class SwinIR of the official `network_swinir.py`.

    Raises ValueError for a file with other contents than those of COMMIT, unless
    `any_file`.
    """
    digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    if digest != SHA256 and not any_file:
        raise ValueError(
            f"{path} has SHA-256 {digest}, expected {SHA256}: models/network_swinir.py "
            f"of JingyunLiang/SwinIR at {COMMIT}. --any-file runs it regardless"
        )
    spec = importlib.util.spec_from_file_location("network_swinir", path)
    module = importlib.util.module_from_spec(spec)
    stand_in = timm_stand_in()
    kept = {name: sys.modules.get(name) for name in stand_in}
    sys.modules.update(stand_in)
    try:
        spec.loader.exec_module(module)
    finally:
        for name, before in kept.items():
            del sys.modules[name]
            if before is not None:
                sys.modules[name] = before
    return module.SwinIR


def build_official(network: type[nn.Module], config: SwinIRConfig) -> nn.Module:
    """An official network of a configuration, for images of 64 x 64 or 63 x 63."""
    side = 64 // config.window_size * config.window_size
    names = {"none": "", "nearest+conv": "nearest+conv"}
    return network(
        upscale=config.scale,
        in_chans=config.in_channels,
        img_size=side,
        window_size=config.window_size,
        img_range=config.img_range,
        depths=list(config.depths),
        embed_dim=config.dim,
        num_heads=list(config.num_heads),
        mlp_ratio=config.mlp_ratio,
        upsampler=names.get(config.upsampler, config.upsampler),
        resi_connection=config.resi_connection,
        drop_path_rate=0.0,
    ).eval()


def keep_masks(network: nn.Module) -> nn.Module:
    """The official network without what it computes again at every call.

    Each layer builds its attention mask on the CPU for any size but that of training.
    """

    def kept(calculate, device):
        return functools.cache(lambda size: calculate(size).to(device))

    device = next(network.parameters()).device
    for module in network.modules():
        if hasattr(module, "calculate_mask"):
            module.calculate_mask = kept(module.calculate_mask, device)
    return network


def same_weights(official: nn.Module, config: SwinIRConfig) -> SwinIR:
    """A SwinIR of this project with the weights of an official one."""
    model = SwinIR(config).eval()
    state = official.state_dict()
    model.load_state_dict({ours: state[k] for ours, k in key_map(model).items()})
    device = next(official.parameters()).device
    return model.to(device)


def build_pair(
    config: SwinIRConfig,
    device: torch.device,
    path: str | Path | None,
    any_file: bool = False,
) -> tuple[nn.Module | None, SwinIR]:
    """The official network, if its file is given, and ours with its weights."""
    torch.manual_seed(0)
    if path is None:
        return None, randomize(SwinIR(config)).eval().to(device)
    official = build_official(load_official(path, any_file), config)
    official = randomize(official).to(device)
    return official, same_weights(official, config)


def randomize(network: nn.Module, seed: int = 0) -> nn.Module:
    """Weights away from their initial zeros, so that every term counts."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter += 0.02 * noise.to(parameter)
    return network
