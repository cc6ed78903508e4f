"""Text in the picture: titles, subtitles, timecodes, notices; names, addresses and number plates are personal data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np

from aiprod.qc.bundled.catalogue import BUNDLED, missing
from aiprod.qc.checks import personal_data, text_reader
from aiprod.qc.checks.judging import Case, Judgements, Rule, judged
from aiprod.qc.clip_context import Still
from aiprod.qc.measurement import OfStills
from aiprod.qc.metric_table import FigureTable

if TYPE_CHECKING:
    from aiprod.media.media_info import VideoFacts
    from aiprod.qc.measure_params import QcMeasureParams
    from aiprod.qc.params import QcDecideParams

VERSION = "3"
METHOD = "none: no text detector is configured"
_BY_NETWORK = (
    "PP-OCRv5 mobile on the stills: looked for at a shorter side of 288 px (in two of three only if something looks "
    "like text at 160 px, or did in the one before), read at 720 px at most; lines of two letters or digits at least, "
    "read with a mean probability of 0.8; a line that looks as in the still before is not read again"
)
_SIDE_PX = 720
_LINES_MAX = 64
_SURELY = 3  # of so many stills one is searched in any case


class Text(OfStills):
    """Reads the stills.

    Args:
        why_not: why nothing is read; None where the network is there.
    """

    name = "text"
    version = VERSION
    method = METHOD

    def __init__(self, why_not: str | None) -> None:
        self._why_not = why_not
        self._times_s: list[float] = []
        self._lines: list[list[dict[str, Any]]] = []
        self._reader = text_reader.TextReader()

    @classmethod
    def begin(cls, params: QcMeasureParams, video: VideoFacts) -> Self:
        """By the network, where the parameters ask for it."""
        return cls(missing("text") if "text" in params.uses else "no text detector is configured")

    def feed(self, still: Still) -> None:
        """Read one still; two of three only where there may be something to read."""
        if self._why_not is not None:
            return
        picture, number = still.upright_rgb(_SIDE_PX), len(self._times_s)
        worth = number % _SURELY == 0 or self._reader.regions > 0 or text_reader.may_hold_text(picture)
        self._lines.append(text_reader.rows_of(self._reader.lines(picture) if worth else (), number))
        self._times_s.append(round(still.time_s, 3))

    def figures(self) -> dict[str, Any]:
        """The lines, which of them last, and the kinds of personal data in them."""
        if self._why_not is not None:
            return {"status": "not_evaluated", "reason": self._why_not}
        identity = {"method": _BY_NETWORK, "version": f"{VERSION}-{BUNDLED['text'].identity()}"}
        if not self._times_s:
            return {"status": "unmeasurable", "reason": "no stills", **identity}
        lines = [line for still in self._lines for line in still]
        texts = [{line["text"] for line in still} for still in self._lines]
        return {
            "status": "ok",
            "times_s": self._times_s,
            "stills_with_text": sum(1 for still in self._lines if still),
            "area_fraction": max(min(1.0, sum(line["box"][2] * line["box"][3] for line in s)) for s in self._lines),
            "lasting": sorted(set.intersection(*texts)) if len(texts) > 1 else [],
            "personal": personal_data.kinds_of(line["text"] for line in lines),
            "lines": lines[:_LINES_MAX],
            **identity,
        }


def judge(measurements: FigureTable, params: QcDecideParams) -> Judgements:
    """Personal data in text asks for a review; other text is told. Unweighted. The words stay in the figures.

    A verdict is read by more people than the figures of a private film, which are encrypted with it.
    """
    figures = measurements["text"]
    shown = figures.number("stills_with_text")
    kinds = [tuple(several or ()) for several in figures.values("personal")]
    cases = [
        Case(
            np.array([mine == several for mine in kinds], np.bool_),
            0.0,
            f"text in {{shown:.0f}} of {{stills}} stills, with what looks like personal data ({', '.join(several)})",
            caps=True,
            flags=tuple(f"text: {kind}" for kind in several),
        )
        for several in sorted(set(kinds) - {()})
    ]
    times_s = figures.values("times_s")
    return judged(
        figures,
        Case(shown == 0, 1.0, "no text in {stills} stills"),
        *cases,
        Case(True, 1.0, "text in {shown:.0f} of {stills} stills"),
        value=shown,
        shown=shown,
        stills=lambda places: [len(times_s[i] or ()) for i in places.tolist()],
    )


RULES = (Rule("text", "text", {"text": ("stills_with_text", "times_s", "personal")}, judge),)
