"""Replay a piece of PyTorch as one CUDA graph (chapters 13 and 14)."""

import torch


class Graphed:
    """A function of tensors of fixed size, recorded once and replayed at every call.

    A training step of a small network launches hundreds of kernels, and the host
    needs longer to launch them than the GPU to run them.  Replaying costs one
    launch.  The function must not read values back to the host; what it returns
    is overwritten by the next call.
    """

    def __init__(self, function, warmup=3):
        self.function, self.warmup, self.graph = function, warmup, None

    def record(self, inputs):
        """Run the function a few times, so that all compiles, then record it."""
        self.inputs = [x.clone() for x in inputs]
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(self.warmup):
                self.function(*self.inputs)
        torch.cuda.current_stream().wait_stream(stream)
        self.graph = torch.cuda.CUDAGraph()
        # thread_local: other threads, such as NCCL's, go on using the device
        with torch.cuda.graph(self.graph, capture_error_mode="thread_local"):
            self.outputs = self.function(*self.inputs)

    def __call__(self, *inputs):
        if self.graph is None:
            self.record(inputs)
        torch._foreach_copy_(self.inputs, list(inputs))
        self.graph.replay()
        return self.outputs
