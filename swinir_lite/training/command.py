"""The commands that train: download, prepare, leaks, train, profile, ship."""

import math
from argparse import ArgumentParser, Namespace
from typing import Any

from ..command_line import (
    add_command,
    add_measuring_arguments,
    number_between,
    output_file,
)
from ..errors import InputError
from ..image_files import find_images
from ..image_pairs import find_pairs
from ..released_weights import LICENCE, download_weights, released_models
from ..standard_json import to_json
from ..tasks import find_metrics
from ..whole_files import whole_file
from .config import load_config
from .datasets import read_manifest
from .download import download

# The rest is imported where it is called: it needs packages that the extra brings.


def run_prepare(options: Namespace) -> None:
    from .setup import make_accelerator, make_sampler

    config = load_config(options.config, options.overrides)
    sampler = make_sampler(config, make_accelerator(config))
    print(f"{len(sampler.cache.names)} images are ready in {config.cache}")


def run_train(options: Namespace) -> None:
    from .engine import Trainer

    config = load_config(options.config, options.overrides)
    trainer = Trainer(config, options.out, options.resume)
    finished = trainer.run(options.leg_minutes)
    if trainer.main:
        state = "finished" if finished else "stopped; go on with --resume"
        minutes = trainer.seconds / 60
        print(f"{options.out}: {state} at step {trainer.step}, {minutes:.1f} minutes")


def run_profile(options: Namespace) -> None:
    from .profile import profile

    config = load_config(options.config, options.overrides)
    result = profile(config, options.profile_steps)
    text = to_json(result, indent=2)
    with whole_file(options.out) as partial:
        partial.write_text(text + "\n")
    print(text)


def run_ship(options: Namespace) -> None:
    from .shipping import ship

    metrics = find_metrics(options.metrics)
    what = options.run, options.name, options.test_sets, options.data
    entries = ship(*what, options.degradation, metrics, options.minutes_before)
    print(f"shipped as {', '.join(entries)}")


def run_leaks(options: Namespace) -> int:
    from tqdm import tqdm

    from .leaks import find_leaks

    photos = [path for folder in options.train for path in find_images(folder)]
    tests = [pair.hq for folder in options.tests for pair in find_pairs(folder)]
    found = set()
    for leak in find_leaks(tqdm(photos, unit="photograph"), tests):
        found.add(leak.photo)
        tqdm.write(
            f"{leak.photo}: shares a part with {leak.test} "
            f"(correlation {leak.correlation})"
        )
    if found:
        print(f"{len(found)} of {len(photos)} photographs: leave them out")
        return 1
    print(f"{len(photos)} photographs share nothing with {len(tests)} test images")
    return 0


def run_download(options: Namespace) -> None:
    if not options.names:
        for name, data_set in read_manifest().items():
            print(f"{name}: {data_set['title']} ({data_set['licence']})")
        for name in released_models():
            print(f"{name}: weights ({LICENCE})")
        return
    unknown = set(options.names) - read_manifest().keys() - released_models().keys()
    if unknown:
        raise InputError(
            f"there is no {sorted(unknown)[0]!r} to download; there are "
            f"{', '.join([*read_manifest(), *released_models()])}"
        )
    for name in options.names:
        if name in released_models():
            print(download_weights(name, options.to))
        else:
            print(download(name, options.to or "data", scales=options.scale))


def add_run_arguments(parser: ArgumentParser) -> None:
    """Add what says how to train."""
    parser.add_argument(
        "--config", default="speedrun", help="a preset (paper, speedrun, ...) or a file"
    )
    parser.add_argument(
        "--set", nargs="+", default=[], metavar="KEY=VALUE", dest="overrides",
        help="override fields, such as lr=2e-3 degradation.sigma=[0,50]",
    )  # fmt: skip


def add_commands(commands: Any) -> None:
    """Add all of them; see `add_command`."""
    fetch = add_command(
        commands, "download", run_download, "fetch data sets and weights, checked",
        """
        swinir-lite download               lists them, with their licences
        swinir-lite download set5          into data/testsets/Set5
        swinir-lite download official_classical_x2
        swinir-lite download div2k --scale 2 4
        """,
    )  # fmt: skip
    fetch.add_argument(
        "names", nargs="*", help="of data sets or weights; none lists them"
    )
    fetch.add_argument(
        "--to", help="folder, if not data, or for weights the cache of the user"
    )
    fetch.add_argument("--scale", type=int, nargs="+", default=[2])

    prepare = add_command(
        commands, "prepare", run_prepare, "check and decode a training set",
        """
        swinir-lite prepare --set data=photographs
        swinir-lite prepare --config paper
        """,
    )  # fmt: skip
    add_run_arguments(prepare)

    train = add_command(
        commands, "train", run_train, "train, or continue a run",
        """
        swinir-lite train --out runs/first
        swinir-lite train --out runs/first --resume
        swinir-lite train --config denoise --set steps=20000 lr=1e-3 --out runs/noise
        accelerate launch -m swinir_lite train --out runs/all_gpus
        """,
    )  # fmt: skip
    add_run_arguments(train)
    train.add_argument("--out", required=True, help="folder of the run")
    train.add_argument(
        "--resume", action="store_true", help="continue the run in --out, if any"
    )
    train.add_argument(
        "--leg-minutes", type=number_between(0, math.inf), default=math.inf,
        help="stop with a checkpoint after so many minutes; resume later",
    )  # fmt: skip

    leaks = add_command(
        commands, "leaks", run_leaks, "find test images among training photographs",
        """
        swinir-lite leaks --train photographs --tests data/testsets/Set5
        """,
    )  # fmt: skip
    leaks.add_argument("--train", nargs="+", required=True, help="folders of photos")
    leaks.add_argument(
        "--tests", nargs="+", required=True, help="such as data/testsets/Set5"
    )

    profile = add_command(
        commands, "profile", run_profile, "where a training step's time goes",
        """
        swinir-lite profile --out profile.json
        swinir-lite profile --set batch=64 --profile-steps 20 --out profile.json
        """,
    )  # fmt: skip
    add_run_arguments(profile)
    profile.add_argument(
        "--out", type=output_file, required=True, help="JSON file to write"
    )
    profile.add_argument(
        "--profile-steps", type=number_between(1, math.inf, int), default=50
    )

    ship = add_command(
        commands, "ship", run_ship, "make a run's weights a shipped model",
        """
        swinir-lite ship runs/first my_x2 data/testsets/Set5 \\
            --data "800 photographs of DIV2K"
        """,
    )  # fmt: skip
    ship.add_argument("run", help="folder of a finished run")
    ship.add_argument(
        "name", help="the name it is loaded by; of several degradations, what stands "
        "before the level: gray_denoise for gray_denoise_15, gray_denoise_25, ..."
    )  # fmt: skip
    ship.add_argument("test_sets", nargs="+", help="folders that it is measured on")
    ship.add_argument("--data", required=True, help="in words: what it was trained on")
    ship.add_argument(
        "--minutes-before", type=number_between(0, math.inf), default=0.0,
        help="GPU minutes of the weights that the run started from, all of them",
    )  # fmt: skip
    add_measuring_arguments(ship)
