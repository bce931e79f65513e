"""The site as a browser shows it: formulas, folds, phones, print, accessibility."""

import io
import sys

import pytest
from pypdf import PdfReader

from .notebooks import ROOT
from .test_site import FIRST_CHAPTER, SITE, TOC, toc_pages

sys.path.insert(0, str(ROOT / "chapters"))
import printing
from browser import MISSING, chromium, launched, new_page, served

PAGES = [*toc_pages(TOC), "search", "404"]
AXE = ROOT / "node_modules/axe-core/axe.min.js"
WIDE, PHONE = {"width": 1300, "height": 900}, {"width": 390, "height": 844}
# formulas that MathJax left as they were typed, or could not read
RAW_FORMULAS = """() => {
    const raw = [];
    for (const formula of document.querySelectorAll(".math")) {
        if (!formula.querySelector("mjx-container")) raw.push(formula.textContent);
    }
    for (const error of document.querySelectorAll("mjx-merror")) {
        raw.push(error.textContent);
    }
    return raw.map(text => text.trim().slice(0, 60));
}"""
# what sticks out of the page, unless a box around it scrolls
OVERFLOW = """() => {
    const width = document.documentElement.clientWidth;
    const scrolls = e => e && (/auto|scroll|hidden/.test(getComputedStyle(e).overflowX)
        || scrolls(e.parentElement));
    return [...document.querySelectorAll("article *")]
        .filter(e => e.getBoundingClientRect().right > width + 1
            && e.getClientRects().length && !scrolls(e.parentElement))
        .slice(0, 3)
        .map(e => `${e.tagName} ${e.className} "${e.textContent.trim().slice(0, 40)}"`);
}"""
GRAYED = """() => [...document.querySelectorAll("article img")]
    .filter(image => getComputedStyle(image).filter !== "none")
    .map(image => image.src.split("/").pop()).slice(0, 3)"""
CLOSED = """() => [...document.querySelectorAll("details:not([open]) > summary")]
    .map(name => name.textContent.trim())"""

pytestmark = pytest.mark.skipif(not chromium(), reason=f"NOT RUN: {MISSING}")


@pytest.fixture(scope="module", name="browser")
def browser_fixture():
    with launched() as browser:
        yield browser


@pytest.fixture(scope="module")
def site():
    assert SITE.is_dir(), "the site is not built: run `make book` first"
    with served(SITE) as address:
        yield address


def load(browser, address, **settings):
    """Open a page, and what it complained about meanwhile: (page, complaints)."""
    page, complaints = new_page(browser, **{"viewport": WIDE, **settings}), []
    base = "/".join(address.split("/")[:3])

    def ask(route):
        url = route.request.url
        if url.startswith((base, "data:", "blob:")):
            route.continue_()
        else:
            complaints.append(f"asks another server for {url}")
            route.abort()

    page.route("**/*", ask)
    page.on("pageerror", lambda error: complaints.append(f"fails: {error}"))
    page.on(
        "console",
        lambda line: line.type == "error" and complaints.append(f"says: {line.text}"),
    )
    page.goto(address)
    page.evaluate("window.MathJax && MathJax.startup && MathJax.startup.promise")
    return page, complaints


def accessibility_problems(page, rules=None):
    """What axe calls critical or serious."""
    page.evaluate(AXE.read_text())
    options = {"resultTypes": ["violations"]}
    if rules:
        options["runOnly"] = rules
    result = page.evaluate("options => axe.run(document, options)", options)
    for found in result["violations"]:
        if found["impact"] in ("critical", "serious"):
            places = [", ".join(map(str, node["target"])) for node in found["nodes"]]
            yield f"axe: {found['id']} ({found['impact']}) at {places[:3]}"


def open_all(page):
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")


def browser_problems(browser, address):
    """Everything that is wrong with a page as a browser shows it, one line each."""
    page, found = load(browser, address)
    found += [f"formula not rendered: {text}" for text in page.evaluate(RAW_FORMULAS)]
    open_all(page)
    found += accessibility_problems(page)
    page.set_viewport_size(PHONE)
    found += [f"too wide for a phone: {e}" for e in page.evaluate(OVERFLOW)]
    page.set_viewport_size(WIDE)
    page.add_style_tag(content="* { transition: none !important }")
    page.emulate_media(color_scheme="dark")
    found += [f"grayed in the dark: {name}" for name in page.evaluate(GRAYED)]
    dark = accessibility_problems(page, ["color-contrast"])
    found += [f"{line}, in the dark" for line in dark]
    page.context.close()
    return found


@pytest.mark.parametrize("name", PAGES)
def test_page(browser, site, name):
    found = browser_problems(browser, f"{site}/{name}.html")
    assert not found, "\n".join(found)


def test_printing_opens_all_folds_and_closes_them_again(browser, site):
    page, _ = load(browser, f"{site}/{FIRST_CHAPTER}.html")
    before = page.evaluate(CLOSED)
    assert len(before) > 5
    page.evaluate("""() => window.addEventListener("beforeprint", () => {
        window.closed = document.querySelectorAll("details:not([open])").length;
    })""")
    page.pdf()
    assert page.evaluate("window.closed") == 0
    assert page.evaluate(CLOSED) == before
    page.context.close()


def test_the_pdf_holds_what_folds_hide(browser, site):
    public = "https://example.org/book"
    title, printed = printing.print_page(browser, site, FIRST_CHAPTER, public)
    pages = PdfReader(io.BytesIO(printed)).pages
    words = " ".join(page.extract_text() for page in pages)
    page, _ = load(browser, f"{site}/{FIRST_CHAPTER}.html")
    solution = page.locator("details.solution pre").first.text_content()
    page.context.close()
    assert title.startswith("1. ")
    assert "".join(solution.split()) in "".join(words.split())
    links = {
        str(note.get_object()["/A"]["/URI"])
        for page in pages
        for note in page.get("/Annots", [])
        if "/URI" in note.get_object().get("/A", {})
    }
    assert links
    assert not [link for link in links if "127.0.0.1" in link]


def test_what_is_searched_for_stands_beside_its_icon(browser, site):
    page, _ = load(browser, f"{site}/search.html")
    form = page.locator("form.bd-search").last
    icon, field = form.locator("i").bounding_box(), form.locator("input").bounding_box()
    assert icon["x"] + icon["width"] <= field["x"]
    page.context.close()


def test_answers_open_by_keyboard(browser, site):
    page, _ = load(browser, f"{site}/{FIRST_CHAPTER}.html")
    fold = page.locator("details.answer").first
    fold.locator("> summary").focus()
    assert not fold.evaluate("fold => fold.open")
    page.keyboard.press("Enter")
    assert fold.evaluate("fold => fold.open")
    page.context.close()


SOUND = """<!DOCTYPE html><html lang="en"><head><title>One</title></head>
<body><main><article><h1>One</h1><p>Some text.</p>
<img src="a.png" width="8" height="8" alt="A square of one colour"></article></main>
</body></html>"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("", "", None),
        ("Some text.", "<script>nothing()</script>", "fails: "),
        (
            "Some text.",
            '<script src="http://127.0.0.2:9/x"></script>',
            "another server",
        ),
        ("Some text.", r'<span class="math">\\(x\\)</span>', "formula not rendered"),
        ("Some text.", '<div style="width: 500px">x</div>', "too wide for a phone"),
        (' alt="A square of one colour"', "", "axe: image-alt"),
        ("<p>", '<p style="color: #ddd">', "axe: color-contrast"),
        ('width="8"', 'style="filter: brightness(.8)"', "grayed in the dark"),
    ],
)
def test_defects_are_noticed(browser, tmp_path, old, new, message):
    assert old in SOUND
    (tmp_path / "one.html").write_text(SOUND.replace(old, new) if old else SOUND)
    (tmp_path / "a.png").write_bytes(b"")
    (tmp_path / "favicon.ico").write_bytes(b"")
    with served(tmp_path) as address:
        found = browser_problems(browser, f"{address}/one.html")
    assert any(message in line for line in found) if message else not found, found
