"""Which path computes on which GPU, as routes choose it: python -m benchmarks.paths"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from unittest import mock

import torch

from swinir_lite.speed import first_use, routes
from swinir_lite.speed.network import quickest_type
from swinir_lite.variants import VARIANTS

from .tables import row

GPUS = {  # compute capability: those that most readers meet
    75: "T4, RTX 20", 80: "A100", 86: "RTX 30, A10", 89: "L4, RTX 40", 90: "H100, H200",
    100: "B200",
}  # fmt: skip
SHARED_KIB = {75: 64, 80: 163, 86: 99, 89: 99, 90: 227, 100: 227}  # of one program
WIDTHS = {"60": "lightweight_x2", "180": "classical_x4", "240": "real_world_large_x4"}
HEADER = (
    "GPU", "capability", "KiB a program", "type", "restoring 60, 180, 240 channels",
    "restoring in float32", "training 60, 180, 240 channels",
)  # fmt: skip


@contextmanager
def pretended(capability: int) -> Iterator[None]:
    """A GPU of a compute capability, as far as routes ask for one."""
    major, minor = divmod(capability, 10)
    properties = SimpleNamespace(major=major, minor=minor)
    answers = {
        "get_device_properties": properties, "get_device_capability": (major, minor),
        "current_device": 0,
    }  # fmt: skip
    with ExitStack() as stack:
        for question, answer in answers.items():
            patch = mock.patch.object(torch.cuda, question, return_value=answer)
            stack.enter_context(patch)
        stack.enter_context(mock.patch.object(routes, "TRITON_INSTALLED", True))
        stack.enter_context(mock.patch.dict(first_use.FINDINGS, clear=True))
        yield


def paths(dtype: torch.dtype, followed: bool = False) -> str:
    """Of networks of each width; one name if they share it."""
    found = [
        routes.choose_route(VARIANTS[variant], "cuda", dtype, followed).path
        for variant in WIDTHS.values()
    ]
    names = [path.replace("_", " ") for path in found]
    return names[0] if len(set(names)) == 1 else ", ".join(names)


def rows() -> Iterator[tuple]:
    for capability, name in GPUS.items():
        with pretended(capability):
            dtype = quickest_type(torch.device("cuda"))
            kind = str(dtype).removeprefix("torch.")
            yield (
                name, f"{capability / 10:.1f}", SHARED_KIB[capability], kind,
                paths(dtype), paths(torch.float32), paths(dtype, followed=True),
            )  # fmt: skip


def main() -> None:
    for cells in (HEADER, ("---",) * len(HEADER), *rows()):
        print(row(*cells))


if __name__ == "__main__":
    main()
