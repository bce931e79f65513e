"""The command restore: names of results, what it refuses, and its exit statuses."""

import io
import os
import re

import numpy as np
import pytest
import torch
from PIL import Image

from swinir_lite import load_model, restore_image, to_image, to_tensor
from swinir_lite.__main__ import main
from swinir_lite.measuring.evaluation import restore as restore_by_reading_path
from swinir_lite.official_weights import save_official
from swinir_lite.restoring.command import by_precision, duration
from swinir_lite.restoring.planning import Job

from .making import png, ppm


@pytest.fixture
def folder(tmp_path, photo):
    """A folder with pictures, one of them deeper down, and a text."""
    (tmp_path / "in/deep").mkdir(parents=True)
    Image.fromarray(photo(12, 16)).save(tmp_path / "in/a.png")
    Image.fromarray(photo(9, 7)).save(tmp_path / "in/deep/b.jpg")
    (tmp_path / "in/notes.txt").write_text("no picture")
    return tmp_path / "in"


def files_of(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_the_result_is_that_of_the_reading_path(folder, restore, small_models):
    assert restore(folder / "a.png")[0] == 0
    with Image.open(folder / "a.png") as image:
        lq = to_tensor(np.array(image))
    expected = restore_by_reading_path(load_model(small_models[2, 3]), lq, 2, 4)
    with Image.open(folder / "a_small_x2_3.png") as image:
        difference = np.abs(np.array(image).astype(int) - to_image(expected))
    assert difference.max() <= 1


def test_a_folder_keeps_its_tree(folder, restore, tmp_path):
    status, out, _ = restore(folder, "-o", tmp_path / "new/out")
    assert status == 0
    assert files_of(tmp_path / "new/out").keys() == {"a.png", "deep/b.png"}
    assert "2 pictures restored" in out
    assert "1 other files passed over" in out


def test_results_beside_inputs_are_no_inputs_of_the_next_run(folder, restore):
    assert restore(folder)[0] == 0
    names = files_of(folder).keys()
    assert names > {"a_small_x2_3.png", "deep/b_small_x2_3.png"}
    assert restore(folder, "--overwrite")[0] == 0
    assert files_of(folder).keys() == names


def test_results_in_a_folder_below_are_no_inputs(folder, restore):
    for _ in range(2):
        assert restore(folder, "-o", folder / "out", "--overwrite")[0] == 0
    assert files_of(folder / "out").keys() == {"a.png", "deep/b.png"}


def test_a_pattern_that_the_shell_left_alone(folder, restore, tmp_path):
    assert restore(folder / "**/*.jpg", "-o", tmp_path / "out")[0] == 0
    assert files_of(tmp_path / "out").keys() == {"b.png"}
    status, _, err = restore(folder / "*.webp", "-o", tmp_path / "out")
    assert status == 2
    assert "*.webp" in err


def test_a_picture_that_is_named_twice_is_restored_once(folder, restore, tmp_path):
    inputs = folder, folder / "a.png", f"{folder}/./deep/../a.png", folder / "a.png"
    assert restore(*inputs[:2], inputs[3], "-o", tmp_path / "out")[0] == 0
    assert files_of(tmp_path / "out").keys() == {"a.png", "deep/b.png"}
    assert restore(inputs[1], inputs[2], "-o", tmp_path / "again")[0] == 0
    assert files_of(tmp_path / "again").keys() == {"a.png"}


@pytest.mark.parametrize(
    ("ending", "kind"),
    [("jpg", "JPEG"), ("tif", "TIFF"), ("webp", "WEBP"), ("png", "PNG")],
)
def test_the_name_of_the_result_says_its_format(folder, restore, ending, kind):
    assert restore(folder / "a.png", "-o", folder / f"new.{ending}")[0] == 0
    with Image.open(folder / f"new.{ending}") as image:
        assert (image.format, image.size) == (kind, (32, 24))


def test_format_and_quality(folder, restore, tmp_path):
    for quality in (30, 95):
        out = tmp_path / str(quality)
        how = "--format", "jpeg", "--quality", quality
        assert restore(folder, "-o", out, *how)[0] == 0
    small, large = (files_of(tmp_path / q)["deep/b.jpg"] for q in ("30", "95"))
    assert len(small) < len(large)


def test_what_is_there_stays(folder, restore, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.png").write_text("mine")
    (out / "a.partial").write_text("mine too")
    status, _, err = restore(folder, "-o", out)
    assert status == 1
    assert "a.png is there already; --overwrite" in err
    files = files_of(out)
    assert files.keys() == {"a.png", "a.partial", "deep/b.png"}
    assert files["a.png"] == b"mine"
    assert files["a.partial"] == b"mine too"

    status, out_text, err = restore(folder, "-o", out, "--skip-existing")
    assert (status, err) == (0, "")
    assert "2 there already" in out_text
    assert files_of(out) == files

    assert restore(folder, "-o", out, "--overwrite")[0] == 0
    assert files_of(out)["a.png"].startswith(b"\x89PNG")


@pytest.mark.parametrize("link", [os.symlink, os.link])
@pytest.mark.parametrize("how", ["--overwrite", "--skip-existing", "--quiet"])
def test_no_input_is_replaced_through_a_link(folder, restore, link, how):
    link(folder / "a.png", folder / "link.png")
    before = files_of(folder)
    for target in (folder / "a.png", folder / "link.png", folder):
        status, _, err = restore(folder / "a.png", "-o", target, how)
        assert status == 2
        assert "would replace the input" in err
    assert files_of(folder) == before


def test_a_result_that_would_replace_another_input(folder, restore):
    Image.open(folder / "a.png").save(folder / "a_small_x2_3.png")
    inputs = folder / "a.png", folder / "a_small_x2_3.png"
    status, _, err = restore(*inputs, "--overwrite")
    assert status == 2
    assert "would replace the input" in err


def test_results_that_would_meet_are_named_before_work(folder, restore, tmp_path):
    Image.open(folder / "a.png").save(folder / "a.bmp")
    status, _, err = restore(folder, "-o", tmp_path / "out")
    assert status == 2
    assert f"{folder / 'a.bmp'} and {folder / 'a.png'} would both be" in err
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_restored_stops_nothing(folder, restore, tmp_path):
    (folder / "broken.jpg").write_bytes(b"no picture")
    (folder / "empty.png").touch()
    half = (folder / "deep/b.jpg").read_bytes()
    (folder / "half.jpg").write_bytes(half[: len(half) // 2])
    status, out, err = restore(folder, "-o", tmp_path / "out")
    assert status == 1
    errors = err.splitlines()
    assert len(errors) == 3
    for name in ("broken.jpg", "empty.png", "half.jpg"):
        assert sum(str(folder / name) in line for line in errors) == 1
    assert files_of(tmp_path / "out").keys() == {"a.png", "deep/b.png"}
    assert "2 pictures restored" in out
    assert "3 failed" in out


def test_nothing_could_be_done(folder, restore):
    status, _, err = restore(folder / "notes.txt", folder / "not_there.png")
    assert status == 2
    assert len(err.splitlines()) == 2


def test_quiet_prints_errors_alone(folder, restore, tmp_path):
    (folder / "broken.jpg").write_bytes(b"no picture")
    status, out, err = restore(folder, "-o", tmp_path / "out", "--quiet")
    assert (status, out) == (1, "")
    assert len(err.splitlines()) == 1


def test_a_folder_where_a_file_is_expected(folder, restore, tmp_path):
    (tmp_path / "out/a.png").mkdir(parents=True)
    status, _, err = restore(folder / "a.png", "-o", tmp_path / "out", "--overwrite")
    assert status == 2
    assert "a.png is a folder" in err


def test_a_file_where_a_folder_is_expected(folder, restore, tmp_path):
    (tmp_path / "out").write_text("mine")
    status, _, err = restore(folder / "a.png", "-o", tmp_path / "out")
    assert status == 2
    assert "ending says no format" in err
    status, _, err = restore(folder / "a.png", "-o", tmp_path / "out/below")
    assert status == 2
    assert len(err.splitlines()) == 1
    assert (tmp_path / "out").read_text() == "mine"


def test_one_name_for_several_pictures(folder, restore, tmp_path):
    status, _, err = restore(folder, "-o", tmp_path / "one.png")
    assert status == 2
    assert "is one file" in err
    status, _, err = restore(
        folder / "a.png", "-o", tmp_path / "one.png", "--format", "tiff"
    )
    assert status == 2
    assert "says png, --format says tiff" in err


def test_processes_share_the_files(folder, restore, tmp_path, monkeypatch):
    out = tmp_path / "out"
    monkeypatch.setenv("WORLD_SIZE", "2")
    found = []
    for rank in ("0", "1"):
        monkeypatch.setenv("RANK", rank)
        status, said, _ = restore(folder, "-o", out)
        assert status == 0
        assert "1 left to other processes (RANK, WORLD_SIZE)" in said
        found.append(len(files_of(out)))
    assert found == [1, 2]


@pytest.mark.parametrize(
    ("rank", "processes"), [("1", None), ("x", "2"), ("", ""), ("0", "0"), ("2", "2")]
)
def test_variables_of_others_leave_no_picture_out(
    folder, restore, tmp_path, monkeypatch, rank, processes
):
    monkeypatch.setenv("RANK", rank)
    if processes is not None:
        monkeypatch.setenv("WORLD_SIZE", processes)
    monkeypatch.setenv("LOCAL_RANK", "x")
    assert restore(folder, "-o", tmp_path / "out")[0] == 0
    assert len(files_of(tmp_path / "out")) == 2


def test_a_name_that_no_terminal_shows(folder, restore, tmp_path):
    odd = os.fsdecode(b"na\xffme.png")
    os.rename(folder / "a.png", folder / odd)
    assert restore(folder, "-o", tmp_path / "out")[0] == 0
    assert odd in files_of(tmp_path / "out")


def test_pictures_of_16_bits_are_not_computed_in_bfloat16(tmp_path, photo):
    deep = photo(5, 6).astype(np.uint16) * 257
    for name, content in {
        "a.png": png(photo(5, 6)),
        "b.png": png(deep),
        "c.ppm": ppm(deep, 65535),
        "d.png": b"broken",
    }.items():
        (tmp_path / name).write_bytes(content)
    jobs = [Job(tmp_path / f, tmp_path / "x", "png") for f in os.listdir(tmp_path)]
    jobs.sort(key=lambda job: job.source)
    shallow, deep = [jobs[0], jobs[3]], jobs[1:3]
    assert by_precision(jobs, torch.device("cuda"), None) == [
        (None, shallow),
        (torch.float32, deep),
    ]
    assert by_precision(jobs, torch.device("cuda"), "bfloat16") == [
        (torch.bfloat16, jobs)
    ]
    assert by_precision(jobs, torch.device("cpu"), None) == [(None, jobs)]


@pytest.mark.filterwarnings("error")
def test_the_image_range_of_a_foreign_file_can_be_told(
    tmp_path, photo, restore, small_models, capsys
):
    own, foreign = load_model(small_models[1, 3]), tmp_path / "foreign.pth"
    for out, img_range in (("one", 1), ("other", 255)):
        save_official(own, foreign)
        Image.fromarray(photo(12, 16)).save(tmp_path / "a.png")
        main(["restore", str(tmp_path / "a.png"), "-o", str(tmp_path / f"{out}.png"),
              "-m", str(foreign), "--img-range", str(img_range)])  # fmt: skip
    expected = restore_image(photo(12, 16), load_model(foreign, img_range=255))
    with Image.open(tmp_path / "other.png") as image:
        np.testing.assert_array_equal(np.array(image), expected)
    assert (tmp_path / "one.png").read_bytes() != (tmp_path / "other.png").read_bytes()
    status, _, said = restore(tmp_path / "a.png", "--img-range", 255)
    assert status == 2
    assert "says img_range 1, not 255" in said


def test_the_last_line_says_what_was_done_how_quickly_and_where(folder, restore):
    _, out, _ = restore(folder, "-o", folder / "out", "--device", "cpu")
    assert re.fullmatch(
        r"2 pictures restored in \d+\.\d s, [\d.e-]+ megapixels a second, "
        r"1 other files passed over; on cpu in float32, by strips",
        out.splitlines()[-1],
    )


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(3.14, "3.1 s"), (59.9, "59.9 s"), (250, "4 min 10 s"), (7500, "2 h 5 min")],
)
def test_times_are_said_as_people_say_them(seconds, said):
    assert duration(seconds) == said


def test_the_name_of_a_format_may_be_its_ending(folder, restore):
    assert restore(folder / "a.png", "-o", folder, "--format", "JPG")[0] == 0
    assert (folder / "a.jpg").read_bytes().startswith(b"\xff\xd8")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--strength", "2"], "--strength: need a number, 0 to 1, got '2'"),
        (["--strength", "nan"], "--strength: need a number, 0 to 1, got 'nan'"),
        (["--tile", "-5"], "--tile: need a number, 0 or more, got '-5'"),
        (["--tile", "32", "--tile-overlap", "32"], "32x32 cannot overlap by 32"),
        (["--quality", "101"], "--quality: need a number, 1 to 100, got '101'"),
        (["--quality", "50"], "--quality 50 is of JPEG and WebP, results would be PNG"),
        (["--format", "tif", "--quality", "50"], "results would be TIFF; say --format"),
        (["--device", "gpu"], "no device is named 'gpu'; say cpu, cuda, or"),
        (["--device", "meta"], "no device 'meta' here: "),
        (["-o", "a.bmp"], "results are not written as .bmp; give a name"),
    ],
)
def test_options_that_cannot_be_are_refused_once(
    folder, restore, monkeypatch, arguments, message
):
    monkeypatch.chdir(folder)
    before = files_of(folder)
    status, out, err = restore(folder, *arguments)
    assert status == 2
    assert err.count(message) == 1
    assert (out, files_of(folder)) == ("", before)


def test_a_folder_without_pictures_is_named(folder, restore, tmp_path):
    (tmp_path / "none").mkdir()
    (tmp_path / "none/notes.txt").write_text("no picture")
    status, _, err = restore(tmp_path / "none")
    assert status == 2
    assert "none: there is no picture in this folder" in err
    assert restore(tmp_path / "none", folder, "-o", tmp_path / "out")[0] == 1
    assert len(files_of(tmp_path / "out")) == 2


def test_a_pipe_is_refused_and_not_waited_for(folder, restore, tmp_path):
    os.mkfifo(folder / "pipe.png")
    status, _, err = restore(folder, "-o", tmp_path / "out")
    assert status == 1
    assert "pipe.png: no file but a pipe" in err
    assert len(files_of(tmp_path / "out")) == 2


def test_a_model_s_name_that_is_nearly_right_is_suggested(folder, refused):
    said = refused("restore", folder / "a.png", "-m", "lightwight_x2")
    assert "did you mean lightweight_x2?" in said


@pytest.mark.parametrize("overlap", [0, 1, 500])
def test_any_overlap_goes_with_tiles_of_our_choice(folder, restore, overlap):
    how = "-o", folder / "out", "--tile-overlap", overlap
    status, _, err = restore(folder / "a.png", *how)
    assert (status, err) == (0, "")


def test_a_name_that_becomes_too_long_is_one_pictures_fault(folder, restore):
    os.rename(folder / "a.png", folder / f"{'a' * 250}.png")
    status, _, err = restore(folder)
    assert status == 1
    (line,) = err.splitlines()
    assert line.endswith("File name too long; choose another by -o")
    assert "deep/b_small_x2_3.png" in files_of(folder)


def test_an_input_whose_name_is_too_long_is_one_pictures_fault(folder, restore):
    long = folder / f"{'a' * 300}.png"
    status, _, err = restore(long, folder / "a.png")
    assert (status, err) == (1, f"error: {long}: File name too long\n")
    for out in (long, folder / ("a" * 300)):
        status, _, err = restore(folder / "a.png", "-o", out)
        assert status == 2
        assert err.startswith(f"error: {folder / 'a.png'}: its result cannot be {out}")


def test_a_name_with_line_breaks_is_printed_in_one_line(folder, restore, tmp_path):
    os.rename(folder / "a.png", folder / "one\ntwo\x1b[31m.png")
    (folder / "broken\n.png").write_text("no picture")
    (folder / "three\n.jpg").write_bytes(b"\xff\xd8\xff")
    status, out, err = restore(folder, "-o", tmp_path / "out")
    assert status == 1
    assert len(out.splitlines()) == 3
    assert "one\\ntwo\\x1b[31m.png" in out
    assert sorted(line.partition(": no")[0] for line in err.splitlines()) == [
        f"error: {folder}/broken\\n.png",
        f"error: {folder}/three\\n.jpg: cannot be decoded: VipsJpeg: "
        "premature end of JPEG image",
    ]
    assert "one\ntwo\x1b[31m.png" in files_of(tmp_path / "out")


def test_an_empty_name_is_not_this_folder(folder, restore, monkeypatch):
    monkeypatch.chdir(folder)
    before = files_of(folder)
    status, _, err = restore("")
    assert (status, err) == (2, "error: an empty name was given\n")
    assert files_of(folder) == before


def test_an_empty_name_of_the_result_is_not_this_folder(
    folder, restore, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    status, _, err = restore(folder / "a.png", "-o", "")
    assert (status, err) == (2, "error: an empty name was given as -o\n")
    assert not (tmp_path / "a.png").exists()


@pytest.mark.parametrize("how", [(), ("--overwrite",), ("--skip-existing",)])
def test_a_folder_cannot_be_its_own_result(folder, restore, how):
    before = files_of(folder)
    status, _, err = restore(folder, "-o", folder, *how)
    assert status == 2
    assert "results would replace inputs; choose another folder by -o" in err
    assert files_of(folder) == before


def test_results_of_another_format_may_lie_among_their_inputs(folder, restore):
    (folder / "a.png").unlink()
    assert restore(folder, "-o", folder)[0] == 0
    assert {"deep/b.jpg", "deep/b.png"} < files_of(folder).keys()
    status, out, _ = restore(folder, "-o", folder, "--skip-existing")
    assert status == 0
    assert "1 there already" in out


def test_a_neighbour_is_not_replaced_as_an_earlier_result(folder, restore):
    (folder / "deep/b.png").write_bytes((folder / "a.png").read_bytes())
    before = files_of(folder)
    deep = folder / "deep"
    status, _, err = restore(deep, "-o", deep, "--overwrite")
    assert status == 2
    assert f"{deep / 'b.jpg'} and {deep / 'b.png'} would both be" in err
    status, out, _ = restore(deep, "-o", deep, "--skip-existing")
    assert status == 0
    assert "1 there already, 1 passed over as earlier results" in out
    assert files_of(folder) == before


@pytest.mark.parametrize("walked", [True, False])
def test_what_cannot_be_restored_is_not_replaced(folder, restore, walked):
    deep = folder / "deep"
    (deep / "b.png").touch()
    inputs = [deep] if walked else [deep / "b.jpg", deep / "b.png"]
    status, _, err = restore(*inputs, "-o", deep, "--overwrite")
    assert status == 2
    assert f"{deep / 'b.png'} would replace the input {deep / 'b.png'}" in err
    assert (deep / "b.png").read_bytes() == b""


def test_of_a_link_the_link_alone_is_replaced(folder, restore, tmp_path):
    kept, out = tmp_path / "kept.png", tmp_path / "out"
    kept.write_text("mine")
    out.mkdir()
    (out / "a.png").symlink_to(kept)
    assert restore(folder / "a.png", "-o", out, "--overwrite")[0] == 0
    assert kept.read_text() == "mine"
    assert not (out / "a.png").is_symlink()
    assert (out / "a.png").read_bytes().startswith(b"\x89PNG")


def test_links_to_folders_are_counted_and_not_followed(folder, restore, tmp_path):
    os.symlink(folder, folder / "deep/loop.png")
    status, out, err = restore(folder, "-o", tmp_path / "out")
    assert (status, err) == (0, "")
    assert "2 pictures restored" in out
    assert "2 other files passed over" in out


def test_a_folder_that_cannot_be_read_is_said(folder, restore, tmp_path, monkeypatch):
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("deep"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    status, out, err = restore(folder, "-o", tmp_path / "out")
    assert (status, err) == (1, f"error: {folder / 'deep'}: Permission denied\n")
    assert "1 picture restored" in out


def test_nobody_has_to_read_what_is_printed(folder, restore, tmp_path, monkeypatch):
    class Full(io.TextIOWrapper):
        def write(self, text):
            raise OSError(28, "No space left on device")

    with open(tmp_path / "printed", "wb") as file:
        monkeypatch.setattr("sys.stdout", Full(file))
        status, _, err = restore(folder, "-o", tmp_path / "out")
        monkeypatch.undo()
    assert status == 0
    assert "cannot be printed any more: No space left on device" in err
    assert len(files_of(tmp_path / "out")) == 2


def test_output_and_errors_may_be_closed(folder, restore, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.stdout", None)
    monkeypatch.setattr("sys.stderr", None)
    status, _, _ = restore(folder, folder / "not_there", "-o", tmp_path / "out")
    assert status == 1
    assert len(files_of(tmp_path / "out")) == 2


def test_every_note_names_its_picture(tmp_path, photo, restore):
    deep = photo(5, 6).astype(np.uint16) * 257
    for name in ("one.png", "two\n.png"):
        (tmp_path / name).write_bytes(png(deep))
    (tmp_path / "plain.png").write_bytes(png(photo(5, 6)))
    how = "--format", "jpeg", "-o", tmp_path / "out"
    status, _, err = restore(tmp_path, *how)
    assert status == 0
    said = "16 bits were cut to the 8 of JPEG"
    assert sorted(err.splitlines()) == [
        f"note: {tmp_path}/{name}: {said}" for name in ("one.png", "two\\n.png")
    ]


def test_a_quality_that_some_results_have_is_no_mistake(folder, restore, tmp_path):
    Image.open(folder / "a.png").save(folder / "c.webp", lossless=True)
    how = "-o", tmp_path / "out", "--quality", "30"
    assert restore(folder, *how)[::2] == (0, "")
    sizes = {name: len(content) for name, content in files_of(tmp_path / "out").items()}
    assert sizes["c.webp"] < sizes["a.png"]
    (tmp_path / "out/c.webp").touch()
    (tmp_path / "out/a.png").unlink()  # which alone is left to do, and is a PNG
    assert restore(folder, *how, "--skip-existing")[0] == 0
