"""MLflow's server for one person at one machine: the pages of experiments and models, and nothing that runs programs.

``mlflow ui`` serves more: an assistant, a gateway to language models, jobs. Nobody needs them to look at curves, and
what runs programs should not listen on a machine that others use, too. So they are not served, nor shown.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

NOT_SERVED = frozenset({"assistant", "gateway", "jobs", "mcp", "mcp-servers", "scorers", "traces"})
"""Parts of a path: whatever has one is answered as if it were not there."""
_BEFORE = b"</head>"
_WITHOUT_ASSISTANT = (
    b"<style>[data-assistant-ui]{display:none!important}</style>"
    b"<script>localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1','true')</script>"
)
"""Its panel opens by itself at addresses of this machine, over a quarter of the page, though nothing answers it."""

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]


def experiment_pages(inner: Application) -> Application:
    """An ASGI application that stands before MLflow's."""

    async def answer(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await inner(scope, receive, send)
        elif NOT_SERVED & set(str(scope["path"]).lower().split("/")):
            await send({"type": "http.response.start", "status": 404, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body", "body": b""})
        elif scope["path"] == "/":
            await _start_page(inner, scope, receive, send)
        else:
            await inner(scope, receive, send)

    return answer


async def _start_page(inner: Application, scope: Message, receive: Receive, send: Send) -> None:
    messages: list[Message] = []

    async def keep(message: Message) -> None:
        messages.append(message)

    await inner(scope, receive, keep)
    body = b"".join(message.get("body", b"") for message in messages).replace(_BEFORE, _WITHOUT_ASSISTANT + _BEFORE, 1)
    headers = [(name, value) for name, value in messages[0]["headers"] if name.lower() not in _OF_THE_BODY]
    await send({**messages[0], "headers": [*headers, (b"content-length", str(len(body)).encode())]})
    await send({"type": "http.response.body", "body": body})


_OF_THE_BODY = (b"content-length", b"etag", b"last-modified")


def application() -> Application:
    """The server of the store that ``MLFLOW_BACKEND_STORE_URI`` names."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of MLflow's about what it uses itself
        from mlflow.server import BACKEND_STORE_URI_ENV_VAR, SERVE_ARTIFACTS_ENV_VAR
        from mlflow.server.fastapi_app import create_fastapi_app
        from mlflow.server.handlers import initialize_backend_stores

    uri = os.environ["MLFLOW_BACKEND_STORE_URI"]
    os.environ |= {BACKEND_STORE_URI_ENV_VAR: uri, SERVE_ARTIFACTS_ENV_VAR: "true"}
    initialize_backend_stores(uri, None, None)
    return experiment_pages(create_fastapi_app())


def main(port: int) -> None:
    """Serve on this machine until Ctrl-C."""
    import uvicorn

    uvicorn.run(application(), host="127.0.0.1", port=port, log_level="warning")


if __name__ == "__main__":
    main(int(sys.argv[1]))
