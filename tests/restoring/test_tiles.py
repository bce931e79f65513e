"""Pictures restored by tiles: equal to the whole picture, whatever its size."""

import subprocess
import sys
from itertools import pairwise

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from torch import nn

from swinir_lite import SwinIR, SwinIRConfig, fast, imresize
from swinir_lite.errors import InputError
from swinir_lite.measuring.evaluation import restore
from swinir_lite.restoring.ahead import Ahead
from swinir_lite.restoring.seams import Piece, blend, blended_rows, cut
from swinir_lite.restoring.tile_size import OVERLAPS, choose_tile, default_overlap
from swinir_lite.restoring.tiles import read_extended, restore_rows, to_device
from swinir_lite.shipped_weights import known_degradation, shipped_models
from swinir_lite.variants import ResidualCNNConfig, make_network

TINY = {"dim": 8, "depths": (2,), "num_heads": (2,), "window_size": 4}


def tiny(**changes):
    torch.manual_seed(0)
    model = SwinIR(SwinIRConfig(**{**TINY, **changes})).eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, 0, 0.1)
    return fast(model)


def picture(height, width, channels=3):
    rng = np.random.default_rng(height * width)
    return rng.random((height, width, channels), np.float32)


def restored(network, image, **options):
    """The rows of a picture in memory, put together."""
    config = network.config

    def read(top, left, height, width):
        assert min(top, left, height - 1, width - 1) >= 0
        area = image[top : top + height, left : left + width]
        assert area.shape[:2] == (height, width)
        return area

    options = {
        "scale": config.scale,
        "window": config.window_size,
        "channels": image.shape[2],
        "note": lambda line: None,
        **options,
    }
    rows = restore_rows(network, read, *image.shape[:2], **options)
    return np.concatenate(list(rows))


def whole(network, image):
    """As `evaluate` restores it: extended, and at once."""
    x = torch.from_numpy(image).permute(2, 0, 1)[None]
    config = network.config
    result = restore(network, x, config.scale, config.window_size)
    return result[0].permute(1, 2, 0).clamp(0, 1).numpy()


SIZES = [(1, 1), (7, 5), (1, 60), (60, 1), (16, 16), (23, 41), (2, 3)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "changes",
    [{"scale": 2}, {"scale": 1, "upsampler": "none", "window_size": 7, "dim": 6}],
)
def test_one_tile_equals_the_whole_extended_picture(size, changes):
    network, image = tiny(**changes), picture(*size)
    assert np.array_equal(restored(network, image, tile=0), whole(network, image))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("tile", [8, 17, 24])
def test_tiles_cover_pictures_of_any_size(size, tile):
    """A network that looks at single windows is the same in tiles."""
    network = tiny(depths=(1,))  # no shift: windows see themselves, convolutions 5 px
    image = picture(*size)
    expected = whole(network, image)
    result = restored(network, image, tile=tile, overlap=0)
    assert result.shape == expected.shape
    result = restored(network, image, tile=40, overlap=32)
    np.testing.assert_allclose(result, expected, atol=1e-6)


def test_an_overlap_as_wide_as_the_view_makes_tiles_exact():
    network, image = tiny(), picture(61, 150)
    expected = whole(network, image)
    result = restored(network, image, tile=64, overlap=48)
    np.testing.assert_allclose(result, expected, atol=1e-6)
    coarse = restored(network, image, tile=64, overlap=4)
    assert np.abs(coarse - expected).max() > 1e-3  # so that the test can fail


@pytest.mark.parametrize("scale", [1, 2, 3])
@pytest.mark.parametrize("window", [0, 7, 8])
def test_blended_weights_sum_to_one(scale, window):
    """Tiles of ones make a picture of ones, in rows from top to bottom."""
    step = max(window, 1)
    for length in (step, 5 * step, 97 * step):
        for tile, overlap in ((2 * step, step), (33, 16), (64, 0), (64, 50), (900, 9)):
            spans = cut(length, tile, overlap, window)
            assert spans[0][0] == 0
            assert spans[-1][1] == length
            sides = {stop - start for start, stop in spans}
            assert len(sides) == 1
            assert sides.pop() <= max(tile, step)
            assert all(start % step == 0 for start, _ in spans)
            shared = [b - c for (_, b), (c, _) in pairwise(spans)]
            assert min(shared, default=overlap) >= min(overlap, 0)
            kept = length * scale - scale // 2
            pieces = blend(spans, scale, kept)
            tiles = (torch.ones(1, (r.stop - r.start) * scale, scale) for r in pieces)
            column = blend([(0, 1)], scale, scale)
            rows = torch.cat(list(blended_rows(tiles, pieces, column, scale)), 1)
            assert rows.shape == (1, kept, scale)
            torch.testing.assert_close(rows, torch.ones_like(rows))


def test_a_network_without_windows_needs_no_extension():
    torch.manual_seed(0)
    network, image = make_network(ResidualCNNConfig()).eval(), picture(30, 70)
    x = torch.from_numpy(image).permute(2, 0, 1)[None]
    with torch.no_grad():
        expected = network(x)[0].permute(1, 2, 0).clamp(0, 1).numpy()
    result = restored(network, image, tile=48, overlap=40)
    np.testing.assert_allclose(result, expected, atol=1e-5)
    assert np.array_equal(restored(network, image, tile=0), expected)


def test_reading_and_rows_are_bounded_by_tiles():
    network, areas = tiny(), []

    def read(top, left, height, width):
        areas.append(height * width)
        return np.zeros((height, width, 3), np.float32)

    options = {"scale": 2, "channels": 3, "window": 4, "tile": 32, "overlap": 8}
    rows = restore_rows(network, read, 3000, 40, **options)
    first = next(rows)
    assert len(first) <= 2 * 32
    rows.close()
    assert len(areas) < 12  # of more than 200: nothing is read before it is needed
    assert max(areas) <= 36 * 36


def test_bytes_are_read_as_the_numbers_that_they_mean():
    network = tiny()
    image = np.random.default_rng(0).integers(0, 256, (23, 41, 3), np.uint8)
    expected = restored(network, image.astype(np.float32) / np.float32(255), tile=16)
    assert np.array_equal(restored(network, image, tile=16), expected)


def test_integer_rows_are_rounded_as_the_reference_does():
    network, image = tiny(), picture(20, 20)
    exact = restored(network, image, tile=0)
    for dtype in (np.uint8, np.uint16):
        most = np.iinfo(dtype).max
        rows = restored(network, image, tile=0, dtype=dtype)
        assert rows.dtype == dtype
        assert np.array_equal(rows, (exact * np.float32(most)).round().astype(dtype))


def test_the_self_ensemble_is_the_mean_over_flips_and_turns():
    network, image = tiny(), picture(20, 27)
    x = torch.from_numpy(np.pad(image, ((0, 4), (0, 1), (0, 0)), "symmetric"))
    x = x.permute(2, 0, 1)[None]
    results = []
    with torch.no_grad():
        for flip in (False, True):
            for turns in range(4):
                turned = torch.rot90(x.flip(3) if flip else x, turns, (2, 3))
                back = torch.rot90(network(turned), -turns, (2, 3))
                results.append(back.flip(3) if flip else back)
    expected = torch.stack(results).mean(0)[0].permute(1, 2, 0).clamp(0, 1)
    result = restored(network, image, tile=0, self_ensemble=True)
    np.testing.assert_allclose(result, expected[:40, :54], atol=1e-6)
    tiled = restored(network, picture(61, 90), tile=64, overlap=48, self_ensemble=True)
    at_once = restored(network, picture(61, 90), tile=0, self_ensemble=True)
    np.testing.assert_allclose(tiled, at_once, atol=1e-6)


@pytest.mark.parametrize("changes", [{"scale": 3}, {"scale": 1, "upsampler": "none"}])
@pytest.mark.parametrize("tile", [0, 48])
def test_strength_mixes_with_the_plain_enlargement(changes, tile):
    network, image = tiny(**changes), picture(30, 70)
    plain = imresize(image, network.config.scale)
    options = {"tile": tile, "overlap": 36 if tile else None}
    full = restored(network, image, **options)
    none = restored(network, image, strength=0.0, **options)
    np.testing.assert_allclose(none, plain.clip(0, 1), atol=1e-5)
    some = restored(network, image, strength=0.25, **options)
    mixed = (0.25 * full + 0.75 * plain).clip(0, 1)
    np.testing.assert_allclose(some, mixed, atol=1e-5)


class Cramped(nn.Module):
    """A network whose memory holds so many pixels, as PyTorch says it."""

    def __init__(self, network, pixels, error):
        super().__init__()
        self.network, self.pixels, self.error = network, pixels, error
        self.config, self.tried = network.config, []

    def forward(self, x):
        self.tried.append(x.shape[2] * x.shape[3])
        if self.tried[-1] > self.pixels:
            raise self.error
        return self.network(x)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't "
            "allocate memory: you tried to allocate 40 bytes. Error code 12"
        ),
        RuntimeError("could not create a primitive"),  # oneDNN's
    ],
)
def test_memory_that_runs_out_halves_the_tile_and_goes_on(error):
    network, image, notes = tiny(), picture(200, 90), []
    cramped = Cramped(network, 70 * 70, error)
    result = restored(cramped, image, tile=0, overlap=48, note=notes.append)
    np.testing.assert_allclose(result, whole(network, image), atol=1e-4)
    assert len(notes) == len([n for n in cramped.tried if n > 70 * 70]) == 2
    assert notes[0] == "memory ran out with tiles of 204x204; going on with 102x102"
    assert notes[1].endswith("50x50, which overlap by less: seams may differ by more")


LIMITED = """
import resource, sys
import numpy as np, torch
from tests.restoring.test_tiles import restored, tiny

torch.set_num_threads(1)
network, image, notes = tiny(dim=32), np.full((600, 600, 3), 0.5, np.float32), []
restored(network, image[:20, :20])
used = 4096 * int(open("/proc/self/statm").read().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (used + 3 * 2**26, resource.RLIM_INFINITY))
result = restored(network, image, tile=0, overlap=8, note=notes.append)
assert result.shape == (1200, 1200, 3)
assert any("memory ran out with tiles of 604x604" in note for note in notes), notes
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits a process's memory")
def test_a_process_with_little_memory_restores_by_smaller_tiles(root):
    done = subprocess.run(
        [sys.executable, "-c", LIMITED], cwd=root, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_a_lack_of_memory_that_no_tile_helps_is_an_error():
    cramped = Cramped(tiny(), 0, MemoryError())
    with pytest.raises(MemoryError, match="does not suffice for a tile of"):
        restored(cramped, picture(100, 100), tile=0)


def test_other_errors_are_not_taken_for_a_lack_of_memory():
    broken = Cramped(tiny(), 0, RuntimeError("shapes differ"))
    with pytest.raises(RuntimeError, match="shapes differ"):
        restored(broken, picture(10, 10))


class Overflowing(nn.Module):
    """A network whose result is not finite where the picture is white."""

    def __init__(self, network, value):
        super().__init__()
        self.network, self.value, self.config = network, value, network.config

    def forward(self, x):
        y = self.network(x).clone()
        y[x.mean((1, 2, 3)) > 0.9] = self.value
        return y


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_result_that_is_not_finite_names_the_place(value):
    image = picture(40, 40) * 0.5
    image[16:, 20:] = 1.0
    broken = Overflowing(tiny(), value)
    with pytest.raises(FloatingPointError, match="rows 24 to 40, columns 24 to 40"):
        restored(broken, image, tile=16, overlap=4)


def test_overflow_in_half_precision_is_computed_again_in_float32(monkeypatch):
    network, notes = tiny(), []
    half = fast(network.model, dtype=torch.bfloat16)
    broken = torch.full((1, 3, 48, 48), float("nan"))
    monkeypatch.setattr(half, "forward", lambda x: broken)
    result = restored(half, picture(20, 20), note=notes.append)
    np.testing.assert_allclose(result, whole(network, picture(20, 20)), atol=1e-6)
    assert ["not finite" in note for note in notes] == [True]


def test_options_that_cannot_be_are_refused():
    network, image = tiny(), picture(9, 9)
    for options in (
        {"tile": 64, "overlap": 64},
        {"tile": 64, "overlap": -1},
        {"tile": -8},
        {"strength": 1.5},
        {"strength": float("nan")},
    ):
        with pytest.raises(InputError):
            restored(network, image, **options)


def test_a_small_tile_lowers_the_default_overlap_and_says_so():
    notes = []
    restored(tiny(), picture(9, 90), tile=32, note=notes.append)
    assert notes == ["tiles of 32x32 overlap by 16: seams may differ by more"]


def test_the_default_overlap_is_what_the_network_needs():
    lightweight, medium = (
        fast(SwinIR(SwinIRConfig(**{**TINY, "depths": depths, "num_heads": heads})))
        for depths, heads in (((6,) * 4, (2,) * 4), ((6,) * 6, (2,) * 6))
    )
    assert default_overlap(lightweight, "bicubic") < default_overlap(lightweight)
    assert default_overlap(lightweight, "real_world") == default_overlap(lightweight)
    assert default_overlap(medium) == 1.5 * default_overlap(lightweight)
    for name, about in shipped_models().items():
        assert known_degradation(name) == about["degradation"]["name"]
        assert known_degradation(name) in OVERLAPS
    assert known_degradation("some/file.pth") is None


def test_progress_counts_tiles():
    seen = []
    restored(
        tiny(), picture(30, 90), tile=32, overlap=8,
        progress=lambda *count: seen.append(count),
    )  # fmt: skip
    assert [done for done, _ in seen] == list(range(1, seen[0][1] + 1))


def test_a_picture_that_cannot_be_read_raises_what_reading_raised():
    def read(*area):
        raise OSError("truncated")

    rows = restore_rows(tiny(), read, 9, 9, scale=2, channels=3, window=4)
    with pytest.raises(OSError, match="truncated"):
        list(rows)


@pytest.mark.parametrize("size", [(3000, 4000), (20000, 20000), (1, 4000), (300, 200)])
def test_chosen_tiles_fit_memory_and_rows(size):
    network = fast(SwinIR(SwinIRConfig()))
    overlap = default_overlap(network)
    tall, wide = choose_tile(network, size, overlap)
    assert tall * wide <= 2**19
    assert tall <= size[0]
    assert wide <= size[1]
    assert tall > overlap or tall == size[0]
    assert wide > overlap or wide == size[1]
    assert (tall - overlap) * size[1] * 4 * 3 * 4 <= 2**28


def test_items_are_made_ahead_but_no_further_than_the_limit():
    made = []

    def items():
        for i in range(10):
            made.append(i)
            yield i

    ahead = Ahead(items(), 2)
    assert next(ahead) == 0
    assert list(ahead) == list(range(1, 10))
    assert list(ahead) == []


@hypothesis.given(
    st.integers(1, 9), st.integers(1, 9), st.data(), st.sampled_from([1, 3])
)
def test_tiles_are_read_as_if_the_picture_were_extended(height, width, data, channels):
    """By flipped copies, beyond its sides as far as a tile reaches."""
    pixels = np.arange(height * width * channels, dtype=np.uint8)
    pixels = pixels.reshape(height, width, channels)
    whole = np.pad(pixels, ((0, 3 * height), (0, 3 * width), (0, 0)), "symmetric")
    pieces = []
    for length in whole.shape[:2]:
        start = data.draw(st.integers(0, length - 1))
        stop = data.draw(st.integers(start + 1, length))
        pieces.append(Piece(start, stop, 0, 0, torch.empty(0)))
    row, column = pieces

    def read(top, left, tall, wide):
        assert 0 <= top < top + tall <= height
        assert 0 <= left < left + wide <= width
        return pixels[top : top + tall, left : left + wide]

    tile = read_extended(read, (height, width), row, column)
    expected = whole[row.start : row.stop, column.start : column.stop]
    np.testing.assert_array_equal(tile, expected)
    moved = to_device(tile, torch.device("cpu"))
    expected = torch.from_numpy(expected.copy()).permute(2, 0, 1)[None] / 255
    assert torch.equal(moved, expected)


def test_on_a_cpu_no_gpu_is_set_up(monkeypatch):
    """It may be out of memory, or out of reach in a process that was forked."""

    def set_up():
        raise RuntimeError("CUDA error: out of memory")

    network, image = tiny(), picture(9, 12)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "_lazy_init", set_up)
    assert restored(network, image, tile=8).any()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_in_a_stream_of_the_callers_a_picture_is_the_same():
    network = tiny(scale=2, upsampler="pixelshuffledirect").cuda()
    image = picture(300, 500)
    expected = restored(network, image, tile=64)
    for _ in range(5):
        with torch.cuda.stream(torch.cuda.Stream()):
            np.testing.assert_array_equal(restored(network, image, tile=64), expected)
