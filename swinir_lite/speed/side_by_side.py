"""Pieces of work side by side on a CPU, each by one thread (appendix A4).

PyTorch shares every operation among threads, and after each they wait for the last.
Where another process has taken the turn of one, all wait, hundreds of times a second.
Threads that compute whole pieces by themselves wait only after the last piece.

What follows the calling thread alone, as profilers and dispatch modes do, does not see
what others compute; with `torch.set_num_threads(1)` there are no others.
"""

import functools
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from typing import TypeVar

import torch

Piece = TypeVar("Piece")
Tasks = SimpleQueue[Callable[[], None] | None]  # None ends a thread


class SideBySide:
    """Threads that take pieces of work in turn, as `side_by_side` starts them."""

    def __init__(self, count: int, tasks: Tasks):
        self.count = count
        self.tasks = tasks

    def suffice(self, pieces: int) -> bool:
        """Whether that many pieces keep more than half of the threads at work.

        Otherwise all threads share the operations of one piece after the other.
        """
        return 1 < self.count < 2 * pieces

    @contextmanager
    def sharing(self) -> Iterator[None]:
        """Let all threads share each operation of the caller for a while."""
        if self.count > 1:
            torch.set_num_threads(self.count)
        try:
            yield
        finally:
            if self.count > 1:
                compute_alone(self.count)

    def each(self, work: Callable[[Piece, int], None], pieces: Sequence[Piece]) -> None:
        """Call `work(piece, i)` for every piece; returns once all are done.

        Calls at the same time differ in i, which is below `count`. They compute
        without gradients, under the caller's autocast. What one raises is raised
        here, after the calls that had begun; no others begin.
        """
        if not self.suffice(len(pieces)):
            with self.sharing():
                for piece in pieces:
                    work(piece, 0)
            return
        waiting, ends = deque(pieces), SimpleQueue()
        autocast = functools.partial(
            torch.autocast,
            "cpu",
            torch.get_autocast_dtype("cpu"),
            torch.is_autocast_enabled("cpu"),
        )

        def take(i: int) -> None:
            try:
                with torch.inference_mode(), autocast():  # which threads do not share
                    for piece in taken(waiting):
                        work(piece, i)
                ends.put(None)
            except BaseException as error:
                waiting.clear()
                ends.put(error)

        for i in range(1, self.count):
            self.tasks.put(functools.partial(take, i))
        take(0)
        errors = [ends.get() for _ in range(self.count)]
        for error in errors:
            if error is not None:
                raise error


def taken(waiting: deque[Piece]) -> Iterator[Piece]:
    """What waits, until others have taken the last."""
    with suppress(IndexError):
        while True:
            yield waiting.popleft()


def compute_alone(count: int) -> None:
    """Let the calling thread share no operation, and threads to come `count`.

    PyTorch sets the number of the thread that asks, and of those that first compute
    later.
    """
    torch.get_num_threads()  # a thread's first look takes what was set last anywhere
    torch.set_num_threads(1)
    other = threading.Thread(target=torch.set_num_threads, args=(count,))
    other.start()
    other.join()


def run_alone(count: int, tasks: Tasks) -> None:
    """What a thread does: tasks, of which it shares no operation with others."""
    compute_alone(count)
    for task in iter(tasks.get, None):
        task()


@contextmanager
def side_by_side(count: int) -> Iterator[SideBySide]:
    """Let `count` threads, the calling one among them, compute alone inside a block.

    Also between pieces: OpenMP's threads would spin for a while after an operation that
    they share, on the cores that others need. A `count` above 1 is to be
    `torch.get_num_threads()`, which afterwards is as before.
    """
    tasks, threads = SimpleQueue(), []
    if count == 1:
        yield SideBySide(1, tasks)
        return
    try:
        for _ in range(count - 1):
            thread = threading.Thread(target=run_alone, args=(count, tasks))
            thread.start()
            threads.append(thread)
        compute_alone(count)
        yield SideBySide(count, tasks)
    finally:
        for _ in threads:
            tasks.put(None)
        for thread in threads:
            thread.join()
        torch.set_num_threads(count)
