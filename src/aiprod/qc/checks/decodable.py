"""Whether every packet decodes and the film is as long as its file states: a rule about what others measure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from aiprod.media.truncation import Ending, is_truncated, truncated_words
from aiprod.qc.checks.judging import Case, Judgements, Places, Rule, answered, or_else, rounded
from aiprod.qc.metric_table import FigureTable

if TYPE_CHECKING:
    from aiprod.qc.params import QcDecideParams


def judge(measurements: FigureTable, params: QcDecideParams) -> Judgements:
    """Every packet decoded, and the film as long as its file states; unweighted."""
    packets, timing = measurements["encoding"], measurements["timing"]
    bad, stretches = or_else(packets.number("bad_packets"), 0.0), packets.values("torn_s")
    torn = np.array([bool(stretch) for stretch in stretches], np.bool_)
    stated, missing = packets.number("stated_s"), packets.number("missing_s")
    short = np.zeros(bad.size, np.bool_)
    rates = or_else(timing.number("fps"), 0.0)
    for i in np.flatnonzero(missing > 0).tolist():
        short[i] = is_truncated(Ending(float(stated[i]), float(missing[i])), float(rates[i]))

    def torn_words(places: Places) -> list[str]:
        return [_torn(stretches[i]) if torn[i] else "" for i in places.tolist()]

    return answered(
        measurements,
        Case(bad != 0, 0.0, "{bad:.0f} of {total:.0f} picture packets do not decode ({error}){torn}"),
        Case(torn, 0.0, "{only_torn}"),
        Case(short, 0.0, "{truncated}"),
        Case(timing.has("bounded_at_s"), 1.0, "only the first {bound:.0f} s were decoded (bound on pixels)", caps=True),
        Case(True, 1.0, "every picture packet decodes"),
        value=np.where(bad != 0, bad, np.where(short & ~torn, rounded(missing, 3), 0.0)),
        bad=bad,
        total=or_else(packets.number("packets"), 0.0),
        error=lambda places: [error or "unknown error" for error in packets.text("first_error")[places].tolist()],
        torn=torn_words,
        only_torn=lambda places: [words.removeprefix("; ") for words in torn_words(places)],
        truncated=lambda places: [
            truncated_words(Ending(float(stated[i]), float(missing[i]))) for i in places.tolist()
        ],
        bound=timing.number("bounded_at_s"),
    )


def _torn(stretches: Sequence[Sequence[float]]) -> str:
    """Where pictures are torn, in words."""
    total = sum(float(end) - float(begin) for begin, end in stretches)
    return f"; the picture is torn for {total:.2f} s, from {float(stretches[0][0]):.2f} s on"


_PACKETS = ("bad_packets", "packets", "first_error", "stated_s", "missing_s", "torn_s")

RULES = (
    Rule("decodable", "encoding", {"encoding": _PACKETS, "timing": ("bounded_at_s", "fps")}, judge, may_reject=True),
)
