"""float16 beside float32, for every network and image: python -m benchmarks.float16

Its range ends at 65,504, and features grow from block to block. Shipped networks have
their weights, released ones random weights of the authors' sizes. Every image goes
through each path that a GPU with or without tensor cores for Triton takes.
"""

import argparse
import json
import math
import sys
import warnings
from pathlib import Path

import torch
import torch.nn.functional as F
from skimage import data
from torch import Tensor

from swinir_lite import SwinIR, load_model
from swinir_lite.shipped_weights import shipped_models
from swinir_lite.speed.network import FastSwinIR
from swinir_lite.variants import RELEASED
from swinir_lite.whole_files import whole_file

from .measure import environment, exact_convolutions
from .official import randomize

RESULTS = Path(__file__).parent / "results"
SIDES = (48, 131, 256)
PHOTOGRAPHS = "astronaut", "chelsea", "coffee"
LEAST_DB = 52.0


def images(channels: int, side: int) -> dict[str, Tensor]:
    """Photographs and what is hardest on a network, each `(channels, side, side)`."""
    found = {}
    for name in PHOTOGRAPHS:
        picture = torch.from_numpy(getattr(data, name)()).permute(2, 0, 1) / 255
        found[name] = F.interpolate(picture[None], (side, side), mode="area")[0]
    shape = 3, side, side
    for name, level in (("black", 0.0), ("white", 1.0), ("grey", 0.5)):
        found[name] = torch.full(shape, level)
    found["red"] = torch.tensor([1.0, 0.0, 0.0])[:, None, None].expand(shape)
    generator = torch.Generator().manual_seed(0)
    found["noise"] = torch.rand(shape, generator=generator)
    found["black and white noise"] = found["noise"].round()
    return {name: image[:channels] for name, image in found.items()}


def networks() -> dict[str, SwinIR]:
    """All that ships, and all that the authors released."""
    files = {entry["file"]: name for name, entry in shipped_models().items()}
    found = {f"shipped {name}": load_model(name) for name in files.values()}
    for name, config in RELEASED.items():
        torch.manual_seed(0)
        found[f"released {name}"] = randomize(SwinIR(config))
    return {name: model.eval() for name, model in found.items()}


def decibels(model: SwinIR, path: str, device: torch.device) -> dict[str, float]:
    """PSNR of float16 against float32, the least of all sizes, for each image.

    A value beyond float16's range raises a warning; here it is an error.
    """
    quick = FastSwinIR(model, "triton", torch.float16, path, gradients=False)
    exact = FastSwinIR(model, "reference", torch.float32, "composed", gradients=False)
    least = {}
    for side in SIDES:
        given = images(model.config.in_channels, side)
        batch = torch.stack([*given.values()]).to(device)
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)
            restored, expected = quick(batch), exact(batch)
        errors = (restored.double() - expected).square().flatten(1).mean(1)
        for name, error in zip(given, errors.tolist()):
            found = round(-10 * math.log10(max(error, 1e-20)), 2)
            least[name] = min(found, least.get(name, found))
    return least


def measure(device: torch.device) -> dict[str, dict]:
    """For each path and network, decibels, or what went wrong under "failed"."""
    results = {}
    for name, model in networks().items():
        model = model.to(device)
        for path in ("inference_kernels", "composed"):
            try:
                found = decibels(model, path, device)
            except RuntimeWarning as warning:
                found = {"failed": str(warning)}
            else:
                if min(found.values()) < LEAST_DB:
                    found["failed"] = f"less than {LEAST_DB} dB"
            results[f"{name}, {path.replace('_', ' ')}"] = found
            said = found.get("failed") or f"{min(found.values()):.1f} dB"
            print(f"  {name:36} {path:20} {said}", flush=True)
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=RESULTS / "h200_float16.json")
    args = parser.parse_args()
    device = torch.device("cuda")
    with exact_convolutions():
        file = {"environment": environment(device), "results": measure(device)}
    with whole_file(args.output) as partial:
        partial.write_text(json.dumps(file, indent=1) + "\n")
    wrong = [f"{k}: {v['failed']}" for k, v in file["results"].items() if "failed" in v]
    sys.exit("\n".join(wrong) or None)


if __name__ == "__main__":
    main()
