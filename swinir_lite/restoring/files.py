"""Restore pictures from files to files (chapter 14)."""

from pathlib import Path

from PIL import Image

from ..image_files import read_image
from ..image_restoration import to_image, to_tensor
from ..measuring.evaluation import restore
from ..speed.network import fastest


def restore_files(model, paths, folder):
    """Restore pictures, on a GPU if there is one, and save them upright as PNG.

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
    scale, channels = model.config.scale, model.config.in_channels
    network = fastest(model)
    targets = [Path(folder) / f"{Path(path).stem}.png" for path in paths]
    if len(set(targets)) < len(targets):
        raise ValueError("two of the pictures have the same name; restore them apart")
    for path, target in zip(paths, targets):
        if target.resolve() == Path(path).resolve():
            raise ValueError(f"{path} would be overwritten; choose another folder")
    images = [read_image(path, channels) for path in paths]
    Path(folder).mkdir(parents=True, exist_ok=True)
    for image, target in zip(images, targets):
        side = model.config.window_size
        restored = restore(network, to_tensor(image), scale, side)
        partial = target.with_suffix(".partial")
        try:
            Image.fromarray(to_image(restored)).save(partial, "png")
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
        yield target
