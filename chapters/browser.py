"""The browser that looks at the built site: Chromium of the system, by Playwright.

    python chapters/browser.py

says whether the browser's checks can run, for the last lines of `make test`.
"""

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

MILLISECONDS = 300_000
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
MISSING = (
    "there is no Chromium: install it (apt-get install chromium), or name its path "
    "in CHROMIUM"
)


def chromium() -> str | None:
    """The path of the system's Chromium, or None."""
    named = os.environ.get("CHROMIUM")
    return named or next(filter(None, map(shutil.which, NAMES)), None)


def new_page(browser: Browser, **settings: object) -> Page:
    """A page in a context of its own, patient enough for a busy machine."""
    page = browser.new_context(**settings).new_page()
    page.set_default_timeout(MILLISECONDS)
    return page


@contextmanager
def launched() -> Iterator[Browser]:
    """A headless Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        yield browser
        browser.close()


class Quiet(SimpleHTTPRequestHandler):
    """A server of files that does not print each request."""

    def __init__(self, *args: object, headers: dict[str, str], **named: object):
        self.added = headers
        super().__init__(*args, **named)

    def end_headers(self) -> None:
        for header in self.added.items():
            self.send_header(*header)
        super().end_headers()

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def served(folder: Path, headers: dict[str, str] | None = None) -> Iterator[str]:
    """The address under which a folder's files can be reached meanwhile.

    Answers have the given headers besides their own.
    """
    handler = partial(Quiet, directory=str(folder), headers=headers or {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


if __name__ == "__main__":
    ran = "The site was looked at in a browser."
    print(ran if chromium() else f"The browser's checks did NOT run: {MISSING}.")
