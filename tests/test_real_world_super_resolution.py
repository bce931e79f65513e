"""The real-world degradation chain: each step by its definition, and the whole."""

import random
import sys
from collections import Counter
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import scipy.ndimage
import scipy.stats
import torch
from skimage import data

from swinir_lite import imresize, rgb_to_y, to_image, to_tensor
from swinir_lite.real_world_super_resolution import (
    CHANCES,
    Draw,
    anisotropic_blur,
    bayer_masks,
    camera_noise,
    clean_resize,
    degradation_steps,
    degrade_photograph,
    filter_each,
    final_resize,
    gaussian_kernels,
    gradient_distance,
    isotropic_blur,
    jpeg_noise,
    lpips_distance,
    lpips_network,
    milder,
    mixed_gaussian_noise,
    poisson_noise,
    random_resize,
    real_world,
    resize,
    shuffled_steps,
)

PHOTO = data.astronaut()[:64, 180:260]
BATCH = to_tensor(PHOTO)[..., :64].repeat(2, 1, 1, 1)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def draw(**choices):
    """A Draw whose host decides as told, e.g. random=0.2 or choices="gray"."""
    pick = random.Random(0)
    if choices:
        answers = {
            name: lambda *_, value=value: value for name, value in choices.items()
        }
        pick = SimpleNamespace(**answers)
    return Draw(seeded(), pick, scale=4, size=(16, 16))


def column(*values):
    return torch.tensor(values, dtype=torch.float32).view(-1, 1, 1, 1)


@pytest.mark.parametrize("scale", [2, 4])
def test_a_batch_shrinks_by_the_scale_and_stays_an_image(scale):
    for seed in range(8):
        lq = real_world(BATCH, seeded(seed), scale=scale)
        assert lq.shape == (2, 3, 64 // scale, 64 // scale)
        assert lq.isfinite().all()
        assert 0 <= lq.min() < lq.max() <= 1
        torch.testing.assert_close(lq * 255, (lq * 255).round())  # from a JPEG file


def test_the_generator_decides_all():
    random.seed(1)
    first = real_world(BATCH, seeded(3))
    random.seed(2)
    torch.manual_seed(5)
    assert torch.equal(first, real_world(BATCH, seeded(3)))
    assert not torch.equal(first, real_world(BATCH, seeded(4)))


def test_a_generator_goes_on_to_new_chains():
    generator = seeded()
    first = real_world(BATCH, generator)
    assert not torch.equal(first, real_world(BATCH, generator))


def test_groups_differ_in_chain_and_images_in_strength():
    same = BATCH[:1].repeat(4, 1, 1, 1)
    degraded = real_world(same, seeded(), group=2)
    for i in range(4):
        for j in range(i):
            assert not torch.equal(degraded[i], degraded[j])


def test_steps_are_the_chain_of_the_batch():
    names, images = zip(*degradation_steps(BATCH, seeded(), scale=4))
    assert torch.equal(images[-1], real_world(BATCH, seeded()))
    assert names[-1] == "jpeg noise"
    assert "final resize" in names


def test_steps_stay_in_range_and_their_order_follows_the_generator():
    generator, orders = seeded(), set()
    for _ in range(6):
        names, images = zip(*degradation_steps(BATCH, generator, scale=4))
        assert all(0 <= image.min() <= image.max() <= 1 for image in images)
        orders.add(names)
    assert len(orders) == 6


def test_orders_are_shuffled_and_the_final_resize_is_the_last_of_two():
    chains = [shuffled_steps(random.Random(i)) for i in range(2000)]
    assert len({chain[0] for chain in chains}) == len(CHANCES)
    for chain in chains:
        if random_resize in chain:
            assert chain.index(random_resize) < chain.index(final_resize)
    counts = Counter(step for chain in chains for step in chain)
    for step, chance in CHANCES.items():
        assert counts[step] / len(chains) == pytest.approx(chance, abs=0.05)


def test_mild_chains_shrink_cleanly_and_leave_most_steps_out():
    lengths = []
    for i in range(500):
        pick = random.Random(i)
        steps = [*shuffled_steps(pick), jpeg_noise]
        kept = milder(steps, pick)
        lengths.append((len(kept) - 1) / (len(steps) - 1))
        assert kept.count(clean_resize) == 1
        assert final_resize not in kept
    assert np.mean(lengths) == pytest.approx(0.3, abs=0.02)
    small = clean_resize(BATCH, Draw(None, None, 4, (16, 16)))
    expected = to_tensor(imresize(to_image(BATCH[:1]), 1 / 4))
    torch.testing.assert_close(small[:1], expected, rtol=0, atol=0.02)


def test_a_share_of_the_groups_is_mild_and_without_it_nothing_changes():
    assert torch.equal(
        real_world(BATCH, seeded(), mild=0.0), real_world(BATCH, seeded())
    )
    names = [
        [name for name, _ in degradation_steps(BATCH, seeded(i), mild=0.5)]
        for i in range(60)
    ]
    mild = ["clean resize" in steps for steps in names]
    assert 15 < sum(mild) < 45
    assert all(("final resize" in steps) != is_mild
               for steps, is_mild in zip(names, mild))  # fmt: skip


def test_groups_of_a_mild_batch_have_chains_of_their_own():
    same = BATCH[:1].expand(12, -1, -1, -1)
    for seed in range(5):
        degraded = real_world(same, seeded(seed), group=1, mild=1.0)
        assert len({image.numpy().tobytes() for image in degraded}) > 6


def test_kernels_have_the_covariance_they_are_asked_for():
    deviations, angle = (3.0, 1.5), 0.6
    kernel = gaussian_kernels(*(column(d) for d in deviations), column(angle), 25)[0, 0]
    x = torch.arange(25.0) - 12
    assert kernel.sum().item() == pytest.approx(1)
    covariance = [
        (kernel * x * x).sum(), (kernel * x * x[:, None]).sum(),
        (kernel * x[:, None] * x[:, None]).sum(),
    ]  # fmt: skip
    c, s = np.cos(angle), np.sin(angle)
    turn = np.array([[c, -s], [s, c]])
    expected = turn @ np.diag(np.square(deviations)) @ turn.T
    expected = expected[0, 0], expected[0, 1], expected[1, 1]
    assert torch.stack(covariance).tolist() == pytest.approx(expected, rel=0.02)


def test_every_image_is_filtered_by_its_own_kernel():
    kernels = torch.rand(2, 1, 7, 7, generator=seeded())
    images = torch.rand(2, 3, 12, 10, generator=seeded(1))
    filtered = filter_each(images, kernels)
    for image, kernel, result in zip(images.numpy(), kernels.numpy(), filtered):
        for before, after in zip(image, result):
            expected = scipy.ndimage.correlate(before, kernel[0], mode="nearest")
            torch.testing.assert_close(after, torch.from_numpy(expected))


@pytest.mark.parametrize("blur", [isotropic_blur, anisotropic_blur])
def test_blurs_keep_the_mean_and_lower_the_contrast(blur):
    impulse = torch.zeros(4, 3, 41, 41)
    impulse[:, :, 20, 20] = 1
    blurred = blur(impulse, draw())
    torch.testing.assert_close(blurred.sum((2, 3)), torch.ones(4, 3))
    assert (blurred.amax((1, 2, 3)) < 1).all()
    spread = blurred[:, 0].sum(1) - blurred[:, 0].sum(2)  # wide against high
    assert (spread.abs().max() < 1e-5) == (blur is isotropic_blur)


def test_area_is_the_mean_of_blocks_and_gives_way_in_enlarging():
    x = torch.rand(1, 3, 8, 12, generator=seeded())
    blocks = x.unflatten(3, (6, 2)).unflatten(2, (4, 2)).mean((3, 5))
    torch.testing.assert_close(resize(x, (4, 6), "area"), blocks)
    larger = resize(x, (16, 12), "area")
    assert torch.equal(larger, resize(x, (16, 12), "bilinear"))


def test_random_sizes_reach_from_the_whole_to_half_of_the_target():
    sides = [random_resize(BATCH, Draw(None, random.Random(i), 4, None)).shape[-1]
             for i in range(300)]  # fmt: skip
    assert 8 <= min(sides) < 12
    assert 50 < max(sides) <= 64


@pytest.mark.parametrize("kind", ["colour", "gray", "between"])
def test_gaussian_noise_has_the_correlation_of_its_kind(kind):
    gray = torch.full((200, 3, 24, 24), 0.5)
    noise = (mixed_gaussian_noise(gray, draw(choices=[kind])) - gray) * 255
    deviations = noise.std((2, 3))  # (image, channel)
    assert deviations.mean(1).min() > 1.7
    assert deviations.mean(1).max() < 27
    assert (deviations / deviations[:, :1] - 1).abs().max() < 0.25
    normal = noise / noise.std((2, 3), keepdim=True)
    correlation = (normal[:, 0] * normal[:, 1]).mean((1, 2)).abs()
    if kind == "colour":
        assert correlation.max() < 0.2
    elif kind == "gray":
        assert torch.equal(noise[:, 0], noise[:, 1])
    else:
        assert correlation.min() < 0.2
        assert correlation.max() > 0.8


def test_poisson_noise_has_the_variance_of_counted_photons():
    level = column(*[0.2] * 200).expand(-1, 3, 24, 24)
    noise = poisson_noise(level, draw(random=0.9)) - level
    assert noise.mean().abs() < 1e-3
    photons = 0.2 / noise.var((1, 2, 3))  # variance of a count = its mean
    assert photons.min() == pytest.approx(100, rel=0.3)
    assert photons.max() == pytest.approx(10_000, rel=0.3)
    gray = poisson_noise(level, draw(random=0.1)) - level
    assert torch.equal(gray[:, 0], gray[:, 1])


def test_a_sensor_sees_one_colour_at_each_pixel():
    masks = bayer_masks(torch.zeros(1, 3, 5, 6))
    assert torch.equal(masks.sum(0), torch.ones(5, 6))
    assert masks[:, :2, :2].argmax(0).tolist() == [[0, 1], [1, 2]]
    assert masks[1].sum() == 15  # green: half of them


def test_camera_noise_keeps_the_light_and_is_stronger_in_it():
    flat = column(0.05, 0.7).repeat(60, 1, 1, 1).expand(-1, 3, 32, 32)
    noise = camera_noise(flat, draw()).clamp(0, 1) ** 2.2 - flat**2.2  # in light
    dark, bright = noise[::2], noise[1::2]
    assert bright.mean().abs() < 0.01
    assert bright.std() > 3 * dark.std()
    neighbours = bright[:, 0, :, 1:] * bright[:, 0, :, :-1]
    assert neighbours.mean() > 0.3 * bright[:, 0].var()  # demosaicing spreads it


def test_a_photograph_is_always_degraded_alike_and_unlike_others():
    photo = data.astronaut()[:66, 180:259]
    first = degrade_photograph(photo)
    assert first.shape == (1, 3, 16, 19)
    assert torch.equal(first, degrade_photograph(photo))
    assert not torch.equal(first, degrade_photograph(photo, seed=1))
    other = degrade_photograph(np.flip(photo, 1).copy())
    assert not torch.equal(first.flip(3), other)


def test_every_photograph_gets_a_chain_of_its_own(monkeypatch):
    seeds = []
    module = "swinir_lite.real_world_super_resolution.real_world"
    monkeypatch.setattr(module, lambda hq, g, **_: seeds.append(g.initial_seed()))
    for photo in (PHOTO, PHOTO, np.flip(PHOTO, 1).copy()):
        degrade_photograph(photo)
    assert seeds[0] == seeds[1] != seeds[2]


@pytest.mark.parametrize("shape", [(1, 1, 16, 16), (1, 3, 18, 16)])
def test_gray_or_odd_input_is_named(shape):
    with pytest.raises(ValueError, match=str(shape).replace("(", r"\(")[:-1]):
        real_world(torch.rand(shape), seeded())


def test_gradients_are_as_far_apart_as_scipy_says():
    blurred = scipy.ndimage.gaussian_filter(PHOTO, (1.5, 1.5, 0))
    samples = []
    for image in (PHOTO, blurred):
        y = rgb_to_y(image)
        down, across = np.abs(y[1:] - y[:-1]), np.abs(y[:, 1:] - y[:, :-1])
        samples.append([*down.ravel(), *across.ravel()])
    expected = scipy.stats.wasserstein_distance(*samples)
    assert gradient_distance(PHOTO, blurred) == pytest.approx(expected)


def test_gradients_are_compared_wherever_they_are():
    assert gradient_distance(PHOTO, PHOTO[::-1, ::-1].copy()) == pytest.approx(0)
    assert gradient_distance(PHOTO, PHOTO // 2) > 1


@pytest.fixture
def no_lpips_yet():
    lpips_network.cache_clear()
    yield
    lpips_network.cache_clear()


@pytest.mark.usefixtures("no_lpips_yet")
def test_lpips_is_asked_for_by_name_where_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "lpips", None)
    with pytest.raises(ImportError, match="pip install lpips"):
        lpips_distance(PHOTO, PHOTO)


@pytest.mark.usefixtures("no_lpips_yet")
def test_lpips_gets_images_from_minus_one_to_one(monkeypatch):
    class Network:
        def __init__(self, net, verbose):
            assert net == "alex"

        def eval(self):
            return self

        def __call__(self, a, b):
            assert a.shape == b.shape == (1, 3, 64, 80)
            assert a.min() == -1
            assert a.max() == 1
            return (a - b).abs().mean()

    package = ModuleType("lpips")
    package.LPIPS = Network
    monkeypatch.setitem(sys.modules, "lpips", package)
    photo = PHOTO.copy()
    photo[0, 0], photo[0, 1] = 0, 255
    darker = photo // 2
    expected = np.abs(photo.astype(float) - darker).mean() / 127.5
    assert lpips_distance(photo, darker) == pytest.approx(expected)
