"""Mutated files of weights, each made from its number, through `load_model`.

    python -m tests.fuzz.checkpoints COUNT

prints as JSON how many loaded and how many were refused with which documented error,
what else happened, and by how many MiB the process grew at most.
"""

import collections
import json
import math
import random
import resource
import signal
import struct
import sys
import tempfile
import traceback
import warnings
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import save

from swinir_lite import SwinIR, SwinIRConfig, load_model
from swinir_lite.checkpoint import key_map

SECONDS = 5  # of the processor; longer is a hang
DOCUMENTED = (ValueError, OSError)


def weights() -> tuple[dict[str, torch.Tensor], dict]:
    """A tiny model's tensors under their official names, and its configuration."""
    torch.manual_seed(0)
    model = SwinIR(SwinIRConfig(dim=8, depths=(2,), num_heads=(2,), window_size=4))
    names = key_map(model)
    state = {names[k]: v.contiguous() for k, v in model.state_dict().items()}
    block = "layers.0.residual_group.blocks.1."
    state[block + "attn.relative_position_index"] = torch.zeros(16, 16).long()
    return state, asdict(model.config)


STATE, CONFIG = weights()


def as_pth(state, zipped=True) -> bytes:
    """The bytes of a .pth file, of either format that PyTorch has had."""
    with tempfile.TemporaryFile() as file:
        torch.save(state, file, _use_new_zipfile_serialization=zipped)
        file.seek(0)
        return file.read()


def as_safetensors(state, config=None) -> bytes:
    about = {"swinir_config": config} if config is not None else None
    return save({k: v for k, v in state.items() if "index" not in k}, about)


ORIGINALS = [
    (".pth", as_pth(STATE)),
    (".pth", as_pth({"params_ema": STATE})),
    (".pth", as_pth(STATE, zipped=False)),
    (".safetensors", as_safetensors(STATE)),
    (".safetensors", as_safetensors(STATE, json.dumps(CONFIG))),
]


def place(rng: random.Random, content: bytes) -> int:
    """Somewhere in a file, every second time near an end, where the headers are."""
    if rng.random() < 0.5:
        return rng.randrange(len(content))
    near = min(len(content), 2000)
    return rng.choice((rng.randrange(near), len(content) - 1 - rng.randrange(near)))


def flip(rng):
    """Some bytes are others."""
    ending, content = rng.choice(ORIGINALS)
    content = bytearray(content)
    for _ in range(rng.choice((1, 2, 17, 300))):
        content[place(rng, content)] ^= 1 << rng.randrange(8)
    return ending, bytes(content)


def cut(rng):
    """The file ends early."""
    ending, content = rng.choice(ORIGINALS)
    return ending, content[: place(rng, content)]


def splice(rng):
    """A part is missing, comes twice, is noise, or is from another file."""
    ending, content = rng.choice(ORIGINALS)
    at, length = place(rng, content), rng.choice((1, 8, 100, 5000))
    other = rng.choice(ORIGINALS)[1]
    start = place(rng, other)
    insert = rng.choice((b"", content[at : at + length] * 2, rng.randbytes(length),
                         other[start : start + length]))  # fmt: skip
    return ending, content[:at] + insert + content[at + length :]


def numbers(rng):
    """A number that a header or configuration may hold, if somebody wills it."""
    return rng.choice(
        (0, 1, -1, 2, 7, 8, 100, 60_000, 10**9, 2**31, 2**63, 2**64, 10**30, 10**400,
         2.0, 0.1, 1e8, 1e300, math.inf, -math.inf, math.nan, True, None, "8", [], {},
         [6], [6] * 50_000, [[6]], [6.5], [-6], "none", "pixelshuffle", "x" * 10_000)
    )  # fmt: skip


def header(rng):
    """The header of a .safetensors file says something else."""
    content = rng.choice(ORIGINALS[3:])[1]
    (length,) = struct.unpack("<Q", content[:8])
    about = json.loads(content[8 : 8 + length])
    name = rng.choice([name for name in about if name != "__metadata__"])
    field = rng.choice(("dtype", "shape", "data_offsets", "all", "length", "name"))
    if field == "dtype":
        about[name]["dtype"] = rng.choice(
            ("F16", "F64", "I8", "BOOL", "F8_E4M3", "C64", "F4", "X", 3)
        )
    elif field in ("shape", "data_offsets"):
        values = about[name][field]
        values[rng.randrange(len(values))] = numbers(rng)
    elif field == "all":
        about[name] = numbers(rng)
    elif field == "name":
        about[rng.choice(("", "norm_in.weight", "\0", "\u202e", "x" * 10**5))] = (
            about.pop(name)
        )
    text = json.dumps(about).encode()
    length = rng.choice((0, 1, 2**40, 2**63)) if field == "length" else len(text)
    return ".safetensors", struct.pack("<Q", length) + text + content[8 + length :]


def configuration(rng):
    """The configuration beside the tensors is another."""
    config = dict(CONFIG)
    for _ in range(rng.choice((1, 1, 2))):
        config[rng.choice([*config, "width"])] = numbers(rng)
    text = rng.choice(
        (json.dumps(config),) * 9 + (str(config), "[" * 100_000, '{"a":' * 50_000, "")
    )
    return ".safetensors", as_safetensors(STATE, text)


ODD = {
    "sparse": lambda w: w.to_sparse(),
    "quantized": lambda w: torch.quantize_per_tensor(w, 0.1, 0, torch.qint8),
    "nested": lambda w: torch.nested.nested_tensor([w, w]),
    "meta": lambda w: w.to("meta"),
    "empty": lambda w: w[:0],
    "without dimensions": lambda w: w.flatten()[0].clone(),
    "huge": lambda w: w.flatten()[:1].expand(10**9),
    "huge, of the right rank": lambda w: w[:1].expand(10**6, *w.shape[1:]),
    "transposed": lambda w: w.mT if w.ndim > 1 else w,
    "a dimension more": lambda w: w[None],
    "one more": lambda w: torch.cat((w, w[:1])),
    "a part": lambda w: w[: len(w) // 2].clone(),
    "a view": lambda w: torch.stack((w, w), -1)[..., 0],
    "integers": lambda w: w.to(torch.int8),
    "complex": lambda w: w.to(torch.complex64),
    "half": lambda w: w.half(),
    "double": lambda w: w.double(),
    "float8": lambda w: w.to(torch.float8_e4m3fn),
    "no number": lambda w: w * math.nan,
    "infinite": lambda w: w + math.inf,
    "a parameter": torch.nn.Parameter,
    "a list": lambda w: w.tolist(),
    "text": lambda w: "weights",
    "nothing": lambda w: None,
    "a dict": lambda w: {"weight": w},
}


def tensor(rng):
    """One or more tensors are odd."""
    state = {k: v.detach() for k, v in STATE.items()}
    for name in rng.sample(sorted(state), rng.choice((1, 1, 3))):
        if state[name].is_floating_point():
            state[name] = rng.choice(list(ODD.values()))(state[name])
    return ".pth", as_pth(state)


def names(rng):
    """Names are missing, new, changed or no names, and dicts lie in dicts."""
    state = dict(STATE)
    for _ in range(rng.choice((1, 2, 5))):
        name = rng.choice(sorted(map(str, state)))
        value = state.pop(name, torch.ones(1))
        state |= rng.choice(
            ({}, {name: value, f"module.{name}": value}, {name * 1000: value},
             {3: value}, {None: value}, {(name,): value}, {b"name": value},
             {name.replace("0", "7"): value}, {"conv_up1.weight": value},
             {"conv_first.1.weight": value}, {"norm_in.weight": value},
             {f"layers.{i}.residual_group.blocks.0.norm1.weight": value
              for i in range(3000)})
        )  # fmt: skip
    wrapper = rng.choice(("params", "params_ema", "state_dict", "model", "net"))
    wrapped = rng.choice(
        (state, {wrapper: state}, {wrapper: {wrapper: state}}, {wrapper: [state]},
         [state], list(state), {}, None)
    )  # fmt: skip
    return ".pth", as_pth(wrapped, zipped=rng.random() < 0.5)


MUTATIONS = (flip, cut, splice, header, configuration, tensor, names)


def hang(*_):
    raise TimeoutError(f"longer than {SECONDS} seconds")


def outcome(path: Path) -> str:
    """What `load_model` does, in a word; raises what is not documented."""
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        load_model(path)
    except DOCUMENTED as error:
        if isinstance(error, TimeoutError) or path.name not in str(error):
            raise
        return type(error).__name__
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return "loaded"


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(count: int) -> dict:
    """The outcomes of the first `count` files."""
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGPROF, hang)
    outcomes, wrong, before = collections.Counter(), [], peak_mib()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(count):
            mutation = MUTATIONS[number % len(MUTATIONS)]
            ending, content = mutation(random.Random(number))
            path = Path(folder) / f"model{ending}"
            path.write_bytes(content)
            try:
                outcomes[f"{mutation.__name__}: {outcome(path)}"] += 1
            except Exception:
                wrong.append(f"{mutation.__name__} {number}: {traceback.format_exc()}")
    grown = round(peak_mib() - before)
    return {"outcomes": outcomes, "wrong": wrong, "grown_mib": grown}


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]))))
