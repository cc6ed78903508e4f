"""The policy's score against its formula, hard limits, caps, and speed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiprod.qc.decide.decide import decide
from aiprod.qc.decide.scoring import weighted_scores
from aiprod.qc.params import QcDecideParams, Weights
from aiprod.qc.rows import MeasureRow

PARAMS = QcDecideParams()
WEIGHTS = {
    "resolution": 0.20,
    "fps": 0.15,
    "audio": 0.15,
    "aspect": 0.10,
    "black": 0.10,
    "watermark": 0.10,
    "encoding": 0.10,
    "faces": 0.10,
}
GOOD: dict[str, dict[str, Any]] = {
    "geometry": {
        "status": "ok",
        "shorter_side": 1080,
        "display_width": 1920,
        "display_height": 1080,
        "aspect": 16 / 9,
        "width": 1920,
        "height": 1080,
        "rotation_deg": 0,
        "primaries": 1,
        "transfer": 1,
    },
    "borders": {
        "status": "ok",
        "top": 0.0,
        "bottom": 0.0,
        "left": 0.0,
        "right": 0.0,
        "letterboxed": False,
        "pillarboxed": False,
    },
    "timing": {"status": "ok", "fps": 24.0, "off_fraction": 0.0, "clip_s": 10.0},
    "black": {"status": "ok", "black_s": 0.0, "black_fraction": 0.0},
    "flicker": {"status": "ok", "flicker": 0.0, "flicker_hz": 0.0, "pumping": 0.0, "pumping_hz": 0.0},
    "freeze": {"status": "ok", "frozen_s": 0.0, "longest_s": 0.1},
    "motion": {"status": "ok", "cuts": 0},
    "encoding": {
        "status": "ok",
        "bits_per_pixel": 0.2,
        "bitrate_bps": 1e7,
        "blur": 0.3,
        "blockiness": 1.1,
        "vcodec": "h264",
        "bad_packets": 0,
        "packets": 240,
    },
    "watermark": {"status": "ok", "area_fraction": 0.0},
    "faces": {"status": "ok", "stills_with_faces": 0, "stills": 5, "found": False},
    "loudness": {
        "status": "ok",
        "integrated_lufs": -20.0,
        "sample_peak_dbfs": -3.0,
        "clipped_fraction": 0.0,
        "acodec": "aac",
        "bitrate_bps": 256_000,
    },
    "defects": {
        "status": "ok",
        "sample_rate_hz": 48000,
        "channels": 2,
        "dual_mono": False,
        "dropouts": 0,
        "dropout_s": 0.0,
        "bandwidth_hz": 20000.0,
    },
    "snr": {"status": "ok", "snr_db": 65.0},
    "sync": {"status": "ok", "content_offset_s": None, "container_offset_s": 0.0},
    "nsfw": {"status": "ok", "labels": ["sfw", "nsfw"], "several": False, "probabilities": [[1.0, 0.0]]},
    "text": {"status": "not_evaluated", "reason": "none"},
    "persons": {"status": "not_evaluated", "reason": "none"},
    "lip_sync": {"status": "not_evaluated", "reason": "none"},
}


def judge(**changes: dict[str, Any]) -> Any:
    """The verdict on a clip that is legal in all but what is changed."""
    found = {name: {**figures, **changes.get(name, {})} for name, figures in GOOD.items()}
    return decide(MeasureRow(clip_id="c", film_id="f", status="ok", measurements=found), PARAMS)


scores = st.fixed_dictionaries({name: st.none() | st.floats(0, 1) for name in WEIGHTS})


def weighted(clips: list[dict[str, float | None]]) -> list[float | None]:
    """The scores of some clips, of which each check's are given as columns."""
    columns = {name: np.array([np.nan if c[name] is None else c[name] for c in clips], float) for name in WEIGHTS}
    return [None if np.isnan(score) else score for score in weighted_scores(columns, Weights()).tolist()]


@given(st.lists(scores, max_size=4))
def test_score_is_the_policys_formula_renormalised(clips: list[dict[str, float | None]]) -> None:
    for found, answer in zip(clips, weighted(clips), strict=True):
        known = {k: v for k, v in found.items() if v is not None}
        weight = sum(WEIGHTS[k] for k in known)
        if weight == 0:
            assert answer is None
        else:
            assert answer == pytest.approx(sum(WEIGHTS[k] * v for k, v in known.items()) / weight)
            assert 0 <= answer <= 1 + 1e-12


@given(st.fixed_dictionaries({name: st.floats(0, 1) for name in WEIGHTS}), st.sampled_from(sorted(WEIGHTS)))
def test_a_better_check_never_lowers_the_score(found: dict[str, float | None], name: str) -> None:
    before, after = weighted([found, {**found, name: 1.0}])
    assert before is not None and after is not None and after >= before - 1e-12


@given(st.floats(0, 1))
def test_thresholds_decide_where_nothing_else_does(share: float) -> None:
    params = QcDecideParams.model_validate({"weights": {"faces": 0.0, "fps": 1.0, "resolution": 0.2}, "fail_below": 0})
    found = {name: {**figures} for name, figures in GOOD.items()}
    found["timing"]["off_fraction"] = share
    row = decide(MeasureRow(clip_id="c", film_id="f", status="ok", measurements=found), params)
    assert row.score is not None
    fair = row.score >= 0.70 - 1e-6
    assert row.status == ("APPROVED" if row.score >= 0.85 - 1e-6 else "REVIEW_NEEDED" if fair else "REJECTED")


def test_a_clip_that_is_legal_in_all_is_approved_with_score_1() -> None:
    row = judge(nsfw={"status": "not_evaluated", "reason": "none"})
    assert (row.status, row.score, row.reasons) == ("APPROVED", 1.0, [])
    assert {c.check for c in row.checks if c.status == "not_evaluated"} == {"lip_sync", "nsfw", "persons", "text"}
    assert all(c.score is None for c in row.checks if c.status != "ok")


@pytest.mark.parametrize(
    ("change", "verdict", "check"),
    [
        ({"geometry": {"shorter_side": 479, "display_height": 479}}, "REJECTED", "resolution"),
        (
            {
                "geometry": {"display_width": 854, "display_height": 480},
                "borders": {
                    "top": 0.13,
                    "bottom": 0.13,
                    "left": 0.13,
                    "right": 0.13,
                    "letterboxed": True,
                    "pillarboxed": True,
                },
            },
            "REJECTED",
            "resolution",
        ),
        (
            {
                "geometry": {"display_width": 480, "display_height": 854, "aspect": 480 / 854, "rotation_deg": 90},
                "borders": {"top": 0.13, "bottom": 0.13, "letterboxed": True},
            },
            "REJECTED",
            "resolution",
        ),
        ({"timing": {"clip_s": 1.9}}, "REJECTED", "duration"),
        ({"timing": {"clip_s": 601.0}}, "REJECTED", "duration"),
        ({"encoding": {"vcodec": "vp9"}}, "REJECTED", "codec"),
        ({"encoding": {"bad_packets": 1}}, "REJECTED", "decodable"),
        ({"timing": {"fps": 23.0}}, "REVIEW_NEEDED", "fps"),
        ({"timing": {"fps": 61.0}}, "REVIEW_NEEDED", "fps"),
        ({"timing": {"off_fraction": 0.3}}, "REVIEW_NEEDED", "fps"),
        ({"geometry": {"aspect": 1.0}}, "REVIEW_NEEDED", "aspect"),
        ({"borders": {"top": 0.125, "bottom": 0.125, "letterboxed": True}}, "REVIEW_NEEDED", "aspect"),
        ({"black": {"black_s": 2.0}}, "REVIEW_NEEDED", "black"),
        ({"freeze": {"frozen_s": 2.0}}, "REVIEW_NEEDED", "freeze"),
        ({"watermark": {"area_fraction": 0.02}}, "REVIEW_NEEDED", "watermark"),
        ({"faces": {"found": True, "stills_with_faces": 3}}, "REVIEW_NEEDED", "faces"),
        ({"encoding": {"bits_per_pixel": 0.006}}, "REVIEW_NEEDED", "encoding"),
        ({"encoding": {"blockiness": 5.0}}, "REVIEW_NEEDED", "encoding"),
        ({"snr": {"snr_db": 15.0}}, "REVIEW_NEEDED", "audio"),
        ({"defects": {"bandwidth_hz": 3800.0}}, "REVIEW_NEEDED", "audio"),
        ({"defects": {"sample_rate_hz": 22050}}, "REVIEW_NEEDED", "audio"),
        ({"loudness": {"integrated_lufs": -120.0, "sample_peak_dbfs": -120.0}}, "REVIEW_NEEDED", "audio"),
        ({"loudness": {"status": "unmeasurable", "reason": "no sound stream"}}, "REVIEW_NEEDED", "audio"),
        ({"loudness": {"status": "error", "reason": "damaged"}}, "REVIEW_NEEDED", "audio"),
        ({"loudness": {"acodec": "opus"}}, "REVIEW_NEEDED", "sound_codec"),
        ({"loudness": {"acodec": "pcm_mulaw"}}, "REVIEW_NEEDED", "sound_codec"),
        ({"loudness": {"bitrate_bps": 96_000}}, "REVIEW_NEEDED", "sound_bitrate"),
        ({"loudness": {"bitrate_bps": 192_000}}, "APPROVED", "sound_bitrate"),
        ({"loudness": {"bitrate_bps": None}}, "APPROVED", "sound_bitrate"),
        ({"geometry": {"primaries": 9, "transfer": 16}}, "APPROVED", "colour"),
        ({"geometry": {"primaries": 9, "transfer": 14}}, "APPROVED", "colour"),
        ({"geometry": {"primaries": 12, "transfer": 13}}, "APPROVED", "colour"),
        ({"geometry": {"primaries": 6, "transfer": 6}}, "APPROVED", "colour"),
        ({"geometry": {"primaries": 10, "transfer": 17}}, "REVIEW_NEEDED", "colour"),
        ({"geometry": {"transfer": 9}}, "REVIEW_NEEDED", "colour"),
        ({"sync": {"container_offset_s": 0.15}}, "REVIEW_NEEDED", "sync"),
        ({"sync": {"content_offset_s": -0.2}}, "REVIEW_NEEDED", "sync"),
        ({"sync": {"missing_end_s": 0.5}}, "REVIEW_NEEDED", "sync"),
    ],
)
def test_one_oddity_and_everything_else_legal(change: dict[str, Any], verdict: str, check: str) -> None:
    row = judge(**change)
    assert row.status == verdict
    assert len(row.reasons) <= 2 and any(reason.startswith(f"{check}:") for reason in row.reasons)


@pytest.mark.parametrize(
    "change",
    [
        {"timing": {"fps": 24000 / 1001}},
        {"timing": {"fps": 60000 / 1001}},
        {"timing": {"clip_s": 2.0}},
        {"timing": {"clip_s": 600.0}},
        {"geometry": {"aspect": 854 / 480}},
        {"geometry": {"aspect": 4 / 3}},
        {"black": {"black_s": 1.9}},
        {"sync": {"container_offset_s": 0.1}},
        {"encoding": {"vcodec": "hevc"}},
        {"watermark": {"status": "unmeasurable", "reason": "static"}},
        {"snr": {"status": "unmeasurable", "reason": "steady"}},
        {"geometry": {"primaries": 2, "transfer": 2}},
        {"geometry": {"transfer": 13}},
        {"loudness": {"bitrate_bps": 242_000}},
        {"loudness": {"acodec": "mp3float"}},
        {"loudness": {"acodec": "pcm_s16le", "bitrate_bps": None}},
        {"loudness": {"acodec": "pcm_s16le", "bitrate_bps": 128_000}},
    ],
)
def test_the_edges_of_what_is_legal(change: dict[str, Any]) -> None:
    row = judge(**change)
    assert (row.status, row.reasons) == ("APPROVED", [])


def test_a_remark_neither_lowers_a_score_nor_hides_a_hard_limit() -> None:
    odd = {"geometry": {"primaries": 9, "transfer": 18}}
    row = judge(**odd)
    assert row.score == 1.0 and row.reasons == ["colour: HLG, BT.2020 is not sRGB / Rec. 709; ingest converts it"]
    assert [r.split(":")[0] for r in judge(**odd, encoding={"vcodec": "vp9"}).reasons] == ["codec"]
    assert [r.split(":")[0] for r in judge(**odd, freeze={"frozen_s": 9.0}).reasons] == ["freeze", "colour"]


def test_what_counts_as_the_codec_and_the_rate_of_sound_is_set_by_the_policy() -> None:
    found = {**GOOD, "loudness": {**GOOD["loudness"], "acodec": "flac", "bitrate_bps": None}}
    row = MeasureRow(clip_id="c", film_id="f", status="ok", measurements=found)
    allowed = QcDecideParams.model_validate({"sound": {"codecs": ["FLAC"], "bitrate_min_bps": 320_000}})
    assert decide(row, allowed).reasons == []
    found["loudness"].update(acodec="aac")
    row = MeasureRow(clip_id="c", film_id="f", status="ok", measurements=found)
    hard = allowed.model_copy(update={"hard_limits": ["sound_codec"]})
    assert decide(row, hard).reasons == ["sound_codec: sound codec aac is none of flac"]


def test_an_unmeasurable_watermark_leaves_the_other_weights() -> None:
    row = judge(watermark={"status": "unmeasurable", "reason": "static"}, faces={"found": True})
    assert row.score == pytest.approx((1 - 0.1 - 0.1) / 0.9, abs=1e-6)


def test_an_undecodable_clip_is_rejected_with_its_reason() -> None:
    row = decide(MeasureRow(clip_id="c", film_id="f", status="error", reasons=["empty: zero bytes"]), PARAMS)
    assert (row.status, row.score, row.reasons) == ("REJECTED", None, ["empty: zero bytes"])


def test_a_clip_whose_measurement_did_not_end_is_for_a_review_and_not_rejected() -> None:
    row = decide(MeasureRow(clip_id="c", film_id="f", status="unfinished", reasons=["a worker died"]), PARAMS)
    assert (row.status, row.score, row.reasons) == ("REVIEW_NEEDED", None, ["a worker died"])
