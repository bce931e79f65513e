"""Measure trained models, and ship them with the package (chapter 14)."""

from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from PIL import Image
from safetensors.torch import save_file

from . import shipped_weights
from .checkpoint import load_model, save_model
from .convolutional_baseline import ResidualCNN
from .data import read_image
from .evaluate import evaluate, read_test_set, restore, summary
from .fast import fast
from .image_restoration import to_image, to_tensor
from .swinir import SwinIR
from .training_config import load_config
from .training_log import read_log
from .training_setup import make_degradation


def load_run(folder):
    """The averaged weights of a run, as a model, its TrainConfig and its state."""
    config = load_config(Path(folder) / "config.json")
    path = Path(folder) / "state.pt"
    state = torch.load(path, map_location="cpu", weights_only=True)
    model = config.make_model()
    model.load_state_dict(state["ema"])
    return model.eval(), config, state


def load_trained(source):
    """A model and the degradation that it was trained to undo.

    Args:
        source: a run's folder, or what `load_model` reads.  Files say nothing of
            their degradation: bicubic is taken for super-resolution.
    """
    if (Path(source) / "state.pt").is_file():
        model, config, _ = load_run(source)
        return model, config.degradation
    entry = shipped_weights.shipped_models().get(str(source), {})
    return load_model(source), entry.get("degradation", {"name": "bicubic"})


def scale_and_channels(model):
    """By what the network enlarges, and the channels of its images."""
    if isinstance(model, ResidualCNN):
        return model.head[1].upscale_factor, model.conv_first.in_channels
    return model.config.scale, model.config.in_channels


def evaluate_on(model, degradation, folders, metrics=None):
    """Measure a model on test sets, on a GPU if there is one; print a line for each.

    Args:
        degradation: {"name": ..., options}, as in a TrainConfig.
        folders: what `read_test_set` reads.
        metrics: more measures, as for `evaluate`.

    Returns:
        {name of the folder: scores}.
    """
    scale, channels = scale_and_channels(model)
    degrade, results = make_degradation(degradation, test=True), {}
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    if scale == 1 and degrade is None:
        raise ValueError("this model does not enlarge: say what it is to undo")
    channel = "gray" if channels == 1 else "Y" if scale > 1 else "RGB"
    network = fast(model) if isinstance(model, SwinIR) else model
    for folder in map(Path, folders):
        pairs = read_test_set(folder, scale, channels, degrade)
        border = scale if scale > 1 else 0
        scores = evaluate(network, pairs, border, channel, metrics)
        results[folder.name] = scores
        print(summary(folder.name, scores))
    return results


def restore_files(model, paths, folder):
    """Restore pictures, on a GPU if there is one, and save them as PNG.

    Args:
        model: SwinIR or ResidualCNN; one for gray images makes them gray.
        paths: files of 8-bit pictures.
        folder: where the results go, under the pictures' names.

    Yields:
        The path of each result, once it is there.

    Raises:
        ValueError: for a file that is no picture, before anything is restored,
            or if two pictures would have one name, or one would be overwritten.
    """
    scale, channels = scale_and_channels(model)
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    network = fast(model) if isinstance(model, SwinIR) else model
    window_size = model.config.window_size if isinstance(model, SwinIR) else 0
    targets = [Path(folder) / f"{Path(path).stem}.png" for path in paths]
    if len(set(targets)) < len(targets):
        raise ValueError("two of the pictures have the same name; restore them apart")
    for path, target in zip(paths, targets):
        if target.resolve() == Path(path).resolve():
            raise ValueError(f"{path} would be overwritten; choose another folder")
    images = [read_image(path, channels) for path in paths]
    Path(folder).mkdir(parents=True, exist_ok=True)
    for image, target in zip(images, targets):
        with torch.no_grad():
            restored = restore(network, to_tensor(image), scale, window_size)
        partial = target.with_suffix(".partial")
        Image.fromarray(to_image(restored)).save(partial, "png")
        partial.replace(target)
        yield target


def sample_photographs(folder, scale=2):
    """Write crops of scikit-image's photographs to a folder, to measure on anywhere.

    Smaller ones where the network does not enlarge, so that all cost the same.
    """
    from skimage import data

    folder = Path(folder) / "samples"
    folder.mkdir(parents=True, exist_ok=True)
    side = 192 if scale > 1 else 96
    for name in ("astronaut", "chelsea", "coffee"):
        photo = getattr(data, name)()[20 : 20 + side, 120 : 120 + side]
        Image.fromarray(photo).save(folder / f"{name}.png")
    return folder


def save_half(model, config, path):
    """Save in half precision; the model as it loads, and its configuration."""
    if isinstance(model, ResidualCNN):
        half = {k: v.half().contiguous() for k, v in model.state_dict().items()}
        save_file(half, path)
        model.load_state_dict({k: v.float() for k, v in half.items()})
        return model, config.architecture
    save_model(model, path, torch.float16)
    return load_model(path), asdict(model.config)


def ship(run, name, test_sets, data, degradations=None, metrics=None):
    """Make a finished run's averaged weights a model that ships, in half precision.

    What the manifest says of PSNR and SSIM is measured on the file itself.

    Args:
        run: the run's folder.
        name: by which `load_model` will find it.
        test_sets: folders to measure it on, beside the sample photographs.
        data: in words, what it was trained on.
        degradations: to measure it on, where they are not the training's: the
            levels, say, of a model for a range of them.  Each of several has a
            name of its own, which ends with its level; they share the file.
        metrics: more measures, as for `evaluate`.

    Returns:
        The manifest's entries by name; their results are named by test set.
    """
    model, config, state = load_run(run)
    start = next(r for r in read_log(Path(run) / "log.jsonl") if r["event"] == "start")
    training = {
        "data": data, "device": start["device"], "date": start["date"],
        "processes": start["processes"], "minutes": round(state["seconds"] / 60, 2),
        "iterations": state["step"], "seed": config.seed, "config": asdict(config),
    }  # fmt: skip
    degradations, entries = degradations or [config.degradation], {}
    with TemporaryDirectory() as temporary:
        path = Path(temporary) / f"{name}.safetensors"
        model, own = save_half(model, config, path)
        folders = [sample_photographs(temporary, config.scale), *test_sets]
        for degradation in degradations:
            level = [str(v) for k, v in degradation.items() if k != "name"]
            key = "_".join([name, *level]) if len(degradations) > 1 else name
            results = evaluate_on(model, degradation, folders, metrics)
            for scores in results.values():
                del scores["images"]
            entries[key] = {
                "variant": config.variant, "config": own, "degradation": degradation,
                "losses": config.losses, "results": results, "training": training,
            }  # fmt: skip
        content = path.read_bytes()
    shipped_weights.add_to_manifest(path.name, content, entries)
    return entries
