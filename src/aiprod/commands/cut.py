"""``aiprod cut`` renders a timeline into a film."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer


def cut(  # noqa: PLR0917
    timeline: Annotated[
        Path | None, typer.Argument(help="timeline: .yaml, .otio, .edl (CMX 3600) or .xml (FCP 7)")
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="film to write; .mov for ProRes and DNxHR")] = Path(
        "cut.mp4"
    ),
    codec: Annotated[
        str | None,
        typer.Option(help="h264, hevc, av1, prores or dnxhr; default: h264 for 8 bits, hevc for 10"),
    ] = None,
    crf: Annotated[float, typer.Option(min=0, max=51, help="quality of H.264, HEVC, AV1; lower is better")] = 18.0,
    preset: Annotated[str, typer.Option(help="speed of H.264, HEVC, AV1: ultrafast to veryslow")] = "veryfast",
    space: Annotated[str, typer.Option(help="colour space to deliver: rec709, p3, hlg or pq (HDR10)")] = "rec709",
    bits: Annotated[int | None, typer.Option(help="8 or 10; HLG and PQ have 10")] = None,
    peak: Annotated[float, typer.Option(help="peak luminance of the mastering display for PQ, in cd/m²")] = 1000.0,
    tone_map: Annotated[str, typer.Option(help="bt2390, bt2446a or aces2")] = "bt2390",
    rate: Annotated[str, typer.Option(help="frames per second if the timeline states none (.edl)")] = "25",
    size: Annotated[str, typer.Option(help="frame size if the timeline states none (.otio, .edl, .xml)")] = "1280x720",
    media: Annotated[Path | None, typer.Option(help="folder in which to look for films by name")] = None,
    stems: Annotated[bool, typer.Option(help="also write dialogue, music and effects as WAV beside the film")] = False,
    lists: Annotated[bool, typer.Option(help="also write the timeline as .otio and .edl beside the film")] = True,
    check: Annotated[bool, typer.Option("--check", help="only check that every source is long enough")] = False,
    wipes: Annotated[bool, typer.Option("--wipes", help="list the supported SMPTE wipes")] = False,
    workers: Annotated[int, typer.Option(min=0, help="worker processes; 0 = one per CPU core")] = 0,
) -> None:
    """Render a timeline, frame- and sample-accurately. An interrupted run resumes where it stopped.

    Example: aiprod cut edit.yaml --out film.mp4 --stems

    HDR10: aiprod cut edit.yaml --space pq --out hdr.mp4
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # NumPy starts no threads then, and workers can be forked
    from aiprod.color.delivery import delivery_of
    from aiprod.errors import AiprodError
    from aiprod.media.video_form import VideoForm
    from aiprod.montage import cut as cutting
    from aiprod.montage.grading import light_words
    from aiprod.montage.reading import read_timeline
    from aiprod.montage.timecode import format_timecode, name_of, parse_rate
    from aiprod.montage.transitions import WIPES

    if wipes:
        for code, name in WIPES.items():
            typer.echo(f"{code:>4}  {name}")
        return
    if timeline is None:
        raise AiprodError("no timeline is given", "aiprod cut edit.yaml --out film.mp4")
    read = read_timeline(timeline, rate=parse_rate(rate), size=size, media=media)
    form = cutting.form_of(read, codec, crf, preset, out, delivery_of(space, bits, peak, tone_map=tone_map))
    length = f"{format_timecode(read.frames, read.rate)} at {name_of(read.rate)} frames/s"
    if check:
        _, notes = cutting.check(read)
        for note in notes:
            typer.echo(f"note: {note}")
        typer.echo(f"{timeline.name}: {length}, every film reaches as far as it is used")
        return
    assert isinstance(form, VideoForm)
    result = cutting.cut(read, out, form=form, stems=stems, workers=workers)
    for note in result.notes:
        typer.echo(f"note: {note}")
    if lists:
        for path in cutting.write_lists(read, out):
            typer.echo(f"list: {path}")
    for bus, path in result.stems.items():
        typer.echo(f"stem {bus}: {path}")
    if result.light is not None:
        typer.echo(f"HDR10{light_words(result.light)}")
    mixed = result.mix
    if read.sounds and mixed is not None:
        loud = "too short or quiet to measure" if mixed.lufs is None else f"{mixed.lufs:.1f} LUFS"
        limited = round(mixed.limited_db, 1) + 0.0  # not "-0.0"
        typer.echo(f"sound: {loud}, {mixed.true_peak_dbtp:.1f} dBTP, limiter took at most {limited:.1f} dB")
        missed = None if read.loudness.lufs is None or mixed.lufs is None else mixed.lufs - read.loudness.lufs
        if missed is not None and abs(missed) > 0.1:
            typer.echo(f"note: {missed:+.1f} LU from the target, which peaks do not allow to be reached")
    typer.echo(
        f"{out}: {length}, {result.frames} frames "
        f"({result.reused} of {result.reused + result.rendered} segments reused)"
    )


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command()(cut)
