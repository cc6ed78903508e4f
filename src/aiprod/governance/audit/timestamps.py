"""RFC 3161 time stamps of checkpoints: an authority that is nobody's colleague attests when a checkpoint existed.

A checkpoint's token lies beside it as ``SIZE.tsr``, the authority's root certificates as ``SIZE.tsa.pem``; `openssl ts
-verify` reads both. Verification needs no network. Source: RFC 3161, through rfc3161-client.
"""

from __future__ import annotations

import http.client
import socket
import urllib.error
import urllib.parse
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from cryptography import x509

from aiprod.base.files import write_bytes
from aiprod.errors import AiprodError, words_of
from aiprod.governance.audit.checkpoint import FOLDER

if TYPE_CHECKING:
    from rfc3161_client import TimeStampRequest, TimeStampResponse

TOKEN, ROOTS = ".tsr", ".tsa.pem"
_TIMEOUT_S = 30
_ANSWER_MAX = 1 << 20  # bytes; a token with its chain takes some 6,000
_FREE = "nothing was written"


class LibraryMissing(AiprodError):
    """The extra `timestamps` is not installed."""


def stamp(checkpoint: Path, address: str, roots: Path) -> datetime:
    """Have ``checkpoint`` (a file) stamped by the authority at ``address``; the token and the roots come beside it.

    Args:
        checkpoint: file whose bytes are stamped (their SHA-256 alone is sent).
        address: of the authority, ``http`` or ``https``.
        roots: PEM file of the certificates that the authority's chain must end in.

    Returns:
        The time that the authority states, in UTC.

    Raises:
        AiprodError: no such address, no answer, or an answer that does not verify; nothing was written then.
    """
    library = _library()
    token = checkpoint.with_suffix(TOKEN)
    if token.exists():
        raise AiprodError(f"{token.name} exists: the checkpoint is stamped already", "`aiprod audit verify` checks it")
    trusted = _read(roots, "a PEM file with the root certificate of the time-stamp authority")
    _certificates(trusted, roots.name)
    data = checkpoint.read_bytes()
    request = library.TimestampRequestBuilder(data=data, hash_algorithm=library.HashAlgorithm.SHA256).build()
    answer = _ask(address, request.as_bytes())
    try:
        when = check(answer, data, trusted, request)
    except AiprodError as error:
        raise AiprodError(f"{address} sent no time stamp that holds: {error.what}", f"{_FREE}; {error.hint}") from None
    write_bytes(checkpoint.with_suffix(ROOTS), trusted)
    write_bytes(token, answer)
    return when


def check(token: bytes, data: bytes, roots: bytes, request: TimeStampRequest | None = None) -> datetime:
    """The time (UTC) at which ``data`` existed, as a token says whose chain ends in ``roots`` (PEM).

    The chain must have been valid at that time, not now: a token outlives its certificates. With ``request`` the
    answer must also be one to that request (nonce).

    Raises:
        AiprodError: the token is malformed, a refusal, of other data, or not signed by an authority of ``roots``.
    """
    library = _library()
    builder = library.VerifierBuilder() if request is None else library.VerifierBuilder.from_request(request)
    for certificate in _certificates(roots, "the file of root certificates"):
        builder = builder.add_root_certificate(certificate)
    parsed = _parsed(library, token)
    if parsed.status != 0:  # PKIStatus "granted"; one that granted something else than was asked is none either
        status_text = ", ".join(parsed.status_string) or f"PKI status {parsed.status}"
        raise AiprodError(f"the authority refused ({status_text[:200]})", "ask whoever runs it")
    try:
        builder.build().verify_message(parsed, data)
        when = parsed.tst_info.gen_time
    except (library.VerificationError, ValueError) as error:
        raise AiprodError(_wrong(words_of(error)), "is it the right authority, and are these its roots?") from None
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def _parsed(library: ModuleType, token: bytes) -> TimeStampResponse:
    for form in (bytes, _in_order):
        try:
            return library.decode_timestamp_response(form(token))  # type: ignore[no-any-return]
        except ValueError:  # of both libraries
            continue
    raise AiprodError("it is not a time-stamp response", "is the address that of an RFC 3161 authority?")


def _in_order(token: bytes) -> bytes:
    """The response with its certificates in the order of DER.

    OpenSSL, and the authorities that run on it, write them in an order of their own, which rfc3161-client refuses. No
    signature covers the order.
    """
    from asn1crypto import cms, tsp

    answer = tsp.TimeStampResp.load(token, strict=True)
    try:
        signed = answer["time_stamp_token"]["content"]
        signed["certificates"] = cms.CertificateSet(
            sorted(signed["certificates"], key=lambda certificate: certificate.dump())
        )
        return answer.dump()  # type: ignore[no-any-return]
    except (KeyError, TypeError) as error:  # no token, or none of certificates
        raise ValueError(str(error)) from error


def _wrong(words: str) -> str:
    """What the library says, in words of the matter where they are none."""
    known = {
        "Mismatch between messages": "it stamps something else than this checkpoint",
        "Nonce mismatch": "it answers another request",
    }
    return known.get(words, f"its signature does not verify ({words})")


def stamps(root: Path) -> tuple[list[tuple[str, datetime]], list[str], list[str]]:
    """Checkpoints with a token that holds and their times, what is wrong, and what could not be checked."""
    good: list[tuple[str, datetime]] = []
    problems: list[str] = []
    warnings: list[str] = []
    for path in sorted((root / FOLDER).glob(f"*{TOKEN}")):
        checkpoint = path.with_suffix(".checkpoint")
        try:
            roots = _read(path.with_suffix(ROOTS), "the roots it was checked with; restore them from git")
            data = _read(checkpoint, "the checkpoint it stamps; restore it from git")
            good.append((checkpoint.name, check(path.read_bytes(), data, roots)))
        except LibraryMissing as error:
            warnings.append(f"time stamps were not checked: {error.what} → {error.hint}")
            break
        except AiprodError as error:
            problems.append(f"{FOLDER / path.name}: {error.what}")
    return good, problems, warnings


def _ask(address: str, query: bytes) -> bytes:
    """The authority's answer to a request (RFC 3161 section 3.4)."""
    parts = urllib.parse.urlsplit(address)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise AiprodError(f"{address} is not the address of a time-stamp authority", "give one as https://HOST/PATH")
    headers = {"Content-Type": "application/timestamp-query", "Accept": "application/timestamp-reply"}
    request = urllib.request.Request(address, data=query, headers=headers, method="POST")  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310 (checked above)
            data: bytes = answer.read(_ANSWER_MAX + 1)
    except urllib.error.HTTPError as error:
        error.close()
        raise AiprodError(f"{address} answered HTTP {error.code}", f"{_FREE}; try again, or another one") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        problem = f"no answer within {_TIMEOUT_S} s" if isinstance(reason, socket.timeout) else words_of(reason)
        raise AiprodError(f"{address} does not answer: {problem}", f"{_FREE}; try again, or another one") from None
    if len(data) > _ANSWER_MAX:
        raise AiprodError(f"{address} sent more than {_ANSWER_MAX} bytes", f"{_FREE}; it is not a time-stamp authority")
    return data


def _read(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise AiprodError(f"{path.name} cannot be read: {error.strerror}", f"it must be {what}") from None


def _certificates(pem: bytes, name: str) -> list[x509.Certificate]:
    try:
        return list(dict.fromkeys(x509.load_pem_x509_certificates(pem)))  # the library refuses one named twice
    except ValueError:
        raise AiprodError(f"{name} holds no PEM certificates", "ask the authority for its root as PEM") from None


def _library() -> ModuleType:
    try:
        import asn1crypto  # noqa: F401
        import rfc3161_client
    except ImportError:
        raise LibraryMissing(
            "rfc3161-client or asn1crypto is not installed", "run `pip install 'aiprod[timestamps]'`"
        ) from None
    return rfc3161_client
