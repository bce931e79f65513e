"""Export a SwinIR for other runtimes, for images of any size (appendix A4)."""

from copy import deepcopy
from pathlib import Path

import torch
import torch.fx.experimental._config as symbolic_shapes
from torch import Tensor
from torch.export import Dim, ExportedProgram

from ..swinir import SwinIR
from ..whole_files import whole_file
from .network import FastSwinIR
from .routes import choose_route


def pad_with_tensors(x: Tensor, multiple: int) -> Tensor:
    """`pad_to_multiple` with sizes as tensors, which exporters can follow."""

    def reflected(length):
        padded = (length + multiple - 1) // multiple * multiple
        period = torch.arange(length).amax(0).mul(2).clamp(min=1)
        position = torch.remainder(torch.arange(padded), period)
        return torch.minimum(position, torch.remainder(period - position, period))

    x = x.index_select(2, reflected(x.shape[2]))
    return x.index_select(3, reflected(x.shape[3]))


class ExportableSwinIR(FastSwinIR):
    """The fast path in operations that every runtime has."""

    pad = staticmethod(pad_with_tensors)

    def forward(self, image: Tensor) -> Tensor:
        height, width = (side * self.config.scale for side in image.shape[-2:])
        route = choose_route(
            self.config, image.device, image.dtype, True, "reference", "composed"
        )
        restored = self.composed(image, route)
        return restored[:, :, :height, :width]


def check_model(model: SwinIR) -> None:
    """Raise TypeError for what is no SwinIR."""
    if not isinstance(model, SwinIR):
        raise TypeError(f"expected a SwinIR, got a {type(model).__name__}")


def export_program(model: SwinIR, batch: int | None = 1) -> ExportedProgram:
    """`torch.export` of a model for images of any height and width.

    The program computes what `model(image)` does, in float32 on a CPU, for a
    fixed number of images, or for any above one if `batch` is None. PyTorch
    lets the program refuse images that are a single window wide.
    """
    check_model(model)
    network = ExportableSwinIR(deepcopy(model).float().cpu().eval())
    side = 2 * model.config.window_size + 1  # two windows and a part of one
    image = torch.rand(batch or 2, model.config.in_channels, side, side + 1)
    sizes = {2: Dim.DYNAMIC, 3: Dim.DYNAMIC}
    if batch is None:
        sizes[0] = Dim.DYNAMIC
    # Without this, sizes that happen to be multiples of the window are refused.
    with symbolic_shapes.patch(backed_size_oblivious=True), torch.no_grad():
        return torch.export.export(
            network, (image,), dynamic_shapes=(sizes,), strict=False
        )


def export_onnx(model: SwinIR, path: str | Path, half: bool = False) -> Path:
    """Write a model as ONNX: `image` (B, C, H, W) to `restored`, of any B, H, W.

    Needs the package onnx. A file appears only once it is whole.

    Args:
        model: of any precision; the file computes in float32.
        path: of the file.
        half: store weights in 16 bits wherever that loses nothing, as with those that
            ship: half the bytes, and runtimes cast them to float32 when they load.

    Raises:
        TypeError: if the model is no SwinIR; of a fast one, give its `model`.
        OSError: before any work, if nothing can be written in its folder.
    """
    from .onnx_graph import onnx_model

    check_model(model)
    with whole_file(path) as partial:
        partial.write_bytes(onnx_model(model, half).SerializeToString())
    return Path(path)
