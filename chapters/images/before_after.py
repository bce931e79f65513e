"""Restore a photograph for the front page, with a model that ships.

    python chapters/images/before_after.py

Writes before_after.png beside this file: a part of NASA's portrait of Eileen Collins
(public domain, from scikit-image), reduced, enlarged again by bicubic interpolation
and by SwinIR, and as it was.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from skimage import data

from swinir_lite import drawing, imresize, load_model, psnr, to_image, to_tensor

MODEL = "lightweight_x2"
ROWS, COLUMNS = slice(44, 124), slice(196, 276)


@torch.no_grad()
def restore():
    """Return {title: part of the photograph}, one for each stage."""
    photo, model = data.astronaut(), load_model(MODEL)
    scale = model.config.scale
    photo = photo[: 512 // scale * scale, : 512 // scale * scale]
    small = imresize(photo, 1 / scale)
    stages = {
        "low quality": np.kron(small, np.ones((scale, scale, 1), np.uint8)),
        "bicubic": imresize(small, scale),
        "SwinIR": to_image(model(to_tensor(small))),
    }
    titles = {}
    for name, image in stages.items():
        score = psnr(image, photo, crop_border=scale, y_channel=True)
        title = name if name == "low quality" else f"{name}, {score:.2f} dB"
        titles[title] = image[ROWS, COLUMNS]
    return {**titles, "original": photo[ROWS, COLUMNS]}


if __name__ == "__main__":
    drawing.use_style()
    parts = restore()
    figure = drawing.show_images(list(parts.values()), list(parts), width=10)
    figure.savefig(Path(__file__).with_name("before_after.png"), dpi=110)
    plt.close(figure)
