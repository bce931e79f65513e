"""Replay a piece of PyTorch as one CUDA graph (chapters 17 and 18)."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor


def fill(recorded: Sequence[Tensor], given: Sequence[Tensor]) -> None:
    """Copy inputs to where a graph reads them; ValueError for those of another kind.

    Copied as they are, smaller ones would be broadcast, and types converted.
    """
    kinds = [
        [(tuple(x.shape), x.dtype) for x in tensors] for tensors in (recorded, given)
    ]
    if kinds[0] != kinds[1]:
        expected, found = (
            ", ".join(f"{shape} in {dtype}" for shape, dtype in kind) for kind in kinds
        )
        raise ValueError(f"this CUDA graph was recorded for {expected}, got {found}")
    for kept, x in zip(recorded, given):
        kept.copy_(x)


class GraphError(RuntimeError):
    """A CUDA graph that could not be recorded; the function itself may well run."""


class Graphed:
    """A function of tensors of fixed size, recorded once and then replayed.

    A training step of a small network launches hundreds of kernels, and the host
    needs longer to launch them than the GPU to run them.  Replaying costs one
    launch. The first `warmup` calls run as they are, so that all is compiled and
    allocated; the next is recorded. The function must not read values back to
    the host; what it returns is overwritten by the next call. Inputs of another
    shape or type than those recorded are refused with a ValueError.  A call that
    cannot be recorded is a GraphError.
    """

    def __init__(self, function: Callable, warmup: int = 3):
        self.function, self.warmup, self.graph = function, warmup, None
        self.stream = torch.cuda.Stream()

    def step_aside(self) -> None:
        """Take another stream if the caller's is the same: PyTorch has 32, in turn.

        A graph recorded there would take in what other threads, such as the one that
        reads tiles ahead, do for the caller meanwhile.
        """
        while self.stream == torch.cuda.current_stream():
            self.stream = torch.cuda.Stream()

    def run_aside(self, inputs: Sequence[Tensor]) -> Any:
        """Call the function on the stream that will record it."""
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            outputs = self.function(*inputs)
        torch.cuda.current_stream().wait_stream(self.stream)
        return outputs

    def record(self, inputs: Sequence[Tensor]) -> None:
        """Record the function, which does not run it."""
        self.inputs = [x.clone() for x in inputs]
        graph = torch.cuda.CUDAGraph()
        try:
            # The outer one goes back to the current stream also after an error.
            # thread_local: other threads, such as NCCL's, go on using the device
            with (
                torch.cuda.stream(torch.cuda.current_stream()),
                torch.cuda.graph(
                    graph, stream=self.stream, capture_error_mode="thread_local"
                ),
            ):
                self.outputs = self.function(*self.inputs)
        except RuntimeError as error:
            first = error.__context__ or error
            reason = (str(first) or repr(first)).splitlines()[0]
            raise GraphError(f"a CUDA graph was not recorded ({reason})") from error
        self.graph = graph

    def __call__(self, *inputs: Tensor):
        if self.warmup:
            self.warmup -= 1
            return self.run_aside(inputs)
        if self.graph is None:
            self.step_aside()
            self.record(inputs)
        fill(self.inputs, inputs)
        self.graph.replay()
        return self.outputs
