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

    def each(self, work: Callable[[Piece, int], None], pieces: Sequence[Piece]) -> None:
        """Call `work(piece, i)` for every piece; returns once all are done.

        Calls at the same time differ in i, which is below `count`. They compute
        without gradients, under the caller's autocast. What one raises is raised
        here, after the calls that had begun; no others begin. Pieces that do not
        suffice come one after the other, from this thread.
        """
        if not self.suffice(len(pieces)):
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

        for i in range(self.count):
            self.tasks.put(functools.partial(take, i))
        try:
            errors = [ends.get() for _ in range(self.count)]
        finally:
            waiting.clear()  # Ctrl-C while waiting
        for error in errors:
            if error is not None:
                raise error


def taken(waiting: deque[Piece]) -> Iterator[Piece]:
    """What waits, until others have taken the last."""
    with suppress(IndexError):
        while True:
            yield waiting.popleft()


def run_alone(started: SimpleQueue, tasks: Tasks) -> None:
    """What a thread does: tasks, of which it shares no operation with others."""
    torch.set_num_threads(1)  # of this thread, and of those that first compute later
    torch.get_num_threads()  # settles it: a thread's first look takes what was set last
    started.put(None)
    for task in iter(tasks.get, None):
        task()


@contextmanager
def side_by_side(count: int) -> Iterator[SideBySide]:
    """Start `count` threads for as long as a block lasts, none besides itself for 1.

    A `count` above 1 is to be `torch.get_num_threads()`, which is left as it is.
    """
    started, tasks = SimpleQueue(), SimpleQueue()
    threads = []
    try:
        for _ in range(count if count > 1 else 0):
            thread = threading.Thread(target=run_alone, args=(started, tasks))
            thread.start()
            threads.append(thread)
        for _ in threads:
            started.get()
        if threads:
            torch.set_num_threads(count)  # again, of threads that first compute later
        yield SideBySide(count, tasks)
    finally:
        for _ in threads:
            tasks.put(None)
        for thread in threads:
            thread.join()
