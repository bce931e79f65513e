"""What the site has beside its pages: what they load, a map for robots, a 404 page.

An extension of Sphinx.  MathJax and ONNX Runtime Web come from node_modules, and what
runs on the page "Try it" from _build/try, where `make book` puts them.  All of it is
served with the site: no page asks another server for anything.
"""

import re
import shutil
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

ROOT = Path(__file__).parent.parent
MATHJAX = ["tex-chtml.js", "output/chtml/fonts/woff-v2"]
RUNTIME = [
    f"{start}{kind}{end}"
    for kind in ("", ".jspi")  # for processors alone, and for graphics cards as well
    for start, end in (
        ("ort", ".min.mjs" if kind else ".wasm.min.mjs"),
        ("ort-wasm-simd-threaded", ".mjs"),
        ("ort-wasm-simd-threaded", ".wasm"),
    )
]
# its package on npm comes without its licence, that on PyPI with it
LICENCE = ["LICENSE", "ThirdPartyNotices.txt"]
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
    MathJax, its megabyte where there is no formula; modules that "Try it" loads itself.
    """
    unused = {"thebe", "mathjax", "_static/try/", "'try/"}
    if re.search(r'class="[^"]*\bmath\b', context.get("body", "")):
        unused.remove("mathjax")
    for kind in ("script_files", "css_files"):
        context[kind] = [
            file
            for file in context[kind]
            if not any(name in repr(vars(file)).lower() for name in unused)
        ]


def copy(source: Path, names: Iterable[str], target: Path) -> None:
    """Copy files and folders that pages load."""
    for name in names:
        path = source / name
        if not path.exists():
            raise ExtensionError(f"{path} is missing: `make book` puts it there")
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            shutil.copytree(path, target / name, dirs_exist_ok=True)
        else:
            shutil.copyfile(path, target / name)


def copy_what_pages_load(static: Path) -> None:
    """Put formulas, the runtime and the networks into the site's folder of files."""
    modules, networks = ROOT / "node_modules", ROOT / "_build/try"
    copy(modules / "mathjax/es5", MATHJAX, static / "mathjax")
    runtime = static / "try/runtime"
    copy(modules / "onnxruntime-web/dist", RUNTIME, runtime)
    copy(Path(find_spec("onnxruntime").origin).parent, LICENCE, runtime)
    made = [path.name for path in networks.glob("*")]
    copy(networks, {"models.json", *made}, static / "try")
    # Sphinx itself copies these only where a page has changed as well
    copy(ROOT, ["_static"], static.parent)
    # a service worker is in charge of what lies below its own address
    copy(ROOT / "_static/try", ["isolate.js"], static.parent)


def site_map(base: str, pages: Iterable[str]) -> str:
    """The addresses of all pages as sitemap.xml."""
    entries = [f"  <url><loc>{base}/{page}.html</loc></url>" for page in sorted(pages)]
    begin = '<?xml version="1.0" encoding="UTF-8"?>\n'
    begin += '<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">'
    return "\n".join([begin, *entries, "</urlset>", ""])


def leave_out_icons(pages: Iterable[Path]) -> None:
    """Drop the 1.5 MB of a script for icons, which the theme has in its fonts too."""
    for page in pages:
        text = page.read_text()
        page.write_text(
            re.sub(r"<script[^>]*/fontawesome\.js[^>]*></script>", "", text)
        )


def finish(app: Sphinx, exception: Exception | None) -> None:
    """Add to a built site what Sphinx does not make."""
    if exception or app.builder.format != "html":
        return
    site = Path(app.outdir)
    base = app.config.html_baseurl.rstrip("/")
    copy_what_pages_load(site / "_static")
    leave_out_icons(site.rglob("*.html"))
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
