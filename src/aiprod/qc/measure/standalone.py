"""Examines media files outside the pipeline: each file is one clip, and each gives a row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aiprod.base.params import load_params
from aiprod.base.state import workspace
from aiprod.errors import AiprodError
from aiprod.media.discovery import films_below, problem_of
from aiprod.media.errors import MediaError
from aiprod.printable import escape_controls
from aiprod.qc.carried.catalogue import require_intact
from aiprod.qc.checks.yunet import load_yunet
from aiprod.qc.measure.measure_clip import contact_strip, measure_file
from aiprod.qc.measure_params import QcMeasureParams
from aiprod.qc.params import QcDecideParams
from aiprod.qc.rows import MeasureRow


@dataclass(frozen=True)
class FileJob:
    """One file to examine."""

    path: Path
    params: QcMeasureParams

    def failed(self, reason: str) -> MeasureRow:
        """The row of a file that could not be measured."""
        name = escape_controls(self.path.name)
        return MeasureRow(clip_id=name, film_id=name, status="error", reasons=[escape_controls(reason)])


def examine(job: FileJob) -> tuple[MeasureRow, bytes | None]:
    """Measurements and a strip of thumbnails (JPEG); runs in a worker."""
    if (problem := problem_of(job.path)) is not None:
        return job.failed(f"unreadable: {problem}"), None
    try:
        found, thumbnails = measure_file(job.path, job.params)
    except MediaError as error:
        return job.failed(error.reason), None
    name = escape_controls(job.path.name)
    row = MeasureRow(clip_id=name, film_id=name, status="ok", measurements=found)
    return row, contact_strip(thumbnails) if thumbnails else None


def expand(paths: Sequence[Path]) -> list[Path]:
    """Files as given, and the films in folders, sorted (:func:`aiprod.media.discovery.films_below`).

    A document in a folder is left out only if it is one by its bytes; what cannot be looked into is there, for a row.

    Raises:
        AiprodError: a path does not exist, a folder that is named cannot be read, or nothing is left.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += films_below(path)
        elif path.exists() or path.is_symlink():
            found.append(path)
        else:
            raise AiprodError(f"{escape_controls(path)} does not exist", "check the path")
    if not found:
        raise AiprodError("no media files were given", "name a file or a folder with films")
    return found


def params_here() -> tuple[QcMeasureParams, QcDecideParams]:
    """The project's parameters, or the defaults outside of a project.

    Raises:
        AiprodError: they are wrong, or name a face detector that does not load.
    """
    try:
        path = workspace() / "params.yaml"
    except AiprodError:
        return QcMeasureParams(), QcDecideParams()
    if not path.is_file():
        return QcMeasureParams(), QcDecideParams()
    measure = load_params(QcMeasureParams, "qc_measure", path)
    if measure.face_yunet_onnx:  # one that does not load must stop the command, not cost every film its row
        load_yunet(measure.face_yunet_onnx)
    require_intact(measure.uses)
    return measure, load_params(QcDecideParams, "qc_decide", path)
