"""A server of the OpenAI protocol on the loopback that answers as a test tells it to, and records what it was asked."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

GOOD = {"caption": "A cat sits on a mat.", "subject": "a cat", "action": "sits", "place": "on a mat", "people": "none"}


def said(content: Any, **more: Any) -> dict[str, Any]:
    """A chat completion whose message has this content."""
    return {"model": "seer", "choices": [{"message": {"role": "assistant", "content": content}, **more}]}


@dataclass
class Answer:
    """What is sent back: a JSON value or bytes, after a pause."""

    body: Any = field(default_factory=lambda: said(json.dumps(GOOD)))
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    after_s: float = 0.0


Answering = Callable[[int, dict[str, Any]], Answer]


@dataclass
class ChatServer:
    """Records requests; ``answer(number, request)`` decides what the chat request of that number gets."""

    answer: Answering
    models: Any = field(default_factory=lambda: {"data": [{"id": "seer", "root": "/srv/weights/seer-7b"}]})
    asked: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    most_at_once: int = 0
    url: str = ""
    _now: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def chat(self, request: dict[str, Any]) -> Answer:
        """Count, decide, wait."""
        with self._lock:
            number = len(self.asked)
            self.asked.append(request)
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
        try:
            answer = self.answer(number, request)
            time.sleep(answer.after_s)
            return answer
        finally:
            with self._lock:
                self._now -= 1


@contextlib.contextmanager
def serving(
    answer: Callable[[int, dict[str, Any]], Answer] = lambda n, r: Answer(), **more: Any
) -> Iterator[ChatServer]:
    """A running server with the address ``.url``."""
    chat = ChatServer(answer, **more)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            chat.keys.append(self.headers.get("Authorization"))
            body = chat.models
            self._send(body if isinstance(body, Answer) else Answer(body))

        def do_POST(self) -> None:
            chat.keys.append(self.headers.get("Authorization"))
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self._send(chat.chat(request))

        def _send(self, answer: Answer) -> None:
            data = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # who waits no longer
                self.send_response(answer.status)
                for name, value in {"Content-Length": str(len(data)), **answer.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)

        def log_message(self, *args: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    chat.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield chat
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
