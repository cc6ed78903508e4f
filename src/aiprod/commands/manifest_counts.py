"""What ``aiprod summary`` says of the manifests: films and clips, each adding up to its whole, and what is to do."""

from __future__ import annotations

from pathlib import Path

from aiprod.governance.dataset.records import Records
from aiprod.governance.dataset.statistics import totals
from aiprod.governance.review.report import waiting
from aiprod.printable import counted
from aiprod.qc.decide.reviews import REVIEWS, load_reviews


def counts(root: Path) -> list[tuple[str, ...]]:
    """Rows of films, clips and showings; none where no film was offered yet."""
    facts = Records(root, strict=False)
    total = totals(facts)
    if not total.films:
        return []
    kept_out = ((total.refused, "refused by rights"), (total.duplicates, "duplicate"), (total.failed, "undecodable"))
    films = [f"{total.ingested} ingested", *(f"{n} {word}" for n, word in (*kept_out, (total.erased, "erased")) if n)]
    clips = [f"{n} {name.replace('_', ' ').lower()}" for name, n in total.verdicts.items()]
    clips += [f"{total.unjudged} not judged"] if total.unjudged else []
    rows: list[tuple[str, ...]] = [
        (counted(total.films, "film"), "=", " + ".join(films)),
        (counted(total.clips, "clip"), "=", " + ".join(clips)),
    ]
    if total.shown:
        held = f"; {total.heldout} approved held out, to measure on" if total.heldout else ""
        rows.append(
            (counted(total.shown, "clip"), "→", f"shown to the model, {counted(total.showings, 'time')} in all{held}")
        )
    if gone := sum(clip not in facts.clips for clip in facts.exposure):
        rows.append((counted(gone, "clip"), "→", "of these in no manifest now: `dvc repro` trains without them"))
    return rows


def human_tasks(root: Path) -> list[tuple[str, ...]]:
    """Rows of what only a person can do."""
    facts = Records(root, strict=False)
    rows: list[tuple[str, ...]] = []
    if open_reviews := waiting(facts, load_reviews(root / REVIEWS)):
        rows.append((f"{counted(len(open_reviews), 'clip')} to review", "aiprod review serve --as NAME"))
    if refused := sum(f.status == "refused" and not f.duplicate_of for f in facts.films.values()):
        rows.append((f"{counted(refused, 'film')} refused by rights", "aiprod sources inspect; settle the rights"))
    if broken := sum(film.status == "error" for film in facts.films.values()):
        rows.append((f"{counted(broken, 'film')} not decodable", "reports/dossier/index.html names reasons"))
    return rows
