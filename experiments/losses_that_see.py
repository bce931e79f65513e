"""What features see, and what they teach: python -m experiments.losses_that_see --help

Measures how far small changes of a picture are for pixels and for the features of
SqueezeNet, lets the features fine-tune the PSNR-trained real-world model, and
measures the results of three losses.  What it writes is committed; chapter 10
reads it.

The features come from a file of torchvision's names, `features.3.squeeze.weight`
and so on, of SqueezeNet 1.0 trained on ImageNet, with mean and scale folded into its
first convolution, which has no padding.  They are not part of this project.
"""

import argparse
import platform
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file
from skimage import data
from torch import Tensor, nn

from swinir_lite import fast, imresize, load_model, psnr, to_image, to_tensor
from swinir_lite.image_files import read_image
from swinir_lite.losses import feature_loss, l1_loss
from swinir_lite.measuring.evaluation import restore
from swinir_lite.real_world_super_resolution import (
    degrade_photograph,
    gradient_distance,
)
from swinir_lite.standard_json import to_json
from swinir_lite.whole_files import whole_file

LAYERS = (1, 4, 7, 10)  # indices in torchvision's squeezenet1_0().features
POOLS, LAST = (2, 6, 11), 12
TEACHING = {4: 0.1, 7: 0.1, 10: 0.1}  # layers of the loss and their weights
PATCH, BATCH, SCALE = 96, 4, 4  # PATCH in pixels of the large image
SHOWN = {  # photographs to restore: crops of 256x256 pixels at (top, left), and a seed
    # of their degradation, the one of 0 to 7 that leaves most of the picture
    "astronaut": (data.astronaut, 0, 130, 0),
    "coffee": (data.coffee, 60, 150, 2),
    "chelsea": (data.chelsea, 30, 60, 2),
}


class SqueezeNetFeatures(nn.Module):
    """Maps of SqueezeNet 1.0 after their ReLU: (B, 3, H, W) in [0, 1] -> list.

    Each is divided by `scales`, one number a map, so that maps count alike.  Frozen,
    and not saved with a model.
    """

    def __init__(self, state: dict[str, Tensor], layers: tuple[int, ...] = LAYERS):
        super().__init__()
        for name, value in state.items():
            self.register_buffer(name.replace(".", "_"), value.float(), False)
        self.layers, self.scales = layers, [1.0] * len(layers)

    def convolve(self, x: Tensor, name: str, **options) -> Tensor:
        """One convolution with its ReLU."""
        name = name.replace(".", "_")
        weight, bias = (getattr(self, f"{name}_{part}") for part in ("weight", "bias"))
        return F.conv2d(x, weight, bias, **options).relu()

    def count_alike(self) -> None:
        """Scale every map to a mean of 1 over `textures`."""
        examples = torch.cat(list(textures().values()))
        self.scales = [m.mean().item() for m in self(examples)]

    def fire(self, x: Tensor, name: str) -> Tensor:
        """A squeeze to few channels, then 1x1 and 3x3 convolutions side by side."""
        x = self.convolve(x, f"{name}.squeeze")
        fine = self.convolve(x, f"{name}.expand1x1")
        return torch.cat([fine, self.convolve(x, f"{name}.expand3x3", padding=1)], 1)

    def forward(self, x: Tensor) -> list[Tensor]:
        x, maps = self.convolve(x, "features.0", stride=2), {}
        for i in range(1, LAST + 1):
            if i in POOLS:
                x = F.max_pool2d(x, 3, 2, ceil_mode=True)
            elif i > 1:  # 1 is the ReLU of the first convolution
                x = self.fire(x, f"features.{i}")
            maps[i] = x
        return [maps[i] / s for i, s in zip(self.layers, self.scales, strict=True)]


def textures() -> dict[str, Tensor]:
    """Crops (1, 3, 128, 128) of skimage's photographs, by what they show."""
    return {
        "fur": to_tensor(data.chelsea()[:128, 100:228]),
        "cloth": to_tensor(data.astronaut()[300:428, 150:278]),
        "hair": to_tensor(data.astronaut()[20:148, 170:298]),
        "wood": to_tensor(data.coffee()[270:398, 440:568]),
    }


def changed(image: Tensor) -> dict[str, Tensor]:
    """The image moved by a pixel, and the mean of 5x5 pixels."""
    padded = F.pad(image, (2,) * 4, mode="reflect")
    return {"shifted": image.roll(1, 3), "blurred": F.avg_pool2d(padded, 5, 1)}


def distances(features: Callable, image: Tensor, original: Tensor) -> list[float]:
    """Mean difference of each map, in units of the original's mean response."""
    pairs = zip(features(image), features(original), strict=True)
    return [(l1_loss(a, b) / b.abs().mean()).item() for a, b in pairs]


def fine_tune(
    model: nn.Module, features: SqueezeNetFeatures, photos: list[Path], steps: int
) -> nn.Module:
    """Train on with L1 and the features' loss on damaged patches of photographs."""
    torch.manual_seed(0)
    pick = np.random.default_rng(0)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-4, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 2e-4, steps, pct_start=0.1
    )
    for i in range(steps):
        patches = []
        for photo in pick.choice(photos, BATCH):
            image = read_image(photo)
            top, left = (pick.integers(n - PATCH + 1) for n in image.shape[:2])
            patches.append(image[top : top + PATCH, left : left + PATCH])
        lq = torch.cat([degrade_photograph(patch, seed=i) for patch in patches])
        hq = torch.cat([to_tensor(patch) for patch in patches])
        restored = model(lq)
        pixels = l1_loss(restored, hq)
        seen = feature_loss(features, restored, hq, TEACHING.values())
        optimizer.zero_grad()
        (pixels + seen).backward()
        optimizer.step()
        schedule.step()
        if i % 10 == 0:
            print(f"step {i}: L1 {pixels:.4f}, features {seen:.4f}", flush=True)
    return model.eval()


def degraded(name: str) -> tuple[Tensor, np.ndarray]:
    """LQ (1, 3, 64, 64) and the crop (256, 256, 3), uint8, that it was made of."""
    photo, top, left, seed = SHOWN[name]
    crop = photo()[top : top + 256, left : left + 256]
    return degrade_photograph(crop, seed=seed), crop


def score(image: np.ndarray, truth: np.ndarray, features: Callable) -> dict:
    """PSNR on Y, distance of gradients, and each map's distance."""
    return {
        "psnr": psnr(image, truth, SCALE, y_channel=True),
        "gradient_distance": gradient_distance(image, truth),
        "features": distances(features, to_tensor(image), to_tensor(truth)),
    }


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m experiments.losses_that_see")
    parser.add_argument("--features", type=Path, required=True, help="SqueezeNet 1.0")
    parser.add_argument("--photographs", type=Path, required=True, help="to train on")
    parser.add_argument("--steps", type=int, default=160)
    parser.add_argument("--out", type=Path, default="results/losses_that_see.json")
    args = parser.parse_args(arguments)
    features = SqueezeNetFeatures(load_file(args.features))
    changes = {
        name: {
            change: {
                "pixels": l1_loss(image, original).item(),
                "features": distances(features, image, original),
            }
            for change, image in changed(original).items()
        }
        for name, original in textures().items()
    }
    photos = sorted(p for p in args.photographs.rglob("*") if p.suffix == ".jpg")
    teacher = SqueezeNetFeatures(load_file(args.features), tuple(TEACHING))
    teacher.count_alike()
    model = load_model("lightweight_real_world_x4").requires_grad_(True).train()
    models = {
        "L1": load_model("lightweight_real_world_x4"),
        "perceptual": fine_tune(model, teacher, photos, args.steps),
        "GAN": load_model("lightweight_real_world_x4_gan"),
    }
    scores, pictures = {}, []
    for name in SHOWN:
        lq, truth = degraded(name)
        restored = {"bicubic": imresize(to_image(lq), SCALE)}
        for loss, network in models.items():
            restored[loss] = to_image(restore(fast(network), lq, SCALE, 8))
        pictures.append(restored["perceptual"])
        scores[name] = {k: score(v, truth, features) for k, v in restored.items()}
    about = {
        "hardware": f"CPU, {platform.machine()}",
        "date": str(date.today()),
        "torch": torch.__version__,
        "layers": LAYERS,
        "teaching": TEACHING,
        "steps": args.steps,
        "photographs": len(photos),
    }
    with whole_file(args.out) as partial:
        partial.write_text(
            to_json({**about, "changes": changes, "scores": scores}, indent=1) + "\n"
        )
    with whole_file(args.out.with_suffix(".png")) as partial:
        Image.fromarray(np.concatenate(pictures, 1)).save(partial, "PNG")


if __name__ == "__main__":
    main()
