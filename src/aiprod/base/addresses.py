"""Addresses that hold a password are refused before anything is written: params, dvc.lock and MLflow would keep it."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

WHERE_SECRETS_GO = (
    "take the name and password out of it; put them into ~/.netrc, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
)
_SIGNED = (
    "x-amz-signature",
    "x-amz-credential",
    "x-amz-security-token",
    "signature",
    "sig",
    "token",
    "access_token",
    "api_key",
    "apikey",
    "key",
    "password",
    "auth",
)


def secret_in(address: str) -> str | None:
    """What kind of secret an address holds, in words that do not repeat it; None where it holds none."""
    plain = unquote(address).replace("\\", "/").strip()
    scheme, mark, rest = plain.partition("://")
    if not mark:
        scheme, mark, rest = plain.partition(":/")
        if not mark or len(scheme) < 2:  # a folder, or a drive of Windows
            return None
    if "@" in rest.lstrip("/").split("/")[0].split("?")[0].split("#")[0] or "@" in _netloc(address):
        return "a user name or a password"
    names = [part.partition("=")[0].lower() for part in rest.partition("?")[2].split("&")]
    return "a signature or a key" if any(name in _SIGNED for name in names) else None


def _netloc(address: str) -> str:
    try:
        return urlsplit(address.strip()).netloc
    except ValueError:
        return ""
