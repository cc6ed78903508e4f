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
from aiprod.qc.bundled.catalogue import USES, missing, require_intact
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
        measurements, thumbnails = measure_file(job.path, job.params)
    except MediaError as error:
        return job.failed(error.reason), None
    name = escape_controls(job.path.name)
    row = MeasureRow(clip_id=name, film_id=name, status="ok", measurements=measurements)
    return row, contact_strip(thumbnails) if thumbnails else None


def expand(paths: Sequence[Path]) -> list[Path]:
    """Files as given, and the films in folders, sorted (:func:`aiprod.media.discovery.films_below`).

    A document in a folder is left out only if it is one by its bytes; what cannot be looked into is there, for a row.

    Raises:
        AiprodError: a path does not exist, a folder that is named cannot be read, or nothing is left.
    """
    films: list[Path] = []
    for path in paths:
        if path.is_dir():
            films += films_below(path)
        elif path.exists() or path.is_symlink():
            films.append(path)
        else:
            raise AiprodError(f"{escape_controls(path)} does not exist", "check the path")
    if not films:
        raise AiprodError("no media files were given", "name a file or a folder with films")
    return films


def params_here(models: str | None = None) -> tuple[QcMeasureParams, QcDecideParams]:
    """The project's parameters; outside of a project the defaults, with every bundled network that `all` names.

    A project's results may depend on nothing but its parameters, so there networks are named. A file that somebody asks
    about is looked at with what is installed.

    Args:
        models: what bundled networks to use instead: all, none, or some, with commas between them.

    Raises:
        AiprodError: they are wrong, or a network that they name does not load.
    """
    try:
        path = workspace() / "params.yaml"
    except AiprodError:
        path = None
    if path is not None and path.is_file():
        measure, policy = (
            load_params(QcMeasureParams, "qc_measure", path),
            load_params(QcDecideParams, "qc_decide", path),
        )
    else:
        measure, policy = QcMeasureParams(models="all"), QcDecideParams()
    if models is not None:
        measure = measure.model_copy(update={"models": _named(models)})
    if measure.face_yunet_onnx:  # one that does not load must stop the command, not cost every film its row
        load_yunet(measure.face_yunet_onnx)
    require_intact(measure.uses)
    return measure, policy


def _named(models: str) -> str | list[str]:
    """What ``--models`` names, as the parameter has it."""
    if models in ("all", "none"):
        return models
    names = [name.strip() for name in models.split(",")]
    unknown = [name for name in names if name not in USES]
    if unknown:
        raise AiprodError(
            f"--models: {escape_controls(unknown[0])!r} is not a use of a bundled network",
            f"give all, none, or some of {','.join(USES)}",
        )
    return names


def networks_line(measure: QcMeasureParams) -> str:
    """Which bundled networks look at the films, and why others that were asked for do not."""
    lacking = {use: why for use in USES if use in measure.uses and (why := missing(use)) is not None}
    here = [use for use in USES if use in measure.uses and use not in lacking]
    parts = [f"bundled networks: {', '.join(here) or 'none'}", *(f"{use}: {why}" for use, why in lacking.items())]
    return "; ".join(parts)
