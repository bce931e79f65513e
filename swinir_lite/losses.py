"""Losses that a restoration network is trained with (chapters 9 and 10).

Images are batches (B, C, H, W) with values in [0, 1]; a loss is a 0-dim tensor.
"""

import warnings
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrize

from .discriminator import UNetDiscriminator


def difference(restored, target):
    """restored - target; ValueError where shapes differ, which would broadcast."""
    if restored.shape != target.shape:
        shapes = f"{tuple(restored.shape)} and {tuple(target.shape)}"
        raise ValueError(f"restored and target differ in shape: {shapes}")
    return restored - target


def l2_loss(restored, target):
    """Mean squared difference, which PSNR is computed from.  Chapter 9."""
    return difference(restored, target).square().mean()


def l1_loss(restored, target):
    """Mean absolute difference: SwinIR's loss for super-resolution.

    Section 3.1 of the paper; chapter 9.
    """
    return difference(restored, target).abs().mean()


def charbonnier_loss(restored, target, eps=1e-9):
    """Mean of sqrt(d^2 + eps): L1 with a smooth bottom, for denoising and JPEG.

    `eps` stands under the root as it is: 1e-9 rounds L1 off where the
    difference d is below about 3e-5.  The paper (section 3.1) prints eps^2 with
    eps = 1e-3, and one norm over the whole image; the authors' training code,
    followed here, does neither.  Chapter 9.
    """
    return (difference(restored, target).square() + eps).sqrt().mean()


VGG19_URL = "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth"
VGG19_POOLS = (4, 9, 18, 27)  # indices in torchvision's vgg19().features
VGG19_LAYERS = {2: 0.1, 7: 0.1, 16: 1.0, 25: 1.0, 34: 1.0}  # weight of each layer


class VGG19Features(nn.Module):
    """Feature maps of VGG19 (Simonyan and Zisserman, 2015) before their ReLU.

    Built from torchvision's state dict; frozen, and not saved with a model.
    (B, 3, H, W) in [0, 1] -> five maps, the second convolutions of stages 1 and
    2 and the fourth of stages 3 to 5.  H and W must be at least 16.  Chapter 10.
    """

    def __init__(self, state):
        super().__init__()
        last = max(VGG19_LAYERS)
        self.convolutions = [
            i for i in range(last + 1) if f"features.{i}.bias" in state
        ]
        for i in self.convolutions:
            for name in ("weight", "bias"):
                value = state[f"features.{i}.{name}"].detach()
                self.register_buffer(f"{name}{i}", value, persistent=False)
        mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)  # of ImageNet
        std = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)

    def forward(self, x):
        x = (x - self.mean) / self.std
        features = []
        for i in range(max(VGG19_LAYERS) + 1):
            if i in self.convolutions:
                weight, bias = getattr(self, f"weight{i}"), getattr(self, f"bias{i}")
                x = F.conv2d(x, weight, bias, padding=1)
            else:
                x = F.max_pool2d(x, 2) if i in VGG19_POOLS else x.relu()
            if i in VGG19_LAYERS:
                features.append(x)
        return features


def fetch_vgg19():
    """Load torchvision's VGG19 weights, 548 MiB, fetched once with a progress bar.

    The file's SHA-256 must begin as its name says; RuntimeError otherwise.
    OSError (URLError among others) where it cannot be fetched.
    """
    state = torch.hub.load_state_dict_from_url(
        VGG19_URL, map_location="cpu", check_hash=True, weights_only=True
    )
    return VGG19Features(state)


def feature_loss(features, restored, target, weights):
    """Weighted sum of L1 losses between two images' feature maps.

    With VGG19 it is the perceptual loss (Johnson et al., 2016), with a
    discriminator's features it is feature matching (Wang et al., 2018).

    Args:
        features: a callable, images -> list of feature maps.
        weights: a number for each map.

    Chapter 10.
    """
    difference(restored, target)  # shapes must agree
    with torch.no_grad():
        wanted = features(target)
    pairs = zip(weights, features(restored), wanted, strict=True)
    return sum(weight * l1_loss(a, b) for weight, a, b in pairs)


def adversarial_loss(logits, real):
    """Mean of -log p, p the probability that logits give to being `real` or not.

    The cross-entropy of the original GAN (Goodfellow et al., 2014).  Chapter 10.
    """
    return F.softplus(-logits if real else logits).mean()


def discriminator_loss(logits_real, logits_fake):
    """What the discriminator lowers: real called real, restored called fake."""
    return adversarial_loss(logits_real, True) + adversarial_loss(logits_fake, False)


def channels_last(images):
    """The same (B, C, H, W), its channels side by side in memory: quicker on GPUs."""
    return images.contiguous(memory_format=torch.channels_last)


class Adversary(nn.Module):
    """A discriminator with its own Adam; the state holds both, for exact resume.

    `terms` are the names of the losses it serves: a run that resumes must have
    the same.  Chapter 10.
    """

    def __init__(self, terms, in_channels=3, dim=64, learning_rate=1e-4):
        super().__init__()
        self.terms = sorted(terms)
        self.discriminator = UNetDiscriminator(in_channels, dim)
        self.optimizer = torch.optim.Adam(self.parameters(), learning_rate)
        self.wrapped = (self.discriminator,)  # a tuple: not registered a second time
        self.backward = torch.Tensor.backward
        self.half = False  # whether it computes in bfloat16

    def prepare(self, accelerator):
        """Average gradients over the processes of Hugging Face Accelerate."""
        self.fit_device(self.optimizer.param_groups)
        model, self.optimizer = accelerator.prepare(self.discriminator, self.optimizer)
        accelerator.unwrap_model(model, keep_fp32_wrapper=False)
        self.wrapped = (model,)
        self.backward = accelerator.backward
        self.half = accelerator.mixed_precision == "bf16"

    def fit_device(self, groups):
        """Have Adam count its steps on a GPU, where a CUDA graph finds them."""
        for group in groups:
            group["capturable"] = next(self.parameters()).is_cuda

    @contextmanager
    def precision(self):
        """Compute in the run's precision, but for the spectral norms.

        Their weights are made once inside, in float32: in half precision some
        versions of torch fail there.
        """
        with parametrize.cached():
            for layer in self.discriminator.children():
                _ = layer.weight  # from here on in the cache
            device = next(self.parameters()).device.type
            # A CUDA graph must cast the weights anew at every replay
            with torch.autocast(device, torch.bfloat16, self.half, cache_enabled=False):
                yield

    def judge(self, images, judge=None):
        """Logits (B, 1, H, W) of the discriminator for images (B, C, H, W)."""
        with self.precision():
            return (judge or self.discriminator)(channels_last(images)).float()

    def features(self, images):
        """The discriminator's feature maps, for `feature_loss`."""
        maps = self.discriminator.features(channels_last(images))
        return [m.float() for m in maps]

    def learn(self, restored, target):
        """Take one step of the discriminator on images (B, C, H, W); its loss."""
        self.discriminator.requires_grad_(True)
        both = torch.cat([target, restored.detach()])
        loss = discriminator_loss(*self.judge(both, self.wrapped[0]).chunk(2))
        self.optimizer.zero_grad()
        self.backward(loss)
        self.optimizer.step()
        return loss.detach()

    def get_extra_state(self):
        return {"terms": self.terms, "optimizer": self.optimizer.state_dict()}

    def set_extra_state(self, state):
        if state["terms"] != self.terms:
            raise ValueError(f"saved with losses {state['terms']}, not {self.terms}")
        self.fit_device(state["optimizer"]["param_groups"])
        self.optimizer.load_state_dict(state["optimizer"])


PIXEL_LOSSES = {"l1": l1_loss, "l2": l2_loss, "charbonnier": charbonnier_loss}
TERMS = (*PIXEL_LOSSES, "perceptual", "feature_matching", "adversarial")
OPTIONS = {"charbonnier": ["eps"], "adversarial": ["dim", "learning_rate"]}


def weight_and_options(name, value):
    """Read one entry of a configuration's losses; ValueError where it is wrong."""
    options = dict(value) if isinstance(value, dict) else {"weight": value}
    known = ["weight", *OPTIONS.get(name, [])]
    if not options.keys() <= set(known):
        raise ValueError(f"loss {name} takes {', '.join(known)}; got {value}")
    weight = options.pop("weight", None)
    if not isinstance(weight, (int, float)):
        raise ValueError(f"loss {name} needs a number as its weight; got {value}")
    return weight, options


def check_losses(losses, in_channels):
    """Raise ValueError for a configuration's `losses` that make no Criterion."""
    if not losses or not losses.keys() <= set(TERMS):
        known = ", ".join(TERMS)
        raise ValueError(f"losses must be among {known}; got {list(losses)}")
    largest = torch.finfo(torch.float32).max
    for name, value in losses.items():
        weight, options = weight_and_options(name, value)
        numbers, dim = (weight, *options.values()), options.get("dim", 1)
        finite = all(isinstance(v, (int, float)) and 0 <= v <= largest for v in numbers)
        if not finite or dim < 1 or dim != int(dim):
            raise ValueError(f"loss {name} needs numbers that fit; got {value}")
    if "perceptual" in losses and in_channels != 3:
        raise ValueError(f"perceptual needs 3 channels for VGG19, not {in_channels}")
    if "feature_matching" in losses and "adversarial" not in losses:
        raise ValueError("feature_matching needs adversarial: its discriminator")


class Criterion(nn.Module):
    """The weighted sum of losses that a training configuration names.

    Args:
        losses: name -> weight, or name -> {"weight": ..., **options}.  The names
            are those of TERMS; "adversarial" takes the options `dim` and
            `learning_rate` of its discriminator, "charbonnier" takes `eps`.
        in_channels: of the images, 1 or 3.

    Where VGG19's weights cannot be fetched, "perceptual" becomes
    "feature_matching", whose weight it adds to, with a warning; the terms' names
    tell which was used.

    Raises:
        OSError: for "perceptual" without VGG19's weights, and no "adversarial".
        ValueError: for an unknown name or option, a weight that is missing, or
            features without a network for them.

    SwinIR's real-world models use l1 1, perceptual 1, adversarial 0.1: section
    4.2 of the paper, chapters 9 and 10.
    """

    def __init__(self, losses, in_channels=3):
        super().__init__()
        check_losses(losses, in_channels)
        self.weights, self.options = {}, {}
        for name, value in losses.items():
            self.weights[name], self.options[name] = weight_and_options(name, value)
        self.vgg19 = self.adversary = None
        if "perceptual" in losses:
            self.find_features()
        if "adversarial" in losses:
            options = self.options["adversarial"]
            self.adversary = Adversary(self.weights, in_channels, **options)

    def find_features(self):
        """Get VGG19 for the perceptual loss, or turn to the discriminator."""
        try:
            self.vgg19 = fetch_vgg19()
        except OSError as error:
            if "adversarial" not in self.weights:
                raise OSError(
                    f"no VGG19 weights for perceptual ({error}); where they cannot be "
                    "fetched it needs adversarial beside it, whose discriminator has "
                    "features as well"
                ) from error
            warnings.warn(
                f"no VGG19 weights ({error}): the discriminator's features are "
                "matched instead, as the term feature_matching",
                stacklevel=4,
            )
            weight = self.weights.pop("perceptual")
            weight += self.weights.get("feature_matching", 0)
            self.weights["feature_matching"] = weight

    def prepare(self, accelerator):
        """Let Accelerate wrap what this criterion trains; call after `.to(device)`."""
        if self.adversary is not None:
            self.adversary.prepare(accelerator)

    def term(self, name, restored, target):
        """One loss, not weighted."""
        if name in PIXEL_LOSSES:
            return PIXEL_LOSSES[name](restored, target, **self.options[name])
        if name == "perceptual":
            weights = VGG19_LAYERS.values()
            return feature_loss(self.vgg19, restored, target, weights)
        discriminator = self.adversary.discriminator
        discriminator.requires_grad_(False)  # it learns in `update` alone
        if name == "adversarial":
            return adversarial_loss(self.adversary.judge(restored), real=True)
        with self.adversary.precision():  # one turn of the norms for both images
            features = self.adversary.features
            return feature_loss(features, restored, target, [1 / 7] * 7)

    def forward(self, restored, target):
        """The weighted terms by name; the loss is their sum."""
        return {
            name: weight * self.term(name, restored, target)
            for name, weight in self.weights.items()
        }

    def update(self, restored, target):
        """Train what the criterion itself learns; returns tensors to log."""
        if self.adversary is None:
            return {}
        return {"discriminator": self.adversary.learn(restored, target)}


def make_criterion(losses, in_channels=3):
    """Build the Criterion of a configuration's `losses`."""
    return Criterion(losses, in_channels)
