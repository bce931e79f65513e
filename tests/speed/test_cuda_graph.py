from contextlib import contextmanager, nullcontext

import pytest
import torch

from swinir_lite.speed.cuda_graph import Graphed, GraphError, fill


def test_inputs_are_copied_to_where_the_graph_reads_them():
    recorded = [torch.zeros(2, 3), torch.zeros(1)]
    given = [torch.rand(2, 3), torch.rand(1)]
    addresses = [x.data_ptr() for x in recorded]
    fill(recorded, given)
    assert [x.data_ptr() for x in recorded] == addresses
    assert all(map(torch.equal, recorded, given))


@pytest.mark.parametrize(
    "given",
    [
        [torch.ones(1, 3)],  # would be broadcast
        [torch.ones(3)],
        [torch.ones(())],
        [torch.ones(2, 3, dtype=torch.float64)],  # would be rounded
        [torch.ones(2, 3), torch.ones(2, 3)],
        [],
    ],
)
def test_inputs_of_another_shape_type_or_number_are_refused(given):
    recorded = [torch.zeros(2, 3)]
    with pytest.raises(
        ValueError, match=r"recorded for \(2, 3\) in torch.float32, got"
    ):
        fill(recorded, given)
    assert not recorded[0].any()


@contextmanager
def broken_recording(graph, **how):
    """As PyTorch's, which is left by the driver's error in place of the first one."""
    try:
        yield
    finally:
        raise RuntimeError("CUDA error: operation failed due to a previous error")


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ("FIND was unable to find an engine\nat a place in its code", "FIND .* engine"),
        ("", r"RuntimeError\(''\)"),
    ],
)
def test_what_cannot_be_recorded_is_said_by_its_first_reason(monkeypatch, told, said):
    fakes = {
        "Stream": object, "current_stream": lambda: None,
        "stream": lambda stream: nullcontext(), "CUDAGraph": lambda: None,
        "graph": broken_recording,
    }  # fmt: skip
    for name, fake in fakes.items():
        monkeypatch.setattr(torch.cuda, name, fake)

    def convolve(x):
        raise RuntimeError(told)

    with pytest.raises(GraphError, match=rf"not recorded \({said}\)$"):
        Graphed(convolve, warmup=0)(torch.zeros(1))


def test_a_graph_is_never_recorded_on_the_stream_of_its_caller(monkeypatch):
    streams, seen = iter(["a", "a", "b"]), []
    fakes = {
        "Stream": lambda: next(streams), "current_stream": lambda: "a",
        "stream": lambda stream: nullcontext(), "CUDAGraph": lambda: None,
    }  # fmt: skip
    for name, fake in fakes.items():
        monkeypatch.setattr(torch.cuda, name, fake)

    @contextmanager
    def recording(graph, stream, **how):
        seen.append(stream)
        yield

    monkeypatch.setattr(torch.cuda, "graph", recording)
    graphed = Graphed(lambda x: x, warmup=0)
    with pytest.raises(AttributeError, match="replay"):  # of what stands for a graph
        graphed(torch.zeros(1))
    assert seen == ["b"]
