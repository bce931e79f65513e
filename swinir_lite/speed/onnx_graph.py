"""SwinIR written as an ONNX graph, for images of any size (appendix A4).

Node by node, as chapters 4 to 8 build it: a graph that is written takes a moment where
one that is traced takes a minute, and what depends on the image's size alone (padding,
shifts, masks) stands in it once, in place of once a layer. Needs the package onnx.
"""

from collections.abc import Sequence

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from ..relative_position_attention import WindowAttention, relative_position_index
from ..swin_transformer_layer import MLP, SwinTransformerLayer
from ..swinir import SwinIR

OPSET = 18
IR_VERSION = 9  # of the file, which runtimes of that opset's time read


class Graph:
    """Nodes and stored tensors; every tensor of a graph is known by its name.

    Args:
        half: store float32 in 16 bits wherever that loses nothing.
    """

    def __init__(self, half: bool = False):
        self.half, self.nodes, self.stored, self.known = half, [], [], {}

    def add(self, operator: str, *inputs: str, **attributes) -> str:
        """Add a node; the name of its output."""
        return self.add_many(1, operator, *inputs, **attributes)[0]

    def add_many(
        self, outputs: int, operator: str, *inputs: str, **attributes
    ) -> list[str]:
        """Add a node of several outputs; their names."""
        names = [f"{operator}_{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(operator, inputs, names, **attributes))
        return names

    def store(self, values: np.ndarray) -> str:
        """Add a constant tensor."""
        name, halved = f"stored_{len(self.stored)}", values.astype(np.float16)
        fits = self.half and values.dtype == np.float32 and values.ndim
        if fits and np.array_equal(halved.astype(np.float32), values):
            values = halved
        self.stored.append(numpy_helper.from_array(values, name))
        if values.dtype == np.float16:
            return self.add("Cast", name, to=TensorProto.FLOAT)
        return name

    def weight(self, tensor: Tensor) -> str:
        """Add a model's weight."""
        return self.store(tensor.detach().cpu().float().contiguous().numpy())

    def number(self, value: float) -> str:
        """A scalar: float32, or int64 if it is whole."""
        return self.constant(np.int64(value) if type(value) is int else value)

    def numbers(self, *values: int) -> str:
        """A vector of int64."""
        return self.constant(np.array(values, np.int64))

    def constant(self, value: float | np.ndarray) -> str:
        """A small constant, stored once however often it is asked for."""
        array = np.asarray(value)
        if array.dtype == np.float64:
            array = array.astype(np.float32)
        key = array.dtype.str, array.shape, array.tobytes()
        if key not in self.known:
            self.known[key] = self.store(array)
        return self.known[key]

    def model(self, inputs: Sequence, outputs: Sequence) -> onnx.ModelProto:
        """The whole as a file's content, checked."""
        graph = helper.make_graph(self.nodes, "SwinIR", inputs, outputs, self.stored)
        opsets = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
        onnx.checker.check_model(model)
        return model


class SwinIRGraph(Graph):
    """The graph of a SwinIR: `image` (B, C, H, W) to `restored`, for any B, H, W.

    Methods take and give names of tensors, `(B, H, W, C)` but for convolutions'.
    """

    def __init__(self, model: SwinIR, half: bool = False):
        super().__init__(half)
        self.config = config = model.config
        window = config.window_size
        shape = self.add("Shape", "image")
        self.batch = self.add("Gather", shape, self.numbers(0))
        self.given = [self.add("Gather", shape, self.number(i)) for i in (2, 3)]
        self.down_across = [
            self.add("Div", self.plus(side, window - 1), self.number(window))
            for side in self.given
        ]
        self.sides = [self.add("Mul", n, self.number(window)) for n in self.down_across]
        self.index = self.constant(relative_position_index(window).int().numpy())
        self.mask = self.attention_mask(window // 2)
        self.rolls = {shift: self.roll_positions(shift) for shift in self.shifts()}

    def plus(self, name: str, value: int) -> str:
        return self.add("Add", name, self.number(value))

    def vector(self, *parts: str | int) -> str:
        """A shape, from scalars and numbers."""
        one = self.numbers(1)
        names = [
            self.numbers(p) if isinstance(p, int) else self.add("Reshape", p, one)
            for p in parts
        ]
        return self.add("Concat", *names, axis=0)

    def count(self, start: str, stop: str) -> str:
        """Whole numbers from start to stop."""
        return self.add("Range", start, stop, self.number(1))

    def shifts(self) -> tuple[int, int]:
        """The cyclic shift of every second layer, and what undoes it."""
        shift = self.config.window_size // 2
        return shift, -shift

    def roll_positions(self, shift: int) -> list[str]:
        """Where rows and columns come from in a cyclic shift."""
        found = []
        for side in self.sides:
            first = self.number(shift) if shift > 0 else self.plus(side, shift)
            parts = self.count(first, side), self.count(self.number(0), first)
            found.append(self.add("Concat", *parts, axis=0))
        return found

    def roll(self, x: str, shift: int) -> str:
        for axis, positions in zip((1, 2), self.rolls[shift]):
            x = self.add("Gather", x, positions, axis=axis)
        return x

    def attention_mask(self, shift: int) -> str:
        """The mask of shifted windows, `(nW, 1, N, N)`: chapter 5."""
        window = self.config.window_size
        rounds = []
        for side in self.sides:
            position = self.count(self.number(0), side)
            came = self.add("GreaterOrEqual", position, self.plus(side, -shift))
            rounds.append(self.add("Cast", came, to=TensorProto.INT64))
        rows = self.add("Mul", rounds[0], self.number(2))
        rows = self.add("Reshape", rows, self.numbers(-1, 1))
        regions = self.add("Add", rows, rounds[1])  # (H, W)
        down, across = self.down_across
        shape = self.vector(down, window, across, window)
        regions = self.add("Reshape", regions, shape)
        regions = self.add("Transpose", regions, perm=[0, 2, 1, 3])
        one, other = (
            self.add("Reshape", regions, self.numbers(*shape))
            for shape in ((-1, 1, window**2, 1), (-1, 1, 1, window**2))
        )
        same = self.add("Equal", one, other)
        return self.add("Where", same, self.number(0.0), self.number(-100.0))

    def pad(self, x: str) -> str:
        """Grow `(B, C, H, W)` to multiples of the window, by reflection: chapter 8."""
        for axis, given, padded in zip((2, 3), self.given, self.sides):
            period = self.add("Mul", self.plus(given, -1), self.number(2))
            period = self.add("Max", period, self.number(1))
            position = self.count(self.number(0), padded)
            position = self.add("Mod", position, period)
            back = self.add("Sub", period, position)
            back = self.add("Mod", back, period)
            position = self.add("Min", position, back)
            x = self.add("Gather", x, position, axis=axis)
        return x

    def norm(self, module: nn.LayerNorm, x: str) -> str:
        names = self.weight(module.weight), self.weight(module.bias)
        return self.add("LayerNormalization", x, *names, axis=-1, epsilon=module.eps)

    def linear(self, module: nn.Linear, x: str) -> str:
        x = self.add("MatMul", x, self.weight(module.weight.T))
        return self.add("Add", x, self.weight(module.bias))

    def gelu(self, x: str) -> str:
        error = self.add("Erf", self.add("Div", x, self.number(2**0.5)))
        x = self.add("Mul", x, self.add("Add", error, self.number(1.0)))
        return self.add("Mul", x, self.number(0.5))

    def bias(self, module: WindowAttention) -> str:
        """The relative position bias, `(h, N, N)`: chapter 4."""
        table = self.weight(module.relative_position_bias_table)
        bias = self.add("Gather", table, self.index, axis=0)
        return self.add("Transpose", bias, perm=[2, 0, 1])

    def attend(self, module: WindowAttention, x: str, shift: int) -> str:
        """Attention within windows: chapters 3 to 5."""
        window, heads = self.config.window_size, module.num_heads
        head_dim = self.config.dim // heads
        (down, across), tokens = self.down_across, window**2
        x = self.linear(module.qkv, x)
        if shift:
            x = self.roll(x, shift)
        shape = self.shape(self.batch, down, window, across, window, 3, heads, head_dim)
        x = self.add("Reshape", x, shape)
        x = self.add("Transpose", x, perm=[5, 0, 1, 3, 6, 2, 4, 7])
        x = self.add("Reshape", x, self.numbers(3, 0, -1, heads, tokens, head_dim))
        q, k, v = self.add_many(3, "Split", x, axis=0, num_outputs=3)
        q = self.add("Mul", q, self.number(module.scale))
        scores = self.add(
            "MatMul", q, self.add("Transpose", k, perm=[0, 1, 2, 3, 5, 4])
        )
        scores = self.add("Add", scores, self.bias(module))
        if shift:
            scores = self.add("Add", scores, self.mask)
        x = self.add("MatMul", self.add("Softmax", scores, axis=-1), v)
        shape = self.shape(self.batch, down, across, heads, window, window, head_dim)
        x = self.add("Reshape", x, shape)
        x = self.add("Transpose", x, perm=[0, 1, 4, 2, 5, 3, 6])
        shape = self.shape(self.batch, *self.sides, self.config.dim)
        x = self.add("Reshape", x, shape)
        return self.linear(module.proj, self.roll(x, -shift) if shift else x)

    def shape(self, *parts: str | int) -> str:
        """A `vector` that is made once, however many layers need it."""
        if parts not in self.known:
            self.known[parts] = self.vector(*parts)
        return self.known[parts]

    def mlp(self, module: MLP, x: str) -> str:
        return self.linear(module.fc2, self.gelu(self.linear(module.fc1, x)))

    def layer(self, module: SwinTransformerLayer, x: str) -> str:
        """A Swin Transformer layer: chapter 6."""
        attended = self.attend(module.attn, self.norm(module.norm1, x), module.shift)
        x = self.add("Add", x, attended)
        return self.add("Add", x, self.mlp(module.mlp, self.norm(module.norm2, x)))

    def convolved(self, module: nn.Module, x: str) -> str:
        """Convolutions and what stands between them, on `(B, C, H, W)`."""
        if isinstance(module, nn.Sequential):
            for part in module:
                x = self.convolved(part, x)
            return x
        if isinstance(module, nn.Conv2d):
            names = self.weight(module.weight), self.weight(module.bias)
            pads = [*module.padding, *module.padding]
            return self.add("Conv", x, *names, pads=pads)
        if isinstance(module, nn.LeakyReLU):
            return self.add("LeakyRelu", x, alpha=module.negative_slope)
        if isinstance(module, nn.PixelShuffle):
            side = module.upscale_factor
            return self.add("DepthToSpace", x, blocksize=side, mode="CRD")
        if isinstance(module, nn.Upsample):
            scales = self.constant(np.float32([1, 1, *[module.scale_factor] * 2]))
            return self.add(
                "Resize", x, "", scales, mode="nearest", nearest_mode="floor",
                coordinate_transformation_mode="asymmetric",
            )  # fmt: skip
        raise TypeError(f"no ONNX is written for {type(module).__name__}")

    def to_last(self, x: str) -> str:
        return self.add("Transpose", x, perm=[0, 2, 3, 1])

    def to_first(self, x: str) -> str:
        return self.add("Transpose", x, perm=[0, 3, 1, 2])

    def deep_features(self, model: SwinIR, shallow: str) -> str:
        """Residual blocks and their end, on `(B, C, H, W)`: chapters 7 and 8."""
        x = self.norm(model.norm_in, self.to_last(shallow))
        for block in model.blocks:
            features = x
            for layer in block.layers:
                features = self.layer(layer, features)
            features = self.convolved(block.conv, self.to_first(features))
            x = self.add("Add", x, self.to_last(features))
        x = self.to_first(self.norm(model.norm_out, x))
        return self.convolved(model.conv_after_body, x)

    def restored(self, model: SwinIR) -> str:
        """From `image` to the restored one: chapter 8."""
        mean, img_range = self.weight(model.mean), self.number(self.config.img_range)
        x = self.add("Sub", self.pad("image"), mean)
        x = self.add("Mul", x, img_range)
        shallow = self.convolved(model.conv_first, x)
        features = self.add("Add", shallow, self.deep_features(model, shallow))
        restored = self.convolved(model.head, features)
        if self.config.upsampler == "none":
            restored = self.add("Add", x, restored)
        restored = self.add("Div", restored, img_range)
        restored = self.add("Add", restored, mean)
        scale = self.number(self.config.scale)
        ends = self.vector(*(self.add("Mul", side, scale) for side in self.given))
        return self.add("Slice", restored, self.numbers(0, 0), ends, self.numbers(2, 3))


@torch.no_grad()
def onnx_model(model: SwinIR, half: bool = False) -> onnx.ModelProto:
    """A model as ONNX, in float32; see `export_onnx`."""
    graph = SwinIRGraph(model, half)
    name = graph.restored(model)
    graph.nodes.append(helper.make_node("Identity", [name], ["restored"]))
    channels = model.config.in_channels
    image, restored = (
        helper.make_tensor_value_info(
            name, TensorProto.FLOAT, ["batch", channels, f"{of}height", f"{of}width"]
        )
        for name, of in (("image", ""), ("restored", "restored_"))
    )
    return graph.model([image], [restored])
