"""Tiles, many photographs, memory and the official script: --help of each part

    python -m benchmarks.restoring tiles PHOTOGRAPHS...
    python -m benchmarks.restoring photographs --count 100
    python -m benchmarks.restoring memory --side 20000 --every 200
    python -m benchmarks.restoring official main_test_swinir.py

Results of every part go into one file, `results/restoring_MACHINE.json` unless told.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from swinir_lite.checkpoint import key_map
from swinir_lite.cores import usable_cores
from swinir_lite.image_files import find_images, read_image
from swinir_lite.image_restoration import imresize, to_tensor
from swinir_lite.restoring.command import Pictures
from swinir_lite.restoring.pipeline import (
    Outcome,
    Seconds,
    restore_pictures,
    threads_for,
)
from swinir_lite.restoring.planning import Job
from swinir_lite.restoring.tile_size import default_overlap
from swinir_lite.restoring.tiles import restore_rows
from swinir_lite.shipped_weights import shipped_models
from swinir_lite.speed.network import fastest
from swinir_lite.tasks import make_degradation
from swinir_lite.trained_models import load_trained
from swinir_lite.whole_files import whole_file

from .measure import environment, exact_convolutions, peak_memory
from .official import build_official, load_official
from .speed import machine_name

RESULTS = Path(__file__).parent / "results"
OVERLAPS = (0, 16, 32, 48, 64, 96, 128)
TILE = 192  # small, so that most pixels lie near a side of some tile


def degraded(image: np.ndarray, degradation: dict, scale: int) -> np.ndarray:
    """A photograph as a model would be given it, float32 `(h, w, C)` in [0, 1]."""
    height, width = (side // scale * scale for side in image.shape[:2])
    image = image[:height, :width]
    degrade = make_degradation(degradation, test=True)
    lq = degrade(image) if degrade else to_tensor(imresize(image, 1 / scale))
    return lq[0].permute(1, 2, 0).numpy()


def restored(network: nn.Module, image: np.ndarray, **options) -> np.ndarray:
    """All rows of a picture in memory."""
    config = network.config
    rows = restore_rows(
        network,
        lambda top, left, height, width: image[top:, left:][:height, :width],
        *image.shape[:2], scale=config.scale, channels=config.in_channels,
        window=config.window_size, **options,
    )  # fmt: skip
    return np.concatenate(list(rows))


def read_part(path: Path, channels: int, side: int | None, scale: int) -> np.ndarray:
    """A photograph, or the middle of it that a network is given `side` pixels of."""
    image = read_image(path, channels)
    if side is None:
        return image
    top, left = (max(0, (n - side * scale) // 2) for n in image.shape[:2])
    return image[top : top + side * scale, left : left + side * scale]


def worst_differences(
    network: nn.Module, images: list[np.ndarray], tile: int, overlaps: Iterable[int]
) -> dict[str, float]:
    """By how many levels of 255 tiles differ at most from one tile, by overlap."""
    worst = {str(overlap): 0.0 for overlap in overlaps if overlap < tile}
    for image in images:
        whole = restored(network, image, tile=0)
        for overlap in map(int, worst):
            tiled = restored(network, image, tile=tile, overlap=overlap)
            found = 255 * float(np.abs(tiled - whole).max())
            worst[str(overlap)] = max(worst[str(overlap)], found)
    return {overlap: round(levels, 3) for overlap, levels in worst.items()}


def measure_tiles(args: argparse.Namespace) -> dict:
    """Worst difference by model and overlap."""
    paths = [
        path
        for given in map(Path, args.photographs)
        for path in (find_images(given) if given.is_dir() else [given])
    ]
    results = {}
    for name in args.models or shipped_models():
        model, degradation = load_trained(name)
        scale, channels = model.config.scale, model.config.in_channels
        network = fastest(model, args.device, torch.float32)
        images = [
            degraded(read_part(path, channels, args.side, scale), degradation, scale)
            for path in paths
        ]
        chosen = default_overlap(network, degradation["name"])
        overlaps = args.overlaps or sorted({*OVERLAPS, chosen})
        with exact_convolutions():
            worst = worst_differences(
                network, images, args.tile, [chosen if n < 0 else n for n in overlaps]
            )
        results[name] = {"worst": worst, "default overlap": chosen}
        print(name, results[name], flush=True)
    return {
        "photographs": [path.stem for path in paths],
        "side": args.side or "whole photographs",
        "tile": args.tile,
        "by model": results,
    }


def photograph(size: tuple[int, int], seed: int) -> np.ndarray:
    """Something as dear to encode as a photograph: soft shapes, edges and grain."""
    rng, (height, width) = np.random.default_rng(seed), size
    small = rng.integers(0, 256, (height // 64 + 1, width // 64 + 1, 3), np.uint8)
    soft = Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)
    edges = Image.fromarray(small[::8, ::8]).resize((width, height), 0)
    grain = rng.integers(-6, 7, (height, width, 1), np.int16)
    mixed = (np.asarray(soft, np.int16) * 3 + np.asarray(edges)) // 4 + grain
    return mixed.clip(0, 255).astype(np.uint8)


def mirrored(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A photograph made larger by flipped copies of itself, or cut."""
    missing = [max(0, side - had) for side, had in zip(size, image.shape)]
    padded = np.pad(image, [*((0, more) for more in missing), (0, 0)], "symmetric")
    return padded[: size[0], : size[1]]


def write_photographs(
    folder: Path,
    count: int,
    size: tuple[int, int],
    suffix: str,
    sources: Sequence[Path] = (),
) -> list[Path]:
    """So many files; every tenth is another photograph, the others are copies.

    Without photographs to make them from they are drawn.
    """
    paths = [folder / f"{i:03}{suffix}" for i in range(count)]
    different = max(1, count // 10)

    def write(i):
        pixels = photograph(size, i)
        if sources:
            pixels = mirrored(read_image(sources[i % len(sources)]), size)
        Image.fromarray(pixels).save(paths[i], quality=92)

    with ThreadPoolExecutor(usable_cores()) as threads:
        list(threads.map(write, range(different)))
    for i in range(different, count):
        shutil.copyfile(paths[i % different], paths[i])
    return paths


class Partly(nn.Module):
    """A network that restores every so manieth tile, or none if that is 0.

    The others are enlarged by copies of pixels, which takes no time.
    """

    def __init__(self, network: nn.Module, every: int):
        super().__init__()
        self.network, self.every, self.calls = network, every, 0
        self.config, self.model = network.config, network.model

    def forward(self, x):
        self.calls += 1
        if (self.calls - 1) % self.every == 0:
            return self.network(x)
        return nn.functional.interpolate(x, scale_factor=self.config.scale)


class Restoring:
    """Restores files by the command's own parts, without its words."""

    def __init__(self, args: argparse.Namespace, out: Path):
        model, degradation = load_trained(args.model)
        self.config, self.out = model.config, out
        self.network = fastest(model, args.device)
        self.degradation = degradation["name"]

    def __call__(self, paths: list[Path], every: int = 1) -> dict:
        """The profile of restoring files; so many tiles go through the network."""
        config = self.config
        pictures = Pictures(config.scale, config.in_channels, None, False, 1e12)
        jobs = [Job(path, self.out / f"{path.stem}.png", "png") for path in paths]
        before, begin = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        outcomes = list(
            restore_pictures(
                Partly(self.network, every), jobs, pictures.pages, pictures.writer,
                scale=config.scale, window=config.window_size,
                degradation=self.degradation,
            )
        )  # fmt: skip
        passed, after = (
            time.perf_counter() - begin,
            resource.getrusage(resource.RUSAGE_SELF),
        )
        for outcome in outcomes:
            if outcome.error is not None:
                raise outcome.error
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return profile(outcomes, passed) | {
            "share of the cores that was busy": round(used / passed / usable_cores(), 3)
        }


def measure_photographs(args: argparse.Namespace) -> dict:
    """Where the time goes when many photographs are restored."""
    size = 3 * args.side // 4, args.side
    sources = find_images(args.photographs) if args.photographs else []
    with tempfile.TemporaryDirectory(dir=args.scratch) as folder:
        paths = write_photographs(Path(folder), args.count, size, args.suffix, sources)
        out = Path(folder) / "restored"
        out.mkdir()
        restore = Restoring(args, out)
        restore(paths[:1], args.every)  # compiles, and finds convolutions
        first = restore(paths[: args.warm_up], args.every)
        print("warmed up:", json.dumps(first), flush=True)
        fitting = int(args.at_most * first["pictures"] / first["seconds"])
        found = restore(paths[: max(1, fitting)], args.every)
        written = sum(path.stat().st_size for path in out.iterdir())
    return found | {
        "warm-up": first,
        "size": size, "suffix": args.suffix, "route": str(restore.network.route),
        "made from": f"{len(sources)} photographs" if sources else "drawn shapes",
        "megabytes written": round(written / 1e6),
        "model": args.model, "cores": usable_cores(),
        "threads": threads_for(args.device)._asdict(),
        "restored of the tiles": f"one in {args.every}",
    }  # fmt: skip


def profile(outcomes: list[Outcome], passed: float) -> dict:
    """Seconds and megapixels a second of each part, and how busy the network was."""
    megapixels = sum(outcome.pixels for outcome in outcomes) / 1e6
    parts = {
        part: sum(getattr(outcome.seconds, part) for outcome in outcomes)
        for part in asdict(Seconds())
    }
    return {
        "pictures": len(outcomes),
        "megapixels": round(megapixels, 2),
        "seconds": round(passed, 2),
        "megapixels a second": round(megapixels / passed, 3),
        "seconds by part": {part: round(s, 2) for part, s in parts.items()},
        "megapixels a second by part, one thread": {
            part: round(megapixels / s, 3) for part, s in parts.items()
        },
        "share of the time that the network worked": round(
            parts["computing"] / passed, 3
        ),
    }


def write_large(path: Path, side: int) -> None:
    """A square PNG from copies of one photograph; never in memory as a whole."""
    import pyvips

    part = pyvips.Image.new_from_array(photograph((1000, 1000), 0))
    copies = -(-side // 1000)
    part.replicate(copies, copies).crop(0, 0, side, side).pngsave(
        str(path), compression=1
    )


def measure_memory(args: argparse.Namespace) -> dict:
    """Peak memory of a process that restores one picture, all of it included."""
    with tempfile.TemporaryDirectory(dir=args.scratch) as folder:
        path = Path(folder) / "large.png"
        write_large(path, args.side)
        command = [sys.executable, "-m", "benchmarks.restoring", "one", str(path)]
        command += ["--every", str(args.every), "--model", args.model]
        command += ["--device", str(args.device), "--threads", str(args.threads)]
        told = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    about = {"side": args.side, "model": args.model}
    return json.loads(told.splitlines()[-1]) | about


def restore_one(args: argparse.Namespace) -> None:
    """Restore one picture beside itself and print what it took."""
    restore = Restoring(args, args.path.parent)
    found = restore([args.path], args.every)
    about = {
        "peak GiB": round(peak_memory() / 2**30, 3),
        "route": str(restore.network.route),
    }
    print(json.dumps(found | about | {"every": args.every}))


def official_state(model: nn.Module, network: nn.Module) -> dict:
    """Our weights as the official script loads them, with the buffers that it wants."""
    state = network.state_dict()
    own = model.state_dict()
    for ours, official in key_map(model).items():
        state[official] = own[ours]
    return {"params": state}


# What the official script computes beside the picture, of one as large as its result
SCORES = """
import sys, time
sys.path.insert(0, sys.argv[1])
import cv2
from utils import util_calculate_psnr_ssim as util
image, begin = cv2.imread(sys.argv[2]), time.process_time()
for y in (False, True):
    for score in (util.calculate_psnr, util.calculate_ssim):
        score(image, image[::-1].copy(), crop_border=2, test_y_channel=y)
print(time.process_time() - begin)
"""


def measure_official(args: argparse.Namespace) -> dict:
    """The whole command beside the official script, in turn, on one photograph."""
    script = args.script.resolve()
    model, _ = load_trained("lightweight_x2")
    network = load_official(script.parent / "models/network_swinir.py")
    with tempfile.TemporaryDirectory(dir=args.scratch) as name:
        folder = Path(name)
        for part in ("lq", "gt"):
            (folder / part).mkdir()
        image = photograph((2 * args.height, 2 * args.width), 0)
        Image.fromarray(image).save(folder / "gt/a.png")
        Image.fromarray(imresize(image, 1 / 2)).save(folder / "lq/ax2.png")
        official = build_official(network, model.config)
        torch.save(official_state(model, official), folder / "weights.pth")
        theirs = [
            args.python, str(script), "--task", "lightweight_sr", "--scale", "2",
            "--model_path", "weights.pth", "--folder_lq", "lq", "--folder_gt", "gt",
            "--tile", str(args.tile),
        ]  # fmt: skip
        ours = [
            sys.executable, "-m", "swinir_lite", "restore", "lq/ax2.png",
            "-o", "ours.png", "--overwrite", "--device", "cpu",
        ]  # fmt: skip
        times = {"official": [], "ours": []}
        for _ in range(args.rounds):
            for who, command in (("official", theirs), ("ours", ours)):
                times[who].append(timed_command(command, folder, args.threads))
                print(who, times[who][-1], flush=True)
        scores = subprocess.run(
            [args.python, "-c", SCORES, str(script.parent), "gt/a.png"],
            cwd=folder, capture_output=True, text=True, check=True,
        )  # fmt: skip
        starts = {
            who: timed_command(command, folder, args.threads)
            for who, command in (
                ("official", [args.python, str(script), "--help"]),
                ("ours", [sys.executable, "-m", "swinir_lite", "--version"]),
            )
        }
        results = "results/swinir_lightweight_sr_x2/a_SwinIR.png", "ours.png"
        first, second = (np.asarray(Image.open(folder / p), int) for p in results)
    pixels = args.height * args.width / 1e6
    scoring = float(scores.stdout)
    least, used = (
        {who: min(t[kind] for t in taken) for who, taken in times.items()}
        for kind in ("wall", "processor")
    )
    least["official"] -= scoring
    used["official"] -= scoring
    return {
        "size": [args.height, args.width],
        "official tile": args.tile,
        "threads": args.threads,
        "seconds": times,
        "of which the official script computes scores": round(scoring, 2),
        "of which start-up": starts,
        "megapixels a second, without the scores": {
            who: round(pixels / seconds, 4) for who, seconds in least.items()
        },
        "times as fast by the clock": round(least["official"] / least["ours"], 2),
        "times as fast in processor seconds": round(used["official"] / used["ours"], 2),
        "difference in levels": {
            "largest": int(np.abs(first - second).max()),
            "mean": round(float(np.abs(first - second).mean()), 4),
        },
    }


def timed_command(command: list[str], folder: Path, threads: int) -> dict[str, float]:
    """Seconds that a command took, and those of processors that it used."""
    paths = [str(Path(__file__).parent.parent), os.environ.get("PYTHONPATH", "")]
    given = os.environ | {
        "OMP_NUM_THREADS": str(threads), "PYTHONPATH": os.pathsep.join(paths)
    }  # fmt: skip
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        command, cwd=folder, env=given, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    passed, after = (
        time.perf_counter() - begin,
        resource.getrusage(resource.RUSAGE_CHILDREN),
    )
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall": round(passed, 2), "processor": round(used, 2)}


PARTS: dict[str, Callable[[argparse.Namespace], dict]] = {
    "tiles": measure_tiles,
    "photographs": measure_photographs,
    "memory": measure_memory,
    "official": measure_official,
}


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--device", type=torch.device, default=default_device())
    shared.add_argument("--threads", type=int, default=usable_cores(), help="on a CPU")
    shared.add_argument("--output", type=Path, help="where the JSON goes")
    shared.add_argument("--section", help="of the JSON; by default the part's name")
    shared.add_argument("--scratch", help="folder for pictures that are made")
    shared.add_argument("--model", default="lightweight_x2")
    shared.add_argument(
        "--every",
        type=int,
        default=1,
        help="restore one tile in so many, enlarge others",
    )
    parser = argparse.ArgumentParser(description=__doc__)
    parts = parser.add_subparsers(dest="part", required=True)

    tiles = parts.add_parser("tiles", parents=[shared])
    tiles.add_argument("photographs", nargs="+", help="files or folders")
    tiles.add_argument("--side", type=int, help="of the middle, of which all is given")
    tiles.add_argument("--models", nargs="+", help="shipped ones; by default all")
    tiles.add_argument("--tile", type=int, default=TILE)
    tiles.add_argument(
        "--overlaps", nargs="+", type=int, help="-1 is the model's default"
    )

    tiles.add_argument("--add", action="store_true", help="to models measured before")

    many = parts.add_parser("photographs", parents=[shared])
    many.add_argument("--count", type=int, default=100)
    many.add_argument("--side", type=int, default=4000, help="the longer one")
    many.add_argument("--warm-up", type=int, default=10, help="first, not counted")
    many.add_argument(
        "--at-most",
        type=float,
        default=600,
        metavar="SECONDS",
        help="leave out what would take longer, by the warm-up",
    )
    many.add_argument("--photographs", help="folder of what they are made from")
    many.add_argument("--suffix", default=".jpg", help="of their files")

    memory = parts.add_parser("memory", parents=[shared])
    memory.add_argument("--side", type=int, default=3464, help="12 megapixels")

    one = parts.add_parser("one", parents=[shared])
    one.add_argument("path", type=Path)

    official = parts.add_parser("official", parents=[shared])
    official.add_argument("script", type=Path, help="main_test_swinir.py")
    official.add_argument("--python", default=sys.executable, help="that can run it")
    official.add_argument("--height", type=int, default=600)
    official.add_argument("--width", type=int, default=800)
    official.add_argument("--tile", type=int, default=256)
    official.add_argument("--rounds", type=int, default=2)
    return parser.parse_args(arguments)


def default_device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def main(arguments: list[str] | None = None) -> None:
    args = parse(arguments)
    torch.set_num_threads(args.threads)
    if args.part == "one":
        return restore_one(args)
    found = environment(args.device)
    path = args.output or RESULTS / f"restoring_{machine_name(found)}.json"
    file = json.loads(path.read_text()) if path.exists() else {}
    result = PARTS[args.part](args)
    section = args.section or args.part
    if args.part == "tiles" and args.add:
        result["by model"] = file[section]["by model"] | result["by model"]
    file[section] = {"environment": found} | result
    with whole_file(path) as partial:
        partial.write_text(json.dumps(file, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
