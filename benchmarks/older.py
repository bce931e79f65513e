"""Kernels as older GPUs get them, run on the GPU at hand: python -m benchmarks.older

PTX, the form between Triton and a GPU's own instructions, runs on every GPU that is
newer than the one it was made for. So the kernels are compiled for a compute capability
that is not here, 7.5 of a T4 first of all, and assembled for the GPU that is. Whole
networks run through them, and their outputs and gradients are compared with the
chapters' network in float64. What this cannot tell is how long an older GPU takes.

With --check nothing is written, and without a GPU nothing runs: kernels for 7.5 are
then compiled and assembled for a GPU of capability 9.0.
"""

import argparse
import copy
import json
import sys
import traceback
from argparse import Namespace
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from unittest import mock

import torch
import triton
from torch import Tensor
from triton import knobs
from triton.backends.compiler import GPUTarget
from triton.runtime.jit import JITFunction

from swinir_lite import VARIANTS, SwinIR, SwinIRConfig
from swinir_lite.speed import first_use
from swinir_lite.speed.kernels import inference_layer, launch, training_layer
from swinir_lite.speed.limits import (
    FIRST_WITH_TENSOR_CORES,
    MAX_INFERENCE_CHANNELS,
    MAX_INFERENCE_CHANNELS_FLOAT32,
    MAX_TRAINING_CHANNELS,
)
from swinir_lite.speed.network import FastSwinIR
from swinir_lite.variants import RELEASED
from swinir_lite.whole_files import whole_file

from .breakdown import BODIES, gradient, relative_errors, too_far, without_kinks
from .kernels import DTYPES, MODULES, launches
from .measure import describe, disagreement, environment, exact_convolutions, limit
from .official import randomize
from .paths import SHARED_KIB

RESULTS = Path(__file__).parent / "results"
AT_HAND = GPUTarget("cuda", 90, 32)  # where there is no GPU at all
# Every variant for a T4; of GPUs that have mma.sync and no wgmma every body
RUN = {75: tuple(RELEASED), 80: BODIES}


def own_kernels() -> list[JITFunction]:
    found = [k for module in MODULES for k in vars(module).values()]
    return list({id(k): k for k in found if isinstance(k, JITFunction)}.values())


def ptx_stage(capability: int):
    """A hook for Triton's compiler, that writes PTX for a capability.

    It also gives what is compiled so a key of its own, where Triton asks for one.
    """

    def hook(backend=None, stages=None, options=None, language=None, _=None):
        if stages is None:
            return f"PTX of {capability}", f"ptx{capability}"
        stages["ptx"] = lambda source, metadata: backend.make_ptx(
            source, metadata, options, capability
        )

    return hook


@contextmanager
def compiled_for(capability: int) -> Iterator[dict]:
    """Kernels launched inside are PTX for a capability, assembled for the GPU at hand.

    So are products and tiles, which follow the GPU. Gives the caches of the compiled
    kernels, for `targets`.
    """
    tensor_cores = divmod(capability, 10) >= FIRST_WITH_TENSOR_CORES
    memory = 1024 * SHARED_KIB[capability]
    caches = {}
    with ExitStack() as stack:
        enter, patch = stack.enter_context, mock.patch.object
        enter(knobs.runtime.scope())
        knobs.runtime.override_arch = f"sm{capability}"
        knobs.runtime.add_stages_inspection_hook = ptx_stage(capability)
        enter(patch(launch, "has_tensor_cores", lambda x: tensor_cores))
        for module in (training_layer, inference_layer):
            enter(patch(module, "shared_memory", lambda x: memory))
        for kernel in own_kernels():
            caches[kernel.__name__] = fresh = defaultdict(kernel.create_binder)
            enter(patch(kernel, "device_caches", fresh))
        enter(mock.patch.dict(first_use.FINDINGS, clear=True))
        yield caches


def targets(caches: dict) -> dict[str, set[str]]:
    """Of every kernel that ran, the GPUs that its PTX says it is for."""
    found = {}
    for name, devices in caches.items():
        for compiled, *_ in devices.values():
            for kernel in compiled.values():
                line = target_line(kernel.asm["ptx"])
                found.setdefault(name, set()).add(line)
    return found


def target_line(ptx: str) -> str:
    return next(x for x in ptx.splitlines() if x.startswith(".target")).split()[1]


def paths_of(config: SwinIRConfig, capability: int) -> list[tuple[str, torch.dtype]]:
    """The paths that such a network takes on such a GPU, in each type."""
    float32, *halves = DTYPES
    if divmod(capability, 10) < FIRST_WITH_TENSOR_CORES:
        return [("composed", dtype) for dtype in (float32, torch.float16)]
    found = [("composed", float32)]
    if config.dim <= MAX_TRAINING_CHANNELS:
        found += [("training_kernels", dtype) for dtype in halves]
    else:
        found += [("composed", dtype) for dtype in halves]
    if config.dim <= MAX_INFERENCE_CHANNELS_FLOAT32:
        found += [("inference_kernels", float32)]
    if config.dim <= MAX_INFERENCE_CHANNELS:
        found += [("inference_kernels", dtype) for dtype in halves]
    return found


def equality_of(model: SwinIR, image: Tensor, capability: int) -> dict:
    """Differences from the chapters' form in float64: outputs, and gradients if any."""
    smooth = without_kinks(model)
    exact, parameters = copy.deepcopy(smooth).double(), list(smooth.parameters())
    with torch.no_grad():
        weights = torch.randn_like(exact(image.double()))
    expected, grads = gradient(exact, exact.parameters(), image.double(), weights)
    results = {}
    for path, dtype in paths_of(model.config, capability):
        kind = str(dtype).removeprefix("torch.")
        name = f"{path.replace('_', ' ')}, {kind}"
        network = FastSwinIR(smooth, "triton", dtype, path)
        if path == "inference_kernels":
            with torch.no_grad():
                for _ in range(4):  # the last one from a CUDA graph
                    restored = network(image)
            results[name] = disagreement(restored, expected, kind)
            continue
        restored, found = gradient(network, parameters, image, weights)
        explicit = gradient(network.explicit(smooth, dtype), parameters, image, weights)
        errors, theirs = (relative_errors(g, grads) for g in (found, explicit[1]))
        results[name] = {"gradients": errors, "gradients, explicit": theirs}
        if wrong := too_far(errors, limit(kind), theirs):
            results[name]["failed"] = wrong
        results[name] |= disagreement(restored, expected, kind)
    return results


def run(capability: int, variants: dict[str, SwinIRConfig], size=(41, 50)) -> dict:
    """Networks by kernels made for a capability, padded and shifted, on this GPU."""
    results = {}
    with compiled_for(capability) as caches, exact_convolutions():
        for variant, config in variants.items():
            torch.manual_seed(0)
            model = randomize(SwinIR(config)).eval().cuda()
            image = torch.rand(2, config.in_channels, *size, device="cuda")
            try:
                found = equality_of(model, image, capability)
            except Exception as error:
                traceback.print_exc()
                found = {"all": {"failed": describe(error)}}
            for name, measured in found.items():
                results[f"{variant}, {name}"] = measured
                said = measured.get("failed", "equal")
                print(f"  {capability} {variant:20} {name:32} {said}", flush=True)
        ran = targets(caches)
    results["kernels"] = {name: sorted(found) for name, found in sorted(ran.items())}
    if {f"sm_{capability}"} != set().union(*ran.values()):
        results["kernels"] |= {"failed": f"not all are for {capability}"}
    return results


def assemble(capability: int) -> dict:
    """Every kernel of a capability made a program of another; nothing runs."""
    found = {}
    with compiled_for(capability):
        for line, made in launches(capability, [RELEASED["lightweight_x2"]]).items():
            compiled = triton.compile(made.source, AT_HAND, made.options)
            found[line] = {"target": target_line(compiled.asm["ptx"])}
            if found[line]["target"] != f"sm_{capability}" or not compiled.kernel:
                found[line]["failed"] = "was not made"
    return found


def check(capabilities: list[int]) -> dict:
    """What a test can wait for: one small network, or without a GPU no network."""
    if not torch.cuda.is_available():
        return {"75": assemble(75)}
    small = replace(VARIANTS["lightweight_x2"], depths=(2,), num_heads=(6,))
    return {
        str(capability): run(capability, {"small": small})
        for capability in capabilities
    }


def failures(results: dict) -> list[str]:
    return [
        f"{capability}, {name}: {found['failed']}"
        for capability, section in results.items()
        for name, found in section.items()
        if "failed" in found
    ]


def make(args: Namespace) -> dict:
    """All of RUN, written after each capability."""
    file = {"environment": environment(torch.device("cuda")), "results": {}}
    for capability in args.capabilities:
        variants = {name: VARIANTS[name] for name in RUN[capability]}
        file["results"][str(capability)] = run(capability, variants)
        with whole_file(args.output) as partial:
            partial.write_text(json.dumps(file, indent=1) + "\n")
    return file["results"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--capabilities", type=int, nargs="+", default=[*RUN])
    parser.add_argument("--output", type=Path, default=RESULTS / "h200_older.json")
    parser.add_argument("--check", action="store_true", help="write nothing")
    args = parser.parse_args()
    wrong = failures(check(args.capabilities) if args.check else make(args))
    sys.exit("\n".join(wrong) or None)


if __name__ == "__main__":
    main()
