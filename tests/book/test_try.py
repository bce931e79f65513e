"""The page "Try it" in a browser: it computes what the package computes."""

import base64
import gzip
import io
import json
import re
import sys
from contextlib import contextmanager
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image
from skimage import data

from benchmarks.browser import measure
from swinir_lite import imresize, restore_image
from swinir_lite.restoring.seams import blend, cut

from .notebooks import ROOT
from .test_browser import PHONE, accessibility_problems, load
from .test_site import FIRST_CHAPTER, SITE

sys.path.insert(0, str(ROOT / "chapters"))
import demonstration
from browser import MISSING, chromium, launched, new_page, served

ABOUT = SITE / "_static/try/models.json"
# the package's name of a network, which for noise and JPEG is that of one level
TASKS = {"color_denoise": "Remove noise", "color_jpeg": "Repair JPEG"}
LEVELS = {"color_denoise": "color_denoise_25", "color_jpeg": "color_jpeg_10"}
SIZES = re.compile(r"(\d+) × (\d+)")
ISOLATED = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
}

pytestmark = pytest.mark.skipif(not chromium(), reason=f"NOT RUN: {MISSING}")


@pytest.fixture(scope="module")
def browser():
    with launched() as browser:
        yield browser


@pytest.fixture(scope="module")
def site():
    assert ABOUT.is_file(), "the site is not built: run `make book` first"
    with served(SITE) as address:
        yield address


@contextmanager
def opened(browser, site, **settings):
    """The page once it is ready; whatever it complains about is an error."""
    page, complaints = load(browser, f"{site}/try.html", **settings)
    ready(page)
    yield page
    page.context.close()
    assert not complaints, "\n".join(complaints)


@pytest.fixture(scope="module")
def page(browser, site):
    """One page for all tests that leave it as it is for the next: it loads once."""
    with opened(browser, site) as page:
        yield page


def read_about():
    """What the site tells the page of networks and examples."""
    return json.loads(ABOUT.read_text())


def ready(page):
    """Wait until nothing is under way."""
    page.locator("#try[aria-busy=false]").wait_for()


def as_file(image, format="PNG", **options):
    file = io.BytesIO()
    Image.fromarray(image).save(file, format, **options)
    return file.getvalue()


def choose(page, content, name="picture.png", model=None):
    """Choose a picture as a reader does, and the network."""
    page.set_input_files("#try-file", {"name": name, "mimeType": "", "buffer": content})
    ready(page)
    if model:
        choose_model(page, model)


def choose_model(page, model):
    task = TASKS.get(model, "All at once" if "real" in model else "Enlarge")
    page.get_by_label(task, exact=True).check()
    ready(page)
    if model not in TASKS:
        page.locator(f"#try-options input[value={model}]").check()
        ready(page)


def result(page):
    """The PNG that a reader would download."""
    encoded = page.evaluate("""async () => {
        const file = await fetch(document.getElementById("try-download").href);
        const bytes = new Uint8Array(await file.arrayBuffer());
        return btoa(Array.from(bytes, byte => String.fromCharCode(byte)).join(""));
    }""")
    return Image.open(io.BytesIO(base64.b64decode(encoded)))


def restored(page):
    page.click("#try-restore")
    ready(page)
    assert page.inner_text("#try-error") == ""
    return np.asarray(result(page))


def levels_apart(one, other):
    assert one.shape == other.shape
    return np.abs(one.astype(int) - other).max()


def fact(page, name):
    row = page.locator("#try-facts div", has=page.locator(f"dt:text-is('{name}')"))
    return row.locator("dd").inner_text()


def test_a_picture_comes_out_as_from_pytorch(page):
    photo = np.ascontiguousarray(data.chelsea()[100:196, 160:288])
    choose(page, as_file(photo), model="lightweight_x2")
    assert levels_apart(restored(page), restore_image(photo, "lightweight_x2")) <= 1
    assert float(fact(page, "Golden tile").split()[0]) < 1e-5
    assert "1 thread" in fact(page, "Ran on")
    assert page.get_attribute("#try-download", "download") == (
        "picture_lightweight_x2.png"
    )


@pytest.mark.parametrize("model", [*map(demonstration.file_of, demonstration.MODELS)])
def test_every_network_computes_what_pytorch_computes(page, model):
    photo = np.ascontiguousarray(data.coffee()[100:117, 200:223])
    choose(page, as_file(photo), model=model)
    expected = restore_image(photo, LEVELS.get(model, model))
    assert levels_apart(restored(page), expected) <= 1
    assert float(fact(page, "Golden tile").split()[0]) < 1e-5


def test_a_photograph_stands_upright(page):
    photo = np.ascontiguousarray(data.coffee()[100:124, 200:240])
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: turn it clockwise
    content = as_file(photo, "JPEG", quality=95, exif=exif)
    choose(page, content, "portrait.jpg", "lightweight_x2")
    upright = np.asarray(Image.open(io.BytesIO(content)).transpose(Image.ROTATE_270))
    assert levels_apart(restored(page), restore_image(upright, "lightweight_x2")) <= 4


def test_transparency_is_kept(page):
    photo = np.ascontiguousarray(data.coffee()[100:124, 200:240])
    alpha = np.linspace(0, 255, photo.size // 3).astype(np.uint8)
    alpha = alpha.reshape(*photo.shape[:2], 1)
    picture = np.concatenate([photo, alpha], 2)
    choose(page, as_file(picture), model="lightweight_x2")
    found, expected = restored(page), restore_image(picture, "lightweight_x2")
    assert levels_apart(found[..., 3], expected[..., 3]) <= 1
    visible = expected[..., 3] > 0
    assert levels_apart(found[visible][:, :3], expected[visible][:, :3]) <= 1


@pytest.mark.parametrize("bands", [1, 3])
def test_gray_is_gray_again(page, bands):
    gray = np.ascontiguousarray(data.coffee()[100:124, 200:240, 1])
    picture = np.stack([gray] * 3, 2) if bands == 3 else gray
    choose(page, as_file(picture), model="lightweight_x2")
    expected = restore_image(picture, "lightweight_x2")
    found = restored(page)
    assert all(levels_apart(found[..., c], found[..., 0]) == 0 for c in (1, 2))
    assert levels_apart(found[..., 0], expected.reshape(48, 80, -1)[..., 0]) <= 1


def test_one_pixel_is_a_picture(page):
    pixel = np.uint8([[[200, 100, 50]]])
    choose(page, as_file(pixel), model="lightweight_x2")
    assert levels_apart(restored(page), restore_image(pixel, "lightweight_x2")) <= 1


def test_a_file_that_is_no_picture_is_named_and_nothing_is_lost(page):
    photo = np.ascontiguousarray(data.coffee()[100:108, 200:208])
    choose(page, as_file(photo), model="lightweight_x2")
    before = restored(page)
    choose(page, b"Dear diary", "diary.png")
    assert page.inner_text("#try-error") == (
        "diary.png is no picture that this browser can read."
    )
    assert page.locator("#try-download").is_visible()
    np.testing.assert_array_equal(np.asarray(result(page)), before)
    choose(page, as_file(photo))
    assert restored(page).shape == (16, 16, 3)


@pytest.mark.parametrize(
    ("name", "download"),
    [
        ("summer-2026.b.jpg", "summer-2026_b"),
        ("Zürich 写真.png", "Zürich_写真"),
        ("हिंदी.png", "हिंदी"),
    ],
)
def test_a_download_is_named_after_the_picture(page, name, download):
    choose(page, as_file(np.zeros((5, 7, 3), np.uint8)), name, "lightweight_x2")
    restored(page)
    assert page.get_attribute("#try-download", "download") == (
        f"{download}_lightweight_x2.png"
    )


def test_what_is_too_small_to_be_made_smaller_says_so(page):
    choose(page, as_file(np.zeros((3, 7, 3), np.uint8)), "dot.png", "lightweight_x4")
    page.get_by_label("make it small first").check()
    ready(page)
    assert page.inner_text("#try-error") == (
        "dot.png is too small for it: 4 pixels a side are the least."
    )
    page.get_by_label("as it is").check()
    ready(page)


def test_damage_is_undone_and_counted(page):
    photo = np.ascontiguousarray(data.coffee()[100:132, 200:240])
    choose(page, as_file(photo), model="color_denoise")
    page.get_by_label("noise 50").check()
    ready(page)
    restored(page)
    before, after = fact(page, "PSNR").split(" before, ")
    before, after = float(before.split()[0]), float(after.split()[0])
    assert 13 < before < 17  # 255 / 50 are 14.2 dB; clipping takes some noise away
    assert after > before + 5


def test_an_example_comes_out_as_the_site_says(page):
    (example,) = [e for e in read_about()["examples"] if e["model"] == "lightweight_x4"]
    page.get_by_role("button", name=example["title"]).click()
    ready(page)
    said = [example[f"psnr_{when}"] for when in ("before", "after")]
    for number in said:
        assert f"{number:.1f} dB" in page.inner_text("#try-caption")
    restored(page)
    before, after = re.findall(r"([\d.]+) dB", fact(page, "PSNR"))
    assert [float(before), float(after)] == pytest.approx(said, abs=0.1)


def test_an_example_has_a_clean_copy_for_other_tasks(page):
    page.get_by_role("button", name="A cat, four times larger").click()
    ready(page)
    page.get_by_label("2 times").check()
    ready(page)
    assert "448 × 296 pixels" in page.inner_text("#try-caption")
    page.get_by_label("4 times").check()
    ready(page)
    assert "112 × 74 pixels" in page.inner_text("#try-caption")


def test_a_large_picture_is_offered_in_part(page):
    rows, columns = np.mgrid[:2000, :3000]
    large = np.stack([rows // 8, columns // 12, (rows + columns) // 20], 2)
    choose(page, as_file(large.astype(np.uint8), compress_level=1), "large.png")
    choose_model(page, "lightweight_x2")
    page.click("#try-restore")
    ways = page.locator("#try-offer button")
    ways.first.wait_for()
    assert "3000 × 2000" in page.inner_text("#try-offer p")
    assert all("about" in ways.nth(i).inner_text() for i in range(ways.count()))
    assert not list(accessibility_problems(page))
    # a click moves the frame; so do keys
    canvas = page.locator("#try-canvas")
    canvas.click(position={"x": 5, "y": 5})
    assert "0.0% from the left" in canvas.get_attribute("aria-label")
    canvas.press("ArrowRight")
    assert "2.0% from the left" in canvas.get_attribute("aria-label")
    width, height = map(int, SIZES.search(ways.first.inner_text()).groups())
    ways.first.click()
    expected = f"{width} × {height} to {2 * width} × {2 * height} pixels"
    page.locator("#try-caption", has_text=expected).wait_for()
    page.click("#try-stop")


@pytest.fixture
def impatient(browser, site):
    """The page on a machine so slow that every picture is too much for it."""
    page = new_page(browser)
    script = (SITE / "_static/try/page.js").read_text()
    assert script.count("PATIENCE = 30;") == 1
    page.route(
        "**/try/page.js",
        lambda route: route.fulfill(
            body=script.replace("PATIENCE = 30;", "PATIENCE = 0;"),
            content_type="text/javascript",
        ),
    )
    page.goto(f"{site}/try.html")
    ready(page)
    yield page
    page.context.close()


def offered(page):
    """What the page offers instead of all of a picture: the buttons' words."""
    page.click("#try-restore")
    ways = page.locator("#try-offer button")
    ways.first.wait_for()
    return ways.all_inner_texts()


def test_a_picture_made_small_first_costs_what_the_small_one_does(impatient):
    large = np.zeros((1200, 1600, 3), np.uint8)
    choose(impatient, as_file(large), model="lightweight_x4")
    assert len(offered(impatient)) == 2  # 6400 x 4800 pixels are none that is shown
    impatient.get_by_label("make it small first").check()
    ready(impatient)
    assert offered(impatient)[-1].startswith("All of it: about")


def test_a_part_of_a_damaged_example_is_compared_with_that_part(impatient):
    part, smaller, _ = offered(impatient)
    assert "112 × 74 pixels are much" in impatient.inner_text("#try-offer p")
    assert "64 × 42" in part
    assert "64 × 42" in smaller
    impatient.locator("#try-offer button").first.click()
    ready(impatient)
    assert result(impatient).size == (256, 168)
    before, after = re.findall(r"([\d.]+) dB", fact(impatient, "PSNR"))
    assert 25 < float(before) < float(after)


def test_stopped_and_started_again(page):
    photo = np.ascontiguousarray(data.coffee()[:96, :120])
    choose(page, as_file(photo), model="lightweight_x2")
    page.click("#try-restore")
    page.locator("#try-note", has_text="left").wait_for()
    page.click("#try-stop")
    assert page.inner_text("#try-status").startswith("Stopped.")
    assert page.locator("#try-download").is_hidden()
    small = photo[:24, :32]
    choose(page, as_file(small))
    assert levels_apart(restored(page), restore_image(small, "lightweight_x2")) <= 1


def test_stopped_before_anything_was_restored(page):
    choose(page, as_file(np.zeros((5, 7, 3), np.uint8)), model="lightweight_x2")
    page.evaluate("""() => {
        for (const name of ["restore", "stop"])
            document.getElementById(`try-${name}`).click();
    }""")
    assert page.inner_text("#try-status") == "Stopped."


def test_without_a_connection_what_is_loaded_goes_on(page):
    photo = np.ascontiguousarray(data.coffee()[100:108, 200:208])
    choose(page, as_file(photo), model="lightweight_x2")
    restored(page)
    page.context.set_offline(True)
    try:
        choose(page, as_file(photo[::-1]))
        assert restored(page).shape == (16, 16, 3)
    finally:
        page.context.set_offline(False)


def test_without_a_connection_what_is_missing_is_named(browser, site):
    page, _ = load(browser, f"{site}/try.html")
    ready(page)
    page.context.set_offline(True)
    page.click("#try-restore")
    ready(page)
    lost = "could not be loaded: the connection seems to be lost."
    assert page.inner_text("#try-error") == f"the worker {lost}"
    page.get_by_role("button", name="A portrait, JPEG 10").click()
    ready(page)
    assert lost in page.inner_text("#try-error")
    page.context.set_offline(False)
    page.click("#try-restore")
    ready(page)
    assert page.inner_text("#try-status").startswith("Restored in")
    page.context.set_offline(True)
    choose_model(page, "lightweight_x3")
    page.click("#try-restore")
    ready(page)
    assert page.inner_text("#try-error") == f"the network {lost}"
    page.context.close()


def test_a_picture_chosen_meanwhile_gets_no_result_of_the_one_before(browser, site):
    with opened(browser, site) as page:
        choose(page, as_file(np.zeros((5, 7, 3), np.uint8)), model="lightweight_x2")
        page.evaluate("""() => {
            const native = CompressionStream;
            window.CompressionStream = function (kind) {
                document.querySelector("#try-pictures button").click();
                return new native(kind);
            };
        }""")
        page.click("#try-restore")
        page.locator("#try-caption", has_text="A cat, four times larger").wait_for()
        ready(page)
        assert page.locator("#try-download").is_hidden()
        assert page.locator("#try-facts").is_hidden()


def test_a_result_is_accessible(page):
    choose(page, as_file(np.zeros((5, 7, 3), np.uint8)), model="lightweight_x2")
    restored(page)
    assert page.locator("#try-facts").is_visible()
    assert not list(accessibility_problems(page))


@pytest.mark.parametrize("shape", [(200, 40, 3), (40, 200, 3)])
def test_a_picture_keeps_its_shape_and_fits_the_window(page, shape):
    choose(page, as_file(np.zeros(shape, np.uint8)), model="lightweight_x2")
    box = page.locator("#try-canvas").bounding_box()
    assert box["width"] / box["height"] == pytest.approx(shape[1] / shape[0], rel=0.02)
    assert box["height"] <= page.viewport_size["height"]


def test_keys_move_the_line_and_zoom(page):
    choose(page, as_file(data.coffee()), model="lightweight_x2")
    canvas, slider = page.locator("#try-canvas"), page.locator("#try-slider")
    canvas.press("ArrowRight")
    at = float(slider.input_value())
    slider.press("ArrowLeft")
    assert float(slider.input_value()) == at - 0.5
    zoomed = "canvas => canvas.classList.contains('zoomed')"
    canvas.press("+")
    assert canvas.evaluate(zoomed)
    canvas.press("0")
    assert not canvas.evaluate(zoomed)


def test_the_keyboard_stays_at_what_can_be_pressed(page):
    choose(page, as_file(data.coffee()[:96, :120]), model="lightweight_x2")
    page.locator("#try-restore").press("Enter")
    page.locator("#try-note", has_text="left").wait_for()
    focused = "document.activeElement.id"
    assert page.evaluate(focused) == "try-stop"
    page.keyboard.press("Enter")
    assert page.evaluate(focused) == "try-restore"


def test_an_offer_leads_the_keyboard_on(impatient):
    offered(impatient)
    impatient.keyboard.press("Enter")
    ready(impatient)
    assert impatient.evaluate("document.activeElement.id") == "try-restore"


def test_dropped_and_pasted(page):
    content = base64.b64encode(as_file(np.zeros((5, 7, 3), np.uint8))).decode()
    for kind, name in (("drop", "dropped.png"), ("paste", "pasted.png")):
        page.evaluate(
            """([kind, name, content]) => {
            const bytes = Uint8Array.from(atob(content), c => c.charCodeAt(0));
            const carried = new DataTransfer();
            carried.items.add(new File([bytes], name, {type: "image/png"}));
            window.dispatchEvent(kind === "drop"
                ? new DragEvent(kind, {dataTransfer: carried, cancelable: true})
                : new ClipboardEvent(kind, {clipboardData: carried}));
        }""",
            [kind, name, content],
        )
        page.locator("#try-caption", has_text=f"{name}, 7 × 5 pixels").wait_for()


def test_opened_as_a_file_the_page_says_what_it_needs(browser):
    page = new_page(browser)
    page.goto((SITE / "try.html").as_uri())
    assert "http.server" in page.inner_text("#try-unserved")
    page.context.close()


def test_a_site_without_its_networks_says_so(browser, site):
    page = new_page(browser)
    page.route("**/models.json", lambda route: route.fulfill(status=404))
    page.goto(f"{site}/try.html")
    page.locator("#try-error", has_text="models.json could not be loaded").wait_for()
    assert page.locator("#try-restore").is_disabled()
    page.context.close()


def test_a_finger_moves_the_line(browser, site):
    with opened(browser, site, viewport=PHONE, has_touch=True) as page:
        box = page.locator("#try-canvas").bounding_box()
        page.touchscreen.tap(box["x"] + box["width"] / 4, box["y"] + box["height"] / 2)
        slider = page.locator("#try-slider")
        assert float(slider.input_value()) == pytest.approx(25, abs=1)


def loaded_by(browser, site, name, settled=lambda page: None):
    """The files of the site that a page loads by itself, until it has settled."""
    found = []
    page = new_page(browser)
    page.on("response", lambda answer: found.append(answer.url))
    page.goto(f"{site}/{name}.html", wait_until="networkidle")
    settled(page)
    page.context.close()
    return [SITE / url.removeprefix(f"{site}/").partition("?")[0] for url in found]


def weight(paths):
    """Bytes as servers send them, text compressed; figures do not count."""
    pictures = {".png", ".jpg", ".svg"}
    return sum(
        len(gzip.compress(path.read_bytes(), 6))
        for path in paths
        if path.suffix not in pictures
    )


def test_the_page_loads_no_network_until_it_is_asked(browser, site):
    # on a busy machine the network may rest before the page has begun to ask
    loaded = loaded_by(browser, site, "try", settled=ready)
    assert any(path.suffix == ".png" for path in loaded)
    assert not {path.suffix for path in loaded} & {".wasm", ".onnx", ".golden", ".mjs"}
    assert weight(loaded) < 1_000_000


@pytest.mark.parametrize("name", ["intro", FIRST_CHAPTER])
def test_other_pages_load_nothing_of_it(browser, site, name):
    loaded = loaded_by(browser, site, name)
    assert len(loaded) > 5
    assert not [path for path in loaded if "try" in path.parts]
    assert weight(loaded) < 1_500_000


def test_threads_where_the_page_is_isolated(browser):
    photo = np.ascontiguousarray(data.coffee()[100:124, 200:240])
    with (
        served(SITE, ISOLATED) as address,
        opened(browser, address) as page,
    ):
        choose(page, as_file(photo), model="lightweight_x2")
        expected = restore_image(photo, "lightweight_x2")
        assert levels_apart(restored(page), expected) <= 1
        assert "threads" in fact(page, "Ran on")


def test_the_benchmark_measures_what_the_page_runs(browser, site):
    found = measure(browser, site, "color_jpeg", windows=(1, 2), rounds=2)
    assert found["backend"] == "wasm"
    assert found["difference"] < 1e-5
    assert found["bytes"] > 15e6
    assert [len(times) for times in found["seconds a tile"].values()] == [2, 2]
    assert list(found["seconds a tile"]) == ["7x7", "14x14"]


def test_a_reader_turns_threads_on(browser, site):
    pixel = as_file(np.zeros((1, 1, 3), np.uint8))
    with opened(browser, site) as page:
        choose(page, pixel, model="color_denoise")
        restored(page)
        assert "1 thread" in fact(page, "Ran on")
        with page.expect_navigation():
            page.click("#try-threads")
        ready(page)
        assert page.evaluate("crossOriginIsolated")
        choose(page, pixel, model="color_denoise")
        restored(page)
        assert "threads" in fact(page, "Ran on")
        assert page.locator("#try-threads").is_hidden()


def test_a_network_that_computes_otherwise_is_refused(browser, site):
    golden = (SITE / "_static/try/lightweight_x4.golden").read_bytes()
    wrong = np.frombuffer(golden, "<f4").copy()
    wrong[-1] += 0.01
    with opened(browser, site) as page:
        page.route("**/*.golden", lambda route: route.fulfill(body=wrong.tobytes()))
        page.click("#try-restore")
        page.locator("#try-error:not(:empty)").wait_for()
        assert "golden tile" in page.inner_text("#try-error")
        assert page.locator("#try-download").is_hidden()


@pytest.mark.parametrize("window", [7, 8])
@pytest.mark.parametrize("scale", [1, 3])
def test_tiles_lie_and_fade_as_in_the_package(page, window, scale):
    sides = [(length, longest) for length in (8, 21, 64, 200) for longest in (16, 70)]
    ours = page.evaluate(
        """async ([sides, window, scale]) => {
        const {blend, cut} = await import("./_static/try/tiles.js");
        return sides.map(([length, longest]) => {
            const spans = cut(length * window, longest, 24, window);
            const pieces = blend(spans, scale, length * window * scale - 5);
            return pieces.map(({start, stop, low, high, weights}) =>
                [start, stop, low, high, [...weights]]);
        });
    }""",
        [sides, window, scale],
    )
    for (length, longest), found in zip(sides, ours):
        length *= window
        pieces = blend(cut(length, longest, 24, window), scale, length * scale - 5)
        assert [piece[:4] for piece in found] == [list(p[:4]) for p in pieces]
        for piece, expected in zip(found, pieces):
            np.testing.assert_allclose(piece[4], expected.weights, atol=1e-6)


@pytest.mark.parametrize(("window", "overlap"), [(8, 64), (7, 96), (8, 128)])
def test_tiles_fit_into_memory_and_overlap_enough(page, window, overlap):
    largest = 2**16
    for height, width in ((1, 1), (180, 240), (2, 5000), (700, 300), (2000, 3000)):
        tiles = page.evaluate(
            """async ([height, width, window, overlap, largest]) => {
            const {plan} = await import("./_static/try/tiles.js");
            const found = plan({height, width}, {scale: 1, window, overlap}, largest);
            const ends = ({start, stop}) => [start, stop];
            return found.map(({row, column}) => [ends(row), ends(column)]);
        }""",
            [height, width, window, overlap, largest],
        )
        rows, columns = (sorted(set(map(tuple, side))) for side in zip(*tiles))
        assert len(tiles) == len(rows) * len(columns)
        for spans, length in ((rows, height), (columns, width)):
            assert spans[0][0] == 0
            assert spans[-1][1] >= length
            assert all(start % window == 0 for start, _ in spans)
            for (_, stop), (start, _) in pairwise(spans):
                assert stop - start >= overlap
        tall, wide = (spans[0][1] for spans in (rows, columns))
        # sides are rounded up to windows
        assert tall * wide <= largest + window * (tall + wide)


def test_a_picture_in_tiles_equals_the_whole(page):
    """By tiles far smaller than the page takes, and a sum in place of a network."""
    largest = page.evaluate("""async () => {
        const {addTile, plan, readTile} = await import("./_static/try/tiles.js");
        const [height, width] = [61, 45];
        const colours = Float32Array.from({length: height * width * 3}, Math.random);
        const tiles = plan({height, width}, {scale: 1, window: 8, overlap: 16}, 800);
        const sums = new Float32Array(colours.length);
        const shares = new Float32Array(height * width);
        for (const tile of tiles) {
            const restored = readTile({height, width, colours}, tile);
            addTile({sums, shares, width}, restored, tile, 1);
        }
        const apart = colours.map((value, i) => Math.abs(value - sums[i]));
        const missing = shares.map(share => Math.abs(share - 1));
        return [tiles.length, Math.max(...apart), Math.max(...missing)];
    }""")
    assert largest[0] > 4
    assert max(largest[1:]) < 1e-6


@pytest.mark.parametrize("scale", [3, 0.25])
def test_pictures_are_resized_as_in_chapter_1(page, scale):
    image = np.random.default_rng(0).random((9, 14, 3))
    found = page.evaluate(
        """async ([values, height, width, scale]) => {
        const {resize} = await import("./_static/try/resize.js");
        return [...resize(Float32Array.from(values), height, width, 3, scale)];
    }""",
        [image.ravel().tolist(), *image.shape[:2], scale],
    )
    expected = imresize(image, scale)
    np.testing.assert_allclose(found, expected.ravel(), atol=1e-5)
