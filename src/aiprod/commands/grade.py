"""``aiprod grade`` changes the colours of a film."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def grade(  # noqa: PLR0917
    film: Annotated[Path, typer.Argument(help="film to grade; with --train a folder of films")],
    out: Annotated[Path, typer.Option("--out", "-o", help="film to write; .mov for ProRes and DNxHR")] = Path(
        "graded.mp4"
    ),
    recipe: Annotated[Path | None, typer.Option(help="grade in YAML: exposure, white_balance, cdl, luts")] = None,
    lut: Annotated[list[Path] | None, typer.Option(help="look-up table (.cube, .3dl, .clf, ...); repeatable")] = None,
    interpolation: Annotated[str, typer.Option(help="for --lut: tetrahedral or trilinear")] = "tetrahedral",
    cdl: Annotated[str | None, typer.Option(help="ASC CDL: FILE or FILE#ID (.cc, .ccc, .cdl)")] = None,
    exposure: Annotated[float, typer.Option(min=-10, max=10, help="stops, in display light")] = 0.0,
    auto: Annotated[
        Path | None, typer.Option(help="model from --train: remove the colour cast, or match the film to --like")
    ] = None,
    like: Annotated[Path | None, typer.Option(help="film whose colour and exposure --auto matches")] = None,
    train: Annotated[
        Path | None, typer.Option(help="train a model for --auto on a folder of finished films and save it here")
    ] = None,
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
        typer.Option(help="h264, hevc, av1, prores or dnxhr; default: h264 for 8 bits, hevc for 10"),
    ] = None,
    crf: Annotated[float, typer.Option(min=0, max=51, help="quality of H.264, HEVC, AV1; lower is better")] = 18.0,
    scopes: Annotated[Path | None, typer.Option(help="write scopes before and after to this PNG, and no film")] = None,
    at: Annotated[str, typer.Option(help="time of --scopes, such as 2.5s or 00:00:02:12")] = "0s",
    workers: Annotated[int, typer.Option(min=0, help="worker processes; 0 = one per CPU core")] = 0,
) -> None:
    """Grade a film: exposure, white balance, ASC CDL and look-up tables, in this order. The sound is not changed.

    Example: aiprod grade film.mp4 --lut look.cube --exposure 0.3 --out graded.mp4

    White balance: aiprod grade FOLDER --train model.safetensors, then aiprod grade film.mp4 --auto model.safetensors

    HDR10 from any film: aiprod grade film.mp4 --space pq --peak 1000 --out hdr.mp4

    Rec. 709 from HDR: aiprod grade hdr.mp4 --tone-map bt2446a --out sdr.mp4
    """
    from aiprod.color.delivery import delivery_of
    from aiprod.color.grade import grade_of, read_grade
    from aiprod.errors import AiprodError
    from aiprod.montage import cut as cutting
    from aiprod.montage.balancing import gains_of
    from aiprod.montage.grading import light_words, scope_sheet, whole_film

    if train is not None:
        _train(film, train)
        return
    if like is not None and auto is None:
        raise AiprodError("--like needs a model", "give --auto MODEL; train one with --train")
    if auto is not None and (recipe is not None or exposure):
        raise AiprodError("--auto finds exposure and white balance itself", "leave --recipe and --exposure out")
    delivery = delivery_of(space, bits, peak, black, tone_map)
    stated: dict[str, object] = {"exposure": exposure, "input": source}
    if cdl is not None:
        file, _, correction = cdl.partition("#")
        stated["cdl"] = {"file": file, "id": correction or None}
    stated["luts"] = [{"file": str(path), "interpolation": interpolation} for path in lut or []]
    if auto is not None:
        gains = gains_of(film, auto, like)
        stated |= {"exposure": gains.exposure, "white_balance": gains.white_balance}
        typer.echo(f"recipe: {{exposure: {gains.exposure:g}, white_balance: {list(gains.white_balance)}}}")
    changes = lut or cdl or exposure or auto or source != "tagged"
    if recipe is not None and changes:
        raise AiprodError("both a recipe and options are given", "write all into the recipe, or leave it out")
    if recipe is None and not changes and delivery.usual and scopes is None:
        raise AiprodError("no grade is given", "give --recipe, --lut, --cdl, --exposure, --auto or --space")
    grading = read_grade(recipe) if recipe is not None else grade_of(stated, Path.cwd())
    if scopes is not None:
        scope_sheet(film, grading, at, scopes, delivery)
        typer.echo(f"scopes: {scopes} (above as it is, below graded)")
        return
    timeline = whole_film(film, grading)
    form = cutting.form_of(timeline, codec, crf, "veryfast", out, delivery)
    if out.exists() and out.samefile(film):
        raise AiprodError(f"{out} is the film itself", "write to another file")
    done = cutting.cut(timeline, out, form=form, workers=workers)
    typer.echo(f"{out}: {done.frames} frames graded{light_words(done.light)}")


def _train(folder: Path, out: Path) -> None:
    from aiprod.montage.balancing import train_balance

    training = train_balance(folder, out)
    typer.echo(f"model: {out}")
    if training is None:
        typer.echo("note: nothing is measured with fewer than 8 films")
        return
    typer.echo(f"{training.films} films held out, under casts that are known; mean error in stops:")
    typer.echo(
        f"  cast: {training.learned:.3f}, grey-world {training.grey_world:.3f}, left as it is {training.nothing:.3f}"
    )
    means, nothing = training.match_means, training.match_nothing
    typer.echo(f"  match: {training.match_learned:.3f}, equal means {means:.3f}, left as it is {nothing:.3f}")


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command()(grade)
