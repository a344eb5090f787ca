"""A web server for island tests: a dictionary of answers, the built islands, and the console's strict policy."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

STATIC = Path(__file__).parents[2] / "app" / "console" / "static"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'"
)
TYPES = {".js": "text/javascript", ".css": "text/css"}


@dataclass
class Site:
    """`answers` maps a path to (content type, body); the body's hash is its ETag."""

    base_url: str
    answers: dict[str, tuple[str, str]] = field(default_factory=dict)
    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)


@contextmanager
def serve() -> Iterator[Site]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.site = Site(f"http://127.0.0.1:{server.server_port}")  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server.site  # type: ignore[attr-defined]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        kind, body = self._answer()
        etag = f'"{hash(body):x}"'
        if not body:
            status = 404 if self.path != "/favicon.ico" else 204
        else:
            status = 304 if self.headers["If-None-Match"] == etag else 200
        self.server.site.statuses[self.path, status] += 1  # type: ignore[attr-defined]
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Security-Policy", POLICY)
        self.send_header("ETag", etag)
        self.end_headers()
        if status == 200:
            self.wfile.write(body)

    def _answer(self) -> tuple[str, bytes]:
        if self.path.startswith("/static/"):
            path = STATIC / self.path.removeprefix("/static/")
            return TYPES[path.suffix], path.read_bytes()
        kind, text = self.server.site.answers.get(self.path, ("text/plain", ""))  # type: ignore[attr-defined]
        return kind, text.encode()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        pass
