"""Muon: momentum whose weight matrices take orthogonal steps (chapter 19).

Jordan et al. (2024), https://kellerjordan.github.io/posts/muon/.  Adam scales
every weight by itself; Muon looks at a matrix as a whole and gives all its
directions the same length, so that weak ones are learned as fast as strong ones.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from ..errors import InputError
from ..speed.network import quickest_type


def orthogonalize(matrices: Tensor, steps: int = 5) -> Tensor:
    """Push the singular values of (n, rows, columns) towards 1, by Newton-Schulz.

    Five rounds bring them to between 0.7 and 1.2, which is near enough for a step.
    """
    a, b, c = 3.4445, -4.7750, 2.0315  # the quintic that grows small values fastest
    x = matrices.to(quickest_type(matrices.device)) if matrices.is_cuda else matrices
    tall = x.shape[1] > x.shape[2]
    x = x.mT if tall else x  # the smaller Gram matrix
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.mT if tall else x).to(matrices.dtype)


class Muon(torch.optim.Optimizer):
    """Muon for weights of two or more axes; a convolution's are (out, all else).

    Steps have the root mean square 0.2, like Adam's, so the two share one lr
    (Liu et al., 2025, https://arxiv.org/abs/2502.16982).
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        lr: float | Tensor,
        momentum: float = 0.95,
    ):
        super().__init__(params, {"lr": lr, "momentum": momentum})

    # torch.amp.GradScaler then leaves `found_inf` here and does not wait for it
    _step_supports_amp_scaling = True

    @torch.no_grad()
    def step(self) -> None:
        beyond = getattr(self, "found_inf", None)
        for group in self.param_groups:
            by_shape = {}
            for p in group["params"]:
                if p.grad is None:  # nothing depended on it, as in PyTorch's own
                    continue
                by_shape.setdefault((len(p), p[0].numel()), []).append(p)
            for shape, params in by_shape.items():
                self.step_alike(params, shape, group["lr"], group["momentum"], beyond)

    def step_alike(
        self,
        params: list[nn.Parameter],
        shape: tuple[int, int],
        lr: float | Tensor,
        momentum: float,
        beyond: Tensor | None = None,
    ) -> None:
        """Step all weights of one shape (rows, columns) together.

        Nothing changes where `beyond`, of one number, is not 0: gradients are infinite.
        """
        for p in params:
            if p not in self.state:
                self.state[p]["momentum"] = torch.zeros_like(p)
        averages = [self.state[p]["momentum"] for p in params]
        grads = [p.grad for p in params]
        if beyond is not None:
            grads = [a.where(beyond > 0, g) for a, g in zip(averages, grads)]
            lr = lr * (beyond == 0)
        torch._foreach_lerp_(averages, grads, 1 - momentum)
        ahead = torch._foreach_lerp(grads, averages, momentum)  # Nesterov's
        directions = orthogonalize(torch.stack([g.reshape(shape) for g in ahead]))
        scale = 0.2 * max(shape) ** 0.5
        steps = (directions * (-lr * scale)).unbind()
        torch._foreach_add_(params, [s.view_as(p) for s, p in zip(steps, params)])


def make_optimizers(
    model: nn.Module, name: str, lr: float, betas: tuple[float, float]
) -> list[torch.optim.Optimizer]:
    """One Adam; or Muon for the matrices inside the network and Adam for the rest.

    First and last convolutions touch pixels, and bias tables are not maps
    between features: they stay with Adam.  What is frozen is left out, InputError
    if it is all.  The learning rate is a tensor, so that a CUDA graph of the update
    reads its value anew.
    """
    inside, outside = [], []
    for key, p in model.named_parameters():
        if not p.requires_grad:
            continue
        edge = key.startswith(("conv_first", "head")) or "bias_table" in key
        (outside if name == "adam" or edge or p.ndim < 2 else inside).append(p)
    if not inside + outside:
        raise InputError("there is nothing to train: all weights are frozen")
    device = (inside + outside)[0].device
    lr, cuda = torch.tensor(lr, device=device), device.type == "cuda"
    optimizers = []
    if outside:
        adam = torch.optim.Adam(outside, lr, betas, fused=cuda, capturable=cuda)
        optimizers.append(adam)
    if inside:
        optimizers.append(Muon(inside, lr))
    return optimizers
