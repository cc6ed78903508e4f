"""Changes the answer of one check on some clips after all were judged, and what follows from it for their verdicts.

An answer that rests on other clips can only be given when all have been read. Everything else stays as it was judged,
so only the score, the reasons and the text of these clips are made again.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa

from aiprod.base.files import canonical_json
from aiprod.qc.checks import RULES, WEIGHTED
from aiprod.qc.checks.judging import Judgement
from aiprod.qc.decide.check_results import CheckTable, Packed
from aiprod.qc.decide.scoring import complaint_of, verdict_of, weighted_scores
from aiprod.qc.params import QcDecideParams
from aiprod.qc.rows import CheckResult

_Known = dict[tuple[bytes, Judgement], tuple[bytes, str]]
"""Answer and judgement → the answer that follows and the status before: many clips of one mark have the same."""
_ORDER = {name: place for place, name in enumerate(RULES)}


def amended_checks(
    parts: Sequence[Packed], check: str, judgements: Mapping[str, Judgement], method: str
) -> list[Packed]:
    """The packed answers, those of one check replaced by others that another method gave.

    Args:
        judgements: the others, by clip id, of hashable values.
    """
    known: _Known = {}
    return [_amended(part, check, judgements, method, known) for part in parts]


def _amended(part: Packed, check: str, judgements: Mapping[str, Judgement], method: str, known: _Known) -> Packed:
    places = [place for place, clip_id in enumerate(part.clip_ids) if clip_id in judgements]
    if not places:
        return part
    scores, blocks = array("d", part.scores[check]), list(part.blocks)
    counts = Counter(part.statuses[check])
    most = len(_lines(blocks[0]))  # all blocks hold as many clips, but for the last
    for number, group in groupby(places, lambda place: place // most):
        lines = _lines(blocks[number])
        for place in group:
            judged = judgements[part.clip_ids[place]]
            lines[place % most], before = _replaced(lines[place % most], check, judged, method, known)
            scores[place] = np.nan if judged.score is None else judged.score
            counts[before] -= 1
            counts[judged.status] += 1
        whole = b"\n".join(lines)
        blocks[number] = len(whole), pa.compress(whole, codec="lz4", asbytes=True)
    return replace(
        part, blocks=blocks, scores={**part.scores, check: scores}, statuses={**part.statuses, check: +counts}
    )


def _lines(block: tuple[int, bytes]) -> list[bytes]:
    size, content = block
    found: list[bytes] = pa.decompress(content, size, codec="lz4", asbytes=True).split(b"\n")
    return found


def _replaced(line: bytes, check: str, judged: Judgement, method: str, known: _Known) -> tuple[bytes, str]:
    """The results of a clip with the answer of one check replaced, and the status that it had."""
    # A result is canonical JSON and begins with its check; within a text, quotes are escaped.
    start = line.index(b'{"check":"%b",' % check.encode())
    end = line.find(b',{"check":"', start)
    end = len(line) if end < 0 else end
    old = line[start:end]
    if (old, judged) not in known:
        before = CheckResult.model_validate_json(old)
        status, value, score, reason, *_ = judged
        update = {"method": method, "reason": reason, "score": score, "status": status, "value": value}
        known[old, judged] = canonical_json(before.model_copy(update=update).model_dump(mode="json")), before.status
    new, was = known[old, judged]
    return line[:start] + new + line[end:], was


def amended_columns(
    columns: Mapping[str, list[Any]],
    table: CheckTable,
    check: str,
    judgements: Mapping[str, Judgement],
    params: QcDecideParams,
) -> dict[str, list[Any]]:
    """The columns of verdicts on single clips with what follows from other answers of one check.

    Args:
        table: all answers, the others among them.
        judgements: the others, by clip id.
    """
    made = {name: list(values) for name, values in columns.items()}
    at = [i for i, clip_id in enumerate(columns["clip_id"]) if clip_id in judgements]
    ids = [columns["clip_id"][i] for i in at]
    places = table.places(ids)
    totals = weighted_scores({name: table.scores(name, places) for name in WEIGHTED}, params.weights)
    broken = np.logical_or.reduce([table.scores(name, places) == 0.0 for name in params.hard_limits] or [totals < 0])
    silent = {name: ~(table.scores(name, places) < params.fail_below) for name, rule in RULES.items() if rule.remarks}
    for n, (i, clip_id, total, rejected) in enumerate(zip(at, ids, totals.tolist(), broken.tolist(), strict=True)):
        made["score"][i] = round(total, 6)
        if rejected:  # a hard limit names nothing but itself
            continue
        complaints = _said(made["reasons"][i], check, complaint_of(check, judgements[clip_id], params))
        remarks = [r for name, r in complaints if name in silent and silent[name][n] and name not in params.mandatory]
        held = [reason for _, reason in complaints if reason not in remarks]
        made["status"][i], made["reasons"][i] = verdict_of(total, [], held, params, remarks)
    return made


def _said(reasons: Sequence[str], check: str, new: str | None) -> list[tuple[str, str]]:
    """What the checks object to or remark, in their order, from the reasons of a verdict that no hard limit decided."""
    named = [(reason.partition(":")[0], reason) for reason in reasons]
    kept = [(name, reason) for name, reason in named if name in _ORDER and name != check]
    if new is not None:
        kept.append((check, new))
    return sorted(kept, key=lambda item: _ORDER[item[0]])
