"""Figures that move: by mouse, keyboard and touch, with the numbers of Python."""

import gzip
import json
import re
import sys

import numpy as np
import pytest

from swinir_lite import load_model

from .notebooks import ROOT
from .test_browser import PHONE, WIDE, load, open_all
from .test_site import SITE

sys.path.insert(0, str(ROOT / "chapters"))
from browser import MISSING, chromium, launched, new_page, served

pytestmark = pytest.mark.skipif(not chromium(), reason=f"NOT RUN: {MISSING}")


@pytest.fixture(scope="module", name="browser")
def browser_fixture():
    with launched() as browser:
        yield browser


@pytest.fixture(scope="module", name="site")
def site_fixture():
    assert SITE.is_dir(), "the site is not built: run `make book` first"
    with served(SITE) as address:
        yield address


def numbers(name):
    """The numbers behind a figure."""
    return json.loads((ROOT / f"chapters/data/{name}.json").read_text())


class Figure:
    """A moving figure on an open page."""

    def __init__(self, page, name):
        self.page = page
        self.place = page.locator(f'.moving.runs[data-figure="{name}"]')
        self.stage = self.place.locator(".stage")
        self.place.wait_for(state="attached")
        open_all(page)
        self.stage.scroll_into_view_if_needed()

    @property
    def says(self):
        return self.stage.locator(".says").inner_text()

    def board(self, k=0):
        return self.stage.locator("canvas").nth(k)

    def middle(self, k, row, column, rows, columns):
        """Where a cell of a board lies on it."""
        box = self.board(k).bounding_box()
        x = (column + 0.5) / columns * box["width"]
        return {"x": x, "y": (row + 0.5) / rows * box["height"]}

    def hover(self, k, *cell):
        self.board(k).hover(position=self.middle(k, *cell))

    def tap(self, k, *cell):
        self.board(k).tap(position=self.middle(k, *cell))

    def press(self, k, *keys):
        self.board(k).focus()
        for key in keys:
            self.page.keyboard.press(key)

    def drawn(self, k=0):
        """What a board shows, to tell whether it has changed."""
        return self.board(k).evaluate("canvas => canvas.toDataURL()")

    def slide(self, *keys, k=0):
        self.stage.locator("input[type=range]").nth(k).focus()
        for key in keys:
            self.page.keyboard.press(key)


@pytest.fixture(name="opened")
def opened_fixture(browser, site):
    """opened(chapter, figure): the figure as mouse and keyboard reach it."""
    pages = []

    def call(chapter, name):
        page, complaints = load(browser, f"{site}/chapters/{chapter}.html")
        pages.append((page, complaints))
        return Figure(page, name)

    yield call
    for page, complaints in pages:
        assert not complaints
        page.context.close()


@pytest.fixture(name="phone")
def phone_fixture(browser, site):
    """phone(chapter, figure): the figure on a phone, to be touched."""
    pages = []

    def call(chapter, name):
        page = new_page(browser, viewport=PHONE, has_touch=True, is_mobile=True)
        page.goto(f"{site}/chapters/{chapter}.html")
        pages.append(page)
        return Figure(page, name)

    yield call
    for page in pages:
        page.context.close()


class TestWindows:
    chapter, name = "03_window_partition", "windows"

    def test_mouse_keyboard_and_costs(self, opened):
        figure, data = opened(self.chapter, self.name), numbers(self.name)
        before = figure.drawn()
        figure.hover(0, 100, 20, 128, 128)
        assert "row 100, column 20 may ask the 64 pixels" in figure.says
        assert "rows 96 to 103 and columns 16 to 23" in figure.says
        assert figure.drawn() != before
        figure.press(0, "ArrowUp", "ArrowLeft", "Shift+ArrowUp")
        assert "row 91, column 19" in figure.says
        figure.slide("ArrowRight")  # from 8 to 16
        size = data["sides"][3]
        assert size["M"] == 16
        shown = figure.stage.locator("table").inner_text()
        for count in (size["questions"], size["multiplications"]):
            assert f"{count:,}" in shown
        assert f"{size['share']}%" in shown

    def test_touch(self, phone):
        figure = phone(self.chapter, self.name)
        figure.tap(0, 10, 120, 128, 128)
        assert "rows 8 to 15 and columns 120 to 127" in figure.says


class TestAttention:
    chapter, name = "04_relative_position_attention", "attention"
    window, maps = 1, 3  # boards: the window, and the first head's map

    def share(self, data, head, asks, asked):
        """The weight of a pixel in percent, by the numbers of the chapter's cell."""
        side, tokens = data["M"], np.arange(data["M"] ** 2)
        row, column = np.divmod(asks, side)
        rows, columns = np.divmod(tokens, side)
        entry = (row - rows + side - 1) * (2 * side - 1) + column - columns + side - 1
        scores = np.array(data["content"][head][asks])
        scores = scores + np.array(data["table"])[entry, head]
        weights = np.exp(scores) / np.exp(scores).sum()
        return 100 * weights[asked], entry[asked]

    def test_weights_are_those_of_the_chapter(self):
        data = numbers(self.name)
        for head in range(6):
            for asked in range(64):
                share, _ = self.share(data, head, data["asking"], asked)
                expected = 100 * data["weights"][head][asked]
                assert share == pytest.approx(expected, rel=0.02, abs=0.6)

    def test_mouse_and_keyboard(self, opened):
        figure, data = opened(self.chapter, self.name), numbers(self.name)
        figure.hover(self.maps + 1, 3, 2, 8, 8)
        share, entry = self.share(data, 1, data["asking"], 26)
        assert (
            f"Head 2: pixel (3, 3) takes {share:.1f}% from pixel (3, 2)" in figure.says
        )
        assert f"entry {entry} of the table" in figure.says
        table = figure.drawn(2)
        figure.press(self.window, "ArrowDown", "ArrowRight")
        share, entry = self.share(data, 1, 36, 26)
        assert f"pixel (4, 4) takes {share:.1f}%" in figure.says
        assert f"entry {entry} of the table" in figure.says
        assert figure.drawn(2) != table
        figure.press(self.maps + 5, "ArrowUp")
        assert "Head 6: pixel (4, 4)" in figure.says
        before = figure.drawn(self.maps)
        figure.stage.get_by_role("button", name="position alone").press("Enter")
        assert "by position alone" in figure.says
        assert figure.drawn(self.maps) != before

    def test_touch(self, phone):
        figure, data = phone(self.chapter, self.name), numbers(self.name)
        figure.tap(self.window, 7, 0, 8, 8)
        figure.tap(self.maps + 3, 0, 7, 8, 8)
        share, _ = self.share(data, 3, 56, 7)
        assert f"pixel (7, 0) takes {share:.1f}% from pixel (0, 7)" in figure.says


class TestShift:
    chapter, name = "05_shifted_windows", "shift"

    def test_mouse_keyboard_and_mask(self, opened):
        figure, data = opened(self.chapter, self.name), numbers(self.name)
        two = data["shifts"][2]
        figure.hover(1, 7, 7, 8, 8)
        assert "sees 4 of 16 pixels" in figure.says
        assert f"forbids {two['forbidden'][3]} of 256 pairs" in figure.says
        figure.press(1, "ArrowLeft", "ArrowLeft")
        assert "Pixel 13 of window 3 came round by rows; it sees 4" in figure.says
        drawn = [figure.drawn(k) for k in range(3)]
        figure.slide("ArrowRight")
        three = data["shifts"][3]
        seen = three["mask"][3][13].count("0")
        assert "Shift 3. Pixel 13 of window 3" in figure.says
        assert f"sees {seen} of 16" in figure.says
        assert all(figure.drawn(k) != drawn[k] for k in range(3))
        drawn = [figure.drawn(k) for k in range(3)]
        figure.stage.get_by_role("button", name="mask off").click()
        assert "sees 16 of 16" in figure.says
        assert all(figure.drawn(k) != drawn[k] for k in range(3))

    def test_touch(self, phone):
        figure = phone(self.chapter, self.name)
        figure.tap(1, 0, 0, 8, 8)
        assert (
            "Pixel 0 of window 0 came round in no direction; it sees 16" in figure.says
        )


class TestRoofline:
    chapter, name = "17_whole_network_at_speed", "roofline"

    def test_mouse_and_keyboard_reach_every_variant(self, opened):
        figure, data = opened(self.chapter, self.name), numbers(self.name)
        chart = figure.stage.locator("svg.chart")
        chart.focus()
        said = set()
        for _ in range(2 * len(data["variants"])):
            figure.page.keyboard.press("ArrowRight")
            said.add(figure.says)
        kinds = "official float32", "ours bfloat16"
        for variant in data["variants"]:
            about = f"{variant['name']}, {variant['image']}"
            for run, kind in zip(variant["runs"], kinds):
                begins = f"{about}, {kind}: {run['ms']:g} ms"
                found = [text for text in said if text.startswith(begins)]
                assert len(found) == 1, begins
                assert f"{run['share']}% of its roof" in found[0]
        figure.stage.get_by_role("button", name="Show all").click()
        figure.stage.locator("svg.chart .mark").first.hover(force=True)
        first = data["variants"][0]
        assert figure.says.startswith(f"{first['name']}, {first['image']}, official")

    def test_touch(self, phone):
        figure, data = phone(self.chapter, self.name), numbers(self.name)
        large = [v["name"] for v in data["variants"]].index("real_world_large_x4")
        figure.stage.locator("svg.chart .mark").nth(2 * large).tap(force=True)
        assert figure.says.startswith("real_world_large_x4, 252x252, official float32")


def middle(drawn):
    """How far down the page a part of a chart lies."""
    box = drawn.bounding_box()
    return box["y"] + box["height"] / 2


class TestSpeedrun:
    chapter, name = "19_speedrun", "speedrun"

    def test_keyboard_reaches_every_row(self, opened):
        figure, data = opened(self.chapter, self.name), numbers(self.name)
        figure.stage.locator("svg.chart").first.focus()
        for k, rung in enumerate(data["rungs"], 1):
            figure.page.keyboard.press("ArrowRight")
            assert figure.says == f"Run {k}: {rung['changed']}."
            row = figure.stage.locator("table").inner_text()
            assert f"{rung['psnr']['Set5']:.3f}" in row
            assert f"{rung['steps']:,}" in row

    def test_mouse_sets_and_zoom(self, opened):
        figure, data = opened(self.chapter, self.name), numbers(self.name)
        ladder, losses = (figure.stage.locator("svg.chart").nth(k) for k in (0, 1))
        ladder.locator(".mark").nth(3).hover(force=True)
        assert figure.says.startswith("Run 4:")
        before = ladder.locator(".mark").nth(2).get_attribute("transform")
        figure.stage.get_by_role("button", name="Zoom in").first.click()
        assert ladder.locator(".mark").nth(2).get_attribute("transform") != before
        figure.stage.get_by_role("button", name="Show all").first.click()
        assert ladder.locator(".mark").nth(2).get_attribute("transform") == before
        figure.stage.get_by_role("button", name="DIV2K").click()
        measured = sum("DIV2K" in rung["psnr"] for rung in data["rungs"])
        assert ladder.locator(".mark").count() == measured
        assert losses.locator(".curve").count() == len(data["rungs"])

    def test_touch(self, phone):
        figure = phone(self.chapter, self.name)
        figure.stage.locator("svg.chart .mark").first.tap(force=True)
        assert figure.says.startswith("Run 1:")

    @pytest.mark.parametrize("open_page", ["opened", "phone"])
    def test_the_line_of_the_paper_is_named(self, request, open_page):
        figure = request.getfixturevalue(open_page)(self.chapter, self.name)
        ladder = figure.stage.locator("svg.chart").first
        name = ladder.get_by_text("the paper")
        name.scroll_into_view_if_needed()
        seen = """(name, share) => {
            const { left, top, width, height } = name.getBoundingClientRect();
            const at = [left + share * width, top + height / 2];
            return document.elementFromPoint(...at) === name;
        }"""
        assert name.evaluate(seen, 0.05)
        assert name.evaluate(seen, 0.95)

    @pytest.mark.parametrize("open_page", ["opened", "phone"])
    def test_of_two_runs_close_together_the_upper_has_its_number_above(
        self, request, open_page
    ):
        """Whichever is chosen; 3 stands right above 2 at eight minutes."""
        figure = request.getfixturevalue(open_page)(self.chapter, self.name)
        ladder = figure.stage.locator("svg.chart").first
        ladder.focus()
        for _ in numbers(self.name)["rungs"]:
            figure.page.keyboard.press("ArrowRight")
            upper, lower = (
                middle(ladder.get_by_text(f"{k}", exact=True))
                - middle(ladder.locator(".mark").nth(k - 1).locator("path").last)
                for k in (3, 2)
            )
            assert upper < 0 < lower


class TestArchitecture:
    chapter, name = "08_swinir", "architecture"

    def test_mouse_and_keyboard_reach_every_part(self, opened):
        figure, data = opened(self.chapter, self.name), numbers(self.name)
        buttons = figure.stage.get_by_role("button")
        parts = [part for row in data["rows"] for part in row["parts"]]
        assert buttons.count() == len(parts)
        buttons.first.click()
        for k, part in enumerate(parts):
            assert buttons.nth(k).get_attribute("aria-pressed") == "true"
            assert figure.says.startswith(part["text"])
            shape = ", ".join(map(str, part["shape"]))
            assert f"= ({shape})" in figure.says
            count = part["parameters"]
            words = f"{count:,} parameters" if count else "no parameters"
            assert words in figure.says
            assert figure.stage.locator("img").count() == len(part["pictures"])
            figure.page.keyboard.press("ArrowRight")
        total = sum(p.numel() for p in load_model("lightweight_x2").parameters())
        first = data["rows"][0]["parts"]
        outside = 4 * 60  # two LayerNorms around the blocks, which are no parts
        assert sum(part["parameters"] for part in first) + outside == total

    def test_touch(self, phone):
        figure = phone(self.chapter, self.name)
        figure.stage.get_by_role("button", name="RSTB 3").tap()
        assert figure.says.startswith("Residual block 3 of 4.")


class TestDeciding:
    chapter, name = "14_looking_inside", "deciding"

    def words(self, data, row, column):
        centre = data["step"] // 2
        said = [f"Row {data['step'] * row + centre}, column "]
        for network in data["networks"]:
            beyond = network["beyond"][row][column]
            said.append(f"{network['name']} {beyond:g}%")
        return said

    def test_mouse_and_keyboard(self, opened):
        figure, data = opened(self.chapter, self.name), numbers(self.name)
        count = data["side"] // data["step"]
        before = figure.drawn(1)
        figure.hover(0, 1, 6, count, count)
        assert all(text in figure.says for text in self.words(data, 1, 6))
        assert figure.drawn(1) != before
        figure.press(2, "ArrowDown", "ArrowLeft")
        assert all(text in figure.says for text in self.words(data, 2, 5))

    def test_touch(self, phone):
        figure, data = phone(self.chapter, self.name), numbers(self.name)
        count = data["side"] // data["step"]
        figure.tap(2, 7, 0, count, count)
        assert all(text in figure.says for text in self.words(data, 7, 0))


class TestNoise:
    chapter, name = "11_denoising", "noise"

    def decibels(self, figure, method):
        return float(re.search(rf"{method} ([\d.]+) dB", figure.says).group(1))

    def test_computed_here_as_in_python(self, opened):
        figure, data = opened(self.chapter, self.name), numbers(self.name)
        figure.stage.get_by_role("button").click()
        figure.stage.get_by_text(re.compile(r"SwinIR \d")).wait_for()
        level = next(x for x in data["levels"] if x["sigma"] == data["sigma"])
        names = {"noisy": "Noisy", "classical": "Non-local means", "network": "SwinIR"}
        for key, name in names.items():
            assert self.decibels(figure, name) == pytest.approx(level[key], abs=0.02)

    def test_starts_once_the_connection_is_back(self, phone):
        figure = phone(self.chapter, self.name)
        start = figure.stage.get_by_role("button")
        figure.page.context.set_offline(True)
        start.click()
        again = figure.stage.get_by_text("Try again: the network did not start")
        again.wait_for()
        assert "(its files could not be loaded)" in again.inner_text()
        figure.page.context.set_offline(False)
        again.click()
        start.wait_for(state="hidden")

    def test_keyboard_moves_the_level(self, opened):
        figure, data = opened(self.chapter, self.name), numbers(self.name)
        before = figure.drawn(1)
        figure.slide("Home")
        assert figure.says.startswith("Sigma 5:")
        assert self.decibels(figure, "Noisy") == pytest.approx(
            data["levels"][0]["noisy"], abs=0.02
        )
        assert figure.drawn(1) != before

    def test_touch(self, phone):
        figure = phone(self.chapter, self.name)
        slider = figure.stage.locator("input[type=range]")
        box = slider.bounding_box()
        slider.tap(position={"x": box["width"] * 0.1, "y": box["height"] / 2})
        assert not figure.says.startswith("Sigma 50:")


def test_still_figures_are_printed(opened):
    figure = opened(TestWindows.chapter, TestWindows.name)
    still = figure.place.locator(".still img")
    assert not still.is_visible()
    figure.page.emulate_media(media="print")
    assert still.is_visible()
    assert not figure.stage.is_visible()


def test_without_javascript_the_still_figure_stands(browser, site):
    page = new_page(browser, viewport=WIDE, java_script_enabled=False)
    page.goto(f"{site}/chapters/{TestWindows.chapter}.html")
    assert page.locator(".moving .still img").first.is_visible()
    page.context.close()


def test_figures_move_on_a_page_from_a_disk(browser):
    page = new_page(browser, viewport=WIDE)
    page.goto((SITE / f"chapters/{TestWindows.chapter}.html").as_uri())
    assert "may ask the 64 pixels" in Figure(page, TestWindows.name).says
    page.context.close()


def test_the_heaviest_page_is_light_before_its_pictures(browser, site):
    """With scripts, formulas, fonts and numbers, compressed as hosts send them."""
    heaviest = max((SITE / "chapters").glob("*.html"), key=lambda p: p.stat().st_size)
    page, weights = new_page(browser, viewport=WIDE), {}

    def weigh(response):
        if response.request.resource_type != "image":
            weights[response.url] = len(gzip.compress(response.body()))

    page.on("response", weigh)
    page.goto(f"{site}/chapters/{heaviest.name}", wait_until="networkidle")
    page.context.close()
    assert sum(weights.values()) < 1.5e6, weights
