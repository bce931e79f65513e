import numpy as np
import pytest
import torch
from torch.nn.functional import l1_loss

from swinir_lite import ResidualCNN, imresize, to_image
from swinir_lite.small_training import make_pair, random_patches, train_small


def random_photo(height, width):
    return np.random.RandomState(0).randint(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize("scale", [2, 3])
def test_a_pair_is_a_cropped_photo_and_its_bicubic_reduction(scale):
    photo = random_photo(31, 26)
    lr, hr = make_pair(photo, scale)
    height, width = 31 // scale, 26 // scale
    assert lr.shape == (1, 3, height, width)
    expected = photo[: height * scale, : width * scale]
    np.testing.assert_array_equal(to_image(hr), expected)
    np.testing.assert_array_equal(to_image(lr), imresize(expected, 1 / scale))


@pytest.mark.parametrize("scale", [2, 3])
def test_patches_of_a_pair_show_the_same_place_in_the_same_pose(scale):
    lr = torch.rand(1, 3, 11, 9)
    hr = lr.repeat_interleave(scale, 2).repeat_interleave(scale, 3)
    generator = torch.Generator().manual_seed(0)
    small, large = random_patches([(lr, hr)], 32, 5, generator)
    assert small.shape == (32, 3, 5, 5)
    assert large.shape == (32, 3, 5 * scale, 5 * scale)
    assert torch.equal(large[:, :, ::scale, ::scale], small)
    assert len({tuple(patch.flatten().tolist()) for patch in small}) > 16


def test_training_lowers_the_loss_and_repeats_under_a_seed():
    lr, hr = make_pair(random_photo(32, 40), 2)
    runs = []
    for _ in range(2):
        torch.manual_seed(0)
        model = ResidualCNN(dim=4, num_blocks=1)
        before = l1_loss(model(lr), hr)
        runs.append(train_small(model, [(lr, hr)], steps=30, batch=2, side=6))
        assert l1_loss(model(lr), hr) < 0.9 * before
    assert runs[0] == runs[1]
    assert len(runs[0]) == 30


def test_two_models_see_the_same_patches():
    class Recorder(torch.nn.Module):
        def __init__(self, draws):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(()))
            self.draws, self.seen = draws, []

        def forward(self, x):
            torch.rand(self.draws)  # a model's own randomness must not matter
            self.seen.append(x.clone())
            return self.weight * torch.nn.functional.interpolate(x, scale_factor=2)

    pairs = [make_pair(random_photo(32, 40), 2)]
    first, second = Recorder(1), Recorder(7)
    for model in (first, second):
        train_small(model, pairs, steps=3, batch=2, side=6)
    assert all(torch.equal(a, b) for a, b in zip(first.seen, second.seen))
