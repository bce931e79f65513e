"""Whether a SwinIR is as chapter 8 builds it, which is what fast paths compute.

They read weights and call no part of the model but activations between convolutions.
Another part, setting or hook would be passed over without a word: it is refused.
"""

from torch import nn

from ..errors import InputError
from ..relative_position_attention import WindowAttention
from ..residual_swin_transformer_block import ResidualSwinTransformerBlock
from ..swin_transformer_layer import MLP, SwinTransformerLayer
from ..swinir import SwinIR, SwinIRConfig

SETTINGS = {  # of each kind of part, those that the paths take for granted
    nn.LayerNorm: {"eps": 1e-5, "elementwise_affine": True},
    nn.GELU: {"approximate": "none"},
    nn.Conv2d: {
        "stride": (1, 1),
        "dilation": (1, 1),
        "groups": 1,
        "padding_mode": "zeros",
    },
}
KINDS = {SwinIR, ResidualSwinTransformerBlock, SwinTransformerLayer, WindowAttention}
KINDS |= {MLP, nn.Linear, nn.ModuleList, nn.Sequential, *SETTINGS}
HOOKS = (
    "_forward_hooks",
    "_forward_pre_hooks",
    "_backward_hooks",
    "_backward_pre_hooks",
)


class Inspection:
    """Of a model, once as a whole and at every call for changes.

    Raises InputError for what the paths would pass over.
    """

    def __init__(self, model: SwinIR):
        self.model = model
        self.look_through()

    def look_through(self) -> None:
        if not isinstance(self.model, SwinIR):
            found = type(self.model).__name__
            raise InputError(f"fast() takes a SwinIR, not a {found}")
        config = self.model.config
        for name, part in self.model.named_modules():
            if complaint := what_is_wrong(name, part, config):
                subject = f"its {name}" if name else "it"
                raise InputError(
                    "fast() computes a SwinIR as chapter 8 builds it, so use this one "
                    f"as it is: {subject} {complaint}"
                )
        parts = list(self.model.modules())
        self.parts, self.kinds = parts, [type(part) for part in parts]
        self.hooks = [getattr(part, kind) for part in parts for kind in HOOKS]
        self.seen = [(vars(part), "forward", None) for part in parts]
        for part in parts:
            self.seen += [(part._modules, *child) for child in part._modules.items()]
            for key in assumed(part, config):
                self.seen.append((vars(part), key, getattr(part, key)))

    def check(self) -> None:
        """Look through the model again if anything changed; some 50 microseconds."""
        same = all(found.get(key) is value for found, key, value in self.seen)
        same = same and [type(part) for part in self.parts] == self.kinds
        if any(self.hooks) or not same:
            self.look_through()


def assumed(part: nn.Module, config: SwinIRConfig) -> dict[str, object]:
    """Settings that the paths take for granted in a part."""
    if isinstance(part, WindowAttention):
        return {"scale": (config.dim // part.num_heads) ** -0.5}
    return SETTINGS.get(type(part), {})


def what_is_wrong(name: str, part: nn.Module, config: SwinIRConfig) -> str | None:
    """What the paths would pass over in a part of a model, or None."""
    if any(getattr(part, kind) for kind in HOOKS):
        return "has a hook, which would not be called"
    if "forward" in vars(part):
        return "has a forward of its own, which would not be called"
    if type(part) not in KINDS:
        between = "head." in name or "conv." in name or "conv_after_body." in name
        if between and not isinstance(part, tuple(KINDS)):
            return None  # an activation or pixel shuffle, which is called
        return f"is a {type(part).__name__}"
    for key, value in assumed(part, config).items():
        if getattr(part, key) != value:
            return f"has {key} {getattr(part, key)!r}, not {value!r}"
    if isinstance(part, nn.Linear | nn.Conv2d) and part.bias is None:
        return "has no bias"
    return None
