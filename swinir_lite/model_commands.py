"""The commands about models: models, info, export."""

from argparse import Namespace
from dataclasses import asdict
from importlib import import_module
from typing import Any

from .checkpoint import load_model
from .command_line import add_command, add_range_argument, output_file
from .errors import InputError
from .model_list import ListedModel, list_models
from .official_weights import save_official
from .standard_json import to_json
from .swinir import SwinIR
from .weight_descriptions import describe_weights

HEAD = ("name", "task", "images", "scale", "parameters", "PSNR", "on", "")


def cells(model: ListedModel) -> tuple[str, ...]:
    """A row of the table of models, for HEAD."""
    return (
        model.name,
        model.task,
        "gray" if model.channels == 1 else "RGB",
        f"x{model.scale}",
        f"{model.parameters / 1e6:.1f} M",
        f"{model.psnr:.2f}" if model.psnr else "",
        model.test_set,
        model.available,
    )


def run_models(options: Namespace) -> None:
    models = list_models()
    if options.json:
        print(to_json([asdict(model) for model in models], indent=2))
        return
    rows = [HEAD, *map(cells, models)]
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        print("  ".join(map(str.ljust, row, widths)).rstrip())
    origins = {}
    for model in models:
        origins.setdefault((model.licence, model.data), []).append(model.name)
    for (licence, data), names in origins.items():
        print(f"\n{', '.join(names)}:\n  licence {licence}; trained on {data}")


def run_info(options: Namespace) -> None:
    for source in options.sources:
        print("\n".join(describe_weights(source).lines()))


def run_export(options: Namespace) -> None:
    if not (options.onnx or options.official):
        raise InputError("export needs --onnx FILE or --official FILE")
    model = load_model(options.model, options.img_range)
    if not isinstance(model, SwinIR):
        raise InputError(f"{options.model} is no SwinIR, which alone can be exported")
    if options.official:
        save_official(model, options.official)
        print(options.official)
    if options.onnx:
        import_module("onnx")  # says at once if it is missing
        from .speed.export import export_onnx

        print(export_onnx(model, options.onnx, options.half))


def add_commands(commands: Any) -> None:
    """Add all of them; see `add_command`."""
    models = add_command(
        commands, "models", run_models, "list models that load by name",
        """
        swinir-lite models                 what ships, and what can be downloaded
        swinir-lite models --json
        """,
    )  # fmt: skip
    models.add_argument("--json", action="store_true", help="all that is known of them")

    info = add_command(
        commands, "info", run_info, "say what a file of weights holds",
        """
        swinir-lite info weights.pth
        swinir-lite info lightweight_x2 runs/first
        """,
    )  # fmt: skip
    info.add_argument(
        "sources", nargs="+", metavar="MODEL",
        help="a file of weights, a run's folder, or a model's name",
    )  # fmt: skip

    export = add_command(
        commands, "export", run_export, "write a model for other programs",
        """
        swinir-lite export lightweight_x2 --onnx lightweight_x2.onnx --half
        swinir-lite export runs/first --official first.pth   as the authors' files
        """,
    )  # fmt: skip
    export.add_argument("model", help="a model's name, a file, or a run's folder")
    add_range_argument(export)
    export.add_argument(
        "--onnx", type=output_file, metavar="FILE", help="for ONNX runtimes, float32"
    )
    export.add_argument(
        "--half", action="store_true",
        help="store weights in 16 bits where that loses nothing (ONNX alone)",
    )  # fmt: skip
    export.add_argument(
        "--official", type=output_file, metavar="FILE.pth",
        help="for the official network and the tools that read its files",
    )  # fmt: skip
