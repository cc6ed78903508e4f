"""The marks that clips share, of the figures of the check as they would stand in a manifest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aiprod.qc.decide.measured import Measured
from aiprod.qc.decide.measurement_table import MeasurementTable
from aiprod.qc.decide.overlay_policy import marks_among
from aiprod.qc.overlays.pools import SharedMark
from aiprod.qc.projections import ClipProjection, FilmProjection, clips_of, films_of
from aiprod.qc.rows import MeasureRow


def marks_of(
    figures: Mapping[str, Mapping[str, Any]], films: Sequence[FilmProjection], clips: Sequence[ClipProjection]
) -> dict[str, SharedMark]:
    """The mark of each clip that has one, by clip id.

    Args:
        figures: of the check ``watermark``, by clip id.
    """
    rows = [
        MeasureRow(clip_id=name, film_id=name, status="ok", measurements={"watermark": dict(found)})
        for name, found in figures.items()
    ]
    measured = Measured([MeasurementTable.of(rows)])
    found = marks_among(measured, films_of(films), clips_of(clips))
    pairs = zip(found.clips.tolist(), found.which.tolist(), strict=True)
    return {measured.ids[clip]: found.marks[which] for clip, which in pairs}
