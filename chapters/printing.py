"""Print the built site as one PDF, with all folds open.

    python chapters/printing.py book.pdf

Chromium prints each page; links between pages lead to the site's public address.
"""

import io
import sys
from pathlib import Path

import yaml
from browser import MISSING, chromium, launched, new_page, served
from playwright.sync_api import Browser
from pypdf import PdfReader, PdfWriter

from swinir_lite.whole_files import whole_file

ROOT = Path(__file__).parent.parent
SITE = ROOT / "_build/html"
PAPER = {
    "format": "A4",
    "scale": 0.72,  # 88 columns of code in one line
    "margin": {"top": "18mm", "bottom": "18mm", "left": "16mm", "right": "16mm"},
    "print_background": True,
    "display_header_footer": True,
    "header_template": "<span></span>",
    "footer_template": "<span style='font: 8px sans-serif; margin: auto'>"
    "<span class='title'></span></span>",
}
PUBLIC_LINKS = """([here, there]) => {
    for (const link of document.querySelectorAll("a[href]")) {
        const address = new URL(link.getAttribute("href"), location.href).href;
        if (!link.getAttribute("href").startsWith("#")) {
            link.setAttribute("href", address.replace(here, there));
        }
    }
}"""


def pages() -> list[str]:
    """The names of all pages in the order of the table of contents."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    parts = [entry["file"] for part in toc["parts"] for entry in part["chapters"]]
    return [toc["root"], *parts]


def print_page(
    browser: Browser, address: str, name: str, public: str
) -> tuple[str, bytes]:
    """A page of the site as PDF, and its title."""
    page = new_page(browser)
    page.goto(f"{address}/{name}.html")
    page.evaluate("window.MathJax && MathJax.startup && MathJax.startup.promise")
    page.evaluate(PUBLIC_LINKS, [address, public])
    title, printed = page.locator("h1").first.inner_text(), page.pdf(**PAPER)
    page.context.close()
    return title.strip(" #\n"), printed


def book(site: Path = SITE) -> PdfWriter:
    """All pages as one PDF with an outline of their titles."""
    config = yaml.safe_load((ROOT / "_config.yml").read_text())
    writer = PdfWriter()
    with launched() as browser, served(site) as address:
        for name in pages():
            title, printed = print_page(
                browser, address, name, config["html"]["baseurl"]
            )
            start = len(writer.pages)
            writer.append(PdfReader(io.BytesIO(printed)), import_outline=False)
            writer.add_outline_item(title=title, page_number=start)
    writer.add_metadata({"/Title": config["title"], "/Author": config["author"]})
    return writer


if __name__ == "__main__":
    if not chromium():
        sys.exit(f"No PDF was made: {MISSING}.")
    target = Path(sys.argv[1])
    with whole_file(target) as file:
        book().write(file)
    print(f"{target} has {len(PdfReader(target).pages)} pages")
