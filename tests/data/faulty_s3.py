"""As much of S3 as reading needs, on loopback, from a server that dies, stalls, is busy or lies."""

from __future__ import annotations

import hashlib
import http.server
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

_ERROR = "<?xml version='1.0'?><Error><Code>{0}</Code><Message>{0}</Message></Error>"


@dataclass
class Bucket:
    """One bucket, and how its server behaves.

    Attributes:
        objects: key → bytes.
        busy: how many of the next requests for objects are refused with 503 SlowDown.
        dies_after: bytes of an object after which the connection is closed, while more was announced.
        deaths: how often it does that.
        stalls: never send the body of an object.
        bodies: what is served in place of an object's bytes, by what should have been.
        on_get: called after each GET of an object.
        misbehaves: whether the next GET of an object meets what is said above.
    """

    name: str = "films"
    objects: dict[str, bytes] = field(default_factory=dict)
    busy: int = 0
    dies_after: int | None = None
    deaths: int = 10**9
    stalls: bool = False
    bodies: Callable[[bytes], bytes] = bytes
    on_get: Callable[[], None] = lambda: None
    misbehaves: Callable[[], bool] = lambda: True
    gets: int = 0

    def recover(self) -> None:
        """Be a server that does what it says from now on."""
        self.busy, self.dies_after, self.deaths, self.stalls = 0, None, 10**9, False
        self.bodies, self.on_get, self.misbehaves = bytes, lambda: None, lambda: True


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    bucket: Bucket
    ended: threading.Event

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self._answer(head=True)

    def do_GET(self) -> None:
        self._answer(head=False)

    def _answer(self, *, head: bool) -> None:
        address = urlsplit(self.path)
        name, _, key = unquote(address.path).lstrip("/").partition("/")
        if name != self.bucket.name:
            self._send(404, _ERROR.format("NoSuchBucket").encode(), head=head)
        elif not key:
            self._send(200, self._listing(parse_qs(address.query)), head=head)
        elif key not in self.bucket.objects:
            self._send(404, _ERROR.format("NoSuchKey").encode(), head=head)
        elif self.bucket.busy > 0:
            self.bucket.busy -= 1
            self._send(503, _ERROR.format("SlowDown").encode(), head=head)
        else:
            self._object(self.bucket.objects[key], head=head)

    def _listing(self, query: dict[str, list[str]]) -> bytes:
        prefix, delimiter = query.get("prefix", [""])[0], query.get("delimiter", [""])[0]
        rows, folders = [], set()
        for key, data in sorted(self.bucket.objects.items()):
            if not key.startswith(prefix):
                continue
            rest = key[len(prefix) :]
            if delimiter and delimiter in rest:
                folders.add(prefix + rest.partition(delimiter)[0] + delimiter)
                continue
            rows.append(
                f"<Contents><Key>{escape(key)}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
                f"<ETag>&quot;{hashlib.md5(data).hexdigest()}&quot;</ETag><Size>{len(data)}</Size></Contents>"
            )
        rows += [f"<CommonPrefixes><Prefix>{escape(name)}</Prefix></CommonPrefixes>" for name in sorted(folders)]
        return (
            "<?xml version='1.0'?><ListBucketResult xmlns='http://s3.amazonaws.com/doc/2006-03-01/'>"
            f"<Name>{self.bucket.name}</Name><IsTruncated>false</IsTruncated>{''.join(rows)}</ListBucketResult>"
        ).encode()

    def _object(self, data: bytes, *, head: bool) -> None:
        about = {"ETag": f'"{hashlib.md5(data).hexdigest()}"', "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT"}
        wanted = self.headers.get("Range")
        status, body = 200, data
        if wanted:
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            body = data[int(first) : int(last or len(data) - 1) + 1]
            about["Content-Range"] = f"bytes {first}-{int(first) + len(body) - 1}/{len(data)}"
            status = 206
        if head:
            self._send(status, body, head=True, about=about)
            return
        self.bucket.gets += 1
        if not self.bucket.misbehaves():
            self._send(status, body, head=False, about=about)
            return
        if self.bucket.stalls:
            self._begin(status, len(body), about)
            self.ended.wait(60)
            self.close_connection = True
            return
        if self.bucket.dies_after is not None and self.bucket.deaths > 0:
            self.bucket.deaths -= 1
            self._begin(status, len(body), about)
            self.wfile.write(body[: self.bucket.dies_after])
            self.wfile.flush()
            self.close_connection = True
            return
        self._send(status, self.bucket.bodies(body), head=False, about=about)
        self.bucket.on_get()

    def _begin(self, status: int, length: int, about: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in about.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def _send(self, status: int, body: bytes, *, head: bool, about: dict[str, str] | None = None) -> None:
        self._begin(status, len(body), about or {"Content-Type": "application/xml"})
        if not head:
            self.wfile.write(body)


@contextmanager
def serving(bucket: Bucket) -> Iterator[str]:
    """Serve the bucket; gives the endpoint."""
    ended = threading.Event()
    handler = type("Handler", (_Handler,), {"bucket": bucket, "ended": ended})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        ended.set()
        server.shutdown()
        server.server_close()
        thread.join()
