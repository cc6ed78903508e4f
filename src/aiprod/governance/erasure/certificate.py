"""The certificate of an erasure: what was done, what was searched and found, signed with the audit log's key."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature

from aiprod.base.canonical_json import canonical_json, former_canonical_json
from aiprod.base.files import read_json, write_json
from aiprod.base.opening import read_utf8
from aiprod.errors import AiprodError
from aiprod.governance.audit.checkpoint import FOLDER as AUDIT
from aiprod.governance.audit.checkpoint import PUBLIC, public_line, read_public, signing_key
from aiprod.governance.audit.log import AuditLog
from aiprod.printable import counted
from aiprod.storage.crypto.film_encryption import Vault

KIND = "erasure"


def digest(body: dict[str, Any]) -> str:
    """SHA-256 (hex) of what is signed."""
    return hashlib.sha256(canonical_json(body)).hexdigest()


def records_kept(body: dict[str, Any]) -> int:
    """How many consent records an erasure kept; earlier certificates do not say it."""
    return int(body.get("kept_on_purpose", {}).get("consent_records", 0))


def write(path: Path, body: dict[str, Any]) -> None:
    """Sign and write."""
    key = signing_key()
    signature = base64.b64encode(key.sign(canonical_json(body))).decode()
    write_json(path, {"body": body, "signature": signature, "key": public_line(key.public_key())})


def _check_signature(line: str, signature: bytes, body: dict[str, Any]) -> None:
    """Check a signature over the canonical body, or over the form in which earlier releases signed it.

    Raises:
        InvalidSignature: it is of neither.
    """
    key = read_public(line)
    try:
        key.verify(signature, canonical_json(body))
    except InvalidSignature:
        key.verify(signature, former_canonical_json(body))


@dataclass(frozen=True)
class CertificateCheck:
    """What holds and what does not."""

    holds: list[str]
    problems: list[str]


def verify(root: Path, path: Path, *, log: AuditLog | None = None) -> CertificateCheck:
    """Check signature, key, tombstones, destroyed keys and the entry in the log.

    Raises:
        AiprodError: the file is no certificate.
    """
    document = read_json(path, "give a file of datasets/erasures")
    try:
        body, signature, line = document["body"], base64.b64decode(document["signature"]), str(document["key"])
        films = [str(film["film_id"]) for film in body["films"]]
    except (KeyError, TypeError, ValueError):
        raise AiprodError(f"{path} is not a certificate of an erasure", "give a file of datasets/erasures") from None
    holds: list[str] = []
    problems: list[str] = []

    def note(fine: bool, yes: str, no: str) -> None:
        (holds if fine else problems).append(yes if fine else no)

    try:
        _check_signature(line, signature, body)
        if base64.b64encode(signature).decode() != document["signature"]:  # its unused bits count too
            raise InvalidSignature
        note(True, "the signature is that of the key it names", "")
    except InvalidSignature:
        note(False, "", "the signature does not fit what it says: it was changed")
    published = root / AUDIT / PUBLIC
    if published.is_file():
        same = read_utf8(published).strip() == line
        note(same, f"the key is that of the audit log ({AUDIT / PUBLIC})", "the key is not that of the audit log")
    else:
        problems.append(f"{AUDIT / PUBLIC} is missing, so it is unknown whose key it is")
    vault = Vault()
    for film in films:
        note(vault.keys.secret(film) is None, f"the key of {film} is gone", f"the key store has a key for {film}")
        note(vault.erased(film), f"{film} has a tombstone", f"{film} has no tombstone: it could be ingested again")
    if kept := records_kept(body):
        holds.append(f"kept on purpose: {counted(kept, 'consent record')}")
    entries = [e.value for e in (log or AuditLog()).entries() if e.value["kind"] == KIND]
    logged = any(e["facts"].get("certificate") == digest(body) for e in entries)
    note(logged, "the audit log has its entry", "the audit log of this state folder has no entry for it")
    return CertificateCheck(holds, problems)
