"""``aiprod qc`` scores any media file outside the pipeline, by the same checks and the same policy."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

_GATHER_S = 1.0  # a film's verdict may wait so long for others: ten are judged in the time of two


def qc(
    files: Annotated[list[Path], typer.Argument(help="media files, or folders of them")],
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object per line, with every measurement")] = False,
    html: Annotated[Path | None, typer.Option("--html", help="write a report to this new folder")] = None,
    models: Annotated[str | None, typer.Option(help="bundled networks: all, none, or e.g. text,faces")] = None,
    workers: Annotated[int, typer.Option(min=0, help="worker processes; 0 = one per CPU core")] = 0,
) -> None:
    """Judge the quality of media files. Exit code 1 if one of them is rejected.

    Inside a project, parameters come from params.yaml. Elsewhere the defaults of the policy apply, and every network
    bundled with an installed package is used but `shots` (`--models none` turns this off). The output begins with a
    list of them.

    Example: aiprod qc film.mp4 --json
    """
    from aiprod.executors.executor import Bounds, gathered_map
    from aiprod.executors.threads import stay_single

    stay_single()  # before what follows is imported
    from aiprod.printable import escape_controls, json_text
    from aiprod.qc.decide.decide import judge_files, judge_rows
    from aiprod.qc.decide.duplicate_policy import without_comparison
    from aiprod.qc.measure.standalone import FileJob, examine, expand, networks_line, params_here
    from aiprod.qc.report.output_dir import page_folder

    page = page_folder(html) if html is not None else None  # before the long part
    measure, policy = params_here(models)
    jobs = [FileJob(path, measure) for path in expand(files)]
    typer.echo(networks_line(measure), err=True)
    bounds = Bounds(deadline_s=measure.clip_timeout_s, memory_bytes=int(measure.memory_gib * 2**30))
    rejected = False
    films, rows = [], []
    left = iter(jobs)
    for outcomes in gathered_map(
        examine, jobs, gather_s=_GATHER_S, workers=workers, bounds=bounds, fork=True, confined=True
    ):
        those = list(islice(left, len(outcomes)))
        looks = [
            (job.failed(outcome.reason).model_copy(update={"status": "unfinished"}), None)
            if outcome.value is None
            else outcome.value
            for job, outcome in zip(those, outcomes, strict=True)
        ]
        some = [row for row, _ in looks]
        verdicts = judge_files(some, policy, checks=as_json or page is not None)
        for job, (row, strip), verdict in zip(those, looks, verdicts, strict=True):
            rejected |= verdict.status == "REJECTED"
            if as_json:
                line = {"file": str(job.path), **verdict.model_dump(mode="json"), "measurements": row.measurements}
                typer.echo(json_text(json.dumps(line, ensure_ascii=False, allow_nan=False)))
            else:
                score = "-----" if verdict.score is None else f"{verdict.score:.3f}"
                why = "; ".join(verdict.reasons) or "nothing to object to"
                typer.echo(escape_controls(f"{verdict.status:<13} {score}  {job.path}  {why}"))
            films.append((escape_controls(job.path), verdict, strip))
        rows += some
    if html is not None and page is not None:
        from aiprod.qc.report.report import metrics_of, page_of_files

        page_of_files(page, films, metrics_of(without_comparison(judge_rows(rows, policy), rows)), policy)
        typer.echo(f"report: {html / 'index.html'}", err=True)
    if rejected:
        raise typer.Exit(1)


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command()(qc)
