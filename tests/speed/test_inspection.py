import re

import pytest
import torch
from torch import nn

from swinir_lite import ResidualCNN, SwinIR, SwinIRConfig, fast
from swinir_lite.errors import InputError

TINY = {"dim": 12, "depths": (2,), "num_heads": (2,), "window_size": 4}


def tiny():
    return SwinIR(SwinIRConfig(**TINY)).eval()


def new_epsilon(model):
    model.blocks[0].layers[1].norm2.eps = 1e-3


def new_epsilon_at_the_end(model):
    model.norm_out.eps = 1e-6


def new_activation(model):
    model.blocks[0].layers[0].mlp.act = nn.ReLU()


def new_form_of_gelu(model):
    model.blocks[0].layers[0].mlp.act = nn.GELU("tanh")


def new_scale(model):
    model.blocks[0].layers[0].attn.scale = 1.0


def new_stride(model):
    model.blocks[0].conv.padding_mode = "reflect"


def wrapped_projection(model):
    attention = model.blocks[0].layers[0].attn
    attention.qkv = nn.Sequential(attention.qkv, nn.Dropout(0.5))


def hook(model):
    model.blocks[0].layers[0].attn.register_forward_hook(lambda *args: None)


def hook_before_the_head(model):
    model.head.register_forward_pre_hook(lambda *args: None)


def hook_on_gradients(model):
    model.register_full_backward_hook(lambda *args: None)


def weight_norm(model):
    nn.utils.parametrizations.weight_norm(model.conv_first)


def forward_of_its_own(model):
    model.blocks[0].layers[0].forward = lambda x, mask: x


CHANGES = [
    (new_epsilon, "blocks.0.layers.1.norm2 has eps 0.001, not 1e-05"),
    (new_epsilon_at_the_end, "norm_out has eps 1e-06"),
    (new_activation, "blocks.0.layers.0.mlp.act is a ReLU"),
    (new_form_of_gelu, "mlp.act has approximate 'tanh', not 'none'"),
    (new_scale, "attn has scale 1.0"),
    (new_stride, "blocks.0.conv has padding_mode 'reflect'"),
    (wrapped_projection, "attn.qkv.1 is a Dropout"),
    (hook, "blocks.0.layers.0.attn has a hook"),
    (hook_before_the_head, "head has a hook"),
    (hook_on_gradients, "it has a hook"),
    (weight_norm, "conv_first is a ParametrizedConv2d"),
    (forward_of_its_own, "layers.0 has a forward of its own"),
]


@pytest.mark.parametrize(("change", "message"), CHANGES)
@pytest.mark.parametrize("gradients", [True, False])
def test_what_the_fast_path_would_pass_over_is_refused(change, message, gradients):
    model = tiny()
    network = fast(model)
    change(model)
    image = torch.rand(1, 3, 9, 8)
    with torch.set_grad_enabled(gradients):
        with pytest.raises(InputError, match=re.escape(message)) as raised:
            network(image)  # changed after it was wrapped
        assert "\n" not in str(raised.value)
        with pytest.raises(InputError, match=re.escape(message)):
            fast(model)(image)


def test_another_network_is_refused():
    with pytest.raises(InputError, match="takes a SwinIR, not a ResidualCNN"):
        fast(ResidualCNN())


def test_a_hook_of_the_fast_network_itself_is_called():
    network, called = fast(tiny()), []
    network.register_forward_hook(lambda *args: called.append(1))
    network(torch.rand(1, 3, 4, 4))
    assert called


def test_a_model_that_is_as_it_was_is_served_again():
    model = tiny()
    network, image = fast(model), torch.rand(1, 3, 9, 8)
    handle = model.head.register_forward_hook(lambda *args: None)
    with pytest.raises(InputError):
        network(image)
    handle.remove()
    torch.testing.assert_close(network(image), model(image))
