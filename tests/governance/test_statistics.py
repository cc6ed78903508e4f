"""What the dossier counts of quality control."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from aiprod.governance.dataset.records import Records
from aiprod.governance.dataset.statistics import quality


def test_each_check_that_a_clip_names_is_counted_once_and_nothing_else_is() -> None:
    reasons = {
        "a": ["resolution: 854x318 between bars is below 480 lines", "also: aspect, sound_bitrate"],
        "b": ["aspect: 0.562:1 is none of 16:9, 4:3", "aspect: and once more"],
        "c": ["score 0.704 is below 0.85"],
        "not taken in": ["error: empty: the file has zero bytes"],
    }
    verdicts = {
        name: SimpleNamespace(clip_id=name, score=0.5, reasons=lines, privacy_flags=[])
        for name, lines in reasons.items()
    }
    facts = cast(Records, cast(Any, SimpleNamespace(verdicts=verdicts, clips=dict.fromkeys("abc"))))
    assert dict(quality(facts)["reasons"]) == {"aspect": 2, "resolution": 1, "sound_bitrate": 1, "score": 1}
