"""Near duplicates: real films and what becomes of copies of them; one is kept, the strictest rights rule all."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aiprod.data.rows import ClipRow, FilmRow
from aiprod.executors.executor import ordered_map
from aiprod.qc.decide.decide import verdicts
from aiprod.qc.duplicates.clusters import Matches
from aiprod.qc.measure.standalone import FileJob, examine
from aiprod.qc.params import DuplicateParams, QcDecideParams, QcMeasureParams
from aiprod.qc.rows import MeasureRow, VerdictRow
from tests.qc.copies import KINDS, copy_film
from tests.qc.test_scoring import GOOD
from tests.rows import clip_row

LIGHT = QcMeasureParams(stills=1, flow_pairs=2, watermark_frames=4, face_stills=1)
FILMS = ("intel_asl_yes_480p30.mkv", "friday_480p30_6s.mp4", "tractor_288p25_10s.webm")
"""A still camera before a person (four others of the series look alike), a still shot with sound, a moving camera."""
RNG = np.random.default_rng(5)


def prints_of(paths: list[Path]) -> dict[str, dict[str, Any]]:
    """Fingerprints by file name."""
    found = {}
    for path, outcome in zip(paths, ordered_map(examine, [FileJob(p, LIGHT) for p in paths]), strict=True):
        assert outcome.value is not None and outcome.value[0].status == "ok", (path.name, outcome.reason)
        found[path.name] = outcome.value[0].measurements["fingerprint"]
    return found


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_copies_of_real_film_are_found_and_other_films_are_not(shared_clips: Path, tmp_path: Path) -> None:
    films = [p for p in sorted((shared_clips / "open").iterdir()) if p.name.startswith("intel_asl") or p.name in FILMS]
    copies = [
        copy_film(shared_clips / "open" / name, tmp_path / f"{name}~{kind}.mp4", kind, longest_s=3.2)
        for name in FILMS
        for kind in KINDS
    ]
    found = prints_of([*films, *copies])
    names = list(found)
    matches = Matches.of(list(found.values()), DuplicateParams(), range(len(names)))
    left_out = {names[i]: (names[m.first], m) for i, m in matches.kept(range(len(names))).items()}
    assert {name: of for name, (of, _) in left_out.items()} == {p.name: p.name.split("~")[0] for p in copies}
    assert all(m.mirrored == ("mirrored" in name) for name, (_, m) in left_out.items())
    for name, (of, match) in left_out.items():
        heard = of.startswith("friday") and "without sound" not in name
        error = match.figures["sound_error"]
        assert (error is not None and error < 0.35) if heard else error is None, name  # 0.5 = by chance


def words(count: int) -> np.ndarray:
    return RNG.integers(1, 2**63, count).astype(np.uint64)


def text(found: np.ndarray) -> str:
    return base64.b64encode(found.astype("<u8").tobytes()).decode()


def figures(look: np.ndarray, change: np.ndarray, sound: np.ndarray | None = None) -> dict[str, Any]:
    return {
        "status": "ok",
        "look": text(look),
        "change": text(change),
        "sound": text(sound if sound is not None else words(0)),
    }


def flipped(found: np.ndarray, bits: int) -> np.ndarray:
    """The words with ``bits`` random bits of each inverted."""
    out = found.copy()
    for i in range(out.size):
        for bit in RNG.choice(64, bits, replace=False):
            out[i] ^= np.uint64(1) << np.uint64(bit)
    return out


def matched(*prints: dict[str, Any], **limits: Any) -> dict[tuple[int, int], Any]:
    return Matches.of(prints, DuplicateParams(**limits), range(len(prints))).pictures


def test_limits_are_those_of_the_parameters() -> None:
    look, change = words(40), words(40)
    close = figures(flipped(look, 6), flipped(change, 10))
    assert list(matched(figures(look, change), close)) == [(0, 1)]
    assert not matched(figures(look, change), close, look_bits_max=5)
    assert not matched(figures(look, change), close, change_bits_max=9)
    assert not matched(figures(look, change), figures(flipped(look, 6), words(40)))  # the same scene, another event
    still = np.zeros(40, np.uint64)
    assert not matched(figures(look, change), figures(flipped(look, 2), still))  # one moves, the other does not
    assert matched(figures(look, still), figures(flipped(look, 2), still))
    assert not matched(figures(look, still), figures(flipped(look, 8), still))


def test_shift_and_mirror_are_recognised_and_a_short_overlap_is_none() -> None:
    look, change = words(40), words(40)
    [match] = matched(
        figures(look, change), figures(look[6:] ^ np.uint64(0xFFFFFFFF), change[6:] ^ np.uint64(0xFFFFFFFF))
    ).values()
    assert (match.shift, match.mirrored, match.figures["overlap"]) == (6, True, 1.0)
    other = np.concatenate((look[20:], words(20))), np.concatenate((change[20:], words(20)))
    assert not matched(figures(look, change), figures(*other))
    assert matched(figures(look, change), figures(*other), overlap_min=0.5)


def test_an_excerpt_does_not_make_two_other_excerpts_the_same() -> None:
    look, change = words(80), words(80)
    whole, first, last = (figures(look[s], change[s]) for s in (slice(0, 80), slice(0, 30), slice(50, 80)))
    matches = Matches.of([whole, first, last], DuplicateParams(), [0, 1, 2])
    assert set(matches.kept([0, 1, 2])) == {1, 2}
    assert matches.clusters() == [[0, 1, 2]]
    assert set(matches.kept([2, 0, 1])) == {0}  # where the whole is the worst, both excerpts stay


def test_in_a_cluster_of_many_all_but_one_are_left_out() -> None:
    look, change = words(30), words(30)
    prints = [figures(flipped(look, 3), flipped(change, 4)) for _ in range(60)]
    order = list(RNG.permutation(60))
    kept = Matches.of(prints, DuplicateParams(), order).kept(order)
    assert set(range(60)) - set(kept) == {order.index(0)}


@pytest.mark.parametrize("slides", [1, 2, 3, 8])
@pytest.mark.parametrize("slots", [3, 12, 40])
@pytest.mark.parametrize("cut", [0, 2, 9])
def test_films_of_slides_are_paired_at_the_right_shift(slides: int, slots: int, cut: int) -> None:
    """Each picture stands for seconds, so that most of its words are equal; the copies are noisy and may be cut."""
    looks = np.repeat(words(slides), slots)
    changes = np.zeros(looks.size, np.uint64)
    for begin in range(slots, looks.size, slots):
        changes[begin : begin + 2] = words(2)
    cut = min(cut, looks.size // 3)
    others = [figures(np.repeat(words(slides), slots), changes) for _ in range(6)]
    found = matched(figures(looks, changes), figures(looks, changes), figures(looks[cut:], changes[cut:]), *others)
    assert {(0, 1), (0, 2)} <= set(found)
    assert set(found) <= {(0, 1), (0, 2), (1, 2)}
    if slides > 2:  # enough happens to tell the shift
        assert (found[0, 1].shift, found[0, 2].shift) == (0, cut)


def dataset(count: int) -> tuple[list[FilmRow], list[ClipRow]]:
    films = [
        FilmRow(film_id=f"f{n}", source_id=f"s{n}", key=f"{n}.mp4", status="ok", effective_right="train")
        for n in range(count)
    ]
    clips = [
        clip_row(f"c{n}", f"f{n}", source_id=f"s{n}", end_s=10, frames=240, width=640, height=480, has_audio=True)
        for n in range(count)
    ]
    return films, clips


def decided(
    prints: list[dict[str, Any]],
    films: list[FilmRow],
    clips: list[ClipRow],
    params: QcDecideParams | None = None,
    **odd: Any,
) -> dict[str, VerdictRow]:
    rows = [
        MeasureRow(
            clip_id=f"c{n}",
            film_id=f"f{n}",
            status="ok",
            measurements={**GOOD, **odd.get(f"c{n}", {}), "fingerprint": found},
        )
        for n, found in enumerate(prints)
    ]
    return {row.clip_id: row for row in verdicts(films, clips, rows, params or QcDecideParams())}


def test_the_best_copy_is_kept_whatever_its_place() -> None:
    look, change = words(40), words(40)
    prints = [figures(look, change), figures(flipped(look, 2), flipped(change, 5)), figures(words(40), words(40))]
    films, clips = dataset(3)
    rows = decided(prints, films, clips)
    assert (rows["c0"].status, rows["c1"].status, rows["c2"].status) == ("APPROVED", "REJECTED", "APPROVED")
    assert rows["c1"].duplicate_of == "c0" and rows["c1"].reasons[-1].startswith("duplicates: shows the same as c0")
    rows = decided(prints, films, clips, c0={"watermark": {"status": "ok", "area_fraction": 0.02}})
    assert (rows["c0"].status, rows["c1"].status) == ("REJECTED", "APPROVED") and rows["c0"].duplicate_of == "c1"
    for policy, status in (("review", "REVIEW_NEEDED"), ("keep", "APPROVED")):
        limits = QcDecideParams(duplicates=DuplicateParams(same_picture=policy))
        assert decided(prints, films, clips, limits)["c1"].status == status
    assert all(sum(c.check == "duplicates" for c in row.checks) == 1 for row in rows.values())


def test_the_strictest_rights_of_all_copies_rule_each() -> None:
    look, change = words(40), words(40)
    prints = [figures(look, change), figures(look, change), figures(words(40), words(40))]
    films, clips = dataset(3)
    films[1] = films[1].model_copy(update={"effective_right": "train_with_obligations", "obligations": ["credit B"]})
    rows = decided(prints, films, clips)
    assert rows["c0"].status == "APPROVED" and rows["c0"].obligations == ["credit B"]
    assert rows["c1"].obligations == [] and rows["c2"].obligations == []
    films[1] = films[1].model_copy(update={"effective_right": "deny"})
    rows = decided(prints, films, clips)
    assert rows["c0"].status == "REJECTED" and "without the right" in rows["c0"].reasons[0]
    assert rows["c2"].status == "APPROVED"


PEOPLE = {"description": "a person at a table"}
TRUSTED = {"personal_data_basis": "consent", "consent_ref": "C-1"}


def test_people_whom_one_source_declares_hold_every_copy() -> None:
    """A source says that people are shown; the larger copy by another says that there is no personal data."""
    look, change = words(40), words(40)
    prints = [figures(look, change), figures(look, change), figures(words(40), words(40))]
    films, clips = dataset(3)
    films = [film.model_copy(update={"personal_data_basis": "none"}) for film in films]
    films[1] = films[1].model_copy(update={"personal_data_basis": "legitimate_interests"})
    clips[0] = clips[0].model_copy(update={"width": 1920, "height": 1080})
    clips[1] = clips[1].model_copy(update=PEOPLE)
    rows = decided(prints, films, clips)
    assert rows["c0"].duplicate_of is None and rows["c0"].status == "REVIEW_NEEDED"
    assert rows["c0"].privacy_flags == rows["c1"].privacy_flags == ["people declared"]
    [reason] = rows["c0"].reasons
    assert reason.startswith("privacy: people declared by c1") and "declared here is 'none' (and so" in reason
    assert rows["c1"].status == "REJECTED" and sum(r.startswith("privacy:") for r in rows["c1"].reasons) == 1
    assert (rows["c2"].status, rows["c2"].privacy_flags) == ("APPROVED", [])


def test_a_consent_to_one_copy_serves_no_other_that_lacks_it() -> None:
    look, change = words(40), words(40)
    prints = [figures(look, change), figures(look, change)]
    films, clips = dataset(2)
    clips[0] = clips[0].model_copy(update=PEOPLE)
    films[0] = films[0].model_copy(update=TRUSTED)
    rows = decided(prints, films, clips)
    assert rows["c0"].status == "REVIEW_NEEDED" and "declared for c1 is 'unknown';" in rows["c0"].reasons[0]
    films[1] = films[1].model_copy(update=TRUSTED)
    rows = decided(prints, films, clips)
    assert (rows["c0"].status, rows["c1"].duplicate_of) == ("APPROVED", "c0")


def test_faces_that_are_seen_in_one_copy_are_in_the_other() -> None:
    look, change = words(40), words(40)
    films, clips = dataset(2)
    seen = {"faces": {**GOOD["faces"], "found": True, "stills_with_faces": 2}}
    rows = decided([figures(look, change), figures(look, change)], films, clips, c1=seen)
    assert rows["c1"].duplicate_of == "c0" and rows["c0"].status == "REVIEW_NEEDED"
    assert rows["c0"].privacy_flags == ["faces"] and "faces by c1" in rows["c0"].reasons[0]


def test_people_are_carried_by_sound_where_they_are_declared_and_not_where_a_face_is_seen() -> None:
    half = RNG.integers(1, 2**32, 80).astype(np.uint64) & RNG.integers(1, 2**32, 80).astype(np.uint64)
    sound = half << np.uint64(32) | (~half & np.uint64(0x0F0F0F0F))
    prints = [figures(words(40), words(40), sound), figures(words(40), words(40), sound)]
    films, clips = dataset(2)
    seen = {"faces": {**GOOD["faces"], "found": True, "stills_with_faces": 2}}
    assert decided(prints, films, clips, c1=seen)["c0"].status == "APPROVED"
    clips[1] = clips[1].model_copy(update=PEOPLE)
    rows = decided(prints, films, clips)
    assert rows["c0"].status == "REVIEW_NEEDED" and rows["c0"].privacy_flags == ["people declared"]


def test_the_same_sound_under_other_pictures_asks_for_a_review() -> None:
    half = RNG.integers(1, 2**32, 80).astype(np.uint64) & RNG.integers(1, 2**32, 80).astype(np.uint64)
    sound = half << np.uint64(32) | (~half & np.uint64(0x0F0F0F0F))
    films, clips = dataset(2)
    rows = decided([figures(words(40), words(40), sound), figures(words(40), words(40), sound)], films, clips)
    assert rows["c0"].status == "APPROVED" and rows["c1"].status == "REVIEW_NEEDED"
    assert "sounds the same as c0" in rows["c1"].reasons[-1] and rows["c1"].duplicate_of is None


def test_one_copy_among_many_clips_is_found_and_nothing_else() -> None:
    prints = [figures(words(17), words(17), words(29)) for _ in range(20_000)]
    prints[19_000] = prints[7]
    matches = Matches.of(prints, DuplicateParams(), range(len(prints)))
    assert list(matches.pictures) == [(7, 19_000)] and not matches.sounds


def test_two_clips_of_a_source_of_similar_clips_have_to_be_more_alike() -> None:
    """Drawn scenes of one kind resemble each other; a copy of one is nearly the same, and so is found all the same."""
    look, change = words(40), words(40)
    prints = [figures(flipped(look, bits), flipped(change, 2)) for bits in (0, 8, 1)]
    alike = Matches.of(prints, DuplicateParams(), range(3)).pictures
    assert set(alike) == {(0, 1), (0, 2), (1, 2)}
    of_one = Matches.of(prints, DuplicateParams(), range(3), dict.fromkeys(range(3), "demo")).pictures
    assert set(of_one) == {(0, 2)}
    of_two = Matches.of(prints, DuplicateParams(), range(3), {0: "demo", 1: "other", 2: "demo"}).pictures
    assert set(of_two) == set(alike)
    of_some = Matches.of(prints, DuplicateParams(), range(3), {0: "demo"}).pictures
    assert set(of_some) == set(alike)


def test_sources_of_similar_clips_are_those_of_the_parameters() -> None:
    look, change = words(40), words(40)
    films, clips = dataset(2)
    films = [film.model_copy(update={"source_id": "drawn"}) for film in films]
    for sources, repeats in (([], True), (["drawn"], False), (["elsewhere"], True)):
        limits = QcDecideParams(duplicates=DuplicateParams(similar_sources=sources))
        rows = decided([figures(look, change), figures(flipped(look, 8), flipped(change, 2))], films, clips, limits)
        assert (rows["c1"].duplicate_of == "c0") is repeats, sources
