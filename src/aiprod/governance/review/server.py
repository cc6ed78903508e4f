"""The review page on this machine only: plays clips, takes verdicts.

It listens on 127.0.0.1, answers only requests that name it so (a page elsewhere cannot reach it through a name of its
own), and takes decisions only with the token that it wrote into the page. Nothing is loaded from anywhere else.
"""

from __future__ import annotations

import json
import secrets
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from aiprod.base.errors import AiprodError
from aiprod.base.refusals import last_line
from aiprod.data.clip_store import plain
from aiprod.governance.pages import render
from aiprod.governance.review.desk import Desk
from aiprod.governance.review.ranges import Unsatisfiable, byte_range
from aiprod.governance.review.recording import BASES, NOTE_MAX

_CHUNK = 1 << 18
_BODY_MAX = 10_000


class ReviewServer(ThreadingHTTPServer):
    """Serves one desk.

    Args:
        port: 0 takes a free one.
    """

    daemon_threads = True

    def __init__(self, desk: Desk, port: int = 0) -> None:
        self.desk = desk
        self.token = secrets.token_urlsafe(24)
        super().__init__(("127.0.0.1", port), _Handler)

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://127.0.0.1:{self.server_address[1]}/"


class _Handler(BaseHTTPRequestHandler):
    server: ReviewServer
    protocol_version = "HTTP/1.1"
    timeout = 60

    def do_GET(self) -> None:
        """The page, the clips, a video."""
        self._answer()

    def do_HEAD(self) -> None:
        """The same without a body."""
        self._answer()

    def do_POST(self) -> None:
        """A decision."""
        size = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(size) if 0 < size <= _BODY_MAX else b""
        if not self._is_local() or self.path != "/verdict":
            return self._error(404, "there is nothing here")
        if not secrets.compare_digest(self.headers.get("X-Review-Token", ""), self.server.token):
            return self._error(403, "the page is of another sitting; reload it")
        try:
            values = json.loads(body)
            if not isinstance(values, dict):
                raise ValueError
            self._json(self.server.desk.decide(values))
        except ValueError:
            self._error(400, "the page sent something else than a decision; reload it")
        except AiprodError as error:
            self._error(409, last_line(error))
        return None

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the terminal is the reviewer's."""

    def _answer(self) -> None:
        desk, path = self.server.desk, self.path.partition("?")[0]
        if not self._is_local():
            return self._error(404, "there is nothing here")
        try:
            if path == "/":
                return self._page(desk)
            if path == "/clips":
                return self._json(desk.clips())
            if path.startswith("/video/"):
                return self._video(desk.video(path.removeprefix("/video/")))
        except AiprodError as error:
            return self._error(404, last_line(error))
        except (BrokenPipeError, ConnectionResetError):  # the browser has what it wanted
            self.close_connection = True
            return None
        return self._error(404, "there is nothing here")

    def _is_local(self) -> bool:
        port = self.server.server_address[1]
        return self.headers.get("Host") in (f"127.0.0.1:{port}", f"localhost:{port}")

    def _page(self, desk: Desk) -> None:
        nonce = secrets.token_urlsafe(16)
        page = render(
            "review.html.j2", nonce=nonce, token=self.server.token, actor=desk.actor, sample=desk.sample, bases=BASES,
            note_max=NOTE_MAX,
        )  # fmt: skip
        policy = f"default-src 'self'; script-src 'nonce-{nonce}'; style-src 'unsafe-inline'; frame-ancestors 'none'"
        self._send(200, "text/html; charset=utf-8", page.encode(), {"Content-Security-Policy": policy})

    def _json(self, value: Any) -> None:
        self._send(200, "application/json", json.dumps(value, ensure_ascii=False).encode())

    def _error(self, status: int, line: str) -> None:
        self._send(status, "application/json", json.dumps({"error": line}, ensure_ascii=False).encode())

    def _send(self, status: int, kind: str, body: bytes, more: dict[str, str] | None = None) -> None:
        self._head(status, kind, len(body), more)
        if self.command != "HEAD":
            self.wfile.write(body)

    def _head(self, status: int, kind: str, size: int, more: dict[str, str] | None = None) -> None:
        self.send_response(status)
        always = {"Content-Type": kind, "Content-Length": str(size), "Cache-Control": "no-store"}
        always |= {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
        for name, value in {**always, **(more or {})}.items():
            self.send_header(name, value)
        self.end_headers()

    def _video(self, path: Path) -> None:
        if not path.is_file():
            return self._error(404, "the clip's file is not here; run `dvc checkout`")
        with plain(path) as clear, open(clear, "rb") as file:
            size = clear.stat().st_size
            try:
                asked = byte_range(self.headers.get("Range"), size)
            except Unsatisfiable:
                return self._head(416, "video/mp4", 0, {"Content-Range": f"bytes */{size}"})
            start, end = asked or (0, size - 1)
            more = {"Accept-Ranges": "bytes"}
            if asked is not None:
                more["Content-Range"] = f"bytes {start}-{end}/{size}"
            self._head(200 if asked is None else 206, "video/mp4", end - start + 1, more)
            if self.command == "HEAD":
                return None
            file.seek(start)
            left = end - start + 1
            while left > 0 and (chunk := file.read(min(_CHUNK, left))):
                self.wfile.write(chunk)
                left -= len(chunk)
        return None
