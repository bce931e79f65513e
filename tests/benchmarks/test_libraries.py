"""The benchmark of image libraries: what it looks for is there, and what is lost is."""

import json
import shutil

from PIL import Image

from benchmarks import libraries


def test_a_copy_byte_for_byte_keeps_everything(tmp_path):
    for source, look in libraries.cases(tmp_path).values():
        assert libraries.kept(shutil.copyfile, source, look) == libraries.KEPT


def test_what_a_copy_loses_is_said(tmp_path):
    def copy_pixels(source, target):
        with Image.open(source) as image:
            bare = Image.fromarray(libraries.np.array(image.convert("RGB")))
            bare.save(target)

    found = {
        what: libraries.kept(copy_pixels, source, look)
        for what, (source, look) in libraries.cases(tmp_path).items()
    }
    assert found["AVIF is read"] == libraries.KEPT
    assert found["profile in png"] == found["XMP in tif"] == libraries.LOST
    assert found["16 bits, RGB png"] == "8 bits"
    assert found["all pages of a tif"] == "1 of 3"
    assert found["transparent palette"] == libraries.LOST


def test_a_library_that_fails_reads_nothing(tmp_path):
    def copy(source, target):
        raise ValueError("unknown format")

    source, look = libraries.cases(tmp_path)["AVIF is read"]
    assert libraries.kept(copy, source, look) == libraries.UNREAD


def test_libvips_keeps_what_the_table_says(tmp_path):
    committed = json.loads(libraries.RESULT.read_text())
    for what, (source, look) in libraries.cases(tmp_path).items():
        found = libraries.kept(libraries.copy_with_pyvips, source, look)
        assert found == committed["kept"][what]["libvips"], what


def test_the_table_has_a_column_for_each_library():
    results = {
        "versions": {"A": "1", "B": "2"},
        "kept": {"EXIF": {"A": "kept"}},
        "costs": {"copying": {"A": {"seconds": 1.25, "MiB": 7}, "B": "not read"}},
    }
    assert libraries.table(results).splitlines() == [
        "|  | A 1 | B 2 |",
        "| --- | --- | --- |",
        "| EXIF | kept |  |",
        "| copying | 1.2 s, 7 MiB | not read |",
    ]
