"""Make the golden files with the official network.

    python -m tests.golden.generate path/to/network_swinir.py official_state_dicts.json

The first argument is `models/network_swinir.py` of the official repository, commit
6545850; the second lists configuration, parameter count, names and
shapes of released files.
"""

import hashlib
import importlib.util
import json
import sys
import types
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from benchmarks.official import build_official
from swinir_lite.variants import RELEASED

from . import (
    FOLDER,
    compact,
    draw_weights,
    draw_weights_for_pictures,
    small_picture,
)

SHA256 = "9e143898679ebeebc5d2fc94ad1b89c38aa4a4d43da4e0fcba0f93e476994913"
SMALL = {
    "img_size": 56,
    "embed_dim": 12,
    "depths": [2, 3],
    "num_heads": [2, 3],
    "window_size": 4,
    "mlp_ratio": 2,
    "img_range": 1.0,
    "resi_connection": "1conv",
    "in_chans": 3,
    "upscale": 1,
    "upsampler": "",
}
CASES = {
    "classical_x2": {"upsampler": "pixelshuffle", "upscale": 2},
    "classical_x3": {"upsampler": "pixelshuffle", "upscale": 3},
    "classical_x8": {"upsampler": "pixelshuffle", "upscale": 8},
    "lightweight_x2": {"upsampler": "pixelshuffledirect", "upscale": 2},
    "lightweight_x4_gray": {
        "upsampler": "pixelshuffledirect",
        "upscale": 4,
        "in_chans": 1,
        "window_size": 8,
    },
    "real_world_x2": {"upsampler": "nearest+conv", "upscale": 2},
    "real_world_x4_3conv": {
        "upsampler": "nearest+conv",
        "upscale": 4,
        "resi_connection": "3conv",
    },
    "gray_denoise": {"in_chans": 1, "window_size": 8, "mlp_ratio": 4},
    "color_denoise": {},
    "gray_jpeg": {"in_chans": 1, "window_size": 7, "img_range": 255.0},
    "color_jpeg": {"window_size": 7, "img_range": 255.0, "depths": [1, 2]},
}


def load_official(path):
    """Import the official network, if it is the expected file.

    It takes three names from timm, none of which matters to a forward pass in eval
    mode; they are stood in for.
    """
    layers = types.ModuleType("timm.models.layers")
    layers.DropPath = torch.nn.Identity
    layers.to_2tuple = lambda side: (side, side)
    layers.trunc_normal_ = torch.nn.init.trunc_normal_
    sys.modules["timm.models.layers"] = layers
    if hashlib.sha256(Path(path).read_bytes()).hexdigest() != SHA256:
        raise SystemExit(f"{path} is not the expected version of the network")
    spec = importlib.util.spec_from_file_location("network_swinir", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.SwinIR


def make_cases(official):
    """Run every case, and write inputs, outputs, configurations and shapes."""
    tensors, metadata = {}, {}
    for seed, (name, changes) in enumerate(CASES.items()):
        config = {**SMALL, **changes}
        model = official(**config).eval()
        buffers = {key for key, _ in model.named_buffers()}
        shapes = {
            key: list(value.shape)
            for key, value in model.state_dict().items()
            if key not in buffers and not key.endswith("relative_position_index")
        }
        model.load_state_dict(draw_weights(shapes), strict=False)
        rng = np.random.RandomState(seed)
        x = torch.from_numpy(rng.rand(1, config["in_chans"], 10, 13)).float()
        with torch.no_grad():
            tensors[f"{name}.output"] = model(x).contiguous()
        tensors[f"{name}.input"] = x
        metadata[name] = json.dumps({"config": config, "shapes": shapes})
    save_file(tensors, FOLDER / "cases.safetensors", metadata)


def extend(x, window_size):
    """What the official test script does to an image before it is restored."""
    height, width = x.shape[2:]
    down = (height // window_size + 1) * window_size - height
    across = (width // window_size + 1) * window_size - width
    x = torch.cat([x, torch.flip(x, [2])], 2)[:, :, : height + down, :]
    return torch.cat([x, torch.flip(x, [3])], 3)[:, :, :, : width + across]


def make_restored(official):
    """What the official script saves of a small picture, for every released model."""
    tensors = {}
    for name, config in RELEASED.items():
        model = build_official(official, config)
        buffers = {key for key, _ in model.named_buffers()}
        shapes = {k: list(v.shape) for k, v in model.named_parameters()}
        state = draw_weights_for_pictures(shapes)
        missing, unexpected = model.load_state_dict(state, strict=False)
        assert set(missing) <= buffers
        assert not unexpected
        x = torch.from_numpy(small_picture(config.in_channels)).float() / 255
        x = x.permute(2, 0, 1)[None]
        height, width = (side * config.scale for side in x.shape[2:])
        with torch.no_grad():
            restored = model(extend(x, config.window_size))[..., :height, :width]
        restored = restored[0].clamp(0, 1).permute(1, 2, 0) * 255
        tensors[name] = restored.round().byte().contiguous()
        print(
            name, f"{((tensors[name] > 0) & (tensors[name] < 255)).float().mean():.2f}"
        )
    save_file(tensors, FOLDER / "restored.safetensors")


def make_state_dicts(path):
    """Write the released files' names and shapes in their compact form."""
    released = json.loads(Path(path).read_text())
    rows = {
        stem: {
            "config": about["config"],
            "parameters": about["parameters"],
            "keys": compact(about["keys"], about["config"]["depths"]),
        }
        for stem, about in released.items()
    }
    text = json.dumps(rows, separators=(",", ":")).replace("],[", "],\n[")
    (FOLDER / "official_state_dicts.json").write_text(text + "\n")


if __name__ == "__main__":
    make_cases(load_official(sys.argv[1]))
    make_restored(load_official(sys.argv[1]))
    make_state_dicts(sys.argv[2])
