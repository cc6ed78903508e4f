"""The review page on this machine only: plays clips, takes verdicts.

It listens on 127.0.0.1, where every user and program of the machine can connect. So whatever it has to give is below
a token that is made for the sitting and stands in the printed address alone: no page, clip or decision without it. (No
cookie, for browsers send those to every port of an address.) It answers only requests that name it as this machine, so
that a page elsewhere cannot reach it through a name of its own, and takes decisions from its own page only. Nothing is
loaded from anywhere else.
"""

from __future__ import annotations

import json
import secrets
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from aiprod.base.crash_report import end_with
from aiprod.base.denials import last_line
from aiprod.base.structured import parse_json
from aiprod.errors import AiprodError
from aiprod.governance.pages import render
from aiprod.governance.review.http_ranges import Unsatisfiable, byte_range
from aiprod.governance.review.recording import BASES, NOTE_MAX
from aiprod.governance.review.session import Desk
from aiprod.storage.clip_store import decrypted_copy, present

_CHUNK = 1 << 18
_BODY_MAX = 10_000
_NO_TOKEN = "open the address that `aiprod review serve` printed: its last part is the key of this sitting"


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
        """Where the page is; whoever has it may look and decide as the reviewer."""
        return f"http://127.0.0.1:{self.server_address[1]}/{self.token}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a connection that broke; of anything else one line."""
        error = sys.exception()
        if isinstance(error, Exception) and not isinstance(error, ConnectionError | TimeoutError):
            print(end_with(error)[0], file=sys.stderr)


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
        """A decision, or that the last one is taken back."""
        size = self.headers.get("Content-Length") or ""
        fits = size.isdecimal() and int(size[:9]) <= _BODY_MAX
        body = self.rfile.read(int(size)) if fits else b""
        self.close_connection = self.close_connection or not fits  # what was not read is no next request
        if not self._is_local():
            return self._error(404, "there is nothing here")
        path = self._below_token()
        if path is None or not self._is_token(self.headers.get("X-Review-Token", "")) or not self._is_own_page():
            return self._error(403, _NO_TOKEN)
        if path not in ("verdict", "undo"):
            return self._error(404, "there is nothing here")
        try:
            values = parse_json(body)
        except AiprodError:
            values = None
        if not isinstance(values, dict):
            return self._error(400, "the page sent something else than a decision; reload it")
        try:
            self._json(self.server.desk.undo() if path == "undo" else self.server.desk.decide(values))
        except AiprodError as error:
            self._error(409, last_line(error))
        return None

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (named so by the base class)
        """Say nothing: the terminal is the reviewer's."""

    def _answer(self) -> None:
        desk = self.server.desk
        if not self._is_local():
            return self._error(404, "there is nothing here")
        path = self._below_token()
        if path is None:
            return self._error(403, _NO_TOKEN)
        try:
            if path == "":
                return self._page(desk)
            if path == "clips":
                return self._json(desk.clips())
            if path.startswith("video/"):
                return self._video(desk.video(path.removeprefix("video/")))
        except AiprodError as error:
            return self._error(404, last_line(error))
        except (BrokenPipeError, ConnectionResetError):  # the browser has what it wanted
            self.close_connection = True
            return None
        return self._error(404, "there is nothing here")

    def _is_local(self) -> bool:
        port = self.server.server_address[1]
        return self.headers.get("Host") in (f"127.0.0.1:{port}", f"localhost:{port}")

    def _below_token(self) -> str | None:
        """The path that is asked for below the token; None without it."""
        token, slash, path = self.path.partition("?")[0].removeprefix("/").partition("/")
        return path if slash and self._is_token(token) else None

    def _is_token(self, token: str) -> bool:
        return secrets.compare_digest(token.encode("utf-8", "surrogateescape"), self.server.token.encode())

    def _is_own_page(self) -> bool:
        """Whether a browser says that our page sent this; what is no browser need not say so."""
        origin = self.headers.get("Origin")
        return origin is None or origin == f"http://{self.headers.get('Host')}"

    def _page(self, desk: Desk) -> None:
        nonce = secrets.token_urlsafe(16)
        page = render(
            "review.html.j2",
            nonce=nonce,
            actor=desk.actor,
            sample=desk.sample,
            bases=BASES,
            note_max=NOTE_MAX,
        )
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
        always["Cross-Origin-Resource-Policy"] = "same-origin"
        for name, value in {**always, **(more or {})}.items():
            self.send_header(name, value)
        self.end_headers()

    def _video(self, path: Path) -> None:
        if not present(path):
            return self._error(404, "the clip's file is not here; run `dvc checkout`")
        with decrypted_copy(path) as clear, open(clear, "rb") as file:
            size = clear.stat().st_size
            try:
                requested = byte_range(self.headers.get("Range"), size)
            except Unsatisfiable:
                return self._head(416, "video/mp4", 0, {"Content-Range": f"bytes */{size}"})
            start, end = requested or (0, size - 1)
            more = {"Accept-Ranges": "bytes"}
            if requested is not None:
                more["Content-Range"] = f"bytes {start}-{end}/{size}"
            self._head(200 if requested is None else 206, "video/mp4", end - start + 1, more)
            if self.command == "HEAD":
                return None
            file.seek(start)
            left = end - start + 1
            while left > 0 and (chunk := file.read(min(_CHUNK, left))):
                self.wfile.write(chunk)
                left -= len(chunk)
        return None
