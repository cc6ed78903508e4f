"""``aiprod caption`` describes any media file outside the pipeline, with the project's captioner where there is one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

if TYPE_CHECKING:
    from aiprod.captions.captioner import Captioner, Draft
    from aiprod.captions.comparison import CaptionComparison
    from aiprod.qc.measure.standalone import FileJob
    from aiprod.qc.rows import MeasureRow


def caption(
    files: Annotated[list[Path], typer.Argument(help="media files, or folders of them")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object per line")] = False,
    captioner: Annotated[str | None, typer.Option(help="{names}")] = None,
    compare: Annotated[
        tuple[str, str] | None,
        typer.Option(metavar="A B", help="compare two captioners; show where they disagree"),
    ] = None,
    html: Annotated[Path | None, typer.Option("--html", help="with --compare: write a page with stills here")] = None,
    vlm: Annotated[
        str | None, typer.Option(help="vision-language checkpoint: a folder, or a Hugging Face model id")
    ] = None,
    revision: Annotated[str | None, typer.Option(help="commit of a checkpoint from the hub, 40 hex digits")] = None,
    prompt: Annotated[str | None, typer.Option(help="prompt for the checkpoint")] = None,
    quantize: Annotated[str | None, typer.Option(help="none, or int8: load the checkpoint in 8 bits")] = None,
    endpoint: Annotated[
        str | None,
        typer.Option(help="address of an OpenAI-compatible server; frames of the files are sent to it"),
    ] = None,
    model: Annotated[str | None, typer.Option(help="name of the model on that server")] = None,
    models: Annotated[str | None, typer.Option(help="bundled networks: all, none, or e.g. text,faces")] = None,
    seed: Annotated[int | None, typer.Option(help="selects among phrasings with the same meaning")] = None,
    workers: Annotated[int, typer.Option(min=0, help="worker processes for measuring; 0 = one per CPU core")] = 0,
) -> None:
    """Describe media files. Exit code 1 if one of them cannot be described.

    Inside a project, options that are not given come from the section `caption` of params.yaml. Elsewhere the defaults
    apply: sentences built from measurements and from what the networks bundled with installed packages detect.

    Example: aiprod caption film.mp4

    Example: aiprod caption films/ --compare rule_based endpoint --endpoint http://127.0.0.1:8000/v1 --html compare.html
    """
    from aiprod.captions.captioner import Subject
    from aiprod.captions.params import params_here
    from aiprod.captions.registry import make_captioner
    from aiprod.captions.rule_based import RuleBased
    from aiprod.errors import AiprodError
    from aiprod.printable import escape_controls, json_text
    from aiprod.storage.crypto.film_encryption import is_private

    if html is not None and compare is None:
        raise AiprodError("--html needs --compare", "name two captioners: --compare rule_based vlm")
    chosen = captioner or ("vlm" if vlm is not None else "endpoint" if endpoint is not None else None)
    options: dict[str, Any] = {
        "seed": seed,
        "vlm": {"checkpoint": vlm, "revision": revision, "prompt": prompt, "quantize": quantize},
        "endpoint": {"base_url": endpoint, "model": model},
    }
    settings = [params_here(captioner=name, **options) for name in (compare or (chosen,))]
    writers = [make_captioner(one) for one in settings]
    for writer in writers:
        writer.load()  # before the first film is measured
    instead = RuleBased.begin(settings[0])
    failed, films, paths = False, list[Any](), list[Path]()
    for job, row in _measured(files, models, workers):
        # Who names the address and the files in one command permits it; of what params.yaml names, nobody knows.
        subject = Subject(
            row.clip_id, row.measurements, path=job.path, private=endpoint is None or is_private(job.path.stem)
        )
        answers = [_answer(writer, instead, subject, row) for writer in writers]
        failed |= any(isinstance(draft, str) for _, draft, _ in answers)
        if compare is not None:
            films.append(_side_by_side(str(job.path), answers, as_json=as_json, names=compare))
            paths.append(job.path)
            continue
        line = _line(job, row, *answers[0])
        words = line.get("caption") or f"not described: {'; '.join(line['reasons'])}"
        typer.echo(
            json_text(json.dumps(line, ensure_ascii=False)) if as_json else escape_controls(f"{job.path}  {words}")
        )
    if compare is not None:
        _summed_up(films, paths, compare, html, as_json=as_json)
    if failed:
        raise typer.Exit(1)


def _measured(files: list[Path], models: str | None, workers: int) -> Iterator[tuple[FileJob, MeasureRow]]:
    from aiprod.executors.executor import Bounds, ordered_map
    from aiprod.qc.measure.standalone import FileJob, examine, expand, networks_line
    from aiprod.qc.measure.standalone import params_here as qc_params_here

    measure, _ = qc_params_here(models)
    jobs = [FileJob(path, measure) for path in expand(files)]
    typer.echo(networks_line(measure), err=True)
    bounds = Bounds(deadline_s=measure.clip_timeout_s, memory_bytes=int(measure.memory_gib * 2**30))
    for job, outcome in zip(
        jobs, ordered_map(examine, jobs, workers=workers, bounds=bounds, confined=True), strict=True
    ):
        yield job, outcome.value[0] if outcome.value is not None else job.failed(outcome.reason)


def _answer(
    writer: Captioner, instead: Captioner, subject: Any, row: MeasureRow
) -> tuple[Captioner, Draft | str, list[str]]:
    """Who described a file, how (or why not), and why it was not the captioner that was asked."""
    from aiprod.captions.chat_client import EndpointDown
    from aiprod.errors import per_item

    if row.status != "ok":
        return writer, "; ".join(row.reasons), row.reasons
    reason = writer.refusal(subject)
    by = writer if reason is None else instead
    try:
        return by, by.describe([subject])[0], [reason] if reason else []
    except EndpointDown:
        raise
    except Exception as error:  # one file that a model has no words for costs its own line
        words = per_item(error, f"the captioner {by.name!r}")
        return by, words, [words]


def _line(job: FileJob, row: MeasureRow, by: Captioner, draft: Draft | str, reasons: list[str]) -> dict[str, Any]:
    """What is said about one file: its caption, or why there is none."""
    from aiprod.captions.taxonomy import camera_movement

    if isinstance(draft, str):
        return {"file": str(job.path), "status": row.status if row.status != "ok" else "error", "reasons": reasons}
    return {
        "file": str(job.path),
        "status": "ok",
        "reasons": reasons,
        "caption": draft.caption,
        "tags": list(draft.tags),
        "camera_movement": camera_movement(row.measurements.get("camera"), None),
        "captioner": by.name,
        "captioner_version": by.version,
        "confidence": draft.confidence,
        "content": draft.content.model_dump(mode="json"),
    }


def _side_by_side(film: str, answers: list[Any], *, as_json: bool, names: tuple[str, str]) -> CaptionComparison:
    """Print one film as both captioners have it."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from aiprod.captions.comparison import compared
    from aiprod.printable import escape_controls, json_text

    comparison = compared(film, answers[0][1], answers[1][1])
    if as_json:
        typer.echo(json_text(json.dumps(comparison.as_json(), ensure_ascii=False)))
        return comparison
    table = Table(title=Text(escape_controls(film)), title_justify="left", show_lines=False, expand=True)
    table.add_column("", no_wrap=True)  # a part's name is not broken
    for heading, ratio in ((names[0], 6), (names[1], 6), ("", 3)):
        table.add_column(heading, ratio=ratio, overflow="fold")
    labels = {"only first": f"only {names[0]}", "only second": f"only {names[1]}"}
    shared = f"{comparison.overlap:.0%} of the words" if comparison.is_comparable else "not comparable"
    rows = [("caption", comparison.first.caption, comparison.second.caption, shared)]
    rows += [
        (line.part, line.first, line.second, labels.get(line.agreement, line.agreement))
        for line in comparison.lines
        if line.first or line.second
    ]
    for row in rows:
        table.add_row(*(Text(escape_controls(cell)) for cell in row), style="" if row[3] != "differs" else "bold")
    Console().print(table)
    return comparison


def _summed_up(
    films: list[CaptionComparison], paths: list[Path], names: tuple[str, str], html: Path | None, *, as_json: bool
) -> None:
    from aiprod.base.files import write_text
    from aiprod.captions.comparison import page, totals

    if not as_json:
        for part, counts in totals(films).items():
            kinds = ", ".join(f"{kind}: {number}" for kind, number in counts.items())
            typer.echo(f"{part}: {kinds.replace('first', names[0]).replace('second', names[1])}")
        for name, failed in zip(
            names, ([f.first.failed for f in films], [f.second.failed for f in films]), strict=True
        ):
            if any(failed):
                typer.echo(f"not described by {name}, so not counted: {sum(failed)} of {len(failed)}")
    if html is not None:
        write_text(html, page(names, films, paths))
        typer.echo(f"page: {html}", err=True)


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command(cls=_Caption)(caption)


class _Caption(TyperCommand):
    """Names the captioners in its help from where they are registered, whose modules take time to read."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Fill in the names, then print."""
        self.fill()
        super().format_help(ctx, formatter)

    def fill(self) -> None:
        """Put the registered names into the help of the options."""
        from aiprod.captions.registry import described

        for parameter in self.params:
            if getattr(parameter, "help", None) == "{names}":
                parameter.help = described()  # type: ignore[attr-defined]
