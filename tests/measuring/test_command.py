"""The command evaluate: what it measures, prints and writes."""

import json

import numpy as np
import pytest
from PIL import Image

from swinir_lite import imresize
from swinir_lite.__main__ import main


@pytest.fixture
def folders(tmp_path):
    """Folders of two photographs and of their LR images, those under DIV2K's names."""
    (tmp_path / "HR").mkdir()
    (tmp_path / "LR").mkdir()
    for seed, name in enumerate(("a", "b")):
        pixels = np.random.default_rng(seed).integers(0, 256, (32, 24, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"HR/{name}.png")
        Image.fromarray(imresize(pixels, 1 / 2)).save(tmp_path / f"LR/{name}x2.png")
    return tmp_path / "HR", tmp_path / "LR"


@pytest.mark.parametrize(
    ("scale", "psnr", "ssim"),
    [(2, 33.673, 0.9303), (3, 30.403, 0.8689), (4, 28.429, 0.8111)],
)
def test_bicubic_scores_on_set5_what_is_published(
    shared, tmp_path, capsys, scale, psnr, ssim
):
    set5 = shared / "data/testsets/Set5"
    main(
        [
            "evaluate", "--model", "bicubic", "--hq", str(set5 / "HR"),
            "--lq", str(set5 / f"LR_bicubic/X{scale}"), "--task", "bicubic",
            "--protocol", "official", "--json", str(tmp_path / "scores.json"),
        ]
    )  # fmt: skip
    head, *rows = map(str.split, capsys.readouterr().out.splitlines())
    assert head == ["psnr", "ssim", "psnr_rgb", "ssim_rgb"]
    names = [row[0] for row in rows]
    assert names[:6] == ["baby", "bird", "butterfly", "head", "woman", "mean"]
    assert [float(x) for x in rows[5][1:3]] == pytest.approx([psnr, ssim], abs=1e-9)
    (scores,) = json.loads((tmp_path / "scores.json").read_text())
    assert scores["channel"] == "Y"
    assert scores["border"] == scores["scale"] == scale
    assert round(scores["psnr"], 3) == psnr
    assert round(scores["ssim"], 4) == ssim
    assert scores["psnr_rgb"] < scores["psnr"] - 1
    assert len(scores["images"]) == 5


def measured(folder, capsys, *arguments):
    """The scores that evaluate writes for these arguments."""
    path = folder / "scores.json"
    main(["evaluate", *map(str, arguments), "--json", str(path)])
    capsys.readouterr()
    (scores,) = json.loads(path.read_text())
    return scores


def test_lr_images_that_are_missing_are_made(folders, tmp_path, capsys):
    hq, lq = folders
    given = measured(tmp_path, capsys, "--model", "bicubic", "--hq", hq, "--lq", lq)
    made = measured(tmp_path, capsys, "--model", "bicubic", "--hq", hq)
    assert made["images"] == given["images"]
    both_in_one = measured(tmp_path, capsys, "bicubic", tmp_path, "--scale", "2")
    assert both_in_one["psnr"] == given["psnr"]


def test_the_whole_image_is_measured_where_it_is_asked_for(folders, tmp_path, capsys):
    options = "--model", "bicubic", "--hq", folders[0]
    whole = measured(tmp_path, capsys, *options, "--protocol", "whole")
    assert whole["border"] == 0
    assert whole["psnr"] != measured(tmp_path, capsys, *options)["psnr"]
    options = "bicubic", folders[0], "--protocol", "whole"
    named_first = measured(tmp_path, capsys, *options)
    assert (named_first["border"], named_first["psnr"]) == (0, whole["psnr"])


def test_a_task_is_named_with_its_options(folders, tmp_path, capsys):
    model = "--model", "color_jpeg_10", "--hq", folders[0]
    strong = measured(tmp_path, capsys, *model, "--task", "jpeg", "quality=10")
    assert strong["degradation"] == {"name": "jpeg", "quality": 10}
    assert strong["channel"] == "RGB"
    assert "psnr_y" in strong
    weak = measured(tmp_path, capsys, *model, "--task", "jpeg", "quality=40")
    assert weak["psnr"] > strong["psnr"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "needs a model and folders"),
        (["bicubic"], "needs a model and folders"),
        (["bicubic", "--hq", "HR"], "needs a model and folders"),
        (["--model", "bicubic"], "needs a model and folders"),
        (["--model", "bicubic", "--lq", "LR"], "needs a model and folders"),
        (["--model", "bicubic", "--hq", "gone"], "no such folder of images: gone"),
        (["--model", "bicubic", "--hq", "HR", "--task", "jpeg"], "not fit scale 2"),
        (["--model", "bicubic", "--hq", "HR", "--task", "blur"], "no degradation"),
        (["bicubic", "HR", "--task", "jpeg", "quality"], "such as sigma=25"),
    ],
)  # fmt: skip
def test_what_cannot_be_measured_is_said(
    refused, folders, monkeypatch, arguments, message
):
    monkeypatch.chdir(folders[0].parent)
    assert message in refused("evaluate", *arguments)


def test_images_without_a_partner_are_named(refused, folders):
    hq, lq = folders
    (lq / "bx2.png").rename(lq / "cx2.png")
    said = refused("evaluate", "--model", "bicubic", "--hq", hq, "--lq", lq)
    assert "2 images are in only one of" in said
    assert "\n  b\n  c\n" in said


def test_results_in_the_folder_of_their_originals_are_to_be_moved(refused, folders):
    hq, lq = folders
    lq = lq.rename(hq / "restored")
    asked = "evaluate", "--model", "bicubic", "--hq"
    said = f"{hq} holds folders of images: give one of ['{lq}']"
    assert f"{said}, or move them elsewhere" in refused(*asked, hq)
    assert refused(*asked, hq.parent).strip().endswith(f"give one of ['{hq}', '{lq}']")


def test_images_too_small_for_a_metric_are_said(refused, tmp_path):
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "small.png")
    said = refused("evaluate", "bicubic", tmp_path)
    assert "SSIM needs at least 15x15 pixels with border 2" in said
    assert "small: 8x8" in said


def test_a_set_has_the_name_that_its_folder_was_given_by(
    folders, tmp_path, capsys, monkeypatch
):
    (tmp_path / "Set5").symlink_to(folders[0])
    assert measured(tmp_path, capsys, "bicubic", tmp_path / "Set5")["set"] == "Set5"
    monkeypatch.chdir(folders[0])
    assert measured(tmp_path, capsys, "bicubic", ".")["set"] == "HR"


def test_folders_of_one_name_are_all_written(folders, tmp_path, capsys):
    (tmp_path / "other/HR").mkdir(parents=True)
    Image.fromarray(np.zeros((32, 24, 3), np.uint8)).save(tmp_path / "other/HR/c.png")
    sets, path = [folders[0], tmp_path / "other/HR"], tmp_path / "scores.json"
    main(["evaluate", "bicubic", *map(str, sets), "--json", str(path)])
    scores = json.loads(path.read_text())
    assert [score["set"] for score in scores] == [*map(str, sets)]
    assert [len(score["images"]) for score in scores] == [2, 1]


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (["gaussian_noise", "sigma=2500"], "a.png: expected values in [0, 1], got abs"),
        (["gaussian_noise", "sigma=-1"], "a.png: sigma must be at least 0"),
    ],
)
def test_a_task_that_no_image_bears_names_the_image(refused, folders, task, message):
    model = "--model", "color_denoise_25", "--hq", folders[0]
    assert message in refused("evaluate", *model, "--task", *task)


def test_an_image_smaller_than_the_scale_is_named(refused, tmp_path):
    Image.fromarray(np.zeros((1, 5, 3), np.uint8)).save(tmp_path / "line.png")
    said = refused("evaluate", "bicubic", tmp_path)
    assert "line.png: 5x1 is smaller than 2x2" in said
