"""``aiprod grade`` changes the colours of a film."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def grade(  # noqa: PLR0917
    film: Annotated[Path, typer.Argument(help="film to grade")],
    out: Annotated[Path, typer.Option("--out", "-o", help="film to write; .mov for ProRes and DNxHR")] = Path(
        "graded.mp4"
    ),
    recipe: Annotated[Path | None, typer.Option(help="grade in YAML: exposure, white_balance, cdl, luts")] = None,
    lut: Annotated[list[Path] | None, typer.Option(help="look-up table (.cube, .3dl, .csp, .clf); repeatable")] = None,
    interpolation: Annotated[str, typer.Option(help="of --lut: tetrahedral or trilinear")] = "tetrahedral",
    cdl: Annotated[str | None, typer.Option(help="ASC CDL: FILE or FILE#ID (.cc, .ccc, .cdl)")] = None,
    exposure: Annotated[float, typer.Option(min=-10, max=10, help="stops, in display light")] = 0.0,
    codec: Annotated[str, typer.Option(help="h264, prores or dnxhr")] = "h264",
    crf: Annotated[float, typer.Option(min=0, max=51, help="quality of H.264; lower is better")] = 18.0,
    scopes: Annotated[Path | None, typer.Option(help="write scopes before and after to this PNG, and no film")] = None,
    at: Annotated[str, typer.Option(help="time of --scopes, such as 2.5s or 00:00:02:12")] = "0s",
    workers: Annotated[int, typer.Option(min=0, help="worker processes; 0 = one per CPU core")] = 0,
) -> None:
    """Grade a film: exposure, white balance, ASC CDL and look-up tables, in this order. Its sound stays as it is.

    Example: aiprod grade film.mp4 --lut look.cube --exposure 0.3 --out graded.mp4
    """
    from aiprod.color.grade import grade_of, read_grade
    from aiprod.errors import AiprodError
    from aiprod.montage import cut as cutting
    from aiprod.montage.grading import scope_sheet, whole_film

    stated: dict[str, object] = {"exposure": exposure}
    if cdl is not None:
        file, _, correction = cdl.partition("#")
        stated["cdl"] = {"file": file, "id": correction or None}
    stated["luts"] = [{"file": str(path), "interpolation": interpolation} for path in lut or []]
    if recipe is not None and (lut or cdl or exposure):
        raise AiprodError("both a recipe and options are given", "write all into the recipe, or leave it out")
    if recipe is None and not (lut or cdl or exposure):
        raise AiprodError("no grade is given", "give --recipe, --lut, --cdl or --exposure")
    made = read_grade(recipe) if recipe is not None else grade_of(stated, Path.cwd())
    if scopes is not None:
        scope_sheet(film, made, at, scopes)
        typer.echo(f"scopes: {scopes} (above as it is, below graded)")
        return
    timeline = whole_film(film, made)
    form = cutting.form_of(timeline, codec, crf, "veryfast", out)
    if out.exists() and out.samefile(film):
        raise AiprodError(f"{out} is the film itself", "write to another file")
    done = cutting.cut(timeline, out, form=form, workers=workers)
    typer.echo(f"{out}: {done.frames} frames graded")


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command()(grade)
