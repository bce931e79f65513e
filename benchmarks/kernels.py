"""Which kernels a GPU takes, without having one: python -m benchmarks.kernels

All kernels are compiled for each compute capability, as the package launches them for
the released variants in each type, and the shared memory that they take is written to
results/kernels.json. Variants of equal tiles are one row: windows of 7 stand with those
of 8. Nothing runs, so this needs no GPU.

With --check, nothing is written: it ends with status 1 if a launch is not in the
committed table, or if one of the rows nearest to their limit compiles to another size.
"""

import argparse
import json
import sys
from collections.abc import Iterable
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
    launch,
    norm,
    training_layer,
)
from swinir_lite.speed.limits import (
    FIRST_WITH_TENSOR_CORES,
    MAX_INFERENCE_CHANNELS,
    MAX_INFERENCE_CHANNELS_FLOAT32,
    MAX_TRAINING_CHANNELS,
)
from swinir_lite.variants import RELEASED
from swinir_lite.whole_files import whole_file

from .paths import SHARED_KIB

TABLE = Path(__file__).parent / "results" / "kernels.json"
TYPES = {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16"}
DTYPES = torch.float32, torch.float16, torch.bfloat16
MODULES = attention, convolution, inference_layer, norm, training_layer
TILES = ["N_PAD", "D_PAD", "CHUNKS", "C_PAD", "HIDDEN_PAD", "OUTPUTS_PAD", "TILE"]
TIGHTEST = {  # that --check compiles again
    75: "backward_kernel fp32 N_PAD=64 D_PAD=32",
    86: "tail_kernel bf16+fp32 HIDDEN_PAD=384 CHUNKS=3 TILE=128",
}


class Launch(NamedTuple):
    """A kernel as it was launched."""

    kernel: JITFunction
    source: ASTSource
    options: dict

    def __str__(self) -> str:
        """What its use of shared memory follows from: kernel, types and tiles."""
        names = self.kernel.arg_names
        tiles = {names[i]: value for (i,), value in self.source.constants.items()}
        types = [t[1:] for t in self.source.signature.values() if t.startswith("*")]
        sizes = " ".join(f"{k}={v}" for k, v in tiles.items() if k in TILES)
        return f"{self.kernel.__name__} {'+'.join(dict.fromkeys(types))} {sizes}"

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
        tensor_cores = divmod(capability, 10) >= FIRST_WITH_TENSOR_CORES
        stack.enter_context(patch(launch, "has_tensor_cores", lambda x: tensor_cores))
        for module in (training_layer, inference_layer):
            stack.enter_context(patch(module, "shared_memory", lambda x: memory))
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
    for dtype in DTYPES:
        attend(config, dtype)
        for stored in {torch.float32, dtype}:
            normalize(config.dim, stored, dtype)
        half = dtype.itemsize == 2
        most = MAX_INFERENCE_CHANNELS if half else MAX_INFERENCE_CHANNELS_FLOAT32
        if tensor_cores and config.dim <= most:
            inference = CudaInference(model, dtype)
            with torch.no_grad():
                inference.pack()
                inference.forward(image)
        if tensor_cores and half and config.dim <= MAX_TRAINING_CHANNELS:
            train_layer(model.blocks[0].layers, config, dtype)


def attend(config: SwinIRConfig, dtype: torch.dtype) -> None:
    """The fused attention, forward and backward."""
    side, heads = config.window_size, config.num_heads[0]
    qkv = torch.zeros(1, 2 * side, 4 * side, 3 * config.dim, dtype=dtype)
    grad, bias = qkv[..., : config.dim], torch.zeros(heads, side**2, side**2)
    attention.attention_forward(qkv, bias, side, side // 2)
    attention.attention_backward(grad, qkv, bias, side, side // 2)


def normalize(channels: int, stored: torch.dtype, dtype: torch.dtype) -> None:
    """LayerNorm of features as they are stored, forward and backward."""
    x = torch.zeros(64, channels, dtype=stored, requires_grad=True)
    weight, bias = torch.ones(channels), torch.zeros(channels)
    norm.triton_layer_norm(x, weight, bias, dtype).sum().backward()


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


def launches(
    capability: int, configs: Iterable[SwinIRConfig] = RELEASED.values()
) -> dict[str, Launch]:
    """Of all released variants, each row of the table once."""
    found = {}
    for config in sorted(set(configs), key=str):
        for made in recorded(config, capability):
            found.setdefault(str(made), made)
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


def make(capabilities: list[int], output: Path, resume: bool) -> None:
    """Compile, row by row, and write the table after each."""
    table = json.loads(output.read_text()) if output.exists() else {}
    for capability in capabilities:
        before = table.get(str(capability), {}) if resume else {}
        made = launches(capability)
        table[str(capability)] = rows = {k: v for k, v in before.items() if k in made}
        for line in made:
            if line not in rows:
                rows[line] = made[line].shared(capability)
            with whole_file(output) as partial:
                partial.write_text(json.dumps(table, indent=1, sort_keys=True) + "\n")
            print(capability, line, rows[line], flush=True)
    sys.exit("\n".join(too_large(table)) or None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--capabilities", type=int, nargs="+", default=[*SHARED_KIB])
    parser.add_argument("--output", type=Path, default=TABLE)
    parser.add_argument(
        "--resume", action="store_true", help="keep rows that are there"
    )
    parser.add_argument("--check", action="store_true", help="write nothing")
    args = parser.parse_args()
    if args.check:
        sys.exit("\n".join(differences(json.loads(TABLE.read_text()))) or None)
    make(args.capabilities, args.output, args.resume)


if __name__ == "__main__":
    main()
