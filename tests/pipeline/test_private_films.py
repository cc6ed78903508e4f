"""A film with personal data: what the data stages leave of it in the clear, and what they can read of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from aiprod.captions.rows import CaptionRow
from aiprod.data.rows import ClipRow, FilmRow
from aiprod.errors import AiprodError
from aiprod.qc.rows import MeasureRow, VerdictRow
from aiprod.storage.clip_store import content
from aiprod.storage.crypto import tombstones
from aiprod.storage.crypto.cipher import label_of
from aiprod.storage.crypto.film_encryption import Vault, is_private
from aiprod.storage.manifest.manifest import read_rows
from tests.data.conftest import short_film
from tests.pipeline.conftest import PARAMS, Stage
from tests.private_traces import needles_of, traces

SECRET_WORDS = ("Erika-Mustermann", "Kennwort-im-Titel", "person-4711", "example.org/erika")
MORE = "qc_measure: {workers: 1}\nqc_decide: {}\ncaption: {}\n"
STAGES = ("scan", "ingest", "qc_measure", "qc_decide", "caption")
MANIFESTS = {
    "ingest/films": FilmRow,
    "ingest/clips": ClipRow,
    "qc/measure": MeasureRow,
    "qc/decide": VerdictRow,
    "captions": CaptionRow,
}

pytestmark = pytest.mark.slow


def _texts(root: Path) -> bytes:
    """Every byte below a folder, tables read as well."""
    parts = []
    for path in sorted(p for p in root.rglob("*") if p.is_file()):
        parts.append(path.read_bytes())
        if path.suffix == ".parquet":
            parts.append(str(pq.read_table(path).to_pylist()).encode())
    return b"\n".join(parts)


def _personal_film(root: Path) -> Path:
    inbox = root / "datasets" / "inbox"
    short_film(inbox / "Erika-Mustermann.mp4", 3)
    (inbox / "SOURCES.csv").write_text(
        "file,licence,title,url,personal_data_basis,description\n"
        "Erika-Mustermann.mp4,own,Kennwort-im-Titel,https://example.org/erika,legitimate_interests,person-4711\n"
    )
    return inbox / "Erika-Mustermann.mp4"


def test_a_personal_film_is_encrypted_in_every_output_and_in_the_memo(
    workspace: Path,
    stage: Stage,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (workspace / "params.yaml").write_text(PARAMS.format(sources="demo, inbox", more=MORE))
    (workspace / "datasets/reviews").mkdir()
    (workspace / "datasets/reviews/verdicts.jsonl").touch()
    film = _personal_film(workspace)
    raw = film.read_bytes()
    for name in STAGES:
        stage(name)
        shown = traces(workspace, needles_of(raw, SECRET_WORDS), but=[workspace / "datasets/inbox"])
        assert shown == [], f"after {name}"
    monkeypatch.chdir(workspace)
    data = workspace / "datasets" / "v1"
    vault = Vault()
    films = read_rows(data / "ingest/films", FilmRow, vault)
    [mine] = [row for row in films if row.key == film.name]
    assert is_private(mine.film_id)
    assert mine.title == "Kennwort-im-Titel"
    assert mine.content_sha256
    assert mine.raw_name
    [clip] = [row for row in read_rows(data / "ingest/clips", ClipRow, vault) if row.film_id == mine.film_id]
    assert content(data / "raw" / mine.raw_name) == raw
    assert clip.processed_name
    assert b"ftyp" in content(data / "processed" / clip.processed_name)[:12]
    [measured] = [row for row in read_rows(data / "qc/measure", MeasureRow, vault) if row.clip_id == clip.clip_id]
    assert measured.measurements["geometry"]
    assert content(data / "qc/measure/thumbs" / str(measured.thumbnails))[:2] == b"\xff\xd8", "a JPEG once decrypted"
    [caption] = [row for row in read_rows(data / "captions", CaptionRow, vault) if row.clip_id == clip.clip_id]
    assert caption.caption
    # nothing of it in the clear anywhere but in its source: outputs, reports, list of offers, memo, state, logs
    named = [*SECRET_WORDS, caption.caption]
    assert traces(workspace, needles_of(raw, named), but=[workspace / "datasets/inbox"]) == []
    packets = str(mine.packets_sha256)
    words = [word.encode() for word in (*SECRET_WORDS, caption.caption, mine.content_sha256, packets)]
    pieces = [raw[n : n + 64] for n in range(0, len(raw) - 64, 997)]
    words += [piece for piece in pieces if len(set(piece)) > 40]  # headers are alike in all films
    assert len(words) > 20
    for folder in (
        data / "raw",
        data / "processed",
        data / "ingest",
        data / "qc",
        data / "captions",
        workspace / "reports",
        workspace / ".aiprod" / "memo",
        workspace / ".aiprod" / "keys",
    ):
        everything = _texts(folder)
        assert not [word for word in words if word in everything], folder
    assert not list((workspace / ".aiprod" / "private").glob("*/work"))
    # the demo film beside it is plain
    plain = [data / "raw" / row.raw_name for row in films if row.raw_name and not is_private(row.film_id)]
    assert plain
    assert not [path for path in plain if label_of(path)]
    # the same again from nothing but the keys gives the same bytes
    before = {p.relative_to(data): p.read_bytes() for p in data.rglob("*") if p.is_file()}
    shutil.rmtree(workspace / ".aiprod" / "memo")
    for name in STAGES:
        stage(name)
    assert {p.relative_to(data): p.read_bytes() for p in data.rglob("*") if p.is_file()} == before
    # an object under another clip's name is refused
    other = data / "processed" / "c0aaaaaaaaaaaaaaaa-000.mp4"
    shutil.copy(data / "processed" / clip.processed_name, other)
    with pytest.raises(AiprodError, match="holds processed:"):
        content(other)
    other.unlink()
    # erased between two stages: all later ones say so, and the film is not taken in again
    tombstones.add(
        [
            tombstones.Tombstone(
                film_id=mine.film_id,
                source_id="inbox",
                clips=1,
                content=vault.keys.commitment("content", mine.content_sha256),
                packets=vault.keys.commitment("packets", mine.packets_sha256 or ""),
            )
        ]
    )
    vault.keys.destroy(mine.film_id)
    for folder, model in MANIFESTS.items():
        [row] = [r for r in read_rows(data / folder, model, Vault()) if r.film_id == mine.film_id]  # type: ignore[type-var]
        assert row.status == "erased", folder  # type: ignore[attr-defined]
    for name in STAGES[2:]:
        stage(name)
    [verdict] = [r for r in read_rows(data / "qc/decide", VerdictRow) if r.film_id == mine.film_id]
    assert verdict.status == "erased"
    film.write_bytes(raw + b"\0\0\0\x08free")  # other bytes, the same packets, another name
    film.rename(film.with_name("innocent.mp4"))
    (film.parent / "SOURCES.csv").write_text("file,licence,personal_data_basis\ninnocent.mp4,own,none\n")
    for name in STAGES:
        stage(name)
    rows = read_rows(data / "ingest/films", FilmRow, Vault())
    assert [row.status for row in rows if row.source_id == "inbox"] == ["erased", "erased"]
    assert not [row for row in read_rows(data / "ingest/clips", ClipRow, Vault()) if row.source_id == "inbox"]
    [verdict] = [r for r in read_rows(data / "qc/decide", VerdictRow) if r.film_id == mine.film_id]
    assert verdict.status == "erased"
    assert raw[500:560] not in _texts(workspace / ".aiprod" / "memo")
