"""Train a small super-resolution model on a few photographs (chapter 2).

Small enough for a notebook on a CPU; chapters 2, 7 and 8 compare models with it.
"""

import torch
import torch.nn.functional as F

from .image_restoration import imresize, to_tensor


def make_pair(photo, scale):
    """Return the LR and HR tensors (1, C, H, W), (1, C, H * scale, W * scale).

    `photo` is a uint8 image whose sides are cut to multiples of `scale`;
    LR is its bicubic reduction.
    """
    height, width = (side // scale * scale for side in photo.shape[:2])
    hr = photo[:height, :width]
    return to_tensor(imresize(hr, 1 / scale)), to_tensor(hr)


def random_patches(pairs, batch, side, generator):
    """Cut `batch` random patches of `side` LR pixels, each flipped or turned.

    `pairs` are the results of `make_pair`, all of one scale.  Returns LR
    (batch, C, side, side) and HR (batch, C, side * scale, side * scale).
    """

    def draw(below):
        return int(torch.randint(below, (), generator=generator))

    patches = []
    for _ in range(batch):
        lr, hr = pairs[draw(len(pairs))]
        scale = hr.shape[2] // lr.shape[2]
        top, left = draw(lr.shape[2] - side + 1), draw(lr.shape[3] - side + 1)
        turns, flip = draw(4), draw(2)
        pair = []
        for image, s in ((lr, 1), (hr, scale)):
            patch = image[0, :, s * top :, s * left :][:, : s * side, : s * side]
            patch = patch.rot90(turns, (1, 2))
            pair.append(patch.flip(2) if flip else patch)
        patches.append(pair)
    return tuple(torch.stack(images) for images in zip(*patches))


def train_small(model, pairs, steps, batch=8, side=24, learning_rate=2e-3, seed=0):
    """Train `model` with L1 and Adam on random patches; return each step's loss.

    Args:
        model: maps LR (B, C, h, w) to HR (B, C, h * scale, w * scale).
        pairs: LR and HR tensors, see `make_pair`.
        steps: updates; the learning rate falls to zero along half a cosine.
        batch, side: patches in a step, and their side in LR pixels.
        seed: fixes the patches, so that two models see the same ones.
    """
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    losses = []
    for _ in range(steps):
        lr, hr = random_patches(pairs, batch, side, generator)
        loss = F.l1_loss(model(lr), hr)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return losses
