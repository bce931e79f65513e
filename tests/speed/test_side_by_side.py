"""Strips side by side on a CPU: the same result, and no thread count left changed."""

import threading
import time
from contextlib import contextmanager

import pytest
import torch

from swinir_lite import fast
from swinir_lite.speed.cpu import add_deep_features
from swinir_lite.speed.side_by_side import side_by_side

from .test_network import SIZES, VARIANTS, tiny

TALL = [(1, 130, 3), (3, 50, 6)]  # B, H, W: several strips


@contextmanager
def threads(count):
    """Of operations; the count must be the same afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
        assert torch.get_num_threads() == count
    finally:
        torch.set_num_threads(before)


def count_of_a_new_thread():
    found = []
    thread = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    return found[0]


def distance(value, reference):
    return float((value - reference).norm() / reference.norm())


@pytest.mark.parametrize("count", [1, 2, 3, 5])
@pytest.mark.parametrize("changes", VARIANTS)
def test_a_network_by_any_number_of_threads_equals_the_model(changes, count):
    model = tiny(**changes)
    with torch.no_grad(), threads(count):
        for batch, height, width in SIZES + TALL:
            image = torch.rand(batch, model.config.in_channels, height, width)
            assert distance(fast(model)(image), model(image)) < 1e-5


@pytest.mark.parametrize("dtype", [None, torch.bfloat16])
@pytest.mark.parametrize("autocast", [False, True])
def test_threads_compute_in_the_type_of_the_one_that_calls(dtype, autocast):
    model, image = tiny(), torch.rand(1, 3, 40, 12)
    with torch.no_grad():
        expected, restored = model(image), []
        for count in (1, 2, 3):
            with threads(count), torch.autocast("cpu", torch.bfloat16, autocast):
                restored.append(fast(model, dtype=dtype)(image).float())
    rounded = autocast or dtype is not None
    for found in restored:
        assert (distance(found, expected) > 1e-4) == rounded
        assert distance(found, restored[0]) < (1e-2 if rounded else 1e-6)


def test_the_number_of_strips_and_of_threads_changes_little_or_nothing():
    model, shallow = tiny(), torch.randn(2, 20, 12, 12)
    found = []
    for count in (1, 2, 3):
        with threads(count):
            found += [add_deep_features(model, shallow, n) for n in (16, 100, 10_000)]
    assert all(distance(other, found[0]) < 1e-6 for other in found)


def test_the_caller_shares_operations_only_where_it_asks_to():
    """OpenMP's threads would spin on the cores that the next pieces need."""
    counts = []
    with threads(3), side_by_side(3) as several:
        several.each(lambda piece, i: None, range(9))
        counts.append(torch.get_num_threads())
        with several.sharing():
            counts += [torch.get_num_threads(), count_of_a_new_thread()]
        counts += [torch.get_num_threads(), count_of_a_new_thread()]
    assert counts == [1, 3, 3, 1, 3]


def test_each_piece_is_taken_once_by_a_thread_that_computes_alone():
    taken, busy = [], set()

    def work(piece, i):
        assert i not in busy
        busy.add(i)
        torch.ones(200, 200) @ torch.ones(200, 200)
        taken.append(
            (piece, torch.get_num_threads(), torch.is_inference_mode_enabled())
        )
        busy.remove(i)

    with threads(3):
        with side_by_side(3) as several:
            several.each(work, range(50))
            assert count_of_a_new_thread() == 3  # also meanwhile
        assert count_of_a_new_thread() == 3
    assert sorted(taken) == [(piece, 1, True) for piece in range(50)]


@pytest.mark.parametrize(("count", "pieces"), [(1, 5), (4, 2), (8, 3), (3, 0)])
def test_where_pieces_are_few_threads_share_the_operations(count, pieces):
    taken = []

    def work(piece, i):
        taken.append((piece, i, threading.current_thread(), torch.get_num_threads()))

    with threads(count), side_by_side(count) as several:
        several.each(work, range(pieces))
    here = threading.current_thread()
    assert taken == [(piece, 0, here, count) for piece in range(pieces)]


def test_an_error_in_a_thread_reaches_the_caller_and_stops_the_others():
    error, begun = IndexError("a piece of it"), []

    def work(piece, i):
        begun.append(piece)
        if piece == 3:
            raise error
        time.sleep(0.001)

    before = threading.active_count()
    with threads(2):
        with pytest.raises(IndexError) as raised, side_by_side(2) as several:
            several.each(work, range(10_000))
        assert count_of_a_new_thread() == 2
    assert raised.value is error
    assert len(begun) < 1000
    assert threading.active_count() == before
