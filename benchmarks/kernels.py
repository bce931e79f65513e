"""Which kernels a GPU takes, without having one: python -m benchmarks.kernels

Kernels with matrix products are compiled for each compute capability, as the package
launches them for the released variants, and the shared memory that they take is written
to results/kernels.json. Variants and types of equal tiles are one row: float16 stands
with bfloat16, windows of 7 with those of 8. Nothing runs, so this needs no GPU.

With --check, nothing is written: it ends with status 1 if a launch is not in the
committed table, or if one of the rows nearest to their limit compiles to another size.
"""

import argparse
import json
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import torch
import triton
from torch import nn
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from triton.runtime.jit import JITFunction

from swinir_lite import SwinIR, SwinIRConfig
from swinir_lite.speed.cuda import CudaInference
from swinir_lite.speed.kernels import (
    attention,
    convolution,
    inference_layer,
    norm,
    training_layer,
)
from swinir_lite.speed.limits import (
    FIRST_WITH_TENSOR_CORES,
    MAX_INFERENCE_CHANNELS,
    MAX_TRAINING_CHANNELS,
)
from swinir_lite.variants import RELEASED
from swinir_lite.whole_files import whole_file

TABLE = Path(__file__).parent / "results" / "kernels.json"
SHARED_KIB = {75: 64, 80: 163, 86: 99, 89: 99, 90: 227, 100: 227}  # of one program
TYPES = {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16"}
MODULES = attention, convolution, inference_layer, norm, training_layer
TILES = ["N_PAD", "D_PAD", "CHUNKS", "C_PAD", "HIDDEN_PAD", "OUTPUTS_PAD", "TILE"]
TIGHTEST = {  # that --check compiles again
    75: "backward_kernel fp32 N_PAD=64 D_PAD=32",
    86: "tail_kernel bf16 HIDDEN_PAD=384 CHUNKS=3 TILE=128",
}


class Launch(NamedTuple):
    """A kernel as it was launched."""

    kernel: JITFunction
    source: ASTSource
    options: dict

    def __str__(self) -> str:
        """What its use of shared memory follows from: kernel, type and tiles."""
        names = self.kernel.arg_names
        tiles = {names[i]: value for (i,), value in self.source.constants.items()}
        types = [t[1:] for t in self.source.signature.values() if t.startswith("*")]
        sizes = " ".join(f"{k}={v}" for k, v in tiles.items() if k in TILES)
        return f"{self.kernel.__name__} {types[0]} {sizes}"

    def shared(self, capability: int) -> int:
        """Bytes of shared memory that it takes, compiled for a capability."""
        target = GPUTarget("cuda", capability, 32)
        compiled = triton.compile(self.source, target=target, options=self.options)
        return compiled.metadata.shared


class Recorder:
    """Takes the place of a kernel, and notes what it is launched with."""

    def __init__(self, kernel: JITFunction, launches: list[Launch]):
        self.kernel, self.launches = kernel, launches

    def __getitem__(self, grid):
        return self.launch

    def launch(self, *args, **named):
        kernel, constants, signature, attributes = self.kernel, {}, {}, {}
        given = dict(zip(kernel.arg_names, args))
        given |= {k: named.pop(k) for k in list(named) if k in kernel.arg_names}
        for i, name in enumerate(kernel.arg_names):
            value = given[name]
            pointer = torch.is_tensor(value)
            whole = value.data_ptr() if pointer else value
            if pointer:
                signature[name] = "*" + TYPES[str(value.dtype).split(".")[-1]]
            elif i in kernel.constexprs or value == 1:
                signature[name], constants[(i,)] = "constexpr", value
                continue
            else:
                signature[name] = "i32" if isinstance(value, int) else "fp32"
            if isinstance(whole, int) and whole % 16 == 0:
                attributes[(i,)] = [["tt.divisibility", 16]]
        source = ASTSource(kernel, signature, constants, attributes)
        self.launches.append(Launch(kernel, source, named))


def recorded(config: SwinIRConfig, capability: int) -> list[Launch]:
    """Launches of a network of such layers on such a GPU."""
    launches, memory = [], 1024 * SHARED_KIB[capability]
    with ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng())
        patch = mock.patch.object
        stack.enter_context(patch(training_layer, "shared_memory", lambda x: memory))
        for module in MODULES:
            for name, kernel in list(vars(module).items()):
                if isinstance(kernel, JITFunction) and name.endswith("_kernel"):
                    recorder = Recorder(kernel, launches)
                    stack.enter_context(patch(module, name, recorder))
        run_all(config, capability)
    return launches


def run_all(config: SwinIRConfig, capability: int) -> None:
    """Every launch that a network of such layers makes, on a small image."""
    side, heads = config.window_size, config.num_heads[0]
    model = SwinIR(replace(config, depths=(1,), num_heads=(heads,))).eval()
    image = torch.rand(1, config.in_channels, 2 * side, 4 * side)
    tensor_cores = divmod(capability, 10) >= FIRST_WITH_TENSOR_CORES
    half = torch.bfloat16 if tensor_cores else torch.float16
    for dtype in (torch.float32, half):
        qkv = torch.zeros(1, 2 * side, 4 * side, 3 * config.dim, dtype=dtype)
        grad, bias = qkv[..., : config.dim], torch.zeros(heads, side**2, side**2)
        attention.attention_forward(qkv, bias, side, side // 2)
        attention.attention_backward(grad, qkv, bias, side, side // 2)
    if tensor_cores and config.dim <= MAX_INFERENCE_CHANNELS:
        inference = CudaInference(model, half)
        with torch.no_grad():
            inference.pack()
            inference.forward(image)
    if tensor_cores and config.dim <= MAX_TRAINING_CHANNELS:
        train_layer(model.blocks[0].layers, config, half)


def train_layer(layers: nn.ModuleList, config: SwinIRConfig, dtype) -> None:
    """One layer by the training kernels, forward and backward."""
    side, spare = config.window_size, -config.dim % 8
    x = torch.zeros(1, 2 * side, 4 * side, config.dim + spare, dtype=dtype)
    packed = training_layer.pack_for_training(layers)[0]
    hidden = layers[0].mlp.fc1.out_features
    y = training_layer.training_layer(
        x.requires_grad_(), packed, config.dim, hidden, side, 0
    )
    y.sum().backward()


def launches(capability: int) -> dict[str, Launch]:
    """Of all released variants, with matrix products, each row of the table once."""
    found = {}
    for config in sorted(set(RELEASED.values()), key=str):
        for launch in recorded(config, capability):
            if "PRECISION" in launch.kernel.arg_names:
                found.setdefault(str(launch), launch)
    return dict(sorted(found.items()))


def too_large(table: dict[str, dict[str, int]]) -> list[str]:
    """Rows that take more shared memory than a capability has."""
    return [
        f"{capability}: {line} takes {taken} bytes of {SHARED_KIB[int(capability)]} KiB"
        for capability, rows in table.items()
        for line, taken in rows.items()
        if taken > 1024 * SHARED_KIB[int(capability)]
    ]


def differences(table: dict[str, dict[str, int]]) -> list[str]:
    """What the committed table says otherwise than the kernels of now."""
    wrong = too_large(table)
    for capability in map(int, table):
        rows, now = table[str(capability)], launches(capability)
        for line in sorted(rows.keys() ^ now.keys()):
            where = "the table alone" if line in rows else "no table"
            wrong.append(f"{capability}: {line} is in {where}")
        if (line := TIGHTEST.get(capability)) in now:
            taken = now[line].shared(capability)
            if taken != rows.get(line):
                wrong.append(f"{capability}: {line} takes {taken}, not {rows[line]}")
    return wrong


def make(capabilities: list[int], output: Path) -> None:
    """Compile, row by row, and write them all."""
    table = json.loads(output.read_text()) if output.exists() else {}
    for capability in capabilities:
        table[str(capability)] = rows = {}
        for line, launch in launches(capability).items():
            rows[line] = launch.shared(capability)
            print(capability, line, rows[line], flush=True)
        with whole_file(output) as partial:
            partial.write_text(json.dumps(table, indent=1, sort_keys=True) + "\n")
    sys.exit("\n".join(too_large(table)) or None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--capabilities", type=int, nargs="+", default=[*SHARED_KIB])
    parser.add_argument("--output", type=Path, default=TABLE)
    parser.add_argument("--check", action="store_true", help="write nothing")
    args = parser.parse_args()
    if args.check:
        sys.exit("\n".join(differences(json.loads(TABLE.read_text()))) or None)
    make(args.capabilities, args.output)


if __name__ == "__main__":
    main()
