"""Every loss against its formula, and the criterion that adds them up."""

import copy
import hashlib
from urllib.error import URLError

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import nn

from swinir_lite import losses
from swinir_lite.losses import (
    VGG19_LAYERS,
    VGG19Features,
    adversarial_loss,
    charbonnier_loss,
    discriminator_loss,
    feature_loss,
    l1_loss,
    l2_loss,
    make_criterion,
)


@pytest.fixture
def pair():
    generator = torch.Generator().manual_seed(0)
    return torch.rand(2, 2, 3, 16, 16, generator=generator)


def narrow_vgg19():
    """torchvision's vgg19().features up to layer 34, with few channels."""
    torch.manual_seed(1)
    layers, channels = [], 3
    for width in (4, 4, 0, 8, 8, 0, 16, 16, 16, 16, 0, 16, 16, 16, 16, 0, 8, 8, 8, 8):
        if width:
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
            channels = width
        else:
            layers += [nn.MaxPool2d(2)]
    return nn.Sequential(*layers)


def vgg19_state():
    return {f"features.{k}": v for k, v in narrow_vgg19().state_dict().items()}


def no_network(*args, **kwargs):
    raise URLError("no network")


GAN = {"l1": 1.0, "feature_matching": 1.0, "adversarial": {"weight": 0.1, "dim": 4}}


def test_pixel_losses_match_their_formulas(pair):
    d = (pair[0] - pair[1]).double().numpy()
    expected = {
        l1_loss: np.abs(d).mean(),
        l2_loss: (d**2).mean(),
        charbonnier_loss: np.sqrt(d**2 + 1e-9).mean(),
    }
    for loss, value in expected.items():
        assert loss(*pair).item() == pytest.approx(value, rel=1e-6)


def test_charbonnier_gradient_is_the_difference_over_the_root():
    d = torch.tensor([-1.0, -1e-5, 0.0, 3e-5, 0.5], dtype=torch.float64)
    restored = d.clone().requires_grad_()
    charbonnier_loss(restored, torch.zeros_like(d)).backward()
    torch.testing.assert_close(restored.grad, d / (d**2 + 1e-9).sqrt() / len(d))


def test_charbonnier_at_zero_is_the_root_of_eps():
    zero = torch.zeros(1, 1, 2, 2)
    assert charbonnier_loss(zero, zero).item() == pytest.approx(1e-9**0.5)
    assert charbonnier_loss(zero, zero, eps=0.25).item() == pytest.approx(0.5)


@pytest.mark.parametrize("loss", [l1_loss, l2_loss, charbonnier_loss])
def test_gray_against_colour_is_refused(loss):
    with pytest.raises(ValueError, match=r"\(1, 1, 4, 4\) and \(1, 3, 4, 4\)"):
        loss(torch.rand(1, 1, 4, 4), torch.rand(1, 3, 4, 4))


def test_adversarial_losses_are_cross_entropies():
    real, fake = torch.randn(2, 3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    one, zero = torch.ones_like(real), torch.zeros_like(real)
    entropy = F.binary_cross_entropy_with_logits
    torch.testing.assert_close(adversarial_loss(fake, True), entropy(fake, one))
    torch.testing.assert_close(adversarial_loss(fake, False), entropy(fake, zero))
    both = entropy(real, one) + entropy(fake, zero)
    torch.testing.assert_close(discriminator_loss(real, fake), both)


def test_vgg19_features_are_those_of_torchvisions_layers():
    vgg, x = narrow_vgg19(), torch.rand(2, 3, 32, 32)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    outputs = [(x - mean.view(3, 1, 1)) / std.view(3, 1, 1)]
    for layer in vgg:
        outputs.append(layer(outputs[-1]))
    features = VGG19Features(vgg19_state())(x)
    assert len(features) == 5
    for i, feature in zip((2, 7, 16, 25, 34), features):
        torch.testing.assert_close(feature, outputs[i + 1])


def test_vgg19_is_frozen_and_stays_out_of_checkpoints():
    vgg = VGG19Features(vgg19_state())
    assert not list(vgg.parameters())
    assert not vgg.state_dict()


def test_feature_loss_weighs_the_layers(pair):
    def features(x):
        return [x * 1, x[:, :1] ** 2]

    restored, target = pair[0].requires_grad_(), pair[1].requires_grad_()
    loss = feature_loss(features, restored, target, [0.1, 2.0])
    d, e = restored - target, restored[:, :1] ** 2 - target[:, :1] ** 2
    expected = 0.1 * d.abs().mean() + 2 * e.abs().mean()
    torch.testing.assert_close(loss, expected)
    loss.backward()
    assert restored.grad.abs().sum() > 0
    assert target.grad is None


def test_perceptual_loss_has_the_published_layers_and_weights(pair, monkeypatch):
    vgg = VGG19Features(vgg19_state())
    monkeypatch.setattr(losses, "fetch_vgg19", lambda: vgg)
    (value,) = make_criterion({"perceptual": 2.0})(*pair).values()
    weights = {2: 0.1, 7: 0.1, 16: 1.0, 25: 1.0, 34: 1.0}
    assert weights == VGG19_LAYERS
    features = zip(weights.values(), vgg(pair[0]), vgg(pair[1]))
    expected = sum(w * F.l1_loss(a, b) for w, a, b in features)
    torch.testing.assert_close(value, 2 * expected)


def test_vgg19_weights_are_checked_against_their_hash(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "cache"))
    torch.save(vgg19_state(), tmp_path / "weights")
    digest = hashlib.sha256((tmp_path / "weights").read_bytes()).hexdigest()[:8]
    for name in (digest, "0123abcd"):
        (tmp_path / f"vgg19-{name}.pth").symlink_to(tmp_path / "weights")
    monkeypatch.setattr(
        losses, "VGG19_URL", (tmp_path / f"vgg19-{digest}.pth").as_uri()
    )
    assert len(losses.fetch_vgg19()(torch.rand(1, 3, 16, 16))) == 5
    monkeypatch.setattr(losses, "VGG19_URL", (tmp_path / "vgg19-0123abcd.pth").as_uri())
    with pytest.raises(RuntimeError, match="invalid hash value"):
        losses.fetch_vgg19()
    assert not (tmp_path / "cache/checkpoints/vgg19-0123abcd.pth").exists()


def test_without_vgg19_the_terms_say_that_features_are_matched(pair, monkeypatch):
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", no_network)
    wanted = {"perceptual": 1.0, "adversarial": {"weight": 0.1, "dim": 4}}
    with pytest.warns(UserWarning, match="no VGG19 weights"):
        criterion = make_criterion(wanted)
    assert criterion(*pair).keys() == {"feature_matching", "adversarial"}


def test_without_vgg19_its_weight_adds_to_that_of_feature_matching(monkeypatch):
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", no_network)
    with pytest.warns(UserWarning, match="no VGG19 weights"):
        criterion = make_criterion({**GAN, "perceptual": 2.0})
    assert criterion.weights == {"l1": 1.0, "feature_matching": 3.0, "adversarial": 0.1}


def test_without_vgg19_and_discriminator_there_is_an_error(monkeypatch):
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", no_network)
    with pytest.raises(OSError, match=r"no VGG19 weights .* needs adversarial"):
        make_criterion({"l1": 1.0, "perceptual": 1.0})


def test_criterion_gives_every_weighted_term(pair):
    criterion = make_criterion({"l1": 2.0, "charbonnier": {"weight": 0.5, "eps": 1e-6}})
    terms = criterion(*pair)
    torch.testing.assert_close(terms["l1"], 2 * l1_loss(*pair))
    torch.testing.assert_close(terms["charbonnier"], charbonnier_loss(*pair, 1e-6) / 2)
    assert not criterion.state_dict()
    assert criterion.update(*pair) == {}


@pytest.mark.parametrize("wrong", [{}, {"l3": 1.0}])
def test_unknown_losses_are_answered_with_the_known(wrong):
    with pytest.raises(ValueError, match="l1, l2, charbonnier, perceptual"):
        make_criterion(wrong)


@pytest.mark.parametrize(
    ("losses", "answer"),
    [
        ({"adversarial": {"dim": 4}}, r"adversarial needs a number .*\{'dim': 4\}"),
        ({"l1": "high"}, "l1 needs a number as its weight; got high"),
        ({"charbonnier": {"weight": 1, "epss": 1}}, "charbonnier takes weight, eps;"),
        ({"l1": {"weight": 1, "eps": 1}}, "l1 takes weight;"),
    ],
)
def test_wrong_options_are_refused_before_the_first_step(losses, answer):
    with pytest.raises(ValueError, match=answer):
        make_criterion(losses)


def test_perceptual_needs_colour():
    with pytest.raises(ValueError, match="3 channels"):
        make_criterion({"perceptual": 1.0}, in_channels=1)


def test_the_generators_step_leaves_the_discriminator_alone(pair):
    criterion = make_criterion(GAN)
    restored = pair[0].requires_grad_()
    sum(criterion(restored, pair[1]).values()).backward()
    assert restored.grad.abs().sum() > 0
    assert all(p.grad is None for p in criterion.parameters())


def test_adversarial_and_matching_terms_are_those_of_the_discriminator(pair):
    criterion = make_criterion(GAN).eval()  # eval: no power iteration in between
    terms = criterion(*pair)
    judge = criterion.adversary.discriminator
    torch.testing.assert_close(
        terms["adversarial"], 0.1 * F.softplus(-judge(pair[0])).mean()
    )
    gaps = zip(judge.features(pair[0]), judge.features(pair[1]))
    expected = torch.stack([F.l1_loss(a, b) for a, b in gaps]).mean()
    torch.testing.assert_close(terms["feature_matching"], expected)


def test_features_of_equal_images_match(pair):
    criterion = make_criterion(GAN)  # in training mode, where spectral norm turns
    assert criterion(pair[0], pair[0].clone())["feature_matching"] == 0


def test_the_discriminator_learns_to_tell_apart(pair):
    torch.manual_seed(0)
    options = {"weight": 1.0, "dim": 4, "learning_rate": 2e-3}
    criterion = make_criterion({"adversarial": options})
    blurred = F.avg_pool2d(pair[0], 5, 1, 2)
    history = [criterion.update(blurred, pair[0])["discriminator"] for i in range(60)]
    assert history[-1] < 0.5 * history[0]
    judge = criterion.adversary.discriminator
    assert judge(pair[0]).mean() > 0 > judge(blurred).mean()


def test_a_resumed_adversary_goes_on_bit_by_bit(pair, tmp_path):
    torch.manual_seed(0)
    whole = make_criterion(GAN)
    for _ in range(2):
        whole.update(*pair)
    torch.save(whole.state_dict(), tmp_path / "state.pt")
    resumed = make_criterion(GAN)
    resumed.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    for criterion in (whole, resumed):
        criterion(*pair)
        criterion.update(*pair)
    a, b = whole.state_dict(), resumed.state_dict()
    tensors = [key for key in a if torch.is_tensor(a[key])]
    assert len(tensors) > 20
    assert all(torch.equal(a[key], b[key]) for key in tensors)


def test_a_run_does_not_resume_with_other_losses():
    state = make_criterion(GAN).state_dict()
    other = {"adversarial": GAN["adversarial"]}
    with pytest.raises(ValueError, match="feature_matching"):
        make_criterion(other).load_state_dict(state)


def test_a_state_from_a_gpu_goes_on_where_there_is_none(pair):
    whole = make_criterion(GAN)
    whole.update(*pair)
    state = copy.deepcopy(whole.state_dict())
    extra = state["adversary._extra_state"]
    for group in extra["optimizer"]["param_groups"]:
        group["capturable"] = True  # as on CUDA
    resumed = make_criterion(GAN)
    resumed.load_state_dict(state)
    for criterion in (whole, resumed):
        criterion.update(*pair)
    weights = [c.adversary.discriminator.last.weight for c in (whole, resumed)]
    assert torch.equal(*weights)


@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_accelerate_trains_the_same_discriminator(pair, precision):
    results = []
    for prepared in (False, True):
        torch.manual_seed(0)
        criterion = make_criterion(GAN)
        if prepared:
            AcceleratorState._reset_state(reset_partial_state=True)
            criterion.prepare(Accelerator(cpu=True, mixed_precision=precision))
        criterion.update(*pair)
        results.append(criterion.adversary.discriminator.last.weight)
    AcceleratorState._reset_state(reset_partial_state=True)
    half = precision == "bf16"
    assert torch.equal(*results) is not half
    torch.testing.assert_close(*results, rtol=0, atol=4e-4 if half else 0)


def test_a_discriminator_in_half_precision_keeps_its_weights_and_norms_whole(pair):
    torch.manual_seed(0)
    adversary = make_criterion(GAN).adversary
    whole = adversary.judge(pair[0])
    adversary.half = True
    logits = adversary.judge(pair[0])
    assert logits.dtype == torch.float32
    assert not torch.equal(logits, whole)
    torch.testing.assert_close(logits, whole, rtol=0, atol=0.02)
    adversary.learn(*pair)
    assert {p.dtype for p in adversary.parameters()} == {torch.float32}
    norms = [
        torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item()
        for layer in adversary.discriminator.children()
        if layer.bias is None
    ]
    assert norms
    assert max(norms) < 2  # nearer to 1 with every step
