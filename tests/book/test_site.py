"""The built site: all pages there, no broken link, every figure described."""

import posixpath
import re
from functools import cache
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from bs4 import BeautifulSoup

from .notebooks import ROOT

SITE = ROOT / "_build/html"
CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text())
TOC = yaml.safe_load((ROOT / "_toc.yml").read_text())
SELF_MADE = {"genindex.html", "search.html"}  # by Sphinx, without text of ours


@cache
def parse(path):
    """Read an HTML page, once."""
    return BeautifulSoup(path.read_text(), "html.parser")


def toc_pages(toc):
    """The names of all pages in a table of contents, the root first."""
    pages = [toc["root"]]
    for part in toc["parts"]:
        pages += [entry["file"] for entry in part["chapters"]]
    return pages


FIRST_CHAPTER = next(page for page in toc_pages(TOC) if page.startswith("chapters/"))


def article(soup):
    """The part of a page that comes from its source, or None."""
    return soup.find("article", class_="bd-article")


def page_problems(site, pages):
    """Pages that are missing or empty."""
    if not (site / "index.html").is_file():
        yield "index.html is missing"
    for page in pages:
        path = site / f"{page}.html"
        if not path.is_file():
            yield f"{page}.html is missing"
            continue
        body = article(parse(path))
        if body is None or not body.find("h1") or len(body.get_text().split()) < 50:
            yield f"{page}.html has no title or hardly any text"


def links(soup):
    """Everything on a page that leads somewhere."""
    for name in ("href", "src", "xlink:href"):
        for tag in soup.find_all(attrs={name: True}):
            yield tag[name]
    for tag in soup.find_all("meta", attrs={"http-equiv": re.compile("refresh", re.I)}):
        yield tag["content"].partition("url=")[2]


def link_problems(site):
    """Links inside the site whose page, file or anchor is not there."""
    soups = {
        path.relative_to(site).as_posix(): parse(path)
        for path in site.rglob("*.html")
        if "_static" not in path.parts
    }
    anchors = {
        page: {tag["id"] for tag in soup.find_all(id=True)}
        | {tag["name"] for tag in soup.find_all("a", attrs={"name": True})}
        for page, soup in soups.items()
    }
    for page, soup in soups.items():
        for link in set(links(soup)):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            path = unquote(parts.path)
            target = posixpath.normpath(posixpath.join(posixpath.dirname(page), path))
            target = target if path else page
            if not (site / target).is_file():
                yield f"{page} leads to {link}, which is not there"
                continue
            place = unquote(parts.fragment)
            known = anchors.get(target, {place}) | {""}
            if place not in known and page not in SELF_MADE:
                yield f"{page} leads to {link}: there is no such place on the page"


def figure_problems(site, pages):
    """Figures that somebody who cannot see them learns nothing about."""
    for page in pages:
        body = article(parse(site / f"{page}.html"))
        for image in body.find_all("img"):
            alt = image.get("alt", "").strip()
            if "colab" in image["src"] and alt == "Open in Colab":
                continue
            if len(alt.split()) < 5 or re.search(r"\.(png|svg|jpg)|_images/", alt):
                yield f"{page}: {image['src'][:60]} has the alt text {alt!r}"
        for drawing in body.find_all("svg"):
            title = drawing.find("title")
            if title is None or len(title.get_text().split()) < 5:
                yield f"{page}: a drawing has no title"


def fold_problems(site, pages):
    """Folds without a name of their own, and questions whose answer stands open."""
    for page in pages:
        body = article(parse(site / f"{page}.html"))
        names = [fold.find("summary") for fold in body.find_all("details")]
        for name in names:
            text = name.get_text(strip=True) if name else ""
            if not text or re.search(r"toggle|hidden|exercise$", text, re.I):
                yield f"{page}: a fold has the name {text!r}"
        for question in body.find_all("strong", string="Predict."):
            fold = question.find_next("details", class_="answer")
            beyond = question.find_next("strong", string="Predict.")
            before = fold.find_all_previous("strong") if fold else [beyond]
            if not fold or any(tag is beyond for tag in before):
                text = question.parent.get_text()[:60]
                yield f"{page}: no fold answers {text!r}"


def description_problems(site, pages):
    """Pages whose description, which search engines and chats show, is poor."""
    for page in pages:
        soup = parse(site / f"{page}.html")
        tag = soup.find("meta", property="og:description")
        text = tag["content"] if tag else ""
        if len(text.split()) < 5 or "Open in Colab" in text:
            yield f"{page}: its description is {text[:60]!r}"
        for tag in soup.find_all("meta", attrs={"name": "description"}):
            if tag["content"] != text:
                yield f"{page}: its two descriptions differ"
        for tag in soup.find_all("meta", property="og:image:alt"):
            if "Colab" in tag["content"]:
                yield f"{page}: its preview image is described as {tag['content']!r}"


def launch_problems(site, pages, config):
    """Chapters without a button that opens them in Colab at the right address."""
    place = config["repository"]["url"].removeprefix("https://")
    branch = config["repository"]["branch"]
    for page in pages:
        if page.startswith("chapters/"):
            soup = parse(site / f"{page}.html")
            colab = f"https://colab.research.google.com/{place.split('.')[0]}"
            address = f"{colab}/{place.partition('/')[2]}/blob/{branch}/{page}.ipynb"
            if not soup.select(f'.article-header-buttons a[href="{address}"]'):
                yield f"{page}: no button leads to {address}"


def test_pages_are_there():
    assert SITE.is_dir(), "the site is not built: run `make book` first"
    found = list(page_problems(SITE, toc_pages(TOC)))
    assert not found, "\n".join(found)


def test_links_lead_somewhere():
    found = list(link_problems(SITE))
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "check",
    [figure_problems, fold_problems, description_problems],
    ids=lambda check: check.__name__,
)
def test_pages_describe_themselves(check):
    found = list(check(SITE, toc_pages(TOC)))
    assert not found, "\n".join(found)


def test_the_site_brings_what_its_pages_need():
    """Formulas, icon and preview picture come from the site itself."""
    soup = parse(SITE / f"{FIRST_CHAPTER}.html")
    formulas = [tag["src"] for tag in soup.select('script[src*="mathjax"]')]
    assert len(formulas) == 1
    assert not urlsplit(formulas[0]).netloc
    preview = soup.find("meta", property="og:image")["content"]
    assert (SITE / preview.removeprefix(CONFIG["html"]["baseurl"] + "/")).is_file()
    assert not soup.select('script[src*="thebe"]')
    assert not parse(SITE / "intro.html").select('script[src*="mathjax"]')
    assert not soup.select('script[src*="fontawesome"]')  # 1.5 MB, beside its fonts


def test_robots_find_every_page():
    base = CONFIG["html"]["baseurl"]
    listed = set(re.findall("<loc>(.*?)</loc>", (SITE / "sitemap.xml").read_text()))
    assert listed == {f"{base}/{page}.html" for page in toc_pages(TOC)}
    assert f"Sitemap: {base}/sitemap.xml" in (SITE / "robots.txt").read_text()


def test_lost_readers_find_back_from_any_depth():
    """404.html is shown under every address, so its links are whole ones."""
    base = CONFIG["html"]["baseurl"]
    for tag in parse(SITE / "404.html").find_all("a"):
        page = tag["href"].removeprefix(f"{base}/")
        assert (SITE / page).is_file(), tag["href"]


def test_chapters_open_in_colab():
    found = list(launch_problems(SITE, toc_pages(TOC), CONFIG))
    assert not found, "\n".join(found)


def all_problems(site):
    pages = ["intro", "chapters/one"]
    config = {"repository": {"url": "https://github.com/a/b", "branch": "main"}}
    found = list(page_problems(site, pages))
    found += link_problems(site)
    if not any("missing" in line for line in found):
        found += figure_problems(site, pages)
        found += fold_problems(site, pages)
        found += description_problems(site, pages)
        found += launch_problems(site, pages, config)
    return found


CHAPTER = f"""
<html><head>
<meta property="og:description" content="How windows are cut and joined again">
<meta name="description" content="How windows are cut and joined again">
<meta property="og:image:alt" content="SwinIR from scratch">
</head><body>
<div class="article-header-buttons">
<a href="https://colab.research.google.com/github/a/b/blob/main/chapters/one.ipynb"></a>
</div>
<article class="bd-article"><h1 id="one">One</h1>
<a href="https://colab.research.google.com/x"><img alt="Open in Colab"
src="../_images/colab.svg"></a>
<img src="../_images/a.png" alt="A red square of four cells">
<svg><title>The network from input to output</title>
<a xlink:href="../intro.html#top"></a></svg>
<p><strong>Predict.</strong> What?</p>
<details class="answer"><summary>See what happens</summary></details>
<p>{"word " * 60}</p></article></body></html>
"""
INTRO = CHAPTER.replace("../", "").replace(
    'href="intro.html', 'href="chapters/one.html'
)
FILES = {
    "index.html": '<meta http-equiv="Refresh" content="0; url=intro.html">',
    "intro.html": INTRO.replace("#top", "#one"),
    "chapters/one.html": CHAPTER.replace("#top", "#one"),
    "_images/a.png": "",
    "_images/colab.svg": "",
}


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        (None, "", "", None),
        ("index.html", None, None, "index.html is missing"),
        ("chapters/one.html", None, None, "chapters/one.html is missing"),
        ("intro.html", "word ", "", "hardly any text"),
        ("intro.html", "h1", "h2", "no title"),
        ("_images/a.png", None, None, "_images/a.png, which is not there"),
        ("index.html", "intro.html", "start.html", "start.html, which is not there"),
        ("intro.html", "chapters/one.html#", "two.html#", "two.html#one, which is not"),
        ("intro.html", "one.html#one", "one.html#two", "no such place"),
        ("intro.html", "A red square of four cells", "", "alt text ''"),
        ("intro.html", "A red square of four cells", "a b c d e.png", "e.png'"),
        ("intro.html", "The network from input to output", "", "no title"),
        ("intro.html", "See what happens", "Toggle hidden content", "the name 'Toggle"),
        (
            "intro.html",
            'details class="answer"',
            "details",
            "no fold answers 'Predict.",
        ),
        ("intro.html", "How windows are cut", "Open in Colab", "its description"),
        ("intro.html", 'og:description"', 'x"', "its description is ''"),
        (
            "intro.html",
            'name="description" content="',
            'name="description" content="No',
            "differ",
        ),
        ("intro.html", 'alt" content="Swin', 'alt" content="Colab', "preview image"),
        ("chapters/one.html", "blob/main", "blob/old", "no button"),
    ],
)
def test_defects_are_noticed(tmp_path, name, old, new, message):
    for file, text in FILES.items():
        if file == name:
            if old is None:
                continue
            assert old in text
            text = text.replace(old, new)
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(text)
    found = all_problems(tmp_path)
    assert any(message in line for line in found) if message else not found, found
