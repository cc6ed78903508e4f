"""What is offered on its way to a row: whose film it is, what may be done with it, and whether another is the same."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiprod.data.rows import film_id_of
from aiprod.data.sources.base import Offer
from aiprod.data.sources.registry import is_generated
from aiprod.data.sources.sidecars import with_own_words
from aiprod.media.media_info import MediaFacts
from aiprod.rights.agreements import Terms
from aiprod.rights.declarations import SidecarRecord, SourceDeclaration, layers
from aiprod.rights.effective_right import RightsDecision, effective_right
from aiprod.rights.right import Right
from aiprod.storage.crypto import tombstones
from aiprod.storage.crypto.film_encryption import Vault
from aiprod.storage.crypto.tombstones import Tombstone

_ALIKE_S = 0.06  # containers round, and state the priming of sound (up to 2,112 samples) or do not
_ALIKE_LENGTH, _ALIKE_SHAPE = 0.01, 0.01


@dataclass
class OfferedFilm:
    """One offer on its way to a row.

    Attributes:
        packets_alone: digest of its packets where it was not taken in (``data.refused_packets``), kept at
            ``packets_place``.
        packets_private: whether a film that says to hold personal data has the same packets, and this one does not.
    """

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
    right: Right = Right.DENY
    obligations: list[str] = field(default_factory=list)
    packets_alone: str | None = None
    packets_place: Path | None = None
    packets_private: bool = False

    @property
    def packets(self) -> str | None:
        """SHA-256 over its packets, as far as it is known."""
        return (self.result["packets_sha256"] if self.result is not None else None) or self.packets_alone

    def forget(self) -> None:
        """Remove what was kept of it."""
        for place in (self.place, self.packets_place):
            if place is not None:
                shutil.rmtree(place, ignore_errors=True)

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
        if self.right == Right.DENY or self.duplicate_of is not None:
            return "refused"
        return "error" if self.error is not None else "ok"


def judged(offer: Offer, source: SourceDeclaration, terms: Terms | None, vault: Vault) -> OfferedFilm:
    """An offer with the right that its source and its sidecar give it."""
    rights = effective_right(source, offer.stated, terms=terms)
    film = OfferedFilm(
        offer, source, rights, vault, error=offer.problem, right=rights.right, obligations=list(rights.obligations)
    )
    doubtful = (offer.problem or "").startswith("sidecar:")  # what could not be read may have named people
    stated = layers(source, offer.sidecar)["personal_data_basis"]
    film.private = not is_generated(source) and (stated != "none" or doubtful)
    if rights.right == Right.DENY:
        film.reasons = list(rights.reasons)
        if offer.sidecar is None and source.media_license == "per-file":
            film.reasons.append(
                "no sidecar mentions this file: add a line `file,license,attribution` to a CSV in its folder, or set "
                f"`files_without_sidecar` of the source {offer.source_id} in datasets/sources.yaml (`own` = yours)"
            )
    return film


def apply_embedded_statements(films: list[OfferedFilm], terms: Terms | None) -> None:
    """Judge films again with what they were found to say of themselves when they were taken in; rights only narrow."""
    for film in films:
        statement = film.result.get("said") if film.result is not None else None
        if not statement or film.right == Right.DENY or film.error is not None:
            continue
        record = with_own_words(film.offer.stated, SidecarRecord.model_validate(statement), film.source)
        film.offer = film.offer.model_copy(update={"sidecar": record})
        film.rights = effective_right(film.source, record, terms=terms)
        film.obligations = sorted({*film.obligations, *film.rights.obligations})
        if film.rights.right == Right.DENY:
            film.reasons += film.rights.reasons
            film.forget()
            film.packets_alone = film.packets
            film.result = None if film.offer.sha256 else film.result
        film.right = min(film.right, film.rights.right)


def same_bytes_private(films: list[OfferedFilm]) -> None:
    """Bytes that one offer says to hold personal data hold them in every offer; what scan hid stays hidden."""
    for film in films:
        film.private = film.private or film.offer.film_id is not None
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
    strict = min(group, key=lambda film: film.right)
    for film in group:
        film.obligations = sorted({o for f in group for o in f.obligations})
        if strict.right < film.right:
            film.right = strict.right
            if strict.right == Right.DENY:
                film.reasons.append(f"the same film is offered by {strict.offer.source_id} without the right to train")


def same_packets_strictest(films: list[OfferedFilm]) -> list[OfferedFilm]:
    """The same packets offered twice, in whatever wrapping, take the strictest of their rights.

    Returns:
        Those that are refused for it. Nothing of them is kept.
    """
    by_packets: dict[str, list[OfferedFilm]] = {}
    for film in films:
        if film.packets and not film.erased:
            by_packets.setdefault(film.packets, []).append(film)
    refused = []
    for group in by_packets.values():
        personal = any(film.private for film in group)
        for film in group:
            film.packets_private = personal and not film.private
            if film.packets_private and film.packets_place is not None:  # a digest in the clear of what is encrypted
                shutil.rmtree(film.packets_place, ignore_errors=True)
        before = [film.right for film in group]
        _strictest(group)
        refused += [
            film for film, right in zip(group, before, strict=True) if film.right == Right.DENY and right != Right.DENY
        ]
    for film in refused:
        film.forget()
        film.packets_alone = film.packets
        if film.result is not None and film.result["sha256"] == film.offer.sha256:
            film.result = None  # the row is what the next run makes of it, which does not take it in again
    return refused


def mark_erased(films: list[OfferedFilm]) -> None:
    """A film that was erased and comes again in another wrapping is what it was."""
    for film in films:
        packets = film.packets
        if packets and film.vault.tombstone_for(content=film.content, packets=packets) is not None:
            film.erased = True
            film.forget()
            if film.private:  # scan, which writes its name under this key, is to know it by its bytes from now on
                _entomb(film, packets)
                film.vault.keys.destroy(film.film_id)


def _entomb(film: OfferedFilm, packets: str) -> None:
    keys = film.vault.keys
    stone = Tombstone(
        film_id=film.film_id,
        source_id=film.offer.source_id,
        clips=0,
        content=keys.commitment("content", film.content or ""),
        packets=keys.commitment("packets", packets),
        by=keys.commitment("tombstone", film.film_id),
    )
    tombstones.add([stone], published=False)
    film.vault.tombstones[stone.film_id] = stone


def mark_duplicates(films: list[OfferedFilm]) -> None:
    """Among films with the same packets that look and sound the same, keep the first by source and key.

    A film that is turned, stretched, cut by an edit list or out of step is none of another's duplicates, for it may be
    the worse one: quality control compares what both show, and keeps the better. Where one says to hold personal data,
    the others hold it too, however they show it.
    """
    groups: dict[str, list[OfferedFilm]] = {}
    for film in films:
        if film.status == "ok" and film.packets:
            groups.setdefault(film.packets, []).append(film)
    for group in groups.values():
        kept: list[OfferedFilm] = []
        for film in sorted(group, key=lambda film: not film.private):  # offers are sorted by source and key
            hidden = next((first for first in kept if first.private and not film.private), None)
            first = hidden or next((first for first in kept if same_presentation(first, film)), None)
            if first is None:
                kept.append(film)
                continue
            film.duplicate_of = first.film_id
            film.reasons.append(f"duplicate: the same pictures and sound as {first.name}")
            if hidden is not None and film.place is not None:  # the same persons, said to be nobody
                shutil.rmtree(film.place, ignore_errors=True)


def same_presentation(one: OfferedFilm, other: OfferedFilm) -> bool:
    """Whether a player shows two films with the same packets the same way up, in shape, for as long and in step."""
    results = [film.result for film in (one, other) if film.result is not None]
    a, b = (MediaFacts.model_validate(result["facts"]) for result in results)
    assert a.video is not None and b.video is not None
    shapes = [video.display_width / video.display_height for video in (a.video, b.video)]
    lengths = [result["clips"][-1]["end_s"] - result["clips"][0]["start_s"] for result in results]
    offsets = [facts.av_offset_s or 0.0 for facts in (a, b)]
    return (
        a.video.orientation == b.video.orientation
        and abs(shapes[0] / shapes[1] - 1.0) <= _ALIKE_SHAPE
        and abs(lengths[0] - lengths[1]) <= max(_ALIKE_S, _ALIKE_LENGTH * max(lengths))
        and abs(offsets[0] - offsets[1]) <= _ALIKE_S
    )
