"""The report page says in readable words why a check has no score: once for all clips, or beside the clip."""

from __future__ import annotations

import re
from typing import Any

from aiprod.qc.params import QcDecideParams
from aiprod.qc.report.notes import ShownCheck, common_notes, row_notes
from aiprod.qc.report.report import render

NO_DETECTOR = "no text detector is configured"
STILL = "the camera hardly moves"


def check(name: str, score: float | None, status: str = "ok", reason: str = "good") -> ShownCheck:
    return ShownCheck(name, score, status, reason)


def row(number: int, *checks: ShownCheck, reasons: tuple[str, ...] = ()) -> dict[str, Any]:
    return {
        "id": f"c{number}",
        "film": f"own/{number}",
        "range": "0-1 s",
        "status": "REVIEW_NEEDED",
        "score": 0.9,
        "reasons": list(reasons),
        "flags": [],
        "checks": list(checks),
        "thumbnail": None,
    }


TEXT = check("text", None, "not_evaluated", NO_DETECTOR)
ROWS = [
    row(1, check("fps", 1.0), check("watermark", None, "unmeasurable", STILL), TEXT),
    row(
        2,
        check("fps", None, "unmeasurable", "one frame"),
        check("watermark", 1.0),
        TEXT,
        reasons=("fps: unmeasurable: one frame",),
    ),
    row(3),
]


def test_what_holds_for_every_clip_is_said_once_and_the_rest_beside_the_clip() -> None:
    common = common_notes(ROWS)
    assert common == [("text", "not_evaluated", NO_DETECTOR)]
    assert row_notes(ROWS[0], common) == [("watermark", "unmeasurable", STILL)]
    assert row_notes(ROWS[1], common) == []  # the reasons say it already
    alone = [ROWS[0]]
    assert common_notes(alone) == []
    assert [names for names, _, _ in row_notes(ROWS[0], [])] == ["watermark", "text"]


def test_the_page_shows_it_without_a_pointer() -> None:
    page = render(ROWS, {"approved": 0, "review_needed": 3, "rejected": 0, "films": 3}, QcDecideParams(), total=3)
    readable = re.sub(r"<[^>]*>", "", re.sub(r"<(style|script)>.*?</\1>", "", page, flags=re.S))
    assert readable.count(f"text not evaluated in every clip: {NO_DETECTOR}.") == 1
    assert readable.count(f"watermark unmeasurable: {STILL}") == 1
