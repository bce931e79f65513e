"""Make what the page "Try it" loads: networks, golden tiles, example pictures.

    python chapters/demonstration.py _build/try

writes into that folder, from the weights that ship with the package:

- `NAME.onnx`: a network for images of any size, its weights in half precision;
- `NAME.golden`: a tile (1, 3, h, w) and what PyTorch makes of it, float32;
- pictures before, after and clean, for readers who have restored nothing yet;
- `models.json`, which describes all of them to the page.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from skimage import data
from torch import Tensor, nn

from swinir_lite import imresize, load_model, psnr, restore_image, to_image, to_tensor
from swinir_lite.denoising import add_gaussian_noise
from swinir_lite.jpeg_artifacts import add_jpeg_artifacts
from swinir_lite.real_world_super_resolution import degrade_photograph
from swinir_lite.restoring.tile_size import default_overlap
from swinir_lite.shipped_weights import shipped_models
from swinir_lite.speed.export import export_onnx
from swinir_lite.whole_files import whole_file

# What the page offers; noise and JPEG have one network for all their levels
MODELS = (
    "lightweight_x2",
    "lightweight_x3",
    "lightweight_x4",
    "color_denoise_25",
    "color_jpeg_10",
    "lightweight_real_world_x4",
    "lightweight_real_world_x4_gan",
)
RUNTIME = Path(__file__).parent.parent / "node_modules/onnxruntime-web/dist"
GOLDEN = slice(100, 140), slice(150, 198)  # the tile in a photograph, rows and columns


class Example(NamedTuple):
    """A photograph to be restored, and how it was damaged."""

    name: str
    title: str
    model: str
    photograph: Callable[[], np.ndarray]
    part: tuple[slice, slice]
    damage: Callable[[np.ndarray], Tensor]


EXAMPLES = (
    Example(
        "small", "A cat, four times larger", "lightweight_x4", data.chelsea,
        (slice(2, 298), slice(2, 450)),
        lambda photo: to_tensor(imresize(photo, 1 / 4)),
    ),
    Example(
        "noise", "A cup of coffee, noise 50", "color_denoise_25", data.coffee,
        (slice(70, 250), slice(190, 430)),
        lambda photo: add_gaussian_noise(photo, sigma=50),
    ),
    Example(
        "jpeg", "A portrait, JPEG 10", "color_jpeg_10", data.astronaut,
        (slice(0, 180), slice(110, 350)),
        lambda photo: add_jpeg_artifacts(photo, quality=10),
    ),
    Example(
        "real", "A cat, damaged in many ways", "lightweight_real_world_x4",
        data.chelsea, (slice(2, 298), slice(2, 450)),
        degrade_photograph,
    ),
)  # fmt: skip


def file_of(name: str) -> str:
    """A network's name on the page: that of its weights, which levels may share."""
    return Path(shipped_models()[name]["file"]).stem


def write_floats(path: Path, *tensors: Tensor) -> None:
    """Tensors as little-endian float32, one after the other."""
    with whole_file(path) as partial:
        partial.write_bytes(
            b"".join(t.numpy().astype("<f4").tobytes() for t in tensors)
        )


@torch.no_grad()
def make_model(name: str, folder: Path) -> dict:
    """Write a network and its golden tile; what the page has to know of them."""
    model, own = load_model(name), file_of(name)
    network = export_onnx(model, folder / f"{own}.onnx", half=True)
    tile = to_tensor(data.chelsea()[GOLDEN])
    golden = folder / f"{own}.golden"
    write_floats(golden, tile, model(tile))
    return {
        "name": own,
        "file": network.name,
        "bytes": network.stat().st_size,
        "scale": model.config.scale,
        "window": model.config.window_size,
        "overlap": overlap_of(model, name),
        "golden": {
            "file": golden.name,
            "bytes": golden.stat().st_size,
            "height": tile.shape[2],
            "width": tile.shape[3],
        },
    }


def overlap_of(model: nn.Module, name: str) -> int:
    """By how much tiles overlap: as where the package restores pictures."""
    return default_overlap(model, shipped_models()[name]["degradation"]["name"])


def make_example(example: Example, folder: Path) -> dict:
    """Write a picture before and after, and clean; its title and its PSNR in dB."""
    truth = np.ascontiguousarray(example.photograph()[example.part])
    before = to_image(example.damage(truth))
    after = restore_image(before, example.model)
    height, width = after.shape[:2]
    scale = load_model(example.model).config.scale
    plain = imresize(before, scale) if scale > 1 else before
    names = {}
    for key, image in (("before", before), ("after", after), ("clean", truth)):
        names[key] = f"{example.name}_{key}.png"
        with whole_file(folder / names[key]) as partial:
            Image.fromarray(image).save(partial, "PNG", optimize=True)
    return names | {
        "title": example.title,
        "model": file_of(example.model),
        "psnr_before": psnr(plain, truth[:height, :width]),
        "psnr_after": psnr(after, truth[:height, :width]),
    }


def runtime_bytes() -> int:
    """How much the page loads at most: one of two builds, for CPUs or GPUs."""
    kinds = "", ".jspi"
    names = (f"ort-wasm-simd-threaded{kind}.wasm" for kind in kinds)
    return max((RUNTIME / name).stat().st_size for name in names)


def make(folder: Path) -> None:
    """Write all of it; `models.json` comes last."""
    folder.mkdir(parents=True, exist_ok=True)
    models = [make_model(name, folder) for name in MODELS]
    about = {
        "runtime": runtime_bytes(),
        "models": {model["name"]: model for model in models},
        "examples": [make_example(example, folder) for example in EXAMPLES],
    }
    with whole_file(folder / "models.json") as partial:
        partial.write_text(json.dumps(about, indent=2) + "\n")


if __name__ == "__main__":
    make(Path(sys.argv[1]))
