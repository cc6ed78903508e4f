"""How many clips are judged, sorted and compared at a time changes no byte of what is written."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiprod.base import keyed_rows, spool
from aiprod.data.rows import ClipRow, FilmRow
from aiprod.qc.decide import dataset
from aiprod.qc.decide.decide import settle
from aiprod.qc.decide.measurement_table import MeasurementTable
from aiprod.qc.decide.reviews import Review
from aiprod.qc.duplicates import index, matching, tracks
from aiprod.qc.duplicates.matching import Prints
from aiprod.qc.overlays import pools
from aiprod.qc.overlays.edge_sketch import as_text
from aiprod.qc.params import DuplicateParams, QcDecideParams
from aiprod.qc.projections import read_clips, read_films
from aiprod.qc.report.report import Reported
from aiprod.qc.rows import MeasureRow, VerdictRow
from aiprod.storage.crypto.film_encryption import Vault
from aiprod.storage.manifest import manifest, parquet_reader
from aiprod.storage.manifest.manifest import write_manifest, write_table
from tests.qc.test_duplicates import figures, flipped, words
from tests.qc.test_scoring import GOOD
from tests.rows import clip_row

PARAMS = QcDecideParams(duplicates=DuplicateParams(similar_sources=["s1"]), report_rows_max=20)
CLIPS = 90
PRIVATE = 6


def dataset_of(folder: Path, vault: Vault) -> None:
    """Films of which some are private, some yielded no clip and some repeat others, with a mark that many share."""
    rng, draws = np.random.default_rng(0), random.Random(0)
    mark = rng.integers(1, 5, (4, 6))
    names = [f"{n:03d}" for n in range(CLIPS)]
    private = ["0" + ("abcdefgh"[n] * 16) for n in range(PRIVATE)]
    films, clips, rows = [], [], []
    prints: list[dict[str, Any]] = []
    for n, name in enumerate([*names, *private]):
        film_id, clip_id = f"f{name}", f"c{name}-000"
        if n >= CLIPS:
            vault.keys.ensure(film_id)
        basis = {"personal_data_basis": "consent", "consent_ref": "C-1"} if n >= CLIPS else {}
        films.append(
            FilmRow(
                film_id=film_id,
                source_id=f"s{n % 3}",
                key=f"holiday of {n}.mp4",
                status="ok" if n % 9 else "refused",
                reasons=[] if n % 9 else [f"no right “holiday of {n}”"],
                effective_right="train",
                obligations=[f"credit {n}"] if n % 4 == 0 else [],
                **basis,
            )
        )
        if n % 9 == 0:
            continue
        clips.append(
            clip_row(
                clip_id,
                film_id,
                source_id=f"s{n % 3}",
                end_s=10 + n % 2,
                frames=240,
                width=640,
                height=480,
                has_audio=True,
                title="two people" if n % 11 == 0 else None,
                duplicate_of=f"c{names[1]}-000" if n == 50 else None,
            )
        )
        found = {check: {"method": "m", "version": str(n % 2), **f} for check, f in GOOD.items()}
        found["encoding"].update(bits_per_pixel=0.003 * n, blur=round(draws.random(), 3))
        found["loudness"]["integrated_lufs"] = draws.choice([-20, -31.5, -65.0])
        cells = rng.integers(1, 5, (28, 48)) * (rng.random((28, 48)) < 0.1)
        if n % 3 == 0:
            cells[2:6, 3:9] = mark
        found["watermark"] = {"method": "m", "version": "1", "sketch": as_text(cells.astype(np.uint8))}
        found["watermark"] |= {"status": "ok", "area_fraction": 0.0} if n % 5 == 0 else {"status": "unmeasurable"}
        prints.append(print_of(n, prints, draws))
        found["fingerprint"] = {"method": "m", "version": "1", **prints[-1]}
        status = "error" if n % 13 == 5 else "ok"
        measured = found if status == "ok" else {}
        rows.append(
            MeasureRow(clip_id=clip_id, film_id=film_id, status=status, measurements=measured, thumbnails=f"{n}.jpg")
        )
    tables: Mapping[str, tuple[list[Any], type, str]] = {
        "films": (films, FilmRow, "film_id"),
        "clips": (clips, ClipRow, "clip_id"),
        "measure": (rows, MeasureRow, "clip_id"),
    }
    for name, (some, model, key) in tables.items():
        write_manifest(
            folder / name, some, row_model=model, stage="t", key=attrgetter(key), params_digest="", inputs={},
            vault=vault,
        )  # fmt: skip


def print_of(number: int, before: list[dict[str, Any]], draws: random.Random) -> dict[str, Any]:
    """A fingerprint: of its own, of a copy of an earlier clip's pictures or sound, or none."""
    kind = number % 7
    if kind == 3:
        return {"status": "unmeasurable", "reason": "black"}
    other = next((p for p in draws.sample(before, len(before)) if "look" in p), None)
    if other is None or kind not in (4, 5):
        return figures(words(20 + number % 9), words(20 + number % 9), words(50))
    look, change, sound = (np.frombuffer(tracks.words_in(other, n), "<u8") for n in ("look", "change", "sound"))
    if kind == 4:
        return figures(flipped(look[1:], 2), flipped(change[1:], 2), sound)
    return figures(words(20), words(20), sound)


@dataclass(frozen=True)
class Known:
    """A dataset with the keys of its private films, and what is written of it where it is one part."""

    folder: Path
    vault: Vault
    whole: dict[str, bytes]


def written(folder: Path, vault: Vault, into: Path) -> dict[str, bytes]:
    """All that deciding writes, by name."""
    shown, films = read_films(folder / "films", vault)
    clips = read_clips(folder / "clips", vault)
    review = Review(
        clip_id="c001-000", number=1, verdict="REJECTED", automatic="APPROVED", start_s=0, end_s=11, reviewer="r",
        authority={"review": "reviewer"},
    )  # fmt: skip
    decided = settle(MeasurementTable.parts(folder / "measure", vault), films, clips, PARAMS, reviews=[review])
    reported = Reported(decided, shown, PARAMS.report_rows_max)
    write_table(
        into / "decide", reported, row_model=VerdictRow, stage="t", params_digest="", inputs={},
        expect_ids=decided.expected(), vault=vault,
    )  # fmt: skip
    (into / "thumbs").mkdir()
    for number in range(CLIPS + PRIVATE):
        (into / "thumbs" / f"{number}.jpg").write_bytes(b"x")
    reported.write(into / "reports", shown, clips, PARAMS, into / "thumbs")
    return {str(path.relative_to(into)): path.read_bytes() for path in into.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Known:
    """The dataset."""
    folder, vault = tmp_path_factory.mktemp("dataset"), Vault()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIPROD_HOME", str(folder / "state"))
        dataset_of(folder, vault)
        return Known(folder, vault, written(folder, vault, tmp_path_factory.mktemp("whole")))


def test_the_dataset_shows_what_may_differ(known: Known) -> None:
    folder, vault = known.folder, known.vault
    decided = settle(
        MeasurementTable.parts(folder / "measure", vault), read_films(folder / "films", vault)[1],
        read_clips(folder / "clips", vault), PARAMS,
    )  # fmt: skip
    rows = [row for part in decided.parts(30) for row in part.rows(range(len(part)))]
    assert decided.numbers is not None, "clips that are private and films without a clip lie among the others"
    assert any(row.duplicate_of for row in rows) and any(row.obligations for row in rows)
    assert any("sounds the same" in reason for row in rows for reason in row.reasons)
    assert any("in the same place in" in check.reason for row in rows for check in row.checks)
    assert {row.status for row in rows} >= {"REJECTED", "REVIEW_NEEDED"}
    assert [row.clip_id for row in rows] == sorted(row.clip_id for row in rows)


@settings(max_examples=12, deadline=None)
@given(
    st.tuples(st.integers(1, 40), st.integers(1, 120), st.integers(1, 40), st.integers(0, 2000), st.integers(30, 3000))
)
def test_no_size_of_a_part_changes_what_is_written(
    known: Known, tmp_path_factory: pytest.TempPathFactory, sizes: tuple[int, ...]
) -> None:
    batch, told, few, kept, sorted_words = sizes
    with pytest.MonkeyPatch.context() as patch:
        for module, name, value in (
            (parquet_reader, "_AT_ONCE", batch),
            (keyed_rows, "_PART", few),
            (dataset, "_TOLD", told),
            (spool, "_KEPT", kept),
            (pools, "_AT_ONCE", few),
            (index, "_AT_ONCE", sorted_words),
            (index, "_BLOCK", 7 * few),
            (index, "_PAIRS", few),
            (index, "_BUFFER", kept),
            (tracks, "_PAIRS", told),
            (tracks, "_SLOTS", sorted_words),
            (tracks, "_GAP", few),
            (matching, "_FEW", few),
        ):
            patch.setattr(module, name, value)
        parts = written(known.folder, known.vault, tmp_path_factory.mktemp("parts"))
    assert parts.keys() == known.whole.keys()
    assert [name for name in known.whole if parts[name] != known.whole[name]] == []


def test_a_table_is_written_in_row_groups_whatever_it_was_read_in(
    known: Known, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifest, "_PART", 17)
    parts, whole = written(known.folder, known.vault, tmp_path), known.whole
    assert pq.ParquetFile(tmp_path / "decide/manifest.parquet").num_row_groups > 4
    same = [name for name in whole if parts[name] == whole[name]]
    assert set(whole) - set(same) == {"decide/manifest.parquet"}, "the root, too, is that of the rows"


def test_a_dataset_without_a_clip_has_the_rows_of_its_films(tmp_path: Path) -> None:
    film = FilmRow(film_id="f1", source_id="s", key="a.mp4", status="refused", reasons=["no right"])
    for name, rows, model in (("films", [film], FilmRow), ("clips", [], ClipRow), ("measure", [], MeasureRow)):
        write_manifest(
            tmp_path / name, rows, row_model=model, stage="t", key=lambda row: row.film_id, params_digest="", inputs={}
        )
    (tmp_path / "into").mkdir()
    found = written(tmp_path, Vault(), tmp_path / "into")
    assert b"no right" in found["reports/page/index.html"] and b'"kept_out": 1' in found["reports/metrics.json"]


def pairs_of(prints: list[dict[str, Any]]) -> set[tuple[int, int, int, bool]]:
    """What the index has to propose: all words sorted at once, as one array, by each of eight rotations."""
    looks = [np.frombuffer(tracks.words_in(p, "look"), "<u8") for p in prints]
    kept, begun = [], []
    for clip, own in enumerate(looks):
        for slot, word in enumerate(own.tolist()):
            new = word != 0 and not (slot and own[slot - 1] and (word ^ int(own[slot - 1])).bit_count() < 3)
            begun += [(clip, slot, word)] if new else []
            kept += [(clip, slot, word)] if new or (word and slot % 8 == 0) else []
    found = set()
    for chosen in (kept, begun):
        for turn in range(0, 32, 4):
            upper = [word >> 32 for *_, word in chosen]
            keys = [((key << turn) | (key >> (32 - turn))) & 0xFFFFFFFF for key in upper]
            order = sorted(range(len(chosen)), key=keys.__getitem__)
            for step in (1, 2, 3):
                for i, j in zip(order, order[step:], strict=False):
                    (one, slot, word), (other, at, there) = sorted((chosen[i], chosen[j]))
                    bits, turned = (word ^ there).bit_count(), (word ^ there ^ 0xFFFFFFFF).bit_count()
                    if one != other and min(bits, turned) <= 14:
                        found |= {(one, other, slot - at, turned < bits), (one, other, 0, turned < bits)}
    return found


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 14), st.integers(3, 200), st.integers(1, 60))
def test_the_index_proposes_what_sorting_all_words_at_once_does(seed: int, clips: int, at_once: int, few: int) -> None:
    rng = np.random.default_rng(seed)
    prints = []
    for _ in range(clips):
        own = rng.integers(0, 2**63, rng.integers(0, 30)).astype(np.uint64)
        own[rng.random(own.size) < 0.1] = 0
        if prints and rng.random() < 0.6:
            other = np.frombuffer(tracks.words_in(prints[int(rng.integers(len(prints)))], "look"), "<u8")
            own = np.concatenate((own[:3], other[rng.integers(0, 3) :], other[-1:], other[-1:]))
            own = own ^ (np.uint64(0xFFFFFFFF) if rng.random() < 0.3 else np.uint64(0))
            own ^= np.uint64(1) << rng.integers(0, 64, own.size).astype(np.uint64)
        prints.append(figures(own, own))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index, "_AT_ONCE", at_once)
        patch.setattr(index, "_BLOCK", few)
        patch.setattr(index, "_PAIRS", few)
        parts = list(index.propose(tracks.track_of(prints, "look"), mirrors=True))
    columns = [(p.first.tolist(), p.second.tolist(), p.shift.tolist(), p.mirrored.tolist()) for p in parts]
    proposed = [pair for part in columns for pair in zip(*part, strict=True)]
    assert len(proposed) == len(set(proposed)) and set(proposed) == pairs_of(prints)
    assert Prints.of(prints, DuplicateParams()).pictures() is not None
