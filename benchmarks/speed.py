"""Compare with the official network: python -m benchmarks.speed --help

Same process, same weights, same random images, in turn. Without --official only
this project is measured.
"""

import argparse
import json
import resource
import subprocess
import sys
from pathlib import Path
from unittest import mock

import torch

from swinir_lite import VARIANTS, SwinIR
from swinir_lite.cuda_graph import Graphed
from swinir_lite.fast import attention_backend, fast, swin_layer

from .measure import difference, environment, peak_gpu_memory, time_in_turn
from .official import build_official, load_official, randomize, same_weights

RESULTS = Path(__file__).parent / "results"
LOW = torch.bfloat16
fast_module = sys.modules["swinir_lite.fast"]  # the package names its function so


def build_pair(args, variant):
    """The official network, or None, and ours with the same weights."""
    config = VARIANTS[variant]
    torch.manual_seed(0)
    if args.official is None:
        return None, randomize(SwinIR(config)).eval().to(args.device)
    network = load_official(args.official, args.any_file)
    official = randomize(build_official(network, config)).to(args.device)
    return official, same_weights(official, config)


def without_gradients(function, *inputs, autocast=False):
    def run():
        with torch.no_grad(), torch.autocast(inputs[0].device.type, LOW, autocast):
            return function(*inputs)

    return run


def compare(runs, args, reference=None, repeats=None):
    """Times in turn, peak memory on a GPU, and differences from a reference."""
    outputs = {name: run() for name, run in runs.items()}
    expected = outputs[reference] if reference else None
    results = {name: {} for name in runs}
    for name, run in runs.items():
        if expected is not None and name != reference:
            results[name]["difference"] = difference(outputs[name], expected)
        if args.device.type == "cuda":
            results[name]["peak_gib"] = peak_gpu_memory(run)
    outputs.clear()
    times = time_in_turn(runs, args.device, repeats or args.repeats)
    for name, measured in times.items():
        results[name] |= measured
        print(f"  {name:32} {measured['median_ms']:9.2f} ms", flush=True)
    return results


def inference(args, variant, height, width, repeats=None, reduced=True):
    """One image through the official network and through ours."""
    print(f"{variant}, {height}x{width}, inference", flush=True)
    official, model = build_pair(args, variant)
    image = torch.rand(1, model.config.in_channels, height, width, device=args.device)
    runs = {}
    if official is not None:
        runs["official float32"] = without_gradients(official, image)
    runs["ours float32"] = without_gradients(fast(model), image)
    if reduced:
        if official is not None and variant == "lightweight_x2":
            runs["official bfloat16"] = without_gradients(
                official, image, autocast=True
            )
        runs["ours bfloat16"] = without_gradients(fast(model, dtype=LOW), image)
    reference = next(iter(runs))
    return compare(runs, args, reference, repeats)


def steps(args, variant="lightweight_x2", height=360, width=640):
    """The same image by each of the steps that chapter 13 takes."""
    print(f"{variant}, {height}x{width}, step by step", flush=True)
    _, model = build_pair(args, variant)
    image = torch.rand(1, 3, height, width, device=args.device)

    def composed(attention, dtype):
        network = fast(model, attention, dtype)
        return lambda x: network.differentiable(x, attention, dtype)

    def compiled(x):
        with mock.patch.object(fast_module, "swin_layer", compiled_layer):
            return composed("reference", LOW)(x)

    compiled_layer = torch.compile(swin_layer)
    fused = fast(model, dtype=LOW)
    runs = {
        "chapters float32": without_gradients(model, image),
        "chapters bfloat16": without_gradients(model, image, autocast=True),
        "channels last, explicit": without_gradients(
            composed("reference", LOW), image, autocast=True
        ),
        "sdpa": without_gradients(composed("sdpa", LOW), image, autocast=True),
        "explicit, compiled": without_gradients(compiled, image, autocast=True),
        "fused attention": without_gradients(
            composed("triton", LOW), image, autocast=True
        ),
        "fused layers, no graph": without_gradients(
            lambda x: fused.packed(LOW).forward(x), image
        ),
        "fused layers, CUDA graph": without_gradients(fused, image),
    }
    runs["fused layers, CUDA graph"]()  # packs the weights for both
    return compare(runs, args, "chapters float32")


def training_step(network, model, image, target, autocast):
    """Forward, L1 loss, backward and Adam, as one function."""
    optimizer = torch.optim.Adam(model.parameters(), 2e-4, fused=True, capturable=True)

    def step():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cuda", LOW, autocast, cache_enabled=False):
            restored = network(image)
        loss = (restored.float() - target).abs().mean()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def training(args, variant="lightweight_x2", batch=64, side=64):
    print(f"{variant}, training step, batch {batch} of {side}x{side}", flush=True)
    official, model = build_pair(args, variant)
    image = torch.rand(batch, 3, side, side, device=args.device)
    scale = model.config.scale
    target = torch.rand(batch, 3, scale * side, scale * side, device=args.device)
    runs, memory = {}, {}
    if official is not None:
        official.train()
        runs["official float32"] = training_step(
            official, official, image, target, False
        )
        runs["official bfloat16"] = training_step(
            official, official, image, target, True
        )
    step = training_step(fast(model), model, image, target, True)
    runs["ours bfloat16, no graph"] = step
    for name, run in runs.items():
        run()
        memory[name] = peak_gpu_memory(run)
    graphed = Graphed(step)
    runs["ours bfloat16, CUDA graph"] = graphed
    results = {name: {"peak_gib": memory[name]} for name in memory}
    results["ours bfloat16, CUDA graph"] = {}
    for name, measured in time_in_turn(runs, args.device, args.repeats).items():
        results[name] |= measured
        peak = results[name].get("peak_gib", 0)
        print(f"  {name:32} {measured['median_ms']:9.2f} ms {peak:6.2f} GiB")
    return results


def growth(args, variant="lightweight_x2"):
    """Time per pixel at growing sizes."""
    print(f"{variant}, growth with the size", flush=True)
    _, model = build_pair(args, variant)
    network = fast(model, dtype=LOW if args.device.type == "cuda" else None)
    sides = (512, 1024, 2048) if args.device.type == "cuda" else (64, 128, 256)
    results = {}
    for side in sides:
        run = without_gradients(network, torch.rand(1, 3, side, side).to(args.device))
        run()
        measured = time_in_turn({"ours": run}, args.device, args.repeats)["ours"]
        measured["ns_per_pixel"] = round(1e6 * measured["median_ms"] / side**2, 2)
        results[f"{side}x{side}"] = measured
        print(f"  {side:5} {measured['ns_per_pixel']:8.2f} ns a pixel", flush=True)
    return results


def cpu_memory(args, variant="lightweight_x2", side=512):
    """MiB that one forward pass adds to a fresh process, at its peak."""
    print(f"{variant}, {side}x{side}, memory of the forward pass", flush=True)
    results = {}
    for name in (["official"] if args.official else []) + ["ours"]:
        command = [sys.executable, "-m", "benchmarks.speed", "--memory-of", name]
        command += ["--variant", variant, "--side", str(side)]
        if args.official:
            command += ["--official", args.official]
        command += ["--any-file"] if args.any_file else []
        output = subprocess.run(command, capture_output=True, text=True, check=True)
        results[name] = json.loads(output.stdout.splitlines()[-1])
        print(f"  {name:32} {results[name]['added_mib']:9.0f} MiB", flush=True)
    return results


def resident_mib() -> float:
    """Most memory that this process has had so far."""
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def report_memory(args):
    """Run in a process of its own: one forward pass and what it added."""
    official, model = build_pair(args, args.variant)
    network = official if args.memory_of == "official" else fast(model)
    image = torch.rand(1, 3, args.side, args.side)
    with torch.no_grad():
        network(image[..., :64, :64])  # libraries load, threads start
        before = resident_mib()
        network(image)
    print(json.dumps({"added_mib": round(resident_mib() - before, 1)}))


def set5(args):
    """PSNR on Set5 of trained weights, in float32 and in bfloat16."""
    from swinir_lite import load_model
    from swinir_lite.evaluate import evaluate, read_test_set

    model = load_model(args.weights).to(args.device)
    scale = model.config.scale
    pairs = list(read_test_set(args.set5, scale))
    results = {"weights": Path(args.weights).name}
    for name, network in (
        ("float32", fast(model)),
        ("bfloat16", fast(model, dtype=LOW)),
    ):
        results[name] = evaluate(network, pairs, border=scale)
    return results


def profile(args):
    """Where the GPU's time goes in our own runs: milliseconds by kernel."""
    results = {}
    for variant in ("lightweight_x2", "classical_x4"):
        _, model = build_pair(args, variant)
        network = fast(model, dtype=LOW)
        image = torch.rand(1, 3, 360, 640, device=args.device)
        results[variant] = kernels(without_gradients(network, image))
    _, model = build_pair(args, "lightweight_x2")
    image = torch.rand(64, 3, 64, 64, device=args.device)
    target = torch.rand(64, 3, 128, 128, device=args.device)
    step = training_step(fast(model), model, image, target, True)
    results["training lightweight_x2"] = kernels(step)
    return results


def kernels(run, count=12):
    for _ in range(3):
        run()
    torch.cuda.synchronize()
    activities = [torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profiler:
        run()
        torch.cuda.synchronize()
    events = sorted(profiler.key_averages(), key=lambda e: -e.device_time_total)
    times = {e.key[:60]: round(e.device_time_total / 1000, 3) for e in events}
    shown = dict(list(times.items())[:count])
    rest = sum(times.values()) - sum(shown.values())
    return {**shown, "everything else": round(rest, 3)}


def sections_cuda(args):
    for variant in ("lightweight_x2", "classical_x4"):
        yield f"{variant} 360x640", lambda v=variant: inference(args, v, 360, 640)
    yield "training lightweight_x2", lambda: training(args)
    yield "growth lightweight_x2", lambda: growth(args)
    yield "profile", lambda: profile(args)
    yield "steps lightweight_x2 360x640", lambda: steps(args)
    for variant in ("color_jpeg", "real_world_large_x4"):
        yield f"{variant} 252x252", lambda v=variant: inference(args, v, 252, 252)


def sections_cpu(args):
    yield (
        "lightweight_x2 128x128",
        lambda: inference(args, "lightweight_x2", 128, 128, reduced=False),
    )
    yield "memory lightweight_x2 512x512", lambda: cpu_memory(args)
    yield "growth lightweight_x2", lambda: growth(args)


def parse(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--official", help="path of the official network_swinir.py")
    parser.add_argument("--any-file", action="store_true", help="skip its hash check")
    parser.add_argument("--device", default="cpu", type=torch.device)
    parser.add_argument("--repeats", default=20, type=int)
    parser.add_argument("--threads", default=2, type=int, help="on a CPU")
    parser.add_argument("--weights", help="trained weights, for PSNR on --set5")
    parser.add_argument("--set5", help="folder of the test set")
    parser.add_argument("--only", help="only sections with this in their name")
    parser.add_argument("--output", help="where the JSON goes")
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    parser.add_argument("--variant", help=argparse.SUPPRESS)
    parser.add_argument("--side", type=int, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def main():
    args = parse()
    if args.memory_of:
        return report_memory(args)
    if args.device.type == "cuda":
        torch.backends.cudnn.benchmark = True
    else:
        torch.set_num_threads(args.threads)
    found = environment(args.device)
    backend = attention_backend(args.device)
    found["attention"] = f"{backend.name}: {backend.reason}"
    results = {}
    path = Path(args.output or RESULTS / f"{args.device.type}.json")
    sections = sections_cuda if args.device.type == "cuda" else sections_cpu
    for name, run in sections(args):
        if args.only and args.only not in name:
            continue
        results[name] = run()
        save(path, found, results)
    if args.weights and args.set5:
        results["set5"] = set5(args)
        save(path, found, results)
    print(f"written to {path}")


def save(path, found, results):
    """After every section, whole or not at all."""
    partial = path.with_suffix(".partial")
    text = json.dumps({"environment": found, "results": results}, indent=2)
    partial.write_text(text + "\n")
    partial.replace(path)


if __name__ == "__main__":
    main()
