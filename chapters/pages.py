"""What the site has beside the chapters' pages: formulas, a map for robots, a 404 page.

An extension of Sphinx.  MathJax comes from node_modules, where `make book` puts it, and
is served with the site: no page asks another server for anything.
"""

import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

MATHJAX = Path(__file__).parent.parent / "node_modules/mathjax/es5"
SERVED = ["tex-chtml.js", "output/chtml/fonts/woff-v2"]
UNLISTED = {"genindex", "search"}
NOT_FOUND = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>No such page - {title}</title>
<link rel="icon" href="data:,">
<style>
html {{ background: #fff; color: #222; }}
a {{ color: #0058a0; }}
@media (prefers-color-scheme: dark) {{
html {{ background: #121212; color: #ddd; }}
a {{ color: #8cc8ff; }}
}}
body {{ font: 1.1rem/1.6 system-ui, sans-serif; max-width: 34rem; margin: 12vh auto;
padding: 0 1rem; }}
</style>
</head>
<body>
<main>
<h1>No such page</h1>
<p>This address leads nowhere in <em>{title}</em>. A chapter may have got another
number or name since the link was made.</p>
<p><a href="{base}/intro.html">All chapters</a> are on the front page, and the
<a href="{base}/search.html">search</a> knows every word of them.</p>
</main>
</body>
</html>
"""


def leave_out(
    app: Sphinx, page: str, template: str, context: dict, doctree: nodes.document | None
) -> None:
    """Drop scripts that a page does not use.

    Thebe, which no page uses and which fails when it is loaded twice, as it would be;
    MathJax, its megabyte where there is no formula.
    """
    unused = {"thebe", "mathjax"}
    if re.search(r'class="[^"]*\bmath\b', context.get("body", "")):
        unused.remove("mathjax")
    for kind in ("script_files", "css_files"):
        context[kind] = [
            file
            for file in context[kind]
            if not any(name in repr(vars(file)).lower() for name in unused)
        ]


def copy_mathjax(target: Path) -> None:
    """Copy the part of MathJax that pages load."""
    for name in SERVED:
        source = MATHJAX / name
        if not source.exists():
            raise ExtensionError(
                f"{source} is missing: `make book` fetches it, or `npm ci`"
            )
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target / name, dirs_exist_ok=True)
        else:
            shutil.copyfile(source, target / name)


def site_map(base: str, pages: Iterable[str]) -> str:
    """The addresses of all pages as sitemap.xml."""
    entries = [f"  <url><loc>{base}/{page}.html</loc></url>" for page in sorted(pages)]
    begin = '<?xml version="1.0" encoding="UTF-8"?>\n'
    begin += '<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">'
    return "\n".join([begin, *entries, "</urlset>", ""])


def finish(app: Sphinx, exception: Exception | None) -> None:
    """Add to a built site what Sphinx does not make."""
    if exception or app.builder.format != "html":
        return
    site = Path(app.outdir)
    base = app.config.html_baseurl.rstrip("/")
    copy_mathjax(site / "_static/mathjax")
    pages = app.env.found_docs - UNLISTED
    (site / "sitemap.xml").write_text(site_map(base, pages))
    (site / "robots.txt").write_text(f"Sitemap: {base}/sitemap.xml\n")
    title = app.config.html_title
    (site / "404.html").write_text(NOT_FOUND.format(base=base, title=title))


def setup(app: Sphinx) -> dict[str, bool]:
    """Tell Sphinx what this extension does."""
    app.connect("html-page-context", leave_out, priority=900)
    app.connect("build-finished", finish)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
