"""A web server with two films, which can break a transfer off."""

from __future__ import annotations

import http.server
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.qc.films import texture, write

TABLE = "file,licence\na.mp4,CC0-1.0\nsub/b c.mp4,CC0-1.0\n"


class Server(http.server.SimpleHTTPRequestHandler):
    """A web server that knows ranges if told so, and can break a transfer off."""

    ranges = True
    break_after: int | None = None
    asked: list[tuple[str, str | None]] = []
    refused: dict[str, int] = {}
    said: dict[str, list[tuple[str, str]]] = {}

    def end_headers(self) -> None:
        """Send what is said of this path as well."""
        for name, value in self.said.get(self.path, ()):
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        if status := self.refused.get(self.path):
            self.send_error(status)
            return
        super().do_HEAD()

    def do_GET(self) -> None:
        if status := self.refused.get(self.path):
            self.send_error(status)
            return
        path = Path(self.translate_path(self.path))
        wanted = self.headers.get("Range")
        if not path.is_file():
            super().do_GET()
            return
        type(self).asked.append((self.path, wanted))
        data = path.read_bytes()
        whole, first = len(data), 0
        if wanted and self.ranges:
            found = re.fullmatch(r"bytes=(\d+)-(\d*)", wanted)
            assert found is not None
            first, last = int(found[1]), int(found[2] or whole - 1)
            data = data[first : last + 1]
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {first}-{first + len(data) - 1}/{whole}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("ETag", f'"{hash(path.read_bytes())}"')
        if self.ranges:
            self.send_header("Accept-Ranges", "bytes")
        self.end_headers()
        if self.break_after is not None and path.suffix == ".mp4":
            data = data[: self.break_after]
        self.wfile.write(data)


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """Two films in two folders, one copy, one table, one list."""
    root = tmp_path / "www"
    (root / "sub").mkdir(parents=True)
    for number, name in enumerate(("a.mp4", "sub/b c.mp4")):
        write(root / name, (texture(160, 120, number + n // 6) for n in range(24)))
    (root / "RIGHTS.csv").write_text(TABLE)
    (root / "list.txt").write_text("# films\na.mp4\nsub/b c.mp4\nRIGHTS.csv\n")
    return root


@pytest.fixture
def web(films: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of the list on a server of the test's own."""
    for name in ("ranges", "break_after"):
        monkeypatch.setattr(Server, name, getattr(Server, name))
    monkeypatch.setattr(Server, "asked", [])
    monkeypatch.setattr(Server, "refused", {})
    monkeypatch.setattr(Server, "said", {})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), lambda *a, **k: Server(*a, directory=str(films), **k))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/list.txt"
    server.shutdown()
    server.server_close()
