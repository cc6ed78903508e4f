"""``aiprod caption`` describes any media file outside the pipeline, with the project's captioner where there is one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from aiprod.captions.captioner import Captioner
    from aiprod.qc.measure.standalone import FileJob
    from aiprod.qc.rows import MeasureRow


def caption(
    files: Annotated[list[Path], typer.Argument(help="media files, or folders of them")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object per line")] = False,
    captioner: Annotated[str | None, typer.Option(help="signal or vlm")] = None,
    vlm: Annotated[
        str | None, typer.Option(help="vision-language checkpoint: a folder, or a Hugging Face model id")
    ] = None,
    revision: Annotated[str | None, typer.Option(help="commit of a checkpoint from the hub, 40 hex digits")] = None,
    prompt: Annotated[str | None, typer.Option(help="prompt for the checkpoint")] = None,
    quantize: Annotated[str | None, typer.Option(help="none, or int8: load the checkpoint in 8 bits")] = None,
    seed: Annotated[int | None, typer.Option(help="selects among phrasings with the same meaning")] = None,
    workers: Annotated[int, typer.Option(min=0, help="worker processes for measuring; 0 = one per CPU core")] = 0,
) -> None:
    """Describe media files. Exit code 1 if one of them cannot be described.

    Inside a project, options that are not given come from the section `caption` of params.yaml. Elsewhere the defaults
    apply: sentences built from measurements, without a model.

    Example: aiprod caption film.mp4
    """
    from aiprod.captions.params import params_here
    from aiprod.captions.stage import make_captioner
    from aiprod.executors.executor import Bounds, ordered_map
    from aiprod.printable import escape_controls, json_text
    from aiprod.qc.measure.standalone import FileJob, examine, expand
    from aiprod.qc.measure.standalone import params_here as qc_params_here

    shape = {"checkpoint": vlm, "revision": revision, "prompt": prompt, "quantize": quantize}
    chosen = captioner or ("vlm" if vlm is not None else None)
    writer = make_captioner(params_here(captioner=chosen, seed=seed, vlm=shape))
    measure, _ = qc_params_here()
    jobs = [FileJob(path, measure) for path in expand(files)]
    bounds = Bounds(deadline_s=measure.clip_timeout_s, memory_bytes=int(measure.memory_gib * 2**30))
    failed = False
    for job, outcome in zip(jobs, ordered_map(examine, jobs, workers=workers, bounds=bounds), strict=True):
        row = outcome.value[0] if outcome.value is not None else job.failed(outcome.reason)
        line = _line(job, row, writer)
        failed |= line["status"] != "ok"
        words = line.get("caption") or f"not described: {'; '.join(line['reasons'])}"  # type: ignore[arg-type]
        typer.echo(
            json_text(json.dumps(line, ensure_ascii=False)) if as_json else escape_controls(f"{job.path}  {words}")
        )
    if failed:
        raise typer.Exit(1)


def _line(job: FileJob, row: MeasureRow, writer: Captioner) -> dict[str, object]:
    """What is said about one file: its caption, or why there is none."""
    from aiprod.captions.captioner import Subject
    from aiprod.captions.taxonomy import camera_movement
    from aiprod.errors import per_item

    line: dict[str, object] = {"file": str(job.path), "status": row.status, "reasons": row.reasons}
    if row.status != "ok":
        return line
    try:
        [draft] = writer.describe([Subject(row.clip_id, row.measurements, path=job.path)])
    except Exception as error:  # one file that a model has no words for costs its own line
        return {**line, "status": "error", "reasons": [per_item(error, f"the captioner {writer.name!r}")]}
    return {
        **line,
        "caption": draft.caption,
        "tags": list(draft.tags),
        "camera_movement": camera_movement(row.measurements.get("camera"), None),
        "captioner": writer.name,
        "captioner_version": writer.version,
        "confidence": draft.confidence,
    }


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command()(caption)
