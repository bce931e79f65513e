"""Restore many pictures: decode, compute and encode at the same time.

The network works in the calling thread, one picture after the other, so that Ctrl-C
stops it between two of its operations. Meanwhile threads decode the pictures that come
next and encode those that are restored.
"""

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
import torch
from torch import nn
from tqdm.auto import tqdm

from ..cores import usable_cores
from ..errors import InputError
from .ahead import Ahead
from .tiles import restore_rows

Item = TypeVar("Item")
# What is the matter with one picture, not with this program
FAILURES = (
    InputError,
    OSError,
    MemoryError,
    FloatingPointError,
    torch.OutOfMemoryError,
)


class Threads(NamedTuple):
    """How much goes on beside the network."""

    readers: int  # pictures that are decoded in advance
    writers: int  # pictures that are encoded at once
    strips: int  # of rows, as `restore_rows` yields them, that may wait for an encoder


def threads_for(device: torch.device) -> Threads:
    """On a CPU few, which the network needs itself; beside a GPU all cores."""
    if device.type == "cpu":
        return Threads(readers=1, writers=2, strips=2)
    cores = usable_cores()
    return Threads(readers=max(1, cores // 4), writers=cores, strips=10)


class Page(Protocol):
    """A decoded picture, or one page of it."""

    height: int
    width: int
    channels: int

    def read(self, top: int, left: int, height: int, width: int) -> np.ndarray: ...


class Writer(AbstractContextManager, Protocol):
    """Writes a result, page by page and row by row; complete when it is left.

    `takes` says in which type it wants a page's rows: float32 in [0, 1], or uint8 or
    uint16, which are rounded where they are computed.
    """

    def takes(self, page: Page) -> type: ...

    def next_page(self, page: Page) -> None: ...

    def write(self, rows: np.ndarray) -> None: ...


@dataclass
class Seconds:
    """What time went into; the parts overlap, so their sum is more than passed."""

    decoding: float = 0.0
    computing: float = 0.0
    encoding: float = 0.0


@dataclass
class Outcome:
    """What became of one picture.

    Attributes:
        job: what was asked for.
        error: why there is no result, or None if there is one.
        notes: lines that a user should read.
        pixels: of the input that were restored.
        seconds: that it took, by part.
    """

    job: Any
    error: Exception | None = None
    notes: list[str] = field(default_factory=list)
    pixels: int = 0
    seconds: Seconds = field(default_factory=Seconds)


@contextmanager
def adding_seconds(seconds: Seconds, part: str) -> Iterator[None]:
    """Count the time of a block as that of a part."""
    begin = time.perf_counter()
    try:
        yield
    finally:
        took = time.perf_counter() - begin
        setattr(seconds, part, getattr(seconds, part) + took)


@contextmanager
def timed_network(network: nn.Module, seconds: Seconds) -> Iterator[None]:
    """Count the network's time, on a GPU until its result is there."""
    begun = [0.0]

    def begin(*_):
        begun[0] = time.perf_counter()

    def end(*_):
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        seconds.computing += time.perf_counter() - begun[0]

    before = network.register_forward_pre_hook(begin)
    after = network.register_forward_hook(end)
    try:
        yield
    finally:
        before.remove()
        after.remove()


def decode_pages(pages: Iterable[Page], seconds: Seconds) -> Iterator[Page]:
    """The pages of a picture; the time that each takes is counted."""
    pages = iter(pages)
    while True:
        with adding_seconds(seconds, "decoding"):
            page = next(pages, None)
        if page is None:
            return
        yield page


def prepared(items: Iterator[Item], count: int) -> Iterator[Item]:
    """Take so many items before they are needed."""
    waiting = deque()
    for item in items:
        waiting.append(item)
        if len(waiting) > count:
            yield waiting.popleft()
    yield from waiting


class Encoder:
    """Hands pages and rows to a writer in a thread of its own.

    Args:
        writer: complete when it is left, and gone when it is left by an exception.
        outcome: told the time, and what went wrong.
        strips: how many may wait; then `write` waits too.
        done: called with the outcome when the result is there, or given up.
    """

    def __init__(
        self,
        writer: Writer,
        outcome: Outcome,
        strips: int,
        done: Callable[[Outcome], None],
    ):
        self.outcome, self.done, self.failed = outcome, done, False
        self.orders = queue.Queue(strips)
        self.thread = threading.Thread(target=self.run, args=[writer], daemon=True)
        self.thread.start()

    def run(self, writer: Writer) -> None:
        orders, seconds = iter(self.orders.get, None), self.outcome.seconds
        try:
            with writer:
                for order in orders:
                    with adding_seconds(seconds, "encoding"):
                        order(writer)
                last = time.perf_counter()
            seconds.encoding += time.perf_counter() - last
        except BaseException as error:
            self.outcome.error, self.failed = error, True
            for _ in orders:  # whoever waits for room goes on
                pass
        self.done(self.outcome)

    def next_page(self, page: Page) -> None:
        self.orders.put(lambda writer: writer.next_page(page))

    def write(self, rows: np.ndarray) -> None:
        self.orders.put(lambda writer: writer.write(rows))

    def finish(self) -> None:
        """All rows were handed over; the result is to be completed."""
        self.orders.put(None)

    def give_up(self, error: BaseException) -> None:
        """Nothing is to be left of the result."""

        def fail(writer):
            raise error

        self.orders.put(fail)
        self.orders.put(None)


class Progress:
    """A bar over pictures and tiles, with the time that is left.

    Args:
        pictures: how many there are.
        visible: by default on a terminal.
    """

    def __init__(self, pictures: int, visible: bool | None):
        self.begun = 0
        self.bar = tqdm(
            total=pictures,
            disable=None if visible is None else not visible,
            bar_format="{desc} {percentage:3.0f}%|{bar}| {elapsed}<{remaining}",
            dynamic_ncols=True,
            leave=False,
        )

    def next_picture(self) -> None:
        self.begun += 1

    def show(self, done: int, tiles: int) -> None:
        """So many tiles of the picture at hand are done."""
        if self.bar.disable:
            return
        at = f"tile {done} of {tiles}"
        if self.bar.total > 1:
            at = f"picture {self.begun} of {self.bar.total}, {at}"
        self.bar.set_description_str(at, refresh=False)
        self.bar.update(self.begun - 1 + done / tiles - self.bar.n)


@dataclass
class Restorer:
    """Computes the pictures of `restore_pictures`, one after the other."""

    network: nn.Module
    writer: Callable[[Any, Page], Writer]
    done: Callable[[Outcome], None]
    show: Callable[[int, int], None]
    strips: int
    how: dict[str, Any]
    encoders: list[Encoder] = field(default_factory=list)

    def restore(self, outcome: Outcome, pages: Iterable[Page]) -> None:
        """Compute a picture; an encoder makes a file of it and goes on alone."""
        encoder = None
        try:
            for page in pages:
                if encoder is None:
                    writer = self.writer(outcome.job, page)
                    encoder = Encoder(writer, outcome, self.strips, self.done)
                    busy = [e for e in self.encoders if e.thread.is_alive()]
                    self.encoders = [*busy, encoder]
                else:
                    encoder.next_page(page)
                self.restore_page(outcome, page, encoder, writer.takes(page))
                if encoder.failed:
                    break
            if encoder is None:
                raise InputError("it holds no picture")
            encoder.finish()
        except BaseException as error:
            if encoder is not None:
                encoder.give_up(error)
            else:
                outcome.error = error
                self.done(outcome)
            if not isinstance(error, FAILURES):
                raise

    def restore_page(
        self, outcome: Outcome, page: Page, encoder: Encoder, dtype: type
    ) -> None:
        def read(*area):
            with adding_seconds(outcome.seconds, "decoding"):
                return page.read(*area)

        rows = restore_rows(
            self.network, read, page.height, page.width, channels=page.channels,
            dtype=dtype, note=outcome.notes.append, progress=self.show, **self.how,
        )  # fmt: skip
        with timed_network(self.network, outcome.seconds):
            for strip in rows:
                if encoder.failed:
                    break
                encoder.write(strip)
        outcome.pixels += page.height * page.width


def restore_pictures(
    network: nn.Module,
    jobs: Iterable[Any],
    pages: Callable[[Any], Iterable[Page]],
    writer: Callable[[Any, Page], Writer],
    *,
    threads: Threads | None = None,
    visible: bool | None = None,
    **how: Any,
) -> Iterator[Outcome]:
    """Restore pictures while others are decoded and encoded.

    Args:
        network: what `fastest` returns.
        jobs: of each picture, whatever `pages` and `writer` know it by.
        pages: job -> its pages; each is decoded in a thread when it is asked for.
        writer: job and first page -> what takes the result.
        threads: how many decode and encode; by default as suits the device.
        visible: whether a progress bar is shown; by default on a terminal.
        how: scale, window, tile, overlap and so on, as `restore_rows` takes them.

    Yields:
        What became of each picture, as they finish; one that fails does not stop the
        others. When this is left early, as by Ctrl-C, results that are not whole are
        removed.

    Raises:
        Exception: what is no picture's fault, after the same.
    """
    jobs = list(jobs)
    threads = threads or threads_for(next(network.parameters()).device)
    finished, room = queue.SimpleQueue(), threading.Semaphore(threads.writers)
    progress, count = Progress(len(jobs), visible), 0

    def done(outcome):
        finished.put(outcome)
        room.release()

    def begin(job):
        outcome = Outcome(job)
        return outcome, Ahead(decode_pages(pages(job), outcome.seconds), 1)

    restorer = Restorer(network, writer, done, progress.show, threads.strips, how)
    try:
        for outcome, decoded in prepared(map(begin, jobs), threads.readers):
            room.acquire()
            progress.next_picture()
            restorer.restore(outcome, decoded)
            while not finished.empty():
                yield checked(finished.get())
                count += 1
        for _ in range(len(jobs) - count):
            yield checked(finished.get())
    finally:
        progress.bar.close()
        for encoder in restorer.encoders:
            encoder.thread.join()


def checked(outcome: Outcome) -> Outcome:
    """An outcome, unless its error is no picture's fault."""
    if outcome.error is not None and not isinstance(outcome.error, FAILURES):
        raise outcome.error
    return outcome
