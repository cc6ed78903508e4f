"""Samples nobody can choose, and bounds that hold."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from aiprod.errors import AiprodError
from aiprod.governance.audit.checkpoint import FOLDER
from aiprod.governance.audit.log import AuditLog
from aiprod.governance.dataset.records import Records
from aiprod.governance.policy.roles import Actor
from aiprod.governance.review.confidence_intervals import bounds
from aiprod.governance.review.sampling import (
    ENOUGH,
    SAMPLES,
    announce,
    choose,
    draw,
    drawn_rightly,
    load_sample,
    population,
    sample_size,
)
from tests.projects import commit_all

STEWARD = Actor("Ada", "data_steward")


def commit(root: Path) -> None:
    commit_all(str(SAMPLES), str(FOLDER), cwd=root)


@pytest.mark.parametrize(
    ("clips", "drawn"), [(1, 1), (58, 58), (59, 59), (60, 59), (1180, 59), (1181, 60), (10_000, 500)]
)
def test_five_percent_and_no_fewer_than_59_or_all(clips: int, drawn: int) -> None:
    assert sample_size(clips) == drawn


def test_59_without_a_defect_exclude_5_percent_and_58_do_not() -> None:
    assert bounds(0, ENOUGH, 10_000).upper < 0.05 < bounds(0, ENOUGH - 1, 10_000).upper
    assert bounds(0, 59, 10_000).upper == pytest.approx(1 - 0.05 ** (1 / 59), abs=1e-12)
    assert bounds(2, 40, 10_000).upper > 0.14, "2 of 40 excludes little"


@given(st.integers(1, 400), st.data())
@settings(max_examples=80, deadline=None)
def test_bounds_agree_with_another_implementation_and_with_the_definition(n: int, data: st.DataObject) -> None:
    k = data.draw(st.integers(0, n))
    found = bounds(k, n, n + 1)
    other = binomtest(k, n).proportion_ci(0.95, method="exact")
    assert (found.low, found.high) == pytest.approx((other.low, other.high), abs=1e-9)
    if k < n:  # at the upper bound, so few defects or fewer are seen once in twenty samples
        assert binom.cdf(k, n, found.upper) == pytest.approx(0.05, abs=1e-9)
    assert found.low <= found.upper <= found.high


def test_all_looked_at_is_known_nothing_looked_at_is_not() -> None:
    assert bounds(1, 4, 4).upper == 0.25 and bounds(1, 4, 4).exact
    assert (bounds(0, 0, 9).share, bounds(0, 0, 9).upper) == (None, 1.0)
    with pytest.raises(ValueError, match="cannot be"):
        bounds(3, 2, 9)


@given(st.binary(min_size=32, max_size=32), st.integers(60, 300))
@settings(max_examples=25, deadline=None)
def test_the_draw_depends_on_the_seed_alone(seed: bytes, clips: int) -> None:
    strata = {"s × CC0-1.0": [f"c{n:04d}" for n in range(clips)]}
    chosen = choose(strata, seed)
    assert chosen == choose({k: list(reversed(v)) for k, v in strata.items()}, seed)
    assert len(set(chosen["s × CC0-1.0"])) == sample_size(clips) and set(chosen["s × CC0-1.0"]) <= set(
        strata["s × CC0-1.0"]
    )


def test_every_clip_is_drawn_about_equally_often() -> None:
    """59 of 118: each clip is drawn in half of 400 draws, give or take five standard deviations."""
    strata, draws = {"s": [f"c{n:04d}" for n in range(118)]}, 400
    times = dict.fromkeys(strata["s"], 0)
    for number in range(draws):
        for clip in choose(strata, number.to_bytes(32, "big"))["s"]:
            times[clip] += 1
    wide = 5 * math.sqrt(draws / 4)
    assert all(abs(n - draws / 2) < wide for n in times.values())


def test_announce_commit_draw(finished: Path) -> None:
    log = AuditLog()
    fixed = announce(finished, "2026-Q4", "beacon of Monday", STEWARD, log)
    strata = population(Records(finished))
    assert fixed.strata == {k: len(v) for k, v in strata.items()} and len(strata) == 2
    with pytest.raises(AiprodError, match="not committed"):
        draw(finished, "2026-Q4", "1234", STEWARD, log)
    commit(finished)
    drawn = draw(finished, "2026-Q4", "1234", STEWARD, log)
    assert sorted(drawn.clips) == sorted(c for clips in strata.values() for c in clips), "few clips: all are drawn"
    assert load_sample(finished, "2026-Q4") == drawn and drawn_rightly(drawn, Records(finished)) is True
    forged = drawn.model_copy(update={"drawn": {k: v[:0] for k, v in drawn.drawn.items()}})
    assert drawn_rightly(forged, Records(finished)) is False
    with pytest.raises(AiprodError, match="drawn before"):
        draw(finished, "2026-Q4", "5678", STEWARD, log)
    with pytest.raises(AiprodError, match="announced before"):
        announce(finished, "2026-Q4", "another", STEWARD, log)
    steps = [e.value["facts"].get("step") for e in log.entries() if e.value["kind"] == "review"]
    assert steps == ["announced", "drawn"]


def test_a_draw_needs_its_checkpoint_and_the_clips_it_was_announced_for(finished: Path) -> None:
    log = AuditLog()
    announce(finished, "a", "beacon", STEWARD, log)
    commit(finished)
    other = FOLDER / f"{load_sample(finished, 'a').checkpoint_size:012d}.checkpoint"
    kept = (finished / other).read_text()
    (finished / other).unlink()
    with pytest.raises(AiprodError, match="checkpoint of the sample a is gone"):
        draw(finished, "a", "1", STEWARD, log)
    (finished / other).write_text(kept)
    sample = load_sample(finished, "a")
    (finished / SAMPLES / "a.json").write_text(
        sample.model_copy(update={"checkpoint_root": "0" * 64}).model_dump_json()
    )
    with pytest.raises(AiprodError, match="names another checkpoint"):
        draw(finished, "a", "1", STEWARD, log)
    changed = sample.model_copy(update={"population_root": "0" * 64})
    (finished / SAMPLES / "a.json").write_text(changed.model_dump_json(exclude_defaults=True))
    commit(finished)
    with pytest.raises(AiprodError, match="no longer those"):
        draw(finished, "a", "1", STEWARD, log)


@pytest.mark.parametrize(("name", "says"), [("../x", "cannot name"), ("none-such", "there is no sample")])
def test_wrong_names_are_one_line(finished: Path, name: str, says: str) -> None:
    with pytest.raises(AiprodError, match=says):
        draw(finished, name, "1", STEWARD, AuditLog())
