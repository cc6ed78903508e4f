"""What an erasure that was carried out says of itself, in a terminal and on a page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aiprod.governance.erasure.certificate import records_kept
from aiprod.governance.erasure.procedure import Done
from aiprod.printable import counted
from aiprod.rights.agreements import CONSENT


def kept_lines(records: int, bearing: dict[str, int]) -> list[str]:
    """What is kept on purpose.

    Args:
        bearing: store → objects that bear the id of one of the records, and nothing of the film.
    """
    if not records:
        return []
    stores = ", ".join(f"{store} {n}" for store, n in bearing.items() if n)
    named = f"; objects that bear its id and nothing of the film: {stores}" if stores else ""
    return [f"kept on purpose: {counted(records, 'consent record')} in {CONSENT}{named}"]


def certificate_lines(root: Path, done: Done) -> tuple[list[str], int]:
    """What was found afterwards, and how many stores still hold something or could not be searched."""
    lines, left = [], 0
    body: dict[str, Any] = done.body
    for store, places in body["found_after"].items():
        hits = places["pieces"] + places["hashes"] + places["names"]
        left += bool(places.get("skipped") or hits)
        if places.get("skipped"):
            lines.append(f"  {store}: not searched whole: {places['skipped']}")
        if hits:
            where = "; ".join(done.where.get(store, []))
            lines.append(f"  {store}: {hits} objects still show something of it{': ' if where else ''}{where}")
    lines += [f"  left: {path} ({why})" for path, why in done.left.items()]
    stores, backups = len(body["found_after"]), body["backups_with_the_wrapped_keys"]
    lines += kept_lines(records_kept(body), {s: n.get("consents", 0) for s, n in body["found_after"].items()})
    destroyed, searched = counted(body["keys_destroyed"], "key"), counted(stores, "store")
    lines.append(f"{destroyed} destroyed; {searched} searched, {left} with something left")
    if backups:
        hint = "run `aiprod keys rotate`, then `aiprod keys backup`"
        lines.append(f"{backups} backups still hold a wrapped key: {hint}, and they are of no use")
    lines.append(f"certificate: {done.path.relative_to(root)}")
    lines.append("next: git add datasets/erasures datasets/audit && git commit; dvc repro; dvc push")
    return lines, left
