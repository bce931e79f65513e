"""Where the time goes: the steps of chapter 13, kernel by kernel, on a GPU."""

import copy
import statistics
import time

import torch
import torch.nn.functional as F
from torch._dynamo.utils import counters

from swinir_lite import VARIANTS
from swinir_lite.fast import compiled_layer, fast, window_attention

from .comparisons import pair, training_batch, training_step
from .counting import H200, counts, floor_ms, network_flops, training_bytes
from .measure import LOW, compare, difference, kernels, time_in_turn, without_gradients


def machine(args):
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


def floors(found=H200):
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


def steps(args, variant="lightweight_x2", height=360, width=640):
    """The same image by each of the steps that chapter 13 takes."""
    print(f"{variant}, {height}x{width}, step by step", flush=True)
    _, model = pair(args, variant)
    image = torch.rand(1, 3, height, width, device=args.device)

    def composed(attention, dtype):
        network = fast(model, attention, dtype)
        return lambda x: network.differentiable(x, attention, dtype)

    low = {"autocast": True}
    runs = {
        "chapters float32": without_gradients(model, image),
        "chapters bfloat16": without_gradients(model, image, **low),
        "channels last, explicit": without_gradients(
            composed("reference", LOW), image, **low
        ),
        "sdpa": without_gradients(composed("sdpa", LOW), image, **low),
    }
    if args.device.type == "cuda":
        fused = fast(model, dtype=LOW)
        without_gradients(fused, image)()  # packs the weights
        runs |= {
            "fused attention": without_gradients(composed("triton", LOW), image, **low),
            "fused attention, layers compiled": without_gradients(
                fast(model, "triton", LOW, compiled=True), image
            ),
            "fused layers, no graph": without_gradients(
                lambda x: fused.packed(LOW).forward(x), image
            ),
            "fused layers, CUDA graph": without_gradients(fused, image),
        }
    return compare(runs, args.device, args.repeats, "chapters float32")


def head_dimensions(args, height=360, width=640, heads=6, side=8):
    """Attention alone, by channels a head, and the kernel that took longest."""
    print(f"attention alone, {height}x{width}", flush=True)
    windows = height // side * (width // side)
    bias = torch.randn(heads, side**2, side**2, device=args.device).to(LOW)
    results = {}
    for dim in (10, 16, 20, 24, 30, 32):
        shape = (windows, heads, side**2, dim)
        q, k, v = torch.randn(3, *shape, device=args.device).to(LOW)
        qkv = torch.randn(1, height, width, 3 * heads * dim, device=args.device).to(LOW)
        runs = attention_runs(q, k, v, qkv, bias, side, args.device)
        measured = compare(runs, args.device, args.repeats)
        for name, run in runs.items():
            if args.device.type == "cuda":
                found = kernels(run, count=1)
                measured[name]["longest kernel"] = next(iter(found["kernels"]))
                measured[name]["launches"] = found["launches"]
            results[f"{dim} channels a head, {name}"] = measured[name]
    return results


def attention_runs(q, k, v, qkv, bias, side, device):
    scale = q.shape[-1] ** -0.5
    spare = -q.shape[-1] % 8
    mask = bias.expand(len(q), -1, -1, -1)

    def explicit(q, k, v):
        return (q @ k.transpose(-1, -2) * scale + bias).softmax(-1) @ v

    def sdpa(q, k, v):
        return F.scaled_dot_product_attention(q, k, v, mask, scale=scale)

    def padded(q, k, v):
        return sdpa(*(F.pad(t, (0, spare)) for t in (q, k, v)))

    def fused(qkv):
        return window_attention(qkv, bias, side, side // 2, "triton")

    runs = {"explicit": without_gradients(explicit, q, k, v)}
    runs["sdpa"] = without_gradients(sdpa, q, k, v)
    if spare:
        runs["sdpa, padded"] = without_gradients(padded, q, k, v)
    if device.type == "cuda":
        runs["fused, windows and shift included"] = without_gradients(fused, qkv)
    return runs


def gradients(args, variant="lightweight_x2", side=48):
    """Relative errors of the gradients of all parameters, against float64."""
    print(f"{variant}, gradients", flush=True)
    _, model = pair(args, variant)
    exact = copy.deepcopy(model).double()
    image = torch.rand(2, 3, side, side, device=args.device)
    weights = torch.randn_like(model(image))

    def gradient(network, parameters, image, autocast):
        with torch.autocast(args.device.type, LOW, autocast):
            restored = network(image)
        loss = (restored * weights.to(restored)).sum()
        return torch.autograd.grad(loss, list(parameters))

    expected = gradient(exact, exact.parameters(), image.double(), False)
    results = {}
    for name, network, autocast in (
        ("chapters float32", model, False),
        ("ours float32", fast(model), False),
        ("chapters bfloat16", model, True),
        ("ours bfloat16", fast(model), True),
    ):
        found = gradient(network, model.parameters(), image, autocast)
        errors = [difference(*both)["relative"] for both in zip(found, expected)]
        results[name] = {"median": statistics.median(errors), "largest": max(errors)}
    return results


def compiled(args, attention, variant="lightweight_x2"):
    """torch.compile with dynamic sizes: how often it compiles, and what it gains."""
    print(f"{variant}, compiled for all sizes, attention {attention}", flush=True)
    _, model = pair(args, variant)
    eager = fast(model, attention, LOW)
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
        measured["compiled"] |= {
            "first_call_s": first,
            "compilations": counters["stats"]["unique_graphs"],
        }
        for name in runs:
            results[f"{height}x{width}, {name}"] = measured[name]
    return results


def profile(args):
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
            results[f"official {variant}"] = kernels(run)
    _, model = pair(args, "lightweight_x2")
    data = training_batch(model.config, args.device, 64, 64)
    step = training_step(fast(model), model, *data, True)
    results["training lightweight_x2"] = kernels(step)
    return results
