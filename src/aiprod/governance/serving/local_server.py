"""A server of pages for this machine only; what each page holds is said by who derives from it.

It listens on 127.0.0.1, where every user and program of the machine can connect. So whatever it has to give is below
a token that is made for the sitting and stands in the printed address alone: no page, file or decision without it. (No
cookie, for browsers send those to every port of an address.) It answers only requests that name it as this machine, so
that a page elsewhere cannot reach it through a name of its own, and takes what changes something from its own pages
only, by POST, one at a time. Nothing is loaded from anywhere else.
"""

from __future__ import annotations

import json
import secrets
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from aiprod.base.crash_report import end_with
from aiprod.base.denials import Refusal, last_line
from aiprod.base.structured import parse_json
from aiprod.errors import AiprodError
from aiprod.governance.serving.http_ranges import Unsatisfiable, byte_range
from aiprod.storage.clip_store import decrypted_copy, present

TOKEN_HEADER = "X-Page-Token"
NOTHING_HERE = "there is nothing here"
_CHUNK = 1 << 18
_BODY_MAX = 10_000
_PAGE_POLICY = (
    "default-src 'none'; script-src 'nonce-{}'; style-src 'unsafe-inline'; img-src 'self' data:; media-src 'self';"
    " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


class NotHere(AiprodError):
    """Nothing is at that address."""

    def __init__(self) -> None:
        super().__init__(NOTHING_HERE)


@dataclass(frozen=True)
class Answer:
    """What a request gets.

    Attributes:
        body: what is sent, where it is no file.
        file: what is sent by ranges.
        encrypted: the file may be encrypted or packed, and is sent in the clear.
        status: of HTTP, where there is a body.
    """

    kind: str
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    file: Path | None = None
    encrypted: bool = False
    status: int = 200


def new_nonce() -> str:
    """For the scripts of one page."""
    return secrets.token_urlsafe(16)


def leads_on(where: str) -> Answer:
    """Sends on to an address, which may be relative to the one that was asked for."""
    return Answer("text/plain", b"", {"Location": where}, status=308)


def page(text: str, nonce: str) -> Answer:
    """A page that runs the scripts which carry its nonce, and loads nothing but from this server."""
    return Answer("text/html; charset=utf-8", text.encode(), {"Content-Security-Policy": _PAGE_POLICY.format(nonce)})


def as_json(value: Any) -> Answer:
    """A value for a script."""
    return Answer("application/json", json.dumps(value, ensure_ascii=False).encode())


class LocalServer(ThreadingHTTPServer):
    """Answers GET by :meth:`get`, and POST of its own pages by :meth:`post`.

    Args:
        port: 0 takes a free one.
        command: what printed the address, for who comes without its token.
        changes: whether anything may be posted at all.

    Raises:
        AiprodError: the port cannot be used.
    """

    daemon_threads = True

    def __init__(self, port: int, command: str, *, changes: bool = True) -> None:
        self.token = secrets.token_urlsafe(24)
        self.changes = changes
        self.command = command
        self.changing = threading.Lock()
        try:
            super().__init__(("127.0.0.1", port), _Handler)
        except OSError as error:
            raise AiprodError(f"port {port} cannot be used ({error.strerror})", "take another with --port") from None

    @property
    def url(self) -> str:
        """Where the pages are; whoever has it may do what the person may for whom they are served."""
        return f"http://127.0.0.1:{self.server_address[1]}/{self.token}/"

    def get(self, path: str, query: Mapping[str, str]) -> Answer:
        """What is at a path below the token.

        Raises:
            NotHere: nothing is.
            AiprodError: it cannot be shown; one sentence says why.
        """
        raise NotHere

    def post(self, path: str, values: dict[str, Any]) -> Answer:
        """Do what a page asks. No two are done at a time.

        Raises:
            NotHere: no such path.
            AiprodError: it cannot or may not be done.
        """
        raise NotHere

    def error_page(self, path: str, line: str) -> Answer | None:
        """An error for a person who looks, where pages are to say it; None: it is said to a script."""
        return None

    @contextmanager
    def serving(self) -> Iterator[None]:
        """The server, closed when the block ends; what is being changed is brought to its end first."""
        try:
            yield
        finally:
            self.server_close()
            if not self.changing.acquire(blocking=False):
                print("waiting for the end of what is being changed (Ctrl-C ends it half-way)", file=sys.stderr)
                self.changing.acquire()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a connection that broke; of anything else one line."""
        error = sys.exception()
        if isinstance(error, Exception) and not isinstance(error, ConnectionError | TimeoutError):
            print(end_with(error)[0], file=sys.stderr)


class _Handler(BaseHTTPRequestHandler):
    server: LocalServer
    protocol_version = "HTTP/1.1"
    timeout = 60
    _begun = False  # whether the head of the answer was sent

    def do_GET(self) -> None:
        """A page, a file, a value."""
        self._answer()

    def do_HEAD(self) -> None:
        """The same without a body."""
        self._answer()

    def do_POST(self) -> None:
        """What changes something."""
        size = self.headers.get("Content-Length") or ""
        fits = size.isdecimal() and int(size[:9]) <= _BODY_MAX
        body = self.rfile.read(int(size)) if fits else b""
        self.close_connection = self.close_connection or not fits  # what was not read is no next request
        if not self._is_local():
            return self._error(404, NOTHING_HERE)
        path = self._below_token()
        if path is None or not self._is_token(self.headers.get(TOKEN_HEADER, "")) or not self._is_own_page():
            return self._error(403, self._no_token)
        if not self.server.changes:
            line = f"nothing can be changed here → stop it, and start `{self.server.command} --allow-changes`"
            return self._error(403, line)
        try:
            values = parse_json(body)
        except AiprodError:
            values = None
        if not isinstance(values, dict):
            return self._error(400, "the page sent something else than was asked for → reload it")

        def changed() -> Answer:
            with self.server.changing:
                return self.server.post(path[0], values)

        return self._say(changed, 409)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (named so by the base class)
        """Say nothing: the terminal is the user's."""

    def _answer(self) -> None:
        if not self._is_local():
            return self._error(404, NOTHING_HERE)
        path = self._below_token()
        if path is None:
            return self._error(403, self._no_token)
        return self._say(lambda: self.server.get(path[0], dict(parse_qsl(path[1], keep_blank_values=True))), 404)

    def _say(self, answer: Callable[[], Answer], otherwise: int) -> None:
        """Send what ``answer`` gives, or in one line why it gives nothing: with the status ``otherwise``."""
        self._begun = False
        try:
            self._send(answer())
        except NotHere as error:
            self._error(404, error.what)
        except Refusal as error:
            self._error(403 if self.command != "POST" else otherwise, last_line(error))
        except AiprodError as error:
            self._error(otherwise, last_line(error))
        except (BrokenPipeError, ConnectionResetError):  # the browser has what it wanted
            self.close_connection = True
        except Exception as error:  # a thread that ends without a word leaves the person before an empty window
            line = end_with(error)[0]
            print(line, file=sys.stderr)
            if self._begun:
                self.close_connection = True
            else:
                self._error(500, line.removeprefix("error: "))

    @property
    def _no_token(self) -> str:
        return f"open the address that `{self.server.command}` printed: its last part is the key of this sitting"

    def _is_local(self) -> bool:
        port = self.server.server_address[1]
        return self.headers.get("Host") in (f"127.0.0.1:{port}", f"localhost:{port}")

    def _below_token(self) -> tuple[str, str] | None:
        """The path that is asked for below the token, and its query; None without the token."""
        asked, _, query = self.path.partition("?")
        token, slash, path = asked.removeprefix("/").partition("/")
        return (path, query) if slash and self._is_token(token) else None

    def _is_token(self, token: str) -> bool:
        return secrets.compare_digest(token.encode("utf-8", "surrogateescape"), self.server.token.encode())

    def _is_own_page(self) -> bool:
        """Whether a browser says that our page sent this; what is no browser need not say so."""
        origin = self.headers.get("Origin")
        return origin is None or origin == f"http://{self.headers.get('Host')}"

    def _error(self, status: int, line: str) -> None:
        asked = self._below_token() if self.command == "GET" and "text/html" in self.headers.get("Accept", "") else None
        told = self.server.error_page(asked[0], line) if asked is not None and self._is_local() else None
        self._send(told or as_json({"error": line}), status)

    def _send(self, answer: Answer, status: int | None = None) -> None:
        if answer.file is not None:
            return self._send_file(answer.file, answer)
        self._head(status or answer.status, answer.kind, len(answer.body), answer.headers)
        if self.command != "HEAD":
            self.wfile.write(answer.body)
        return None

    def _head(self, status: int, kind: str, size: int, more: Mapping[str, str]) -> None:
        self._begun = True
        self.send_response(status)
        always = {"Content-Type": kind, "Content-Length": str(size), "Cache-Control": "no-store"}
        always |= {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
        always["Cross-Origin-Resource-Policy"] = "same-origin"
        for name, value in {**always, **more}.items():
            self.send_header(name, value)
        self.end_headers()

    def _send_file(self, path: Path, answer: Answer) -> None:
        if not answer.encrypted:
            return self._send_range(path, answer) if path.is_file() else self._error(404, NOTHING_HERE)
        if not present(path):
            return self._error(404, "the clip's file is not here; run `dvc checkout`")
        with decrypted_copy(path) as clear:
            return self._send_range(clear, answer)

    def _send_range(self, path: Path, answer: Answer) -> None:
        with open(path, "rb") as file:
            size = path.stat().st_size
            try:
                requested = byte_range(self.headers.get("Range"), size)
            except Unsatisfiable:
                return self._head(416, answer.kind, 0, {**answer.headers, "Content-Range": f"bytes */{size}"})
            start, end = requested or (0, size - 1)
            more = {**answer.headers, "Accept-Ranges": "bytes"}
            if requested is not None:
                more["Content-Range"] = f"bytes {start}-{end}/{size}"
            self._head(200 if requested is None else 206, answer.kind, end - start + 1, more)
            if self.command == "HEAD":
                return None
            file.seek(start)
            left = end - start + 1
            while left > 0 and (chunk := file.read(min(_CHUNK, left))):
                self.wfile.write(chunk)
                left -= len(chunk)
        return None
