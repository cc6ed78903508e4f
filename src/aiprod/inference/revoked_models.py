"""Models that saw a film which was erased, or whose right or consent has ended, are not sampled from by mistake."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from aiprod.base.files import read_json
from aiprod.base.state import workspace
from aiprod.errors import AiprodError
from aiprod.printable import counted
from aiprod.storage.crypto import tombstones
from aiprod.storage.crypto.film_encryption import Vault, film_of

if TYPE_CHECKING:
    from aiprod.data.rows import FilmRow

FILMS = Path("datasets/v1/ingest/films")
LEDGERS = {
    "text_encoder": "training/exposure.json",
    "video_vae": "training/exposure.json",
    "audio_vae": "training/exposure.json",
    "diffusion": "exposure.json",
}


def refuse_affected(models: Path) -> None:
    """Refuse models whose exposure ledgers name a film that may not be used any more.

    Outside of a project nothing is known of films, and nothing is refused.

    Raises:
        AiprodError: names the models and how many films.
    """
    try:
        root = workspace()
    except AiprodError:
        return
    seen = {name: _seen(models / name / ledger) for name, ledger in LEDGERS.items()}
    if not any(seen.values()):
        return
    ended = _ended(root)
    affected = {name: films & ended.keys() for name, films in seen.items() if films & ended.keys()}
    if affected:
        films = set().union(*affected.values())
        why = sorted({ended[film] for film in films})
        raise AiprodError(
            f"{', '.join(affected)} saw {counted(len(films), 'film')} that may not be used any more ({'; '.join(why)})",
            "`dvc repro` trains again without; `aiprod generate --affected` samples all the same",
        )


def refuse_affected_voice(folder: Path) -> None:
    """Refuse a speech model that heard a voice which was erased; outside of a project none is known.

    Raises:
        AiprodError: it did.
    """
    try:
        heard = _seen(folder / "training/exposure.json") & tombstones.load(workspace()).keys()
    except AiprodError:
        return
    if heard:
        raise AiprodError(
            f"{folder} heard {counted(len(heard), 'voice')} that was erased", "`dvc repro train_speech` trains without"
        )


def _seen(ledger: Path) -> set[str]:
    if not ledger.is_file():
        return set()
    document = read_json(ledger)
    clips = document.get("clips", []) if isinstance(document, dict) else []
    return {film_of(str(clip["clip_id"])) for clip in clips if clip.get("times", 1)}


def _ended(root: Path) -> dict[str, str]:
    """Film id → why it may not be used: the list of erasures, its row, and its consent record as it is now."""
    # here, because rows need Arrow and the rules of rights, and a voice that is to be heard at once does not
    from aiprod.rights.agreements import CONSENT, load_consents, record_id
    from aiprod.rights.right import Right
    from aiprod.storage.manifest.manifest import HEAD

    ended: dict[str, str] = {}
    if (root / FILMS / HEAD).is_file():
        records = load_consents(root / CONSENT)
        for row in _rows(root / FILMS):
            consent = records.get(record_id(row.consent_ref)) if row.consent_ref else None
            if consent is not None and consent.state != "given":
                ended[row.film_id] = f"consent {consent.state}"
            elif not Right(row.effective_right).permits_training:
                ended[row.film_id] = "its rights do not permit training"
    return ended | dict.fromkeys(tombstones.load(root), "erased")


def _rows(folder: Path) -> list[FilmRow]:
    from aiprod.data.rows import FilmRow
    from aiprod.storage.manifest.manifest import read_rows

    try:
        return list(read_rows(folder, FilmRow, Vault()))
    except AiprodError:  # without the keys, which hide the consent, the rest is still legible
        return list(read_rows(folder, FilmRow))
