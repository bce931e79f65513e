"""What the compiler makes of the kernels of a layer; needs Triton and no GPU.

Registers and shared memory say how many programs a multiprocessor holds at once.
The machine's instructions say what a program spends its turns on.

    python -m benchmarks.instructions --output benchmarks/results/h200_kernels.json
"""

import argparse
import re
import subprocess
import tempfile
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, CompiledKernel

from swinir_lite import VARIANTS, SwinIR
from swinir_lite.speed.kernels.chunks import CHUNK, chunks
from swinir_lite.speed.kernels.inference_layer import (
    ATTEND,
    TAIL,
    attend_kernel,
    registers,
    tail_kernel,
)
from swinir_lite.speed.kernels.inference_packing import pack_for_inference
from swinir_lite.speed.kernels.norm import epsilon

from .measure import commit
from .speed import save

HOPPER = GPUTarget("cuda", 90, 32)  # the architecture of an H200
TOOLS = Path(triton.__file__).parent / "backends/nvidia/bin"
INSTRUCTION = re.compile(
    r"/\*(?P<address>[0-9a-f]{4,})\*/\s+(@!?U?P\w+ )?"
    r"(?P<name>[A-Z][\w.]*)(?P<rest>[^;]*);"
)
KINDS = {  # of instructions, by how their names begin; the first that fits
    "matrix products": ("HGMMA", "HMMA", "WARPGROUP"),
    "exponentials and reciprocals": ("MUFU",),
    "floating point": ("FADD", "FFMA", "FMUL", "FMNMX", "FSEL", "FSETP", "F2FP"),
    "memory and barriers": (
        "LD", "ST", "BAR", "DEPBAR", "FENCE", "MEMBAR", "SHFL", "UBLKCP", "SYNCS",
        "WARPSYNC", "ERRBAR", "CCTL",
    ),
}  # fmt: skip
THE_REST = "addresses, indices, branches"


class Instruction(NamedTuple):
    address: int
    name: str
    target: int | None  # of a branch


def constants(variant: str) -> dict[str, dict[str, int | str]]:
    """What `attend` and `tail` of a variant are compiled for, by kernel."""
    config = VARIANTS[variant]
    layer = SwinIR(config).blocks[0].layers[0]
    packed = pack_for_inference(layer, torch.bfloat16)
    heads, _, head_dim, _ = packed.qkv.shape
    shared = {
        "STRIDE": config.dim + -config.dim % 8,
        "CHUNKS": chunks(config.dim),
        "PRECISION": "tf32",
    }
    attend = {
        "M": config.window_size, "HEADS": heads, "D_PAD": head_dim,
        "N_PAD": packed.position_bias.shape[-1], "D_STORED": packed.stored,
    }  # fmt: skip
    tail = {
        "C": config.dim, "MIXED": heads * packed.stored, "SPARE": packed.spare,
        "HIDDEN": packed.hidden, "HIDDEN_PAD": packed.fc2.shape[1],
        "TILE": TAIL[shared["CHUNKS"]].tile, "EPS": epsilon(1.0),
    }  # fmt: skip
    return {"attend": attend | shared, "tail": tail | shared}


def build(
    kernel: triton.JITFunction, fixed: dict[str, int | str], **options: int
) -> CompiledKernel:
    """A kernel for an H200; pointers, and sizes but for `shift`, divide by 16."""
    floats = {"inverse", "bias", "position_bias"}
    numbers = {"windows", "height", "width", "shift", "windows_per_program", "tokens"}
    signature, divide = {}, {}
    for place, name in enumerate(kernel.arg_names):
        if name in fixed:
            signature[name] = "constexpr"
            continue
        kind = "*fp32" if name in floats else "*bf16"
        signature[name] = "i32" if name in numbers else kind
        if name not in {"shift", "windows_per_program"}:
            divide[(place,)] = [["tt.divisibility", 16]]
    places = {(kernel.arg_names.index(name),): value for name, value in fixed.items()}
    source = ASTSource(kernel, signature, places, divide)
    return triton.compile(source, target=HOPPER, options=options)


def disassemble(binary: bytes) -> tuple[int, list[Instruction]]:
    """Registers a thread, and the instructions of a compiled kernel."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(binary)
        file.flush()

        def ask(option: str) -> str:
            command = [str(TOOLS / "cuobjdump"), option, file.name]
            return subprocess.check_output(command, text=True)

        usage, listing = ask("-res-usage"), ask("--dump-sass")
    found = []
    for match in INSTRUCTION.finditer(listing):
        branch = re.search(r"0x([0-9a-f]+)", match["rest"])
        target = int(branch[1], 16) if match["name"] == "BRA" and branch else None
        if match["name"] == "NOP" or target == int(match["address"], 16):
            continue  # what fills the end of a kernel
        found.append(Instruction(int(match["address"], 16), match["name"], target))
    return int(re.search(r"REG:(\d+)", usage)[1]), found


def loop_of(code: list[Instruction]) -> list[Instruction]:
    """The longest part that a branch back repeats; nothing if none does."""
    back = [i for i in code if i.target is not None and i.target < i.address]
    if not back:
        return []
    end = max(back, key=lambda i: i.address - i.target)
    return [i for i in code if end.target <= i.address <= end.address]


def straight_way(code: list[Instruction]) -> list[Instruction]:
    """What runs when every branch ahead is taken, as windows without a mask do."""
    kept, until = [], 0
    for instruction in code:
        if instruction.address < until:
            continue
        kept.append(instruction)
        if instruction.target is not None and instruction.target > instruction.address:
            until = instruction.target
    return kept


def by_kind(code: list[Instruction]) -> dict[str, int]:
    """How many instructions there are of each kind."""
    counted = Counter()
    for instruction in code:
        fits = (k for k, begins in KINDS.items() if instruction.name.startswith(begins))
        counted[next(fits, THE_REST)] += 1
    return {kind: counted[kind] for kind in (*KINDS, THE_REST)}


def describe(compiled: CompiledKernel, code: list[Instruction]) -> dict:
    """Of a kernel: what it holds, and instructions that each of its warps runs."""
    used, _ = disassemble(compiled.asm["cubin"])
    return {
        "warps": compiled.metadata.num_warps,
        "registers a thread": used,
        "shared bytes": compiled.metadata.shared,
        "instructions": by_kind(code),
        "exponentials": sum(i.name.startswith("MUFU.EX2") for i in code),
    }


def kernels_of(variant: str) -> dict[str, dict]:
    """`attend`, a window of a head; `tail`, a tile of tokens."""
    fixed = constants(variant)
    count = fixed["attend"]["CHUNKS"]
    attend = build(
        attend_kernel, fixed["attend"], num_warps=ATTEND[count].warps,
        num_stages=ATTEND[count].stages, maxnreg=registers(ATTEND[count]),
    )  # fmt: skip
    window = straight_way(loop_of(disassemble(attend.asm["cubin"])[1]))
    launch = TAIL[count]
    tail = build(
        tail_kernel, fixed["tail"], num_warps=launch.warps, num_stages=launch.stages
    )
    _, once = disassemble(tail.asm["cubin"])
    rounds = fixed["tail"]["HIDDEN_PAD"] // CHUNK.value
    tile = once + (rounds - 1) * loop_of(once)
    return {
        "attend": describe(attend, window) | {"compiled for": fixed["attend"]},
        "tail": describe(tail, tile) | {"compiled for": fixed["tail"]},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", required=True, type=Path)
    args = parser.parse_args()
    found = {"commit": commit(), "triton": triton.__version__, "architecture": "sm_90"}
    found["results"] = {v: kernels_of(v) for v in ("lightweight_x2", "classical_x4")}
    save(args.output, found)
    print(f"written to {args.output}")


if __name__ == "__main__":
    main()
