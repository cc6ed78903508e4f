"""Erasure at the desk: the dry run as a page shows it, and the deed, by the functions that ``aiprod erase`` calls."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from aiprod.errors import AiprodError
from aiprod.governance.audit import unfinished_erasures as unfinished
from aiprod.governance.audit.log import AuditLog
from aiprod.governance.erasure.erase import ErasurePlan, plan, search
from aiprod.governance.erasure.procedure import carry_out
from aiprod.governance.erasure.resolve import ErasureRequest
from aiprod.governance.erasure.scan import Count
from aiprod.governance.erasure.words import certificate_lines
from aiprod.governance.policy.roles import require
from aiprod.storage.crypto.film_encryption import Vault

_SHA256 = re.compile(r"[0-9a-fA-F]{64}")


def request_of(text: str) -> ErasureRequest:
    """What is meant by the one field: an id, the SHA-256 of a file, or the address of a film."""
    text = text.strip()
    if _SHA256.fullmatch(text):
        return ErasureRequest(sha256=text)
    return ErasureRequest(source_url=text) if "://" in text else ErasureRequest(text or None)


def planned(root: Path, text: str) -> ErasurePlan:
    """What erasing it would do; nothing is written.

    Raises:
        AiprodError: nothing is meant by it, it was erased before, or a key is missing.
    """
    return plan(root, request_of(text), Vault())


def found_in_the_clear(root: Path, text: str, *, places: bool) -> list[dict[str, Any]]:
    """What each store holds of it in the clear; reads every store.

    Args:
        places: whether to say where, which may name the people.

    Raises:
        AiprodError: as of :func:`planned`.
    """
    return [_row(store, count, places) for store, count in search(planned(root, text)).items()]


def _row(store: str, count: Count, places: bool) -> dict[str, Any]:
    counted = {
        "objects": count.objects,
        "pieces": count.pieces,
        "hashes": count.hashes,
        "names": count.names,
        "consents": count.consents,
    }
    return {"store": store, **counted, "skipped": count.skipped, "where": list(count.where) if places else []}


def erase(root: Path, values: dict[str, Any], named: str | None, log: AuditLog) -> dict[str, Any]:
    """Erase what the page showed, if they may and typed its id.

    Args:
        values: ``what`` was asked, the ``ids`` that the page showed, and the one that was ``typed``.

    Raises:
        Refusal: they may not.
        AiprodError: the page sent something else, the id is another, or more or less would be erased than was shown.
    """
    what, ids, typed = values.get("what"), values.get("ids"), values.get("typed")
    if set(values) != {"what", "ids", "typed"} or not isinstance(what, str) or not isinstance(typed, str):
        raise AiprodError("the page sent something else than an erasure", "reload it")
    actor = require(named, "erase", subject=what, root=root, log=log)
    if waiting := unfinished.problems():
        raise AiprodError(waiting[0])
    vault = Vault()
    todo = plan(root, request_of(what), vault)
    if ids != todo.ids:
        raise AiprodError("what would be erased has changed since the dry run", "look at it again")
    if typed.strip() != todo.ids[0]:
        raise AiprodError("the typed id is not the one that would be erased", f"type {todo.ids[0]}")
    lines, left = certificate_lines(root, carry_out(todo, vault, actor=actor.name, role=actor.role))
    return {"lines": [line.strip() for line in lines], "left": left}
