"""How many changed copies of real films are found as near duplicates, and how many pairs of other films are.

``python -m tests.bench.near_copies [FOLDER]`` prints one line a kind of copy, then the false pairs.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from aiprod.executors.executor import ordered_map
from aiprod.qc.duplicates.clusters import Matches
from aiprod.qc.measure.standalone import FileJob, examine
from aiprod.qc.params import DuplicateParams, QcMeasureParams
from tests.bench.qc_cost import FOLDER
from tests.qc.copies import KINDS, CopyJob, make_copy

LIGHT = QcMeasureParams(stills=1, flow_pairs=2, watermark_frames=4, face_stills=1)
KNOWN = "mdn_rabbit_240p30_lowres.mp4"
"""A copy already, as it was published: compared, but not copied once more."""


def main(folder: Path = FOLDER, place: Path | None = None) -> None:
    """Print what was found of each kind, and every false pair.

    Args:
        place: where the copies are kept for another run; a temporary folder otherwise.
    """
    films = [p for p in sorted(folder.iterdir()) if p.suffix in (".mp4", ".mkv", ".webm", ".mov")]
    with tempfile.TemporaryDirectory() as temporary:
        room = place or Path(temporary)
        room.mkdir(parents=True, exist_ok=True)
        jobs = [
            CopyJob(f, room / f"{f.name}~{kind}.mp4", kind, longest_s=6.0)
            for f in films
            if f.name != KNOWN
            for kind in KINDS
        ]
        copies = [o.value for o in ordered_map(make_copy, jobs, description="copies") if o.value is not None]
        paths = [*films, *copies]
        measured = ordered_map(examine, [FileJob(p, LIGHT) for p in paths], description="measure")
        rows = [o.value[0] if o.value is not None else None for o in measured]
    prints = {
        path.name: row.measurements.get("fingerprint", {}) if row is not None else {}
        for path, row in zip(paths, rows, strict=True)
    }
    for kind in KINDS:  # one copy of each film at a time, as a dataset has it
        copied = {f"{job.source.name}~{kind}.mp4": job.source.name for job in jobs if job.kind == kind}
        pairs = _pairs({name: prints[name] for name in [*(f.name for f in films), *copied]})
        missed = [source for name, source in copied.items() if (source, name) not in pairs]
        print(f"{kind:<26} {len(copied) - len(missed)} of {len(copied)}   missed: {', '.join(missed) or 'none'}")
    wrong = [pair for pair in _pairs(prints) if _film(pair[0]) != _film(pair[1])]
    print(f"pairs of different films: {len(wrong)} of {_other_pairs(list(prints))} found", *wrong, sep="\n  ")


def _pairs(prints: dict[str, dict[str, Any]]) -> set[tuple[str, str]]:
    names = list(prints)
    matches = Matches.of(list(prints.values()), DuplicateParams(), range(len(names)))
    return {(names[a], names[b]) for a, b in matches.pictures}


def _film(name: str) -> str:
    first = name.split("~", maxsplit=1)[0]
    return "mdn_rabbit_480p30.mp4" if first == KNOWN else first


def _other_pairs(names: list[str]) -> int:
    films = [_film(name) for name in names]
    return sum(1 for i, a in enumerate(films) for b in films[:i] if a != b)


if __name__ == "__main__":
    main(*(Path(a) for a in sys.argv[1:3]))
