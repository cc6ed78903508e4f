"""Addresses as people write them: their parts, and passwords in them, which params, dvc.lock and MLflow would keep."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, unquote, urlsplit

WHERE_SECRETS_GO = (
    "take the name and password out of it; put them into ~/.netrc, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
)
_SIGNED = re.compile(
    r"token|secret|passw|pwd|signature|credential|(api|access|private|shared)[-_.]?key|"
    r"^(sig|key|auth|authorization|session|session_?id|sid|jwt|bearer|hmac)$"
)


def secret_in(address: str) -> str | None:
    """What kind of secret an address holds, in words that do not repeat it; None where it holds none."""
    plain = unquote(address).replace("\\", "/").strip()
    scheme, mark, rest = plain.partition("://")
    if not mark:
        scheme, mark, rest = plain.partition(":/")
        if not mark or len(scheme) < 2:  # a folder, or a drive of Windows
            return None
    if (
        "@" in rest.lstrip("/").split("/")[0].split("?")[0].split("#")[0]
        or "@" in split_address(address.strip()).netloc
    ):
        return "a user name or a password"
    stated = [part.partition("=") for part in re.split(r"[?&;#]", rest)[1:]]
    signed = any(value and _SIGNED.search(name.strip().lower()) for name, _, value in stated)
    return "a signature or a key" if signed else None


def split_address(address: str) -> SplitResult:
    """The parts of an address; of what is none (a bracket that is no IPv6 address), all of it as the path."""
    try:
        return urlsplit(address)
    except ValueError:
        return SplitResult("", "", address, "", "")


def host_of(address: str) -> str:
    """The host that an address names, in small letters; empty where it names none."""
    return split_address(address).hostname or ""
