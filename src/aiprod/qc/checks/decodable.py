"""Whether every packet decodes and the film is as long as its file states: a rule about what others measure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from aiprod.media.truncation import Ending, is_truncated, truncated_words
from aiprod.qc.checks.judging import Judgement, Rule
from aiprod.qc.measurement import Figures

if TYPE_CHECKING:
    from aiprod.qc.params import QcDecideParams


def judge(found: Mapping[str, Figures], params: QcDecideParams) -> Judgement:
    """Every packet decoded, and the film as long as its file states; unweighted."""
    bad, total = int(found["encoding"].get("bad_packets") or 0), int(found["encoding"].get("packets") or 0)
    if bad:
        error = found["encoding"].get("first_error") or "unknown error"
        return Judgement("ok", bad, 0.0, f"{bad} of {total} picture packets do not decode ({error}){_torn(found)}")
    if torn := _torn(found):
        return Judgement("ok", 0, 0.0, torn.removeprefix("; "))
    if found["encoding"].get("missing_s") is not None:
        end = Ending(float(found["encoding"]["stated_s"]), float(found["encoding"]["missing_s"]))
        if is_truncated(end, float(found["timing"].get("fps") or 0.0)):
            return Judgement("ok", round(end.missing_s, 3), 0.0, truncated_words(end))
    bound = found["timing"].get("bounded_at_s")
    if bound is not None:
        return Judgement("ok", 0, 1.0, f"only the first {float(bound):.0f} s were decoded (bound on pixels)", caps=True)
    return Judgement("ok", 0, 1.0, "every picture packet decodes")


def _torn(found: Mapping[str, Figures]) -> str:
    """Where pictures are torn, in words; nothing where none is."""
    stretches = found["encoding"].get("torn_s") or []
    if not stretches:
        return ""
    total = sum(float(end) - float(begin) for begin, end in stretches)
    return f"; the picture is torn for {total:.2f} s, from {float(stretches[0][0]):.2f} s on"


_PACKETS = ("bad_packets", "packets", "first_error", "stated_s", "missing_s", "torn_s")

RULES = (
    Rule("decodable", "encoding", {"encoding": _PACKETS, "timing": ("bounded_at_s", "fps")}, judge, may_reject=True),
)
