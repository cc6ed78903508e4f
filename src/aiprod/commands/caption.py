"""``aiprod caption`` describes any media file outside the pipeline."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def caption(
    files: Annotated[list[Path], typer.Argument(help="media files, or folders of them")],
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object a line")] = False,
    vlm: Annotated[Path | None, typer.Option("--vlm", help="folder of a vision-language checkpoint to use")] = None,
    workers: Annotated[int, typer.Option(min=0, help="processes for measuring; 0 = one a processor")] = 0,
) -> None:
    """Describe media files by what is measured in them. Exit code 1 when one of them cannot be described.

    Example: aiprod caption film.mp4
    """
    from aiprod.captions.captioner import Subject
    from aiprod.captions.params import CaptionParams, VlmParams
    from aiprod.captions.stage import make_captioner
    from aiprod.captions.taxonomy import camera_movement
    from aiprod.data.engine import Bounds, ordered_map
    from aiprod.qc.files import FileJob, examine, expand, params_here

    measure, _ = params_here()
    params = CaptionParams() if vlm is None else CaptionParams(captioner="vlm", vlm=VlmParams(checkpoint=str(vlm)))
    captioner = make_captioner(params)
    jobs = [FileJob(path, measure) for path in expand(files)]
    bounds = Bounds(deadline_s=measure.clip_timeout_s, memory_bytes=int(measure.memory_gib * 2**30))
    failed = False
    for job, outcome in zip(jobs, ordered_map(examine, jobs, workers=workers, bounds=bounds), strict=True):
        row = outcome.value[0] if outcome.value is not None else job.failed(outcome.reason)
        line: dict[str, object] = {"file": str(job.path), "status": row.status, "reasons": row.reasons}
        if row.status == "ok":
            [draft] = captioner.describe([Subject(job.path.name, row.measurements, path=job.path)])
            movement = camera_movement(row.measurements.get("camera"), None)
            line |= {
                "caption": draft.caption,
                "tags": list(draft.tags),
                "camera_movement": movement,
                "captioner": captioner.name,
                "captioner_version": captioner.version,
                "confidence": draft.confidence,
            }
        failed |= row.status != "ok"
        words = line.get("caption") or f"not described: {'; '.join(row.reasons)}"
        typer.echo(json.dumps(line, ensure_ascii=False) if as_json else f"{job.path}  {words}")
    if failed:
        raise typer.Exit(1)


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command()(caption)
