"""Time other networks beside ours, from files that you name.

    python -m benchmarks.others --network "elan.py:ELAN:{'scale': 2}" --device cuda

Each is built with random weights and runs in float32, bfloat16, float16 and, in the
quicker of the two halves, compiled for one size. The quickest run whose output is
finite and near its own in float32 is named its best. Files are run as they are: name
only those that you trust.
"""

import argparse
import ast
import importlib.util
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from swinir_lite import VARIANTS, SwinIR
from swinir_lite.errors import InputError
from swinir_lite.speed.network import fast

from .measure import LOW, compare, environment, without_gradients
from .official import randomize
from .speed import machine_name, save

RESULTS = Path(__file__).parent / "results"
HALVES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


class Other(NamedTuple):
    """A network in a file: its class and the arguments that build it."""

    path: Path
    name: str
    arguments: dict[str, object]


def parse_other(text: str) -> Other:
    """`file.py:Class` or `file.py:Class:{'argument': value}`; InputError for others."""
    path, _, rest = text.partition(".py:")
    name, _, given = rest.partition(":")
    try:
        arguments = ast.literal_eval(given or "{}")
    except (SyntaxError, ValueError):
        arguments = None
    if not name.isidentifier() or not isinstance(arguments, dict):
        raise InputError(
            f"a network is file.py:Class or file.py:Class:{{'argument': value}}, "
            f"got {text!r}"
        )
    return Other(Path(f"{path}.py"), name, arguments)


def build(other: Other, device: torch.device) -> nn.Module:
    """The network with random weights; InputError if the file has no such class."""
    if not other.path.is_file():
        raise InputError(f"there is no file {other.path}")
    spec = importlib.util.spec_from_file_location(other.path.stem, other.path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[other.path.stem] = module  # where dataclasses look for their own
    spec.loader.exec_module(module)
    if not hasattr(module, other.name):
        raise InputError(f"{other.path} has no class {other.name}")
    network = getattr(module, other.name)(**other.arguments)
    return randomize(network).eval().to(device)


def in_half(network: nn.Module, image: Tensor, dtype: torch.dtype) -> Callable:
    """One call under autocast, back in float32."""

    def run() -> Tensor:
        with torch.no_grad(), torch.autocast(image.device.type, dtype):
            return network(image).float()

    return run


def time_modes(network: nn.Module, image: Tensor, repeats: int) -> dict[str, dict]:
    """Every mode's time and difference from float32, and which is the best."""
    runs = {"float32": without_gradients(network, image)}
    runs |= {name: in_half(network, image, dtype) for name, dtype in HALVES.items()}
    found = compare(runs, image.device, repeats, "float32")
    half = min(HALVES, key=lambda name: found[name].get("median_ms", float("inf")))
    compiled = {
        "float32": runs["float32"],
        f"{half}, compiled": in_half(torch.compile(network), image, HALVES[half]),
    }
    found |= compare(compiled, image.device, repeats, "float32")
    right = {name: run for name, run in found.items() if "failed" not in run}
    best = min(right, key=lambda name: right[name]["median_ms"])
    return {"best": {"mode": best, **right[best]}, **found}


def measure(args: Namespace) -> dict[str, dict]:
    """Ours, then the others, on the same image."""
    height, width = (int(side) for side in args.size.split("x"))
    image = torch.rand(1, 3, height, width, device=args.device)
    model = randomize(SwinIR(VARIANTS["lightweight_x2"])).eval().to(args.device)
    dtype = LOW if args.device.type == "cuda" else None
    ours = {"ours": without_gradients(fast(model, dtype=dtype), image)}
    found = {"ours": compare(ours, args.device, args.repeats)}
    for other in args.network:
        print(other.name, flush=True)
        network = build(other, args.device)
        found[other.name] = time_modes(network, image, args.repeats)
        torch.compiler.reset()
    return found


def parse(arguments: list[str] | None = None) -> Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--network", nargs="+", default=[], type=parse_other, metavar="FILE:CLASS"
    )
    parser.add_argument("--size", default="360x640", help="height x width")
    parser.add_argument("--device", default="cpu", type=torch.device)
    parser.add_argument("--repeats", default=20, type=int)
    parser.add_argument("--output", type=Path, help="where the JSON goes")
    return parser.parse_args(arguments)


def main() -> None:
    args = parse()
    if args.device.type == "cuda":
        torch.backends.cudnn.benchmark = True
    found = {"environment": environment(args.device), "results": measure(args)}
    name = machine_name(found["environment"])
    path = args.output or RESULTS / f"others_{name}_again.json"
    save(path, found)
    print(f"written to {path}")


if __name__ == "__main__":
    main()
