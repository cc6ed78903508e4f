"""What is offered on its way to a row: whose film it is, what may be done with it, and whether another is the same."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiprod.base.vault import Vault
from aiprod.data.offers import Offer
from aiprod.data.rows import film_id_of
from aiprod.data.sources import DecideRights, RightsDecision, SidecarRecord, SourceDeclaration, layers

_STRICTER = {"deny": 0, "train_with_obligations": 1, "train": 2}


@dataclass
class OfferedFilm:
    """One offer on its way to a row."""

    offer: Offer
    source: SourceDeclaration
    rights: RightsDecision
    vault: Vault
    private: bool = False
    erased: bool = False
    result: dict[str, Any] | None = None
    place: Path | None = None
    error: str | None = None
    reasons: list[str] = field(default_factory=list)
    duplicate_of: str | None = None
    right: str = ""
    obligations: list[str] = field(default_factory=list)

    @property
    def film_id(self) -> str:
        if self.private:  # from what scan knew, for the film is encrypted under this id while it is taken in
            return self.vault.private_film_id(self.offer.source_id, self.offer.key, self.offer.sha256)
        return film_id_of(self.offer.source_id, self.offer.key, self.content or "")

    @property
    def name(self) -> str:
        """How other films' rows may speak of it."""
        return self.film_id if self.private else f"{self.offer.source_id}/{self.offer.key}"

    @property
    def content(self) -> str | None:
        return self.result["sha256"] if self.result else (self.offer.sha256 or None)

    @property
    def status(self) -> str:
        if self.erased:
            return "erased"
        if self.right == "deny" or self.duplicate_of is not None:
            return "refused"
        return "error" if self.error is not None else "ok"


def judged(offer: Offer, source: SourceDeclaration, decide: DecideRights, vault: Vault) -> OfferedFilm:
    side = offer.sidecar
    if offer.reservation is not None:
        side = (side or SidecarRecord()).model_copy(update={"training_mining": offer.reservation})
    rights = decide(source, side)
    film = OfferedFilm(
        offer, source, rights, vault, error=offer.problem, right=rights.right, obligations=list(rights.obligations)
    )
    film.private = source.adapter != "demo" and layers(source, offer.sidecar)["personal_data_basis"] != "none"
    if rights.right == "deny":
        film.reasons = list(rights.reasons)
        if offer.sidecar is None and source.media_license == "per-file":
            film.reasons.append(
                "no sidecar mentions this file: add a line `file,license,attribution` to a CSV in its folder, or set "
                f"`files_without_sidecar` of the source {offer.source_id} in datasets/sources.yaml (`own` = yours)"
            )
    return film


def same_bytes_private(films: list[OfferedFilm]) -> None:
    """Bytes that one offer says to hold personal data hold them in every offer."""
    personal = {film.offer.sha256 for film in films if film.private and film.offer.sha256}
    for film in films:
        film.private = film.private or film.offer.sha256 in personal


def same_bytes_strictest(films: list[OfferedFilm]) -> None:
    """The same bytes offered twice take the strictest of their rights."""
    by_content: dict[str, list[OfferedFilm]] = {}
    for film in films:
        if film.content:
            by_content.setdefault(film.content, []).append(film)
    for group in by_content.values():
        _strictest(group)


def _strictest(group: list[OfferedFilm]) -> None:
    strict = min(group, key=lambda f: _STRICTER[f.right])
    for film in group:
        film.obligations = sorted({o for f in group for o in f.obligations})
        if _STRICTER[strict.right] < _STRICTER[film.right]:
            film.right = strict.right
            if strict.right == "deny":
                film.reasons.append(f"the same film is offered by {strict.offer.source_id} without the right to train")


def mark_erased(films: list[OfferedFilm]) -> None:
    """A film that was erased and comes again in another wrapping is what it was."""
    for film in films:
        packets = film.result["packets_sha256"] if film.result is not None else None
        if packets and film.vault.tombstone_for(content=film.content, packets=packets) is not None:
            film.erased = True
            if film.place is not None:
                shutil.rmtree(film.place, ignore_errors=True)
            if film.private:
                film.vault.keys.destroy(film.film_id)


def mark_duplicates(films: list[OfferedFilm]) -> None:
    """Among films with the same packets, keep the first by source and key; the strictest rights rule all of them."""
    groups: dict[str, list[OfferedFilm]] = {}
    for film in films:
        if film.status == "ok" and film.result is not None and film.result["packets_sha256"]:
            groups.setdefault(film.result["packets_sha256"], []).append(film)
    for group in groups.values():
        if len(group) < 2:
            continue
        _strictest(group)
        first = min(group, key=lambda film: not film.private)  # offers are sorted by source and key
        for film in group:
            if film is first:
                continue
            film.duplicate_of = first.film_id
            film.reasons.append(f"duplicate: the same pictures and sound as {first.name}")
            if first.private and not film.private and film.place is not None:  # the same persons, said to be nobody
                shutil.rmtree(film.place, ignore_errors=True)
