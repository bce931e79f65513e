"""Restore four photographs for the front page, with models that ship.

    python chapters/images/before_after.py

Writes before_after.png beside this file: parts of photographs from scikit-image that no
model was trained on, damaged in the four ways that the book treats, and restored.
The numbers are the PSNR of the part's Y channel before and after, where what is
enlarged counts as enlarged by bicubic interpolation before.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from skimage import data

from swinir_lite import drawing, imresize, load_model, psnr, to_image, to_tensor
from swinir_lite.denoising import add_gaussian_noise
from swinir_lite.jpeg_artifacts import add_jpeg_artifacts
from swinir_lite.real_world_super_resolution import degrade_photograph
from swinir_lite.whole_files import whole_file

SIDE, AROUND = 96, 32  # of a part that is shown, and what the model sees around it
TASKS = {  # title: (model, damage, photograph, top left corner of the part)
    "enlarged 4x": (
        "lightweight_x4",
        lambda photo: to_tensor(imresize(photo, 1 / 4)),
        data.chelsea,
        (84, 100),
    ),
    "noise 50": (
        "color_denoise_50",
        lambda photo: add_gaussian_noise(photo, sigma=50),
        data.coffee,
        (100, 260),
    ),
    "JPEG 10": (
        "color_jpeg_10",
        lambda photo: add_jpeg_artifacts(photo, quality=10),
        data.astronaut,
        (44, 180),
    ),
    "all at once, 4x": (
        "lightweight_real_world_x4",
        degrade_photograph,
        data.chelsea,
        (84, 160),
    ),
}


@torch.no_grad()
def restore(title: str) -> tuple[np.ndarray, np.ndarray, float, float]:
    """A task's part before and after, and the two scores: (in, out, dB, dB)."""
    name, damage, photograph, (top, left) = TASKS[title]
    model, photo = load_model(name), photograph()
    scale = model.config.scale
    rows, columns = (
        slice(start - AROUND, start + SIDE + AROUND) for start in (top, left)
    )
    seen = damage(photo)[
        :,
        :,
        rows.start // scale : rows.stop // scale,
        columns.start // scale : columns.stop // scale,
    ]
    before, after = to_image(seen), to_image(model(seen))
    larger = imresize(before, scale) if scale > 1 else before
    images = (photo[rows, columns], larger, after)
    coarse = np.kron(before, np.ones((scale, scale, 1), np.uint8))
    inside = slice(AROUND, AROUND + SIDE)
    truth, low, high = (image[inside, inside] for image in images)
    scores = [psnr(image, truth, y_channel=True) for image in (low, high)]
    return coarse[inside, inside], high, *scores


def draw() -> Figure:
    """Four columns, damaged above restored."""
    figure, axes = plt.subplots(2, len(TASKS), figsize=(6.5, 3.9))
    for column, title in zip(axes.T, TASKS):
        before, after, low, high = restore(title)
        for ax, part in zip(column, (before, after)):
            _ = ax.imshow(part, interpolation="nearest")
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
        column[0].set_title(title, fontsize=11)
        column[1].set_xlabel(f"{low:.1f} to {high:.1f} dB", fontsize=11)
    for ax, label in zip(axes[:, 0], ("before", "after")):
        _ = ax.set_ylabel(label, fontsize=11)
    figure.tight_layout(pad=0.3, w_pad=0.4, h_pad=0.4)
    return figure


if __name__ == "__main__":
    drawing.use_style()
    with whole_file(Path(__file__).with_name("before_after.png")) as file:
        draw().savefig(file, dpi=160, format="png")
