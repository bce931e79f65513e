"""This project beside the official network: same weights, same images, in turn."""

import json
import resource
import subprocess
import sys
from pathlib import Path

import torch

from swinir_lite import VARIANTS
from swinir_lite.cuda_graph import Graphed
from swinir_lite.fast import fast

from .measure import LOW, compare, peak_gpu_memory, time_in_turn, without_gradients
from .official import build_pair


def pair(args, variant):
    return build_pair(VARIANTS[variant], args.device, args.official, args.any_file)


def inference(args, variant, height, width, reduced=True):
    """One image through the official network and through ours."""
    print(f"{variant}, {height}x{width}, inference", flush=True)
    official, model = pair(args, variant)
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
    return compare(runs, args.device, args.repeats, next(iter(runs)))


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


def training_batch(config, device, batch, side):
    high = config.scale * side
    low_quality = torch.rand(batch, config.in_channels, side, side, device=device)
    return low_quality, torch.rand(batch, config.in_channels, high, high, device=device)


def training(args, variant="lightweight_x2", batch=64, side=64):
    print(f"{variant}, training step, batch {batch} of {side}x{side}", flush=True)
    official, model = pair(args, variant)
    data = training_batch(model.config, args.device, batch, side)
    runs = {}
    if official is not None:
        official.train()
        runs["official float32"] = training_step(official, official, *data, False)
        runs["official bfloat16"] = training_step(official, official, *data, True)
    step = training_step(fast(model), model, *data, True)
    runs["ours bfloat16, no graph"] = step
    results = {}
    for name, run in runs.items():
        run()
        results[name] = {"peak_gib": peak_gpu_memory(run)}
    graphed = Graphed(training_step(fast(model), model, *data, True))
    # What happens inside a graph is counted while it is recorded
    peak = peak_gpu_memory(lambda: [graphed() for _ in range(6)])
    runs["ours bfloat16, CUDA graph"] = graphed
    results["ours bfloat16, CUDA graph"] = {"peak_gib": peak}
    for name, measured in time_in_turn(runs, args.device, args.repeats).items():
        results[name] |= measured
        peak = results[name]["peak_gib"]
        print(f"  {name:40} {measured['median_ms']:9.2f} ms {peak:6.2f} GiB")
    return results


def compiled_training(args, variant="lightweight_x2", batch=64, side=64):
    """The official training step under torch.compile."""
    print(f"{variant}, training step, official and compiled", flush=True)
    official, model = pair(args, variant)
    if official is None:
        return {}
    data = training_batch(model.config, args.device, batch, side)
    compiled = torch.compile(official.train())
    step = training_step(compiled, official, *data, True)
    step()
    name = "official bfloat16, compiled"
    results = {name: {"peak_gib": peak_gpu_memory(step)}}
    results[name] |= time_in_turn({name: step}, args.device, args.repeats)[name]
    return results


def growth(args, variant="lightweight_x2"):
    """Time per pixel at growing sizes."""
    print(f"{variant}, growth with the size", flush=True)
    _, model = pair(args, variant)
    network = fast(model, dtype=LOW if args.device.type == "cuda" else None)
    sides = (512, 1024, 2048) if args.device.type == "cuda" else (64, 128, 256)
    results = {}
    for side in sides:
        run = without_gradients(network, torch.rand(1, 3, side, side).to(args.device))
        for _ in range(3):
            run()
        measured = time_in_turn({"ours": run}, args.device, args.repeats)["ours"]
        measured["ns_per_pixel"] = round(1e6 * measured["median_ms"] / side**2, 3)
        if args.device.type == "cuda":
            measured["peak_gib"] = peak_gpu_memory(run)
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
        command += ["--threads", str(args.threads)]
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
    official, model = pair(args, args.variant)
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

    print("Set5, float32 and bfloat16", flush=True)
    model = load_model(args.weights).to(args.device)
    scale = model.config.scale
    pairs = list(read_test_set(args.set5, scale))
    results = {"weights": Path(args.weights).name}
    networks = {"float32": fast(model), "bfloat16": fast(model, dtype=LOW)}
    for name, network in networks.items():
        results[name] = evaluate(network, pairs, border=scale)
    return results
