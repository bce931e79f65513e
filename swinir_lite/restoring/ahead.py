"""Do work in a thread of its own, a little ahead of whoever wants the results."""

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")
END = object()


def fill(
    items: Iterable[Item],
    made: queue.Queue,
    room: threading.Semaphore,
    closed: threading.Event,
) -> None:
    """Put items, and at last `END` or the exception that ended them, into a queue."""
    try:
        for item in items:
            made.put((item, None))
            room.acquire()
            if closed.is_set():
                return
        made.put((END, None))
    except BaseException as error:
        made.put((END, error))


class Ahead(Generic[Item]):
    """Iterate over items that a thread makes, at most `limit` of them in advance.

    The thread starts at once and ends with the items, by `close`, or when nobody
    holds this object any more. What it raises is raised here, in its turn.
    """

    def __init__(self, items: Iterable[Item], limit: int):
        self.made = queue.Queue()
        self.room = threading.Semaphore(limit - 1)
        self.closed = threading.Event()
        what = items, self.made, self.room, self.closed
        threading.Thread(target=fill, args=what, daemon=True).start()

    def __iter__(self) -> Iterator[Item]:
        return self

    def __next__(self) -> Item:
        if self.closed.is_set():
            raise StopIteration
        item, error = self.made.get()
        if item is END:
            self.close()
            if error is not None:
                raise error
            raise StopIteration
        self.room.release()
        return item

    def close(self) -> None:
        """Let the thread end after the item that it is making."""
        self.closed.set()
        self.room.release()

    __del__ = close
