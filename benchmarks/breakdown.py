"""Where the time goes: the steps of chapter 15, kernel by kernel, on a GPU."""

import copy
import math
import statistics
import time
import traceback
from argparse import Namespace
from collections.abc import Callable, Iterable, Sequence
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._dynamo.utils import counters

from swinir_lite import VARIANTS, SwinIR
from swinir_lite.speed.composed import compiled_layer, swin_layer, window_attention
from swinir_lite.speed.network import FastSwinIR, fast

from .comparisons import pair, training_batch, training_step
from .counting import H200, counts, floor_ms, network_flops, training_bytes
from .measure import (
    LIMITS,
    LOW,
    compare,
    complaint,
    describe,
    difference,
    disagreement,
    exact_convolutions,
    kernels,
    limit,
    time_in_turn,
    without_gradients,
)
from .official import build_pair


def composed(model: SwinIR, attention: str) -> FastSwinIR:
    """Layers of PyTorch's operations, also where kernels would serve."""
    return FastSwinIR(model, attention, LOW, path="composed")


def machine(args: Namespace) -> dict[str, int]:
    """Bytes a second of a copy and operations a second of a bfloat16 product."""
    elements = 2**30 if args.device.type == "cuda" else 2**22
    source = torch.ones(elements, dtype=LOW, device=args.device)
    target = torch.empty_like(source)
    side = 8192 if args.device.type == "cuda" else 256
    a, b = (torch.randn(side, side, device=args.device).to(LOW) for _ in range(2))
    runs = {"copy": lambda: target.copy_(source), "product": lambda: a @ b}
    times = time_in_turn(runs, args.device, args.repeats, warmup=3)
    moved, flops = 2 * source.nbytes, 2 * side**3
    return {
        "bytes": round(1000 * moved / times["copy"]["median_ms"]),
        "flops": round(1000 * flops / times["product"]["median_ms"]),
    }


def floors(found: dict = H200) -> dict:
    """Operations, bytes and the times they set a floor under, on this machine."""
    sizes = {"lightweight_x2": (360, 640), "classical_x4": (360, 640)}
    results = {
        f"{variant} {height}x{width}": counts(VARIANTS[variant], height, width, found)
        for variant, (height, width) in sizes.items()
    }
    config = VARIANTS["lightweight_x2"]
    flops = 3 * 64 * network_flops(config, 64, 64)  # backward is twice the forward
    moved = training_bytes(config, 64, 64)
    floor = floor_ms(flops, moved, found)
    results["training lightweight_x2"] = {"flops": flops, "bytes": moved}
    results["training lightweight_x2"]["floor_ms"] = floor
    return results


def steps(
    args: Namespace,
    variant: str = "lightweight_x2",
    height: int = 360,
    width: int = 640,
) -> dict:
    """The same image by each of the steps that chapter 15 takes."""
    print(f"{variant}, {height}x{width}, step by step", flush=True)
    _, model = pair(args, variant)
    image = torch.rand(1, 3, height, width, device=args.device)

    def by(attention):
        return without_gradients(composed(model, attention), image)

    runs = {
        "chapters float32": without_gradients(model, image),
        "chapters bfloat16": without_gradients(model, image, autocast=True),
        "channels last, explicit": by("reference"),
        "sdpa": by("sdpa"),
    }
    if args.device.type == "cuda":
        fused = fast(model, dtype=LOW)

        def without_graph(x):
            if LOW not in fused.inference:
                fused(x)  # packs the weights
            return fused.inference[LOW].forward(x)

        runs |= {
            "fused attention": by("triton"),
            "fused attention, layers compiled": without_gradients(
                fast(model, "triton", LOW, compiled=True), image
            ),
            "fused layers, no graph": without_gradients(without_graph, image),
            "fused layers, CUDA graph": without_gradients(fused, image),
        }
    results = compare(runs, args.device, args.repeats, "chapters float32")
    return with_profiles(results, runs, args.device)


def with_profiles(
    results: dict, runs: dict[str, Callable], device: torch.device, count: int = 8
) -> dict:
    """The kernels of each run beside its time, by which a wrong prediction is told."""
    if device.type == "cuda":
        for name, run in runs.items():
            if "median_ms" in results[name]:
                results[name]["profile"] = kernels(run, count)
    return results


def head_dimensions(
    args: Namespace, height: int = 360, width: int = 640, heads: int = 6, side: int = 8
) -> dict:
    """Attention alone, by channels a head, and the kernel that took longest."""
    print(f"attention alone, {height}x{width}", flush=True)
    windows = height // side * (width // side)
    bias = torch.randn(heads, side**2, side**2, device=args.device).to(LOW)
    results = {}
    for dim in (10, 16, 20, 24, 30, 32):
        shape = (windows, heads, side**2, dim)
        q, k, v = torch.randn(3, *shape, device=args.device).to(LOW)
        qkv = torch.randn(1, height, width, 3 * heads * dim, device=args.device).to(LOW)
        for runs in (cut_attention(q, k, v, bias), whole_attention(qkv, bias, side)):
            measured = compare(runs, args.device, args.repeats, next(iter(runs)))
            for name, run in runs.items():
                if args.device.type == "cuda" and "median_ms" in measured[name]:
                    measured[name] |= longest_kernel(run)
                results[f"{dim} channels a head, {name}"] = measured[name]
    return results


def longest_kernel(run: Callable[[], object]) -> dict:
    found = kernels(run, count=1)
    longest = next(iter(found["kernels"]), "none was recorded")
    return {"longest kernel": longest, "launches": found["launches"]}


def cut_attention(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> dict[str, Callable]:
    """Attention of windows that lie cut and in order, without shift and mask."""
    scale, spare = q.shape[-1] ** -0.5, -q.shape[-1] % 8
    mask = bias.expand(len(q), -1, -1, -1)

    def explicit(q, k, v):
        return (q @ k.transpose(-1, -2) * scale + bias).softmax(-1) @ v

    def sdpa(q, k, v):
        return F.scaled_dot_product_attention(q, k, v, mask, scale=scale)

    def padded(q, k, v):
        return sdpa(*(F.pad(t, (0, spare)) for t in (q, k, v)))[..., : q.shape[-1]]

    runs = {"explicit": without_gradients(explicit, q, k, v)}
    runs["sdpa"] = without_gradients(sdpa, q, k, v)
    if spare:
        runs["sdpa, padded"] = without_gradients(padded, q, k, v)
    return runs


def whole_attention(qkv: Tensor, bias: Tensor, side: int) -> dict[str, Callable]:
    """Attention of (B, H, W, 3C), shift, mask and the cutting of windows included."""

    def run(backend):
        return without_gradients(
            lambda x: window_attention(x, bias, side, side // 2, backend), qkv
        )

    runs = {"explicit, windows and shift included": run("reference")}
    if qkv.is_cuda:
        runs["fused, windows and shift included"] = run("triton")
    return runs


def relative_errors(
    found: Sequence[Tensor], expected: Sequence[Tensor]
) -> dict[str, float]:
    """Of gradients: of all together, and of the parameters one by one."""
    errors = [difference(*both)["relative"] for both in zip(found, expected)]
    found, expected = (
        torch.cat([t.double().flatten() for t in each]) for each in (found, expected)
    )
    return {
        "all": difference(found, expected)["relative"],
        "median": statistics.median(errors),
        "largest": max(errors, key=lambda e: math.inf if math.isnan(e) else e),
    }


def too_far(
    errors: dict[str, float], most: float, theirs: dict[str, float]
) -> str | None:
    """Why gradients are further off than rounding explains, or None.

    They may be off by `most`, or in bfloat16 by twice as much as the chapters' own
    form under autocast, where that is more. A parameter alone may be off ten times
    as much: some gradients are small differences of large sums.
    """
    low = most > LIMITS["float32"]
    limits = {n: max(most, 2 * theirs[n] * low) for n in ("all", "median")}
    limits["largest"] = 10 * limits["all"]
    wrong = [complaint(f"gradients, {n}:", errors[n], limits[n]) for n in limits]
    return "; ".join(filter(None, wrong)) or None


def gradient(
    network: nn.Module,
    parameters: Iterable[nn.Parameter],
    image: Tensor,
    weights: Tensor,
    autocast: bool = False,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Output, and gradients of its sum with fixed weights."""
    with torch.autocast(image.device.type, LOW, autocast):
        restored = network(image)
    loss = (restored * weights.to(restored)).sum()
    return restored.detach(), torch.autograd.grad(loss, list(parameters))


def without_kinks(model: SwinIR) -> nn.Module:
    """A copy with a smooth function in place of LeakyReLU, within blocks a linear one.

    The gradient of LeakyReLU jumps at 0. With some millions of values, rounding in
    float32 moves a few across, and all gradients change by 1e-3, whoever computes
    them. Within blocks float16 keeps features smaller by a factor: LeakyReLU hands it
    on, as a linear function does, and no other smooth one would.
    """
    model = copy.deepcopy(model)
    within = {part for block in model.blocks for part in block.modules()}
    for module in list(model.modules()):
        smooth = nn.Identity if module in within else nn.SiLU
        for name, part in module.named_children():
            if isinstance(part, nn.LeakyReLU):
                setattr(module, name, smooth())
    return model


def equality_of(model: SwinIR, image: Tensor) -> dict:
    """Differences from the chapters' form in float64: outputs and gradients."""
    smooth = without_kinks(model)
    exact, parameters = copy.deepcopy(smooth).double(), list(smooth.parameters())
    with torch.no_grad():
        expected = copy.deepcopy(model).double()(image.double())
        weights = torch.randn_like(expected)
    output, grads = gradient(exact, exact.parameters(), image.double(), weights)
    results = {}
    for name, network, low in (
        ("chapters float32", smooth, False),
        ("ours float32", fast(smooth), False),
        ("chapters bfloat16", smooth, True),
        ("ours bfloat16", fast(smooth), True),
    ):
        restored, found = gradient(network, parameters, image, weights, low)
        errors = relative_errors(found, grads)
        results[name] = {"gradients": errors}
        if "ours" in name:
            theirs = results[name.replace("ours", "chapters")]["gradients"]
            if wrong := too_far(errors, limit(name), theirs):
                results[name]["failed"] = wrong
        results[name] |= disagreement(restored, output, name)
    for name, dtype in (("float32", None), ("bfloat16", LOW)):
        name = f"ours {name}, without gradients"
        run = without_gradients(fast(model, dtype=dtype), image)
        for _ in range(4):  # the last one from a CUDA graph
            restored = run()
        results[name] = disagreement(restored, expected, name)
    return results


# Among them every body (width, depth, window) and every kind of head
BODIES = ("lightweight_x2", "classical_x4", "color_jpeg", "real_world_large_x4")


def equality(
    args: Namespace,
    variants: Sequence[str] = BODIES,
    height: int = 41,
    width: int = 50,
    batch: int = 2,
) -> dict:
    """Ours against the chapters' form in float64, padded and shifted, each variant."""
    print("equality of outputs and gradients", flush=True)
    results = {}
    for variant in variants:
        try:
            _, model = build_pair(VARIANTS[variant], args.device, None)
            size = (batch, model.config.in_channels, height, width)
            image = torch.rand(size, device=args.device)
            with exact_convolutions():
                found = equality_of(model, image)
        except Exception as error:
            traceback.print_exc()
            found = {"ours": {"failed": describe(error)}}
        for name, run in found.items():
            results[f"{variant}, {name}"] = run
            said = f"failed: {run['failed']}" if "failed" in run else "equal"
            print(f"  {variant:20} {name:36} {said}", flush=True)
    return results


def compiled(args: Namespace, attention: str, variant: str = "lightweight_x2") -> dict:
    """torch.compile with dynamic sizes: how often it compiles, and what it gains."""
    print(f"{variant}, compiled for all sizes, attention {attention}", flush=True)
    _, model = pair(args, variant)
    eager = composed(model, attention)
    dynamic = fast(model, attention, LOW, compiled=True)
    sizes = [(360, 640), (256, 256), (333, 500), (512, 512), (404, 720)]
    if args.device.type == "cpu":
        sizes = [(40, 48), (48, 40), (41, 47)]
    torch._dynamo.reset()
    compiled_layer.cache_clear()
    counters.clear()
    results = {}
    for height, width in sizes:
        image = torch.rand(1, 3, height, width, device=args.device)
        runs = {"eager": without_gradients(eager, image)}
        runs["compiled"] = without_gradients(dynamic, image)
        start = time.perf_counter()
        runs["compiled"]()
        first = round(time.perf_counter() - start, 3)
        measured = compare(runs, args.device, args.repeats, "eager")
        if not results:  # of the first size
            with_profiles(measured, runs, args.device)
        measured["compiled"] |= {
            "first_call_s": first,
            "compilations": counters["stats"]["unique_graphs"],
        }
        for name in runs:
            results[f"{height}x{width}, {name}"] = measured[name]
    return results


def compiled_once(
    args: Namespace,
    variant: str = "lightweight_x2",
    height: int = 360,
    width: int = 640,
) -> dict:
    """The explicit form under torch.compile for one size, to compare with all sizes."""
    print(f"{variant}, {height}x{width}, compiled for this size", flush=True)
    _, model = pair(args, variant)
    image = torch.rand(1, 3, height, width, device=args.device)
    eager = composed(model, "reference")
    dynamic = fast(model, "reference", LOW, compiled=True)
    runs = {"eager": without_gradients(eager, image)}
    runs["compiled"] = without_gradients(dynamic, image)
    torch._dynamo.reset()
    fixed = torch.compile(swin_layer, dynamic=False)
    with mock.patch("swinir_lite.speed.network.compiled_layer", return_value=fixed):
        start = time.perf_counter()
        runs["compiled"]()
        first = round(time.perf_counter() - start, 3)
        results = compare(runs, args.device, args.repeats, "eager")
        results["compiled"]["first_call_s"] = first
        return with_profiles(results, runs, args.device)


def profile(args: Namespace) -> dict:
    """Kernels of inference and of a training step, and how long each keeps the GPU."""
    print("profiles", flush=True)
    results = {}
    for variant in ("lightweight_x2", "classical_x4"):
        official, model = pair(args, variant)
        image = torch.rand(1, 3, 360, 640, device=args.device)
        network = fast(model, dtype=LOW)
        results[variant] = kernels(without_gradients(network, image))
        if official is not None:
            run = without_gradients(official, image)
            results[f"official {variant}"] = kernels(run, warmup=1)
    _, model = pair(args, "lightweight_x2")
    data = training_batch(model.config, args.device, 64, 64)
    step = training_step(fast(model), model, *data, True)
    results["training lightweight_x2"] = kernels(step)
    return results
