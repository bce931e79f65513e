"""What the official network answers, in a few kilobytes.

`cases.safetensors` holds inputs and outputs of the official network for small
configurations.  The weights are random; they are drawn anew from NumPy's frozen
generator instead of being stored, from the official names and shapes that the
file's metadata lists.  `restored.safetensors` holds what the official script saves of
a small picture, by every released configuration.  `official_state_dicts.json` lists
the names and shapes in nine released files.  All are made by generate.py.
"""

import json
import re
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open

FOLDER = Path(__file__).parent


def draw_weights(shapes):
    """Random weights {name: tensor} for {name: shape}, alike on every machine.

    They are large enough that attention, biases and masks all matter.
    """
    rng = np.random.RandomState(0)
    state = {}
    for name in sorted(shapes):
        values = rng.standard_normal(shapes[name])
        if name.endswith("relative_position_bias_table"):
            pass
        elif values.ndim > 1:
            values *= (values.size / len(values)) ** -0.5
        else:
            values = 0.2 * values + ("norm" in name and name.endswith("weight"))
        state[name] = torch.from_numpy(values).float()
    return state


def draw_weights_for_pictures(shapes):
    """The same, with a last convolution that leaves most values within [0, 1]."""
    state = draw_weights(shapes)
    heads = [k for k in state if k.startswith(("conv_last.", "upsample.0."))]
    last = [k for k in heads if k.startswith("conv_last.")] or heads
    for name in last:
        state[name] *= 0.2
    return state


def small_picture(channels):
    """The uint8 picture (9, 13, channels) that `restored.safetensors` is made from."""
    return np.random.RandomState(0).randint(0, 256, (9, 13, channels)).astype(np.uint8)


def load_restored():
    """What the official script saves: {name of a released model: uint8 (H, W, C)}."""
    with safe_open(FOLDER / "restored.safetensors", "np") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def load_cases():
    """Return {name: (state dict, img_range, input, output)}."""
    cases = {}
    with safe_open(FOLDER / "cases.safetensors", "pt") as file:
        for name, about in file.metadata().items():
            about = json.loads(about)
            tensors = (file.get_tensor(f"{name}.{end}") for end in ("input", "output"))
            state = draw_weights(about["shapes"])
            cases[name] = (state, about["config"]["img_range"], *tensors)
    return cases


def expand(pattern, layers):
    """Write out a compact name: `*` is a layer, `#` one of its blocks."""
    for i, blocks in layers:
        if "#" not in pattern:
            yield pattern.replace("*", str(i))
        else:
            for j in blocks:
                yield pattern.replace("*", str(i)).replace("#", str(j))
        if "*" not in pattern:
            return


def compact(keys, depths):
    """Write {name: shape} as rows [pattern, shape, which blocks have it]."""
    rows = {}
    for key, shape in keys.items():
        pattern = re.sub(r"^layers\.\d+", "layers.*", key)
        pattern = re.sub(r"blocks\.\d+", "blocks.#", pattern)
        rows.setdefault((pattern, tuple(shape)), []).append(key)
    written = []
    for (pattern, shape), names in rows.items():
        for parity in ("all", "odd"):
            if sorted(expand(pattern, blocks_of(depths, parity))) == sorted(names):
                written.append([pattern, list(shape), parity])
                break
        else:
            raise ValueError(f"no compact form for {names}")
    return written


def blocks_of(depths, parity):
    """[(layer, its blocks)], all blocks or the odd ones, which are shifted."""
    start, step = (0, 1) if parity == "all" else (1, 2)
    return [(i, range(start, depth, step)) for i, depth in enumerate(depths)]


def load_official_state_dicts():
    """Return {file stem: (config, parameter count, {name: shape})}."""
    released = json.loads((FOLDER / "official_state_dicts.json").read_text())
    result = {}
    for stem, about in released.items():
        depths = about["config"]["depths"]
        shapes = {
            name: tuple(shape)
            for pattern, shape, parity in about["keys"]
            for name in expand(pattern, blocks_of(depths, parity))
        }
        result[stem] = about["config"], about["parameters"], shapes
    return result
