"""``aiprod film`` makes a finished film from a script."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from aiprod.inference.params import GenerationParams


def film(
    script: Annotated[Path, typer.Argument(help="script in YAML (docs/howto/make_a_film.md)")],
    out: Annotated[Path, typer.Option("--out", "-o", help="film to write; .mov for a ProRes profile")] = Path(
        "film.mp4"
    ),
    stems: Annotated[bool, typer.Option("--stems", help="write dialogue, music and effects as WAV too")] = False,
    workers: Annotated[int, typer.Option(min=0, help="worker processes; 0 = one per CPU core")] = 0,
) -> None:
    """Make a film: generate, grade, cut, mix, check. After a change, only what it affects is made again.

    Example: aiprod film datasets/films/demo.yaml --out film.mp4
    """
    from aiprod.base.params import load_params
    from aiprod.base.state import state
    from aiprod.film.make_film import context, make_film
    from aiprod.montage.timecode import format_timecode, parse_rate
    from aiprod.storage.result_cache import Memo

    def settings() -> GenerationParams:
        from aiprod.evaluation.sample_stage import SampleParams
        from aiprod.inference.params import GenerationParams
        from aiprod.trainer.loop.threads import use_threads

        params = load_params(SampleParams, "sample") if Path("params.yaml").is_file() else None
        use_threads(params.threads if params else 0)
        return params.generation if params else GenerationParams()

    result = make_film(script, out, settings, Memo(state().memo("film"), context()), stems=stems, workers=workers)
    record = result.record
    for note in result.notes:
        typer.echo(f"note: {note}")
    delivery = record["delivery"]
    typer.echo(
        f"checked: {record['profile']}, {delivery.get('lufs')} LUFS, {delivery.get('true_peak_dbtp')} dBTP, "
        f"{delivery['flashes_in_a_second']} flashes/s at most"
    )
    for line in record["obligations"]:
        typer.echo(f"obligation: {line}")
    length = format_timecode(record["frames"], parse_rate(record["rate"]))
    typer.echo(
        f"{result.path}: {length}, {len(record['shots'])} shots, {result.generated} generated now, "
        f"{result.spoken} lines spoken now, "
        f"{result.reused} of {result.reused + result.rendered} segments reused"
    )


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command()(film)
