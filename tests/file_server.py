"""A local web server whose connections break when a test says so."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    """Serves `server.files`; cuts the first `server.cuts` answers half way."""

    def log_message(self, *args):
        pass

    def do_HEAD(self):
        content = self.server.files.get(self.path.lstrip("/"))
        if content is None:
            return self.send_error(404)
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()

    def do_GET(self):
        server = self.server
        content = server.files.get(self.path.lstrip("/"))
        if content is None:
            return self.send_error(404)
        asked = int(self.headers.get("Range", "bytes=0-")[6:].rstrip("-"))
        start = asked if server.ranges else 0
        server.starts.append(asked)
        self.send_response(206 if server.ranges else 200)
        if server.ranges:
            span = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self.send_header("Content-Range", span)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        body = content[start:]
        if server.cuts:
            server.cuts -= 1
            body = body[: len(body) // 2]
        self.wfile.write(body)


@contextmanager
def serve(files: dict[str, bytes]) -> Iterator[ThreadingHTTPServer]:
    """Serve files by name; `starts` lists from which byte each request began."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.files, server.starts, server.cuts, server.ranges = files, [], 0, True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
