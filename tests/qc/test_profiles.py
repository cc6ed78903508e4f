"""What verdicts say and in which order, and what the profiles of the policy let checks count for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aiprod.qc.checks import RULES
from aiprod.qc.decide.decide import decide
from aiprod.qc.params import QcDecideParams
from aiprod.qc.policy_profiles import MODERN, NOTE, REVIEW, ROLES
from aiprod.qc.rows import MeasureRow, VerdictRow
from tests.qc.test_scoring import GOOD

PAGE = Path(__file__).resolve().parents[2] / "docs" / "policy_profiles.md"
SILENT = {"integrated_lufs": -90.0, "sample_peak_dbfs": -80.0}
NO_TRACK = {"status": "unmeasurable", "reason": "no sound stream"}
FACES = {"stills_with_faces": 3, "found": True}
SMALL = {"shorter_side": 360, "display_width": 640, "display_height": 360, "width": 640, "height": 360}
UPRIGHT = {"aspect": 9 / 16, "display_width": 1080, "display_height": 1920, "width": 1080, "height": 1920}
BETTER = ("REJECTED", "REVIEW_NEEDED", "APPROVED")


def verdict(profile: str = "strict", **changes: dict[str, Any]) -> VerdictRow:
    """The verdict on a clip that is legal in all but what is changed."""
    found = {name: {**figures, **changes.get(name, {})} for name, figures in GOOD.items()}
    if changes.get("loudness") is NO_TRACK:
        found |= {name: dict(NO_TRACK) for name in ("loudness", "defects", "snr", "sync")}
    row = MeasureRow(clip_id="c", film_id="f", status="ok", measurements=found)
    return decide(row, QcDecideParams.model_validate({"profile": profile}))


@pytest.mark.parametrize("profile", list(ROLES))
@pytest.mark.parametrize("other", [{}, {"faces": FACES}, {"geometry": UPRIGHT}, {"geometry": UPRIGHT, "faces": FACES}])
def test_a_silent_track_is_at_least_as_good_as_none(profile: str, other: dict[str, Any]) -> None:
    silent, none = (verdict(profile, **other, loudness=sound) for sound in (SILENT, NO_TRACK))
    assert BETTER.index(silent.status) >= BETTER.index(none.status)
    assert (silent.score or 0) >= (none.score or 0) - 1e-9
    assert any("silent" in reason for reason in silent.reasons)


def test_what_costs_most_is_said_first() -> None:
    row = verdict(encoding={"blur": 0.9}, faces=FACES, defects={"dropouts": 3, "dropout_s": 9.0}, timing={"fps": 12.0})
    named = [reason.partition(":")[0] for reason in row.reasons if not reason.startswith("score ")]
    weights = [RULES[name].weight or 0.0 for name in named]
    assert {"fps", "audio", "encoding", "faces"} <= set(named)
    assert weights == sorted(weights, reverse=True)


def test_of_equal_faults_of_the_sound_the_weightiest_is_told() -> None:
    row = verdict(defects={"dropouts": 3, "dropout_s": 9.0, "bandwidth_hz": 3000.0, "sample_rate_hz": 8000})
    assert any(reason.startswith("audio: 3 drop-outs") for reason in row.reasons)
    ruined = verdict(encoding={"blur": 0.9, "blockiness": 4.0, "bits_per_pixel": 0.001})
    assert any(reason.startswith("encoding: blockiness") for reason in ruined.reasons)


def test_a_hard_limit_does_not_hide_the_rest() -> None:
    row = verdict(timing={"clip_s": 1.0}, faces=FACES, geometry=UPRIGHT)
    assert row.status == "REJECTED"
    assert row.reasons[0].startswith("duration:")
    assert set(row.reasons[1].removeprefix("also: ").split(", ")) == {"aspect", "faces"}
    assert verdict(timing={"clip_s": 1.0}).reasons == row.reasons[:1]


@pytest.mark.parametrize(
    "changes",
    [
        {"encoding": {"vcodec": "vp9"}},
        {"encoding": {"vcodec": "av1"}, "geometry": UPRIGHT},
        {"geometry": UPRIGHT, "timing": {"fps": 15.0}},
        {"loudness": {"acodec": "vorbis", "bitrate_bps": 64_000}},
    ],
)
def test_modern_notes_what_ingest_normalises(changes: dict[str, dict[str, Any]]) -> None:
    row = verdict("modern", **changes)
    assert (row.status, row.score) == ("APPROVED", 1.0)
    assert row.reasons  # it is said all the same
    assert verdict("strict", **changes).status != "APPROVED"


@pytest.mark.parametrize("changes", [{"faces": FACES}, {"geometry": SMALL}])
def test_modern_sends_what_a_person_decides_to_review_and_takes_no_score(changes: dict[str, dict[str, Any]]) -> None:
    row = verdict("modern", **changes)
    assert (row.status, row.score) == ("REVIEW_NEEDED", 1.0)
    assert not row.reasons[0].startswith("score ")


def test_modern_still_rejects_what_is_broken() -> None:
    black, lost = {"black_s": 9.0, "black_fraction": 0.9}, {"dropouts": 9, "dropout_s": 9.0}
    ruined = {"blur": 0.9, "blockiness": 4.0, "bits_per_pixel": 0.001}
    assert verdict("modern", timing={"clip_s": 1.0}).status == "REJECTED"
    assert verdict("modern", black=black, encoding=ruined, defects=lost).status == "REJECTED"


def as_table() -> str:
    """The differences, as a table in Markdown."""
    words = {
        NOTE: "a note: said, costs no score, holds nothing up",
        REVIEW: "a review: holds the clip, costs no score, rejects nothing",
    }
    lines = ["| check | `strict` | `modern` | why |", "| --- | --- | --- | --- |"]
    lines += [
        f"| `{name}` | as weights and lists say | {words[role]} | {why} |" for name, (role, why) in MODERN.items()
    ]
    return "\n".join(lines)


def test_the_page_shows_the_data_and_every_check_that_it_names_exists() -> None:
    assert as_table() in PAGE.read_text(encoding="utf-8")
    assert set(MODERN) <= set(RULES)
