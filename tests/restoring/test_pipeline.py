"""Many pictures at once: what fails fails alone, and the parts overlap."""

import os
import threading
import time

import numpy as np
import pytest
import torch
from torch import nn

from swinir_lite.errors import InputError
from swinir_lite.restoring.pipeline import Threads, restore_pictures, threads_for
from swinir_lite.variants import ResidualCNNConfig

WAIT = 20  # seconds, after which a thread that should have come never will


class Doubled(nn.Module):
    """A network that doubles each pixel, and does `before` first."""

    def __init__(self, before=lambda x: None):
        super().__init__()
        self.nothing, self.before = nn.Parameter(torch.zeros(())), before
        self.config = ResidualCNNConfig()

    def forward(self, x):
        self.before(x)
        return x.repeat_interleave(2, 2).repeat_interleave(2, 3)


class Page:
    def __init__(self, value, size=(6, 8), read=lambda: None):
        self.value, self.before, self.channels = value, read, 3
        self.height, self.width = size

    def read(self, top, left, height, width):
        self.before()
        return np.full((height, width, 3), self.value, np.float32)


class Writer:
    """Keeps results in a dict, once they are whole."""

    def __init__(self, results, job, fails="", dtype=np.float32):
        self.results, self.job, self.fails, self.dtype = results, job, fails, dtype
        self.pages = [[]]

    def takes(self, page):
        return self.dtype

    def fail(self, where):
        if self.fails == where:
            raise OSError(f"disk full at {where}")

    def next_page(self, page):
        self.pages.append([])

    def write(self, rows):
        self.fail("write")
        self.pages[-1].append(rows)

    def __enter__(self):
        self.fail("enter")
        return self

    def __exit__(self, kind, error, traceback):
        if kind is None:
            self.fail("exit")
            self.results[self.job] = [np.concatenate(page) for page in self.pages]


HOW = {"scale": 2, "window": 0, "tile": 4, "overlap": 2}


def restore_all(jobs, network=None, pages=None, writer=None, **how):
    """Results and outcomes by job, of pictures that have the job's value."""
    results = {}
    outcomes = restore_pictures(
        network or Doubled(),
        jobs,
        pages or (lambda job: iter([Page(job)])),
        writer or (lambda job, page: Writer(results, job)),
        **{**HOW, **how},
    )
    return results, {outcome.job: outcome for outcome in outcomes}


def test_every_picture_is_restored_whole():
    jobs = [i / 10 for i in range(8)]
    results, outcomes = restore_all(jobs)
    assert sorted(results) == sorted(outcomes) == jobs
    for job, (page,) in results.items():
        assert page.shape == (12, 16, 3)
        np.testing.assert_allclose(page, job, atol=1e-6)
        assert outcomes[job].error is None
        assert outcomes[job].pixels == 48


def test_no_pictures_are_no_work():
    assert restore_all([]) == ({}, {})


def test_rows_come_in_the_type_that_the_writer_takes():
    results = {}
    restore_all(
        [0.5], writer=lambda job, page: Writer(results, job, dtype=np.uint16)
    )  # fmt: skip
    assert results[0.5][0].dtype == np.uint16
    assert (results[0.5][0] == 32768).all()


def test_all_pages_of_a_picture_go_to_one_writer():
    def pages(job):
        yield Page(0.25)
        yield Page(0.75, (3, 5))

    results, outcomes = restore_all(["pages"], pages=pages)
    first, second = results["pages"]
    assert (first.shape, second.shape) == ((12, 16, 3), (6, 10, 3))
    np.testing.assert_allclose(second, 0.75, atol=1e-6)
    assert outcomes["pages"].pixels == 48 + 15


@pytest.mark.parametrize("where", ["open", "read", "second page", "none"])
def test_a_picture_that_cannot_be_decoded_fails_alone(where):
    def broken():
        raise InputError("it is damaged")

    def pages(job):
        if job == 0.5 and where == "open":
            broken()
        if job == 0.5 and where == "none":
            return
        yield Page(job, read=broken if (job, where) == (0.5, "read") else lambda: None)
        if job == 0.5 and where == "second page":
            broken()

    jobs = [0.1, 0.5, 0.2, 0.3]
    results, outcomes = restore_all(jobs, pages=pages)
    assert sorted(results) == [0.1, 0.2, 0.3]
    assert len(outcomes) == 4
    message = "it holds no picture" if where == "none" else "it is damaged"
    assert str(outcomes[0.5].error) == message


@pytest.mark.parametrize("where", ["enter", "write", "exit"])
def test_a_result_that_cannot_be_written_fails_alone(where):
    results = {}

    def writer(job, page):
        return Writer(results, job, where if job == 0.5 else "")

    tall = (400, 4)  # more strips of rows than may wait
    _, outcomes = restore_all(
        [0.1, 0.5, 0.2], pages=lambda job: iter([Page(job, tall)]), writer=writer
    )
    assert sorted(results) == [0.1, 0.2]
    assert str(outcomes[0.5].error) == f"disk full at {where}"


def test_a_writer_that_cannot_be_made_fails_alone():
    results = {}

    def writer(job, page):
        if job == 0.5:
            raise InputError("JPEG cannot keep transparency")
        return Writer(results, job)

    _, outcomes = restore_all([0.5, 0.1], writer=writer)
    assert sorted(results) == [0.1]
    assert "transparency" in str(outcomes[0.5].error)


@pytest.mark.parametrize("where", ["pages", "network", "writer"])
def test_mistakes_of_the_program_are_not_hidden(where):
    def mistake(*_):
        raise KeyError(where)

    options = {
        "pages": {"pages": lambda job: map(mistake, [job])},
        "network": {"network": Doubled(mistake)},
        "writer": {"writer": mistake},
    }
    with pytest.raises(KeyError, match=where):
        restore_all([0.1, 0.2], **options[where])


def test_the_next_picture_is_decoded_while_one_is_computed():
    decoding = threading.Event()

    def pages(job):
        if job == 0.2:
            decoding.set()
        yield Page(job)

    def wait(x):
        assert decoding.wait(WAIT)

    results, _ = restore_all([0.1, 0.2], Doubled(wait), pages)
    assert len(results) == 2


def test_pictures_are_encoded_while_others_are_computed():
    computing, results = threading.Event(), {}

    class Slow(Writer):
        def __exit__(self, *error):
            assert self.job == 0.2 or computing.wait(WAIT)
            super().__exit__(*error)

    def tell(x):
        if x.mean() > 0.15:
            computing.set()

    restore_all(
        [0.1, 0.2], Doubled(tell), writer=lambda job, page: Slow(results, job)
    )  # fmt: skip
    assert sorted(results) == [0.1, 0.2]


def test_no_more_are_encoded_at_once_than_told():
    lock, encoding, most, results = threading.Lock(), [0], [0], {}

    class Counted(Writer):
        def __enter__(self):
            with lock:
                encoding[0] += 1
                most[0] = max(most[0], encoding[0])
            return self

        def __exit__(self, *error):
            with lock:
                encoding[0] -= 1
            super().__exit__(*error)

    restore_all(
        [i / 20 for i in range(12)],
        writer=lambda job, page: Counted(results, job),
        threads=Threads(readers=2, writers=3, strips=1),
    )
    assert len(results) == 12
    assert most[0] <= 3


def test_ctrl_c_keeps_what_is_finished_and_nothing_half_written():
    results, left = {}, []

    class Watched(Writer):
        def __exit__(self, kind, *error):
            left.append((self.job, kind))
            super().__exit__(kind, *error)

    def interrupt(x):
        if x.mean() > 0.15:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        restore_all(
            [0.1, 0.2, 0.3],
            Doubled(interrupt),
            writer=lambda job, page: Watched(results, job),
        )
    assert list(results) == [0.1]
    assert sorted(left, key=str) == [(0.1, None), (0.2, KeyboardInterrupt)]


def test_a_loop_that_is_left_early_leaves_whole_results():
    results = {}
    outcomes = restore_pictures(
        Doubled(), [0.1, 0.2, 0.3], lambda job: iter([Page(job)]),
        lambda job, page: Writer(results, job), **HOW,
    )  # fmt: skip
    first = next(outcomes)
    outcomes.close()
    assert first.job in results
    assert all(page.shape == (12, 16, 3) for (page,) in results.values())


def test_time_is_counted_by_part():

    _, outcomes = restore_all([0.1])
    seconds = outcomes[0.1].seconds
    assert min(seconds.decoding, seconds.computing, seconds.encoding) > 0


def test_progress_shows_pictures_and_tiles_on_a_terminal_alone(capsys):
    restore_all([0.1, 0.2])
    assert capsys.readouterr().err == ""
    slow = Doubled(lambda x: time.sleep(0.15))  # bars change ten times a second
    restore_all([0.1, 0.2], slow, visible=True)
    shown = capsys.readouterr().err
    assert "picture 2 of 2, tile" in shown
    assert "<00:0" in shown  # the time that is left
    restore_all([0.1], slow, visible=True)
    shown = capsys.readouterr().err
    assert "picture" not in shown
    assert "tile" in shown


def test_notes_of_a_picture_are_with_its_outcome():
    _, outcomes = restore_all([0.1], tile=4, overlap=None)
    assert len(outcomes[0.1].notes) == 1
    assert "overlap by 2" in outcomes[0.1].notes[0]


def test_threads_are_for_the_cores_that_a_process_may_use(monkeypatch):
    """Of a container, a batch system or `taskset`, not of the whole machine."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {3, 5}, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    assert threads_for(torch.device("cuda")).writers == 2
    assert threads_for(torch.device("cuda")).readers == 1


def test_machines_that_know_no_affinity_have_all_their_cores(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    assert threads_for(torch.device("cuda")).writers == 3
