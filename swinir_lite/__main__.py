"""python -m swinir_lite restore | train | evaluate | download | ... (--help)"""

import argparse
import json
import sys
from pathlib import Path

EXTRAS = {  # package -> what of pyproject.toml's optional dependencies brings it
    "accelerate": "train", "tensorboard": "train", "tqdm": "train",
    "lpips": "lpips", "skimage": "book",
}  # fmt: skip


def degradation(text):
    """The argument of --degradation as a dict."""
    try:
        options = json.loads(text)
    except json.JSONDecodeError:
        options = None
    if not isinstance(options, dict) or "name" not in options:
        example = '{"name": "jpeg", "quality": 10}'
        raise argparse.ArgumentTypeError(f"need JSON such as {example}, got {text!r}")
    return options


def output_file(text):
    """The path of a file to write, in a folder that exists."""
    if not Path(text).parent.is_dir():
        raise argparse.ArgumentTypeError(f"no such folder: {Path(text).parent}")
    return Path(text)


def add_run_arguments(parser):
    parser.add_argument(
        "--config", default="speedrun", help="a preset (paper, speedrun, ...) or a file"
    )
    parser.add_argument(
        "--set", nargs="+", default=[], metavar="KEY=VALUE", dest="overrides",
        help="override fields, such as lr=2e-3 degradation.sigma=[0,50]",
    )  # fmt: skip


def add_measuring_arguments(parser):
    parser.add_argument(
        "--degradation", nargs="+", type=degradation, metavar="JSON",
        help="what to undo, if not the training's: "
        """'{"name": "gaussian_noise", "sigma": 25}'""",
    )  # fmt: skip
    parser.add_argument("--metrics", nargs="+", default=[], help="more, such as psnr_b")


def chosen_metrics(names):
    from .tasks import METRICS

    if unknown := sorted(set(names) - METRICS.keys()):
        raise ValueError(f"no metrics {unknown}; there are {list(METRICS)}")
    return {name: METRICS[name] for name in names}


def run_restore(options):
    from .restoring.files import restore_files
    from .trained_models import load_trained

    model, _ = load_trained(options.model)
    for path in restore_files(model, options.images, options.to):
        print(path)


def run_download(options):
    from .training.datasets import read_manifest

    if not options.names:
        for name, data_set in read_manifest().items():
            print(f"{name}: {data_set['title']} ({data_set['licence']})")
        return
    from .training.download import download

    for name in options.names:
        print(download(name, options.to, scales=options.scale))


def run_prepare(options):
    from .training.config import load_config
    from .training.setup import make_accelerator, make_sampler

    config = load_config(options.config, options.overrides)
    sampler = make_sampler(config, make_accelerator(config))
    print(f"{len(sampler.cache.names)} images are ready in {config.cache}")


def run_train(options):
    from .training.config import load_config
    from .training.engine import Trainer

    config = load_config(options.config, options.overrides)
    trainer = Trainer(config, options.out, options.resume)
    finished = trainer.run(options.leg_minutes)
    if trainer.main:
        state = "finished" if finished else "stopped; go on with --resume"
        minutes = trainer.seconds / 60
        print(f"{options.out}: {state} at step {trainer.step}, {minutes:.1f} minutes")


def run_evaluate(options):
    from .measuring.evaluation import evaluate_on
    from .trained_models import load_trained

    model, own = load_trained(options.model)
    metrics, scores = chosen_metrics(options.metrics), []
    for degradation in options.degradation or [own]:
        measured = evaluate_on(model, degradation, options.test_sets, metrics)
        scores += [
            {"set": k, "degradation": degradation, **v} for k, v in measured.items()
        ]
    if options.json:
        options.json.write_text(json.dumps(scores, indent=2) + "\n")


def run_profile(options):
    from .training.config import load_config
    from .training.profile import profile

    config = load_config(options.config, options.overrides)
    result = profile(config, options.profile_steps)
    options.out.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


def run_ship(options):
    from .training.shipping import ship

    metrics = chosen_metrics(options.metrics)
    what = options.run, options.name, options.test_sets, options.data
    entries = ship(*what, options.degradation, metrics)
    print(f"shipped as {', '.join(entries)}")


def read_arguments(arguments):
    parser = argparse.ArgumentParser(prog="python -m swinir_lite")
    commands = parser.add_subparsers(metavar="command", required=True)

    restore = commands.add_parser("restore", help="restore pictures")
    restore.set_defaults(call=run_restore)
    restore.add_argument(
        "model", help="a shipped model's name, a file of weights, or a run's folder"
    )
    restore.add_argument("images", nargs="+", help="8-bit pictures")
    restore.add_argument("--to", default="restored", help="folder for the PNG files")

    download = commands.add_parser("download", help="fetch data sets, checked")
    download.set_defaults(call=run_download)
    download.add_argument("names", nargs="*", help="div2k, set5, ...; none lists them")
    download.add_argument("--to", default="data", help="folder to put them in")
    download.add_argument("--scale", type=int, nargs="+", default=[2])

    prepare = commands.add_parser("prepare", help="check and decode a training set")
    prepare.set_defaults(call=run_prepare)
    add_run_arguments(prepare)

    train = commands.add_parser("train", help="train, or continue a run")
    train.set_defaults(call=run_train)
    add_run_arguments(train)
    train.add_argument("--out", required=True, help="folder of the run")
    train.add_argument(
        "--resume", action="store_true", help="continue the run in --out, if any"
    )
    train.add_argument(
        "--leg-minutes", type=float, default=float("inf"),
        help="stop with a checkpoint after so many minutes; resume later",
    )  # fmt: skip

    evaluate = commands.add_parser("evaluate", help="PSNR and SSIM on test sets")
    evaluate.set_defaults(call=run_evaluate)
    evaluate.add_argument(
        "model", help="a run's folder, a file of weights, or a shipped model's name"
    )
    evaluate.add_argument("test_sets", nargs="+", help="folders, such as Set5")
    evaluate.add_argument(
        "--json", type=output_file, help="also write all scores to this file"
    )
    add_measuring_arguments(evaluate)

    profile = commands.add_parser("profile", help="where a training step's time goes")
    profile.set_defaults(call=run_profile)
    add_run_arguments(profile)
    profile.add_argument(
        "--out", type=output_file, required=True, help="JSON file to write"
    )
    profile.add_argument("--profile-steps", type=int, default=50)

    ship = commands.add_parser("ship", help="make a run's weights a shipped model")
    ship.set_defaults(call=run_ship)
    ship.add_argument("run", help="folder of a finished run")
    ship.add_argument(
        "name", help="the name it is loaded by; of several degradations, what stands "
        "before the level: gray_denoise for gray_denoise_15, gray_denoise_25, ..."
    )  # fmt: skip
    ship.add_argument("test_sets", nargs="+", help="folders that it is measured on")
    ship.add_argument("--data", required=True, help="in words: what it was trained on")
    add_measuring_arguments(ship)
    return parser.parse_args(arguments)


def main(arguments=None):
    """Run one command; errors that the user can mend are one line."""
    options = read_arguments(arguments)
    try:
        options.call(options)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in EXTRAS:
            raise
        install = f'pip install "swinir-lite[{EXTRAS[package]}]"'
        sys.exit(f"error: this needs the package {package}: {install}")
    except (ValueError, OSError, FloatingPointError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
