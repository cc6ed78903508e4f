"""Talks to a server of the OpenAI protocol: bounded in time and size, patient while it is busy, and shows no key."""

from __future__ import annotations

import asyncio
import email.utils
import json
import os
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from aiprod.captions.model_params import KEY_VARIABLE, EndpointParams
from aiprod.errors import AiprodError, words_of
from aiprod.printable import escape_controls

if TYPE_CHECKING:
    import aiohttp

ANSWER_BYTES_MAX = 1 << 20
_LIST_BYTES_MAX = 1 << 24
_CHUNK = 1 << 16
_WAIT_MAX_S = 60.0
_BUSY = frozenset({408, 425, 429, 502, 503, 504})
_OWN_FAULT = 500
AGAIN = "run again when it answers: what it has described so far is kept"


class EndpointDown(AiprodError):
    """The server cannot be used now, whatever it is asked."""


class ServerFault(AiprodError):
    """The server fails on a request, however often it is asked."""


@dataclass(frozen=True)
class Reply:
    """What the server answered: its status, its bytes, and how long it asks to wait, in seconds."""

    status: int
    data: bytes
    wait_s: float | None = None
    location: str = ""


class ChatClient:
    """One connection pool to one server. No redirect is followed and no proxy is asked: pictures go to the server that
    the parameters name, or nowhere.

    Args:
        params: of the endpoint.
    """

    def __init__(self, params: EndpointParams) -> None:
        self._params = params
        self._key = os.environ.get(KEY_VARIABLE, "").strip()
        self._formatted = True  # until the server says that it does not know response_format
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        import aiohttp

        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        self._session = aiohttp.ClientSession(
            headers=headers,
            connector=aiohttp.TCPConnector(limit=self._params.concurrency),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),  # _once bounds the whole
        )
        return self

    async def __aexit__(self, *error: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def models(self) -> list[dict[str, Any]]:
        """What the server says that it serves; nothing where it has no such list.

        Raises:
            EndpointDown: it cannot be reached, refuses the key or sends something else.
        """
        reply = await self._patiently("GET", "/models", None, _LIST_BYTES_MAX)
        if reply.status == 404:
            return []
        entries = self._json(reply).get("data") if reply.status == 200 else None
        if not isinstance(entries, list):
            raise self._down(f"does not list its models ({self._words(reply)})")
        return [entry for entry in entries if isinstance(entry, dict) and isinstance(entry.get("id"), str)]

    async def complete(self, body: dict[str, Any], formatted: dict[str, Any]) -> dict[str, Any]:
        """The server's answer to a chat completion.

        Args:
            formatted: keys that ask for a format; left out once the server says that it does not know them.

        Raises:
            EndpointDown: it cannot be used now.
            AiprodError: it does not answer this request.
        """
        while True:
            request = {**body, **formatted} if self._formatted else body
            reply = await self._patiently("POST", "/chat/completions", request, ANSWER_BYTES_MAX)
            if reply.status == 200:
                return self._json(reply)
            unknown = reply.status in (400, 415, 422) and any(key.encode() in reply.data for key in formatted)
            if not (unknown and request is not body):
                break
            self._formatted = False
        if reply.status >= _OWN_FAULT:
            raise ServerFault(f"the endpoint fails on the request ({self._words(reply)})", "see the server's log")
        hint = "fewer or smaller pictures (caption.endpoint.frames, longest_side_px), or a model that takes pictures"
        raise AiprodError(f"the endpoint refuses the request ({self._words(reply)})", hint)

    async def _patiently(self, method: str, path: str, body: dict[str, Any] | None, most: int) -> Reply:
        """A reply that more attempts would not change; waits longer before each, and as long as the server asks."""
        params, problem = self._params, ""
        for attempt in range(params.attempts):
            reply: Reply | None = None
            try:
                async with asyncio.timeout(params.timeout_s):
                    reply = await self._once(method, path, body, most)
            except TimeoutError:
                problem = f"did not answer within {params.timeout_s:g} s (caption.endpoint.timeout_s)"
            except (OSError, _client_error()) as error:
                problem = f"cannot be reached ({self._scrubbed(words_of(error))})"
            if reply is not None:
                self._refuse_lasting(reply)
                if reply.status not in _BUSY and reply.status < _OWN_FAULT:
                    return reply
                problem = f"answers {self._words(reply)}"
            if attempt + 1 < params.attempts:
                await asyncio.sleep(self._wait_s(attempt, reply))
        if reply is not None and reply.status not in _BUSY:
            return reply  # its own fault, perhaps over this request alone
        raise self._down(problem)

    async def _once(self, method: str, path: str, body: dict[str, Any] | None, most: int) -> Reply:
        assert self._session is not None
        url = self._params.base_url + path
        async with self._session.request(method, url, json=body, allow_redirects=False) as response:
            data = b""
            async for chunk in response.content.iter_chunked(_CHUNK):
                data += chunk
                if len(data) > most:
                    raise AiprodError(f"the endpoint answers with more than {most >> 20} MiB", "see what serves there")
            headers = response.headers
            return Reply(response.status, data, _retry_after_s(headers.get("Retry-After")), headers.get("Location", ""))

    def _refuse_lasting(self, reply: Reply) -> None:
        """What no attempt and no other request would change.

        Raises:
            EndpointDown: it refuses the key, is elsewhere, or asks for too long a wait.
        """
        if reply.status in (401, 403):
            how = "with the key" if self._key else "without a key"
            raise EndpointDown(
                f"the endpoint refuses access {how} ({self._words(reply)})", f"set {KEY_VARIABLE} to a key for it"
            )
        if 300 <= reply.status < 400:
            raise EndpointDown(
                f"the endpoint redirects ({reply.status}) to {self._scrubbed(escape_controls(reply.location))[:120]}",
                "set caption.endpoint.base_url to the address that shall have the pictures",
            )
        if reply.wait_s is not None and reply.wait_s > self._params.retry_after_max_s:
            raise self._down(f"asks to wait {reply.wait_s:.0f} s, longer than caption.endpoint.retry_after_max_s")

    def _wait_s(self, attempt: int, reply: Reply | None) -> float:
        own = min(_WAIT_MAX_S, self._params.backoff_s * 2**attempt) * random.uniform(0.75, 1.25)  # not all at once
        return max(own, reply.wait_s or 0.0) if reply is not None else own

    def _json(self, reply: Reply) -> dict[str, Any]:
        try:
            value = json.loads(reply.data)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise AiprodError("the endpoint answers with something else than a JSON object", "check its address")
        return value

    def _words(self, reply: Reply) -> str:
        text = self._scrubbed(" ".join(reply.data[:2000].decode("utf-8", "replace").split()))
        return escape_controls(f"HTTP {reply.status}: {text[:160]}" if text else f"HTTP {reply.status}")

    def _scrubbed(self, text: str) -> str:
        """Without the key, which a server may repeat."""
        return text.replace(self._key, "[key]") if self._key else text

    def _down(self, how: str) -> EndpointDown:
        return EndpointDown(f"the endpoint {how}", AGAIN)


def _client_error() -> type[Exception]:
    import aiohttp

    return aiohttp.ClientError


def _retry_after_s(value: str | None) -> float | None:
    """Seconds that a Retry-After header asks for: a number, or a date (RFC 9110, section 10.2.3)."""
    if value is None:
        return None
    try:
        return max(0.0, min(float(value), 1e9))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None
