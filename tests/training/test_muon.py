"""Muon's orthogonal steps, and which weights take them."""

import pytest
import torch

from swinir_lite import ResidualCNN, SwinIR, SwinIRConfig
from swinir_lite.errors import InputError
from swinir_lite.training.muon import Muon, make_optimizers, orthogonalize


@pytest.mark.parametrize("shape", [(60, 60), (180, 60), (60, 540)])
def test_singular_values_go_to_one_and_directions_stay(shape):
    matrix = torch.randn(2, *shape)
    result = orthogonalize(matrix)
    values = torch.linalg.svdvals(result)
    assert 0.7 < values.median() <= values.max() < 1.2  # of up to 30 before
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    nearest = u @ v  # the orthogonal matrix nearest to it
    cosine = (result * nearest).sum((1, 2)) / result.norm(dim=(1, 2))
    assert (cosine / nearest.norm(dim=(1, 2)) > 0.97).all()


def test_steps_follow_the_average_and_have_adams_size():
    weights = [torch.zeros(24, 3, 3, 3, requires_grad=True) for _ in range(2)]
    optimizer = Muon(weights, lr=0.1, momentum=0.9)
    average = [torch.zeros(24, 27) for _ in weights]
    for _ in range(3):
        before = [w.detach().clone() for w in weights]
        for w in weights:
            w.grad = torch.randn(24, 3, 3, 3)
        optimizer.step()
        for i, w in enumerate(weights):
            gradient = w.grad.view(24, 27)
            average[i] = 0.9 * average[i] + 0.1 * gradient
            ahead = 0.1 * gradient + 0.9 * average[i]
            step = 0.1 * 0.2 * 27**0.5 * orthogonalize(ahead[None])[0]
            moved = (before[i] - w).view(24, 27)
            torch.testing.assert_close(moved, step.detach(), rtol=1e-4, atol=1e-6)
            size = moved.square().mean().sqrt() / 0.1
            assert size.item() == pytest.approx(0.2, rel=0.3)


def test_weights_without_a_gradient_stay():
    weights = [torch.ones(4, 3, requires_grad=True) for _ in range(2)]
    weights[0].grad = torch.randn(4, 3)
    Muon(weights, lr=0.1).step()
    assert not torch.equal(weights[0], torch.ones(4, 3))
    assert torch.equal(weights[1], torch.ones(4, 3))


@pytest.mark.parametrize(
    "model",
    [SwinIR(SwinIRConfig(dim=12, depths=(2,), num_heads=(2,))), ResidualCNN(dim=8)],
    ids=["SwinIR", "ResidualCNN"],
)
def test_matrices_inside_the_network_go_to_muon_all_else_to_adam(model):
    names = {id(p): name for name, p in model.named_parameters()}
    adam, muon = make_optimizers(model, "muon", 1e-3, (0.9, 0.99))
    by_adam, by_muon = (
        {names[id(p)] for p in optimizer.param_groups[0]["params"]}
        for optimizer in (adam, muon)
    )
    assert by_adam | by_muon == set(names.values())
    assert not by_adam & by_muon
    assert {"conv_first.weight", "head.0.weight"} <= by_adam
    assert "conv_after_body.weight" in by_muon
    assert not any(name.endswith("bias") or "table" in name for name in by_muon)
    (alone,) = make_optimizers(model, "adam", 1e-3, (0.9, 0.99))
    assert len(alone.param_groups[0]["params"]) == len(names)


@pytest.mark.parametrize("part", ["inside", "outside"])
def test_either_part_may_be_frozen(part):
    model = SwinIR(SwinIRConfig(dim=12, depths=(2,), num_heads=(2,)))
    adam, muon = make_optimizers(model, "muon", 1e-3, (0.9, 0.99))
    frozen, left = (muon, adam) if part == "inside" else (adam, muon)
    for p in frozen.param_groups[0]["params"]:
        p.requires_grad_(False)
    (alone,) = make_optimizers(model, "muon", 1e-3, (0.9, 0.99))
    assert type(alone) is type(left)
    assert [*map(id, alone.param_groups[0]["params"])] == [
        *map(id, left.param_groups[0]["params"])
    ]


@pytest.mark.parametrize("name", ["adam", "muon"])
def test_a_network_with_nothing_to_train_is_refused(name):
    model = ResidualCNN(dim=8).requires_grad_(False)
    with pytest.raises(InputError, match="nothing to train"):
        make_optimizers(model, name, 1e-3, (0.9, 0.99))
