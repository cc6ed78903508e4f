"""Parameters of captioners that ask a model."""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, ValidationInfo, field_validator

from aiprod.base.addresses import secret_in
from aiprod.base.params import Params
from aiprod.errors import AiprodError

KEY_VARIABLE = "AIPROD_CAPTION_API_KEY"
"""Environment variable with the key of the endpoint. It is sent to the endpoint and written nowhere."""


class VlmParams(Params):
    """A vision-language checkpoint for captions."""

    checkpoint: str = Field(default="", description="its folder (config, weights, processor), or a name on the hub")
    revision: str = Field(default="", description="of a hub name: the commit, 40 hex digits")
    prompt: str = Field(default="Describe this video in one sentence.", min_length=1)
    frames: int = Field(default=8, ge=1, le=64, description="pictures, evenly spread in time")
    longest_side_px: int = Field(default=448, ge=16, le=2048)
    tokens_max: int = Field(default=64, ge=1, le=1024)
    batch: int = Field(default=4, ge=1, le=256)
    quantize: Literal["none", "int8"] = "none"
    device: Literal["auto", "cpu", "cuda"] = "auto"


class EndpointParams(Params):
    """A server that speaks the OpenAI protocol: vLLM, SGLang, `transformers serve` and others.

    Its key comes from the environment variable `AIPROD_CAPTION_API_KEY` alone.
    """

    base_url: str = Field(default="", description="such as http://127.0.0.1:8000/v1; without name, password or key")
    model: str = Field(default="", description="as the server names it; empty where it serves one model alone")
    revision: str = Field(default="", max_length=200, description="of its weights, where the server does not tell")
    private_films_at: tuple[str, ...] = Field(
        default=(), description="base addresses of the servers that films with personal data may be sent to"
    )
    prompt: str = Field(
        default="", max_length=8000, description="what to say instead of the usual instruction; the format is appended"
    )
    frames: int = Field(default=8, ge=1, le=32, description="JPEG frames per request, evenly spaced in time")
    longest_side_px: int = Field(default=448, ge=16, le=1280)
    tokens_max: int = Field(default=400, ge=16, le=4096)
    concurrency: int = Field(default=4, ge=1, le=64, description="requests at a time")
    timeout_s: float = Field(default=120.0, gt=0, le=3600, description="for one request, from connecting to its end")
    attempts: int = Field(default=5, ge=1, le=20, description="for one clip, while the server is busy or fails")
    backoff_s: float = Field(
        default=1.0,
        gt=0,
        le=60,
        description="before the second attempt; doubled each time; more where the server says so",
    )
    retry_after_max_s: float = Field(
        default=300.0, ge=0, le=3600, description="longest wait that a server's Retry-After may ask for"
    )

    @field_validator("base_url", "private_films_at")
    @classmethod
    def _addresses(cls, value: str | tuple[str, ...], info: ValidationInfo) -> str | tuple[str, ...]:
        where = f"caption.endpoint.{info.field_name}"
        return plain_address(value, where) if isinstance(value, str) else tuple(plain_address(v, where) for v in value)

    @property
    def private_allowed(self) -> bool:
        """Whether films with personal data may be sent to this server."""
        return bool(self.base_url) and self.base_url in self.private_films_at


def plain_address(value: str, where: str) -> str:
    """An address of a server in one spelling: without a slash at its end.

    Args:
        where: the key that it stands at.

    Raises:
        AiprodError: it holds a secret, which the line does not repeat.
        ValueError: it is no address of a server.
    """
    if kind := secret_in(value):  # no ValueError: pydantic's report would show the value
        hint = f"take it out; the key of the endpoint goes into the environment variable {KEY_VARIABLE}"
        raise AiprodError(f"{where} holds {kind}, which would be recorded", hint)
    if not value:
        return ""
    try:
        parts = urlsplit(value)
        usable = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable or parts.query or parts.fragment or any(c.isspace() for c in value):
        raise ValueError("is not the address of a server → give one such as http://127.0.0.1:8000/v1")
    return value.rstrip("/")
