"""Credits and obligations of a film: from what is in it, and from what the models behind it were trained on."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from aiprod.base.files import read_json
from aiprod.data.rows import ClipRow, FilmRow
from aiprod.film.ingredients import Ingredient
from aiprod.storage.manifest.manifest import HEAD, read_rows

_MODELS = Path("models")
_INGEST = Path("datasets/v1/ingest")
_LEDGERS = ("exposure.json", "training/exposure.json")


def training_films() -> list[FilmRow]:
    """Films that the diffusion model in the workspace was shown, by its ledger."""
    ledger = next((p for name in _LEDGERS if (p := _MODELS / "diffusion" / name).is_file()), None)
    if ledger is None or not (_INGEST / "films" / HEAD).is_file():
        return []
    shown = {entry["clip_id"] for entry in read_json(ledger).get("clips", [])}
    films = {row.film_id for row in read_rows(_INGEST / "clips", ClipRow) if row.clip_id in shown}
    return [row for row in read_rows(_INGEST / "films", FilmRow) if row.film_id in films]


def model_in_use() -> str | None:
    """Digest of the diffusion model in the workspace."""
    path = _MODELS / "diffusion" / "training.json"
    value = read_json(path).get("model_digest") if path.is_file() else None
    return str(value) if value else None


def credit_lines(used: Iterable[Ingredient], before: Iterable[str] = ()) -> list[str]:
    """What the credits show: lines of one's own, who asked to be named, the voices, and the models."""
    lines = [*before]
    every = list(used)
    voices = sorted(
        {str(each.facts["speaker"]) for each in every if each.kind == "voice" and each.facts.get("speaker")}
    )
    if voices:
        lines.append(f"Voices: {', '.join(voices)}")
    for digest in sorted({str(d) for each in every if (d := each.facts.get("speech_model_digest"))}):
        spoken = [each.facts for each in every if each.facts.get("speech_model_digest") == digest]
        names = sorted({str(facts["speaker"]) for facts in spoken})
        taught = sorted({str(by) for facts in spoken for by in facts.get("taught_by", ())})
        made_by = "; ".join([f"AIPROD speech model {digest[:12]}", *taught])
        lines.append(f"Synthetic voices: {', '.join(names)} ({made_by})")
    lines += dict.fromkeys(each.credit for each in every if each.credit)
    free: dict[str, int] = {}
    for each in every:
        if each.license and not each.credit:
            free[each.license] = free.get(each.license, 0) + 1
    for licence, count in sorted(free.items()):
        own = {"LicenseRef-own": "of our own"}.get(licence, f"under {licence}")
        lines.append(f"{count} {'recording' if count == 1 else 'recordings'} {own}")
    for digest in sorted({str(d) for each in every if (d := each.facts.get("model_digest"))}):
        lines.append(f"Generated pictures and sound: AIPROD model {digest[:12]}")
        if digest == model_in_use() and (films := training_films()):
            licences = sorted({film.media_license or "no stated licence" for film in films})
            lines.append(f"It was trained on {len(films)} films under {', '.join(licences)}")
            lines += dict.fromkeys(o for film in films for o in film.obligations)
    return lines


def obligations_of(used: Iterable[Ingredient]) -> list[str]:
    """Everything that the licences of what is used, and of what its models were shown, ask for."""
    every = list(used)
    owed = {line for each in every for line in each.obligations}
    model = model_in_use()
    if model and any(each.facts.get("model_digest") == model for each in every):
        owed |= {o for film in training_films() for o in film.obligations}
    return sorted(owed)


def credits_text(title: str, lines: Iterable[str], owed: Iterable[str]) -> str:
    """The credits as a text file, for where a film's credits are shown beside it."""
    obligations = [f"- {line}" for line in owed] or ["Nothing in this film asks for anything."]
    return "\n".join([title, "", *lines, "", "Obligations", "", *obligations, ""])


def model_facts(used: Iterable[Ingredient]) -> dict[str, Any]:
    """The model and the dataset behind a film, where one model made all that was generated in it."""
    used = list(used)
    every = [each.facts for each in used if each.facts.get("model_digest")]
    pairs = {(str(f["model_digest"]), str(f.get("dataset_root", ""))) for f in every}
    speech = sorted({str(d) for each in used if (d := each.facts.get("speech_model_digest"))})
    facts: dict[str, Any] = {"speech_model_digest": speech[0]} if speech else {}
    if len(pairs) != 1:
        return {**facts, **({"models": sorted(digest for digest, _ in pairs)} if pairs else {})}
    digest, root = next(iter(pairs))
    return {"model_digest": digest, "dataset_root": root, **facts}
