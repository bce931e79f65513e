"""The shipped real-world models: python -m experiments.real_world_training --help

Trains with L1, then with L1, SqueezeNet's features and a discriminator, and mixes the
weights of both.  VGG19, which the preset `real_world_gan` asks for, could not be had
where these ran; the features come from a file, as for `losses_that_see`.
"""

import argparse
import shutil
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from experiments.losses_that_see import SqueezeNetFeatures
from swinir_lite.losses import Criterion, feature_loss
from swinir_lite.runs import read_run_state
from swinir_lite.training.config import TrainConfig, load_config
from swinir_lite.training.engine import Trainer
from swinir_lite.training.state import write_state

# Maps of SqueezeNet and their weights.  Those of deeper layers are smaller because
# their gradients are larger by as much, and lie in few pixels, where they make dots.
LAYERS = {1: 1.0, 4: 0.5, 7: 0.2, 10: 0.05}
SHIFT = 4  # pixels; SqueezeNet skips pixels, and its first maps repeat after four
# The discriminator's gradient at the image has at most so many times the norm of L1's.
# When it wins, its gradient grows to more than ten times that of the other two terms,
# and draws whatever it likes.
STRONGEST = 5.0
LOSSES = {
    "l1": 1.0,
    "perceptual": 0.3,
    "adversarial": {"weight": 0.1, "dim": 32, "learning_rate": 1e-4},
}


def cut_alike(images: list[Tensor], shift: int = SHIFT) -> list[Tensor]:
    """Cut (B, C, H, W) to (B, C, H - shift, W - shift), all at one random place.

    What a network that skips pixels does not see in one place it sees in another:
    without this, patterns grow that repeat as its steps do.
    """
    device, places = images[0].device, []
    for side in images[0].shape[2:]:
        start = torch.randint(shift + 1, (1,), device=device)  # drawn on the device
        places.append(start + torch.arange(side - shift, device=device))
    rows, columns = places
    return [image.index_select(2, rows).index_select(3, columns) for image in images]


def hold(restored: Tensor, limit: float) -> Tensor:
    """The same images, through which comes back a gradient of at most this norm."""
    held = restored.view_as(restored)
    if held.requires_grad:
        held.register_hook(lambda g: g * (limit / g.norm()).clamp(max=1))
    return held


class SqueezeNetCriterion(Criterion):
    """A Criterion whose perceptual loss has SqueezeNet's features, not VGG19's."""

    def __init__(self, losses: dict, features: str | Path):
        self.features = features
        super().__init__(losses)

    def find_features(self) -> None:
        self.vgg19 = SqueezeNetFeatures(load_file(self.features), tuple(LAYERS))
        self.vgg19.count_alike()

    def term(self, name: str, restored: Tensor, target: Tensor) -> Tensor:
        if (
            name == "adversarial"
        ):  # L1's gradient is the same everywhere but for its sign
            restored = hold(restored, STRONGEST / restored.numel() ** 0.5)
        if name != "perceptual":
            return super().term(name, restored, target)
        return feature_loss(self.vgg19, *cut_alike([restored, target]), LAYERS.values())


def gan_config(overrides: list[str]) -> TrainConfig:
    """The preset's configuration with the losses of this file."""
    return load_config(
        {**asdict(load_config("real_world_gan")), "losses": LOSSES}, overrides
    )


def mix(gan: dict[str, Tensor], psnr: dict[str, Tensor], share: float) -> dict:
    """Weights between two networks of one origin: `share` of the first."""
    return {name: torch.lerp(psnr[name], value, share) for name, value in gan.items()}


def mix_runs(gan: Path, psnr: Path, share: float, out: Path) -> None:
    """A run's folder like `gan` whose averaged weights are mixed with `psnr`'s."""
    state = read_run_state(gan)
    state["ema"] = mix(state["ema"], read_run_state(psnr)["ema"], share)
    out.mkdir(parents=True)
    for name in ("config.json", "log.jsonl"):
        shutil.copy(gan / name, out / name)
    write_state(out / "state.pt", state)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m experiments.real_world_training")
    parser.add_argument("--features", type=Path, required=True, help="SqueezeNet 1.0")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--set", nargs="+", default=[], help="key=value of TrainConfig")
    parser.add_argument(
        "--mix", nargs=3, metavar=("GAN", "PSNR", "SHARE"),
        help="write the mixture of two runs' weights to --out, and train nothing",
    )  # fmt: skip
    args = parser.parse_args(arguments)
    if args.mix:
        gan, psnr, share = args.mix
        mix_runs(Path(gan), Path(psnr), float(share), args.out)
        return
    config = gan_config(args.set)
    criterion = SqueezeNetCriterion(config.losses, args.features)
    Trainer(config, args.out, args.resume, criterion=criterion).run()


if __name__ == "__main__":
    main()
