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
    interpolation: Annotated[str, typer.Option(help="for --lut: tetrahedral or trilinear")] = "tetrahedral",
    cdl: Annotated[str | None, typer.Option(help="ASC CDL: FILE or FILE#ID (.cc, .ccc, .cdl)")] = None,
    exposure: Annotated[float, typer.Option(min=-10, max=10, help="stops, in display light")] = 0.0,
    source: Annotated[
        str, typer.Option("--input", help="colour space of the film, if its tags are wrong: rec709, p3, hlg or pq")
    ] = "tagged",
    space: Annotated[str, typer.Option(help="colour space to deliver: rec709, p3, hlg or pq (HDR10)")] = "rec709",
    bits: Annotated[int | None, typer.Option(help="8 or 10; HLG and PQ have 10")] = None,
    peak: Annotated[float, typer.Option(help="peak luminance of the mastering display for PQ, in cd/m²")] = 1000.0,
    black: Annotated[float, typer.Option(help="black level of the display in cd/m²; lifts the shadows")] = 0.0,
    tone_map: Annotated[str, typer.Option(help="bt2390, bt2446a or aces2")] = "bt2390",
    codec: Annotated[
        str | None,
        typer.Option(help="h264, hevc, prores or dnxhr; default: h264 for 8 bits, hevc for 10"),
    ] = None,
    crf: Annotated[float, typer.Option(min=0, max=51, help="quality of H.264, HEVC; lower is better")] = 18.0,
    scopes: Annotated[Path | None, typer.Option(help="write scopes before and after to this PNG, and no film")] = None,
    at: Annotated[str, typer.Option(help="time of --scopes, such as 2.5s or 00:00:02:12")] = "0s",
    workers: Annotated[int, typer.Option(min=0, help="worker processes; 0 = one per CPU core")] = 0,
) -> None:
    """Grade a film: exposure, white balance, ASC CDL and look-up tables, in this order. The sound is not changed.

    Example: aiprod grade film.mp4 --lut look.cube --exposure 0.3 --out graded.mp4

    HDR10 from any film: aiprod grade film.mp4 --space pq --peak 1000 --out hdr.mp4

    Rec. 709 from HDR: aiprod grade hdr.mp4 --tone-map bt2446a --out sdr.mp4
    """
    from aiprod.color.delivery import delivery_of
    from aiprod.color.grade import grade_of, read_grade
    from aiprod.errors import AiprodError
    from aiprod.montage import cut as cutting
    from aiprod.montage.grading import light_words, scope_sheet, whole_film

    delivery = delivery_of(space, bits, peak, black, tone_map)
    stated: dict[str, object] = {"exposure": exposure, "input": source}
    if cdl is not None:
        file, _, correction = cdl.partition("#")
        stated["cdl"] = {"file": file, "id": correction or None}
    stated["luts"] = [{"file": str(path), "interpolation": interpolation} for path in lut or []]
    changes = lut or cdl or exposure or source != "tagged"
    if recipe is not None and changes:
        raise AiprodError("both a recipe and options are given", "write all into the recipe, or leave it out")
    if recipe is None and not changes and delivery.usual and scopes is None:
        raise AiprodError("no grade is given", "give --recipe, --lut, --cdl, --exposure, --space or --tone-map")
    made = read_grade(recipe) if recipe is not None else grade_of(stated, Path.cwd())
    if scopes is not None:
        scope_sheet(film, made, at, scopes, delivery)
        typer.echo(f"scopes: {scopes} (above as it is, below graded)")
        return
    timeline = whole_film(film, made)
    form = cutting.form_of(timeline, codec, crf, "veryfast", out, delivery)
    if out.exists() and out.samefile(film):
        raise AiprodError(f"{out} is the film itself", "write to another file")
    done = cutting.cut(timeline, out, form=form, workers=workers)
    typer.echo(f"{out}: {done.frames} frames graded{light_words(done.light)}")


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command()(grade)
