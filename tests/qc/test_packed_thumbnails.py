"""Thumbnails of clips in shards: the same for every reader, told by what was noted of them, and told damaged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aiprod.base.files import link_or_copy, sha256_file, stamp_of
from aiprod.data.rows import FilmRow
from aiprod.errors import AiprodError
from aiprod.governance.erasure.resolve import Target
from aiprod.governance.erasure.search_patterns import packed_objects
from aiprod.qc.measure.stage import pack_thumbnails, take_thumbnails
from aiprod.storage.clip_store import content
from aiprod.storage.manifest.carried import Carried
from aiprod.storage.result_cache import Memo
from aiprod.storage.shards.shards import Shards
from tests.base.test_shards import clip_id

COUNT = 50


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Memo, dict[str, str], dict[str, bytes]]:
    """A memo with strips, what was noted of each clip (the last has none), and their bytes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AIPROD_HOME", str(tmp_path / "state"))
    setting(above=0)
    memo = Memo(tmp_path / "memo", "context")
    notes: dict[str, str] = {}
    made: dict[str, bytes] = {}
    for number in range(COUNT):
        key = f"{number:064x}"
        strip = Path(memo.folder, key[:2], key, "strip.jpg")
        strip.parent.mkdir(parents=True)
        strip.write_bytes(made.setdefault(f"{clip_id(number)}.jpg", bytes([number]) * (100 + number)))
        notes[clip_id(number)] = f"{key} {sha256_file(strip)} {stamp_of(strip)}"
    return memo, {**notes, clip_id(COUNT): "0" * 64}, made


def setting(above: int) -> None:
    Path("params.yaml").write_text(json.dumps({"shards": {"above": above, "max_mib": 1 / 64}}))


def carried(notes: dict[str, str]) -> Carried:
    rows = Carried(Path("carried"), "context")
    rows.notes.update(notes)
    return rows


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_packed_ones_are_read_as_files_are_and_unpacked_again(
    kept: tuple[Memo, dict[str, str], dict[str, bytes]],
) -> None:
    memo, notes, made = kept
    thumbs = Path("datasets/v1/qc/measure/thumbs")
    assert take_thumbnails(notes, memo, thumbs) == notes
    assert bytes_of(thumbs) == made
    pack_thumbnails(thumbs, carried(notes))
    assert [p.name for p in thumbs.iterdir()] == ["shards"] and len(Shards(thumbs).paths()) > 1
    assert {name: content(thumbs / name) for name in made} == made

    shards = bytes_of(thumbs)
    for path in Shards(thumbs).paths():
        path.unlink()
    take_thumbnails(notes, memo, thumbs)
    pack_thumbnails(thumbs, carried({}))  # whether digests were noted or are read makes no difference
    assert bytes_of(thumbs) == shards

    setting(above=COUNT)
    pack_thumbnails(thumbs, carried(notes))
    assert bytes_of(thumbs) == made


def test_a_strip_that_changed_since_it_was_noted_stops_the_run_and_the_next_one_reads_everything(
    kept: tuple[Memo, dict[str, str], dict[str, bytes]],
) -> None:
    memo, notes, made = kept
    thumbs, rows = Path("thumbs"), carried(notes)
    Path("carried").write_bytes(b"rows of the last run")
    take_thumbnails(notes, memo, thumbs)
    victim = thumbs / min(made)
    content_before = victim.read_bytes()
    victim.unlink()
    link_or_copy(_with(b"x" + content_before[1:]), victim)
    with pytest.raises(AiprodError):
        pack_thumbnails(thumbs, rows)
    assert not Path("carried").exists()
    assert len(list(thumbs.glob("*.jpg"))) == COUNT, "no file goes before all shards are whole"


def _with(data: bytes) -> Path:
    path = Path("damaged")
    path.write_bytes(data)
    return path


def test_an_erasure_looks_for_what_is_packed(kept: tuple[Memo, dict[str, str], dict[str, bytes]]) -> None:
    memo, notes, _ = kept
    thumbs = Path("datasets/v1/qc/measure/thumbs").absolute()
    take_thumbnails(notes, memo, thumbs)
    pack_thumbnails(thumbs, carried(notes))
    clip = clip_id(7)
    film_id = f"f{clip[1:].split('-')[0]}"
    target = Target(FilmRow(film_id=film_id, source_id="own", key="x.mp4", status="ok"))
    assert thumbs / f"{clip}.jpg" in packed_objects(Path.cwd(), [target])
