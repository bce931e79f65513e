"""This project beside the official network: same weights, same images, in turn."""

import copy
import json
import math
import re
import resource
import subprocess
import sys
import traceback
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from swinir_lite import VARIANTS, SwinIR, SwinIRConfig
from swinir_lite.speed.cuda_graph import Graphed
from swinir_lite.speed.network import fast

from .measure import (
    LOW,
    compare,
    complaint,
    describe,
    disagreement,
    exact_convolutions,
    limit,
    peak_gpu_memory,
    time_in_turn,
    without_gradients,
)
from .official import build_pair, keep_masks


def pair(args: Namespace, variant: str) -> tuple[nn.Module | None, SwinIR]:
    return build_pair(VARIANTS[variant], args.device, args.official, args.any_file)


def inference(
    args: Namespace, variant: str, height: int, width: int, reduced: bool = True
) -> dict:
    """One image through the official network and through ours, in each type.

    The official one also with its masks kept from call to call, its quickest form.
    """
    print(f"{variant}, {height}x{width}, inference", flush=True)
    official, model = pair(args, variant)
    image = torch.rand(1, model.config.in_channels, height, width, device=args.device)
    halves = {"bfloat16": LOW, "float16": torch.float16} if reduced else {}
    runs = {}
    if official is not None:
        kept = keep_masks(copy.deepcopy(official))
        runs["official float32"] = without_gradients(official, image)
        runs["official float32, masks kept"] = without_gradients(kept, image)
        for name, dtype in halves.items():
            run = without_gradients(kept, image, autocast=dtype)
            runs[f"official {name}, masks kept"] = run
    runs["ours float32"] = without_gradients(fast(model), image)
    for name, dtype in halves.items():
        runs[f"ours {name}"] = without_gradients(fast(model, dtype=dtype), image)
    return compare(runs, args.device, args.repeats, next(iter(runs)))


def training_step(
    network: nn.Module, model: SwinIR, image: Tensor, target: Tensor, autocast: bool
) -> Callable[[], Tensor]:
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


def training_batch(
    config: SwinIRConfig, device: torch.device, batch: int, side: int
) -> tuple[Tensor, Tensor]:
    high = config.scale * side
    low_quality = torch.rand(batch, config.in_channels, side, side, device=device)
    return low_quality, torch.rand(batch, config.in_channels, high, high, device=device)


def losses_of(step: Callable[[], Tensor], steps: int = 6) -> list[float]:
    """Losses of some training steps; the last are of a CUDA graph, if there is one."""
    return [float(step()) for _ in range(steps)]


def first_steps(
    run: Callable[[], Tensor], step: Callable[[], Tensor]
) -> tuple[dict, list[float]]:
    """Losses, and most memory of a step that needs no setting up any more.

    What happens inside a CUDA graph is counted while it is recorded.
    """
    losses = []
    peak = peak_gpu_memory(lambda: losses.extend(losses_of(run)))
    if run is step:
        peak = peak_gpu_memory(step)
    return {"peak_gib": peak, "losses": losses}, losses


def wrong_losses(losses: list[float], expected: list[float], name: str) -> str | None:
    """Why they cannot be those of the same steps, or None."""
    worst = max(abs(a - b) / abs(b) for a, b in zip(losses, expected))
    worst = worst if all(map(math.isfinite, losses)) else math.nan
    return complaint("losses differ by", worst, max(limit(name), 1e-3))


def training(
    args: Namespace, variant: str = "lightweight_x2", batch: int = 64, side: int = 64
) -> dict:
    """A whole training step; the losses of the first six are compared."""
    print(f"{variant}, training step, batch {batch} of {side}x{side}", flush=True)
    official, model = pair(args, variant)
    data = training_batch(model.config, args.device, batch, side)
    trained = {}
    if official is not None:
        trained |= {"official float32": (official.train(), official, False)}
        trained |= {"official bfloat16": (official, official, True)}
    trained |= {
        "ours bfloat16, no graph": (fast(model), model, True),
        "ours bfloat16, CUDA graph": (fast(model), model, True),
    }
    runs, results, expected = {}, {}, None
    for name, (network, owner, autocast) in trained.items():
        start = {key: value.clone() for key, value in owner.state_dict().items()}
        step = training_step(network, owner, *data, autocast)
        run = Graphed(step) if "CUDA graph" in name else step
        try:
            results[name], losses = first_steps(run, step)
            runs[name] = run
        except Exception as error:
            traceback.print_exc()
            results[name] = {"failed": describe(error)}
            continue
        finally:
            owner.load_state_dict(start)
        expected = expected or losses
        if wrong := wrong_losses(losses, expected, name):
            results[name]["failed"] = wrong
    for name, measured in time_in_turn(runs, args.device, args.repeats).items():
        results[name] |= measured
        took, peak = measured["median_ms"], results[name]["peak_gib"]
        wrong = results[name].get("failed", "")
        print(f"  {name:40} {took:9.2f} ms {peak:6.2f} GiB {wrong}", flush=True)
    return results


def compiled_training(
    args: Namespace, variant: str = "lightweight_x2", batch: int = 64, side: int = 64
) -> dict:
    """The official training step under torch.compile."""
    print(f"{variant}, training step, official and compiled", flush=True)
    official, model = pair(args, variant)
    data = training_batch(model.config, args.device, batch, side)
    # Its first call replaces an attribute, after which it would be compiled again
    official.train()(data[0][:1])
    step = training_step(torch.compile(official), official, *data, True)
    name = "official bfloat16, compiled"
    losses = losses_of(step)
    results = {name: {"peak_gib": peak_gpu_memory(step), "losses": losses}}
    if not all(map(math.isfinite, losses)):
        results[name]["failed"] = f"its losses are {losses}"
    results[name] |= time_in_turn({name: step}, args.device, args.repeats)[name]
    return results


def growth(args: Namespace, variant: str = "lightweight_x2") -> dict:
    """Time per pixel at growing sizes."""
    print(f"{variant}, growth with the size", flush=True)
    _, model = pair(args, variant)
    network = fast(model, dtype=LOW if args.device.type == "cuda" else None)
    sides = (512, 1024, 2048) if args.device.type == "cuda" else (64, 128, 256)
    results = {}
    for side in sides:
        run = without_gradients(network, torch.rand(1, 3, side, side).to(args.device))
        for _ in range(4):
            output = run()
        measured = disagreement(output, None, "ours")
        measured |= time_in_turn({"ours": run}, args.device, args.repeats)["ours"]
        measured["ns_per_pixel"] = round(1e6 * measured["median_ms"] / side**2, 3)
        if args.device.type == "cuda":
            measured["peak_gib"] = peak_gpu_memory(run)
        results[f"{side}x{side}"] = measured
        print(f"  {side:5} {measured['ns_per_pixel']:8.2f} ns a pixel", flush=True)
    return results


def cpu_memory(
    args: Namespace, variant: str = "lightweight_x2", side: int = 512
) -> dict:
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


def peak_resident_mib() -> float:
    """Most memory that this process has had so far.

    Elsewhere than on Linux a process may begin with the peak of the one that
    started it.
    """
    status = Path("/proc/self/status")
    if status.exists():
        found = re.search(r"VmHWM:\s*(\d+) kB", status.read_text())
        return int(found[1]) / 2**10
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def report_memory(args: Namespace) -> None:
    """Run in a process of its own: one forward pass and what it added."""
    official, model = pair(args, args.variant)
    network = official if args.memory_of == "official" else fast(model)
    image = torch.rand(1, 3, args.side, args.side)
    with torch.no_grad():
        network(image[..., :64, :64])  # libraries load, threads start
        before = peak_resident_mib()
        network(image)
    after = peak_resident_mib()
    found = {"added_mib": round(after - before, 1), "peak_mib": round(after, 1)}
    print(json.dumps(found))


def set5(args: Namespace) -> dict:
    """PSNR on Set5 of trained weights, in float32 and in bfloat16."""
    from swinir_lite import load_model
    from swinir_lite.measuring.evaluation import evaluate
    from swinir_lite.measuring.test_sets import read_test_set

    print("Set5, float32 and bfloat16", flush=True)
    model = load_model(args.weights).to(args.device)
    scale = model.config.scale
    pairs = list(read_test_set(args.set5, scale))
    results = {"weights": Path(args.weights).name}
    networks = {"float32": fast(model), "bfloat16": fast(model, dtype=LOW)}
    with exact_convolutions():
        for name, network in networks.items():
            results[name] = evaluate(network, pairs, border=scale)
    return results
