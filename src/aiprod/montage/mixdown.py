"""The sound of a timeline by itself, mixed into a WAV file; its pictures may be graded and rendered later."""

from __future__ import annotations

from pathlib import Path

from aiprod.base.progress import ticker
from aiprod.base.tempdirs import scratch
from aiprod.media.segments import write_wav
from aiprod.montage.mix import mix, opened_mix
from aiprod.montage.sources import check_sound, look
from aiprod.montage.timeline import SAMPLE_RATE, Bus, Timeline


def write_mix(timeline: Timeline, out: Path, *, stems: bool = False) -> dict[Bus, Path]:
    """Mix a timeline's sound into ``out``, float32 at 48 kHz.

    Args:
        stems: also write the buses, beside it.

    Returns:
        The files of the buses.

    Raises:
        AiprodError: a film does not open, or has no sound.
    """
    sources = {sound.film: look(sound.film) for sound in timeline.sounds}
    for sound in timeline.sounds:
        check_sound(sound, sources[sound.film])
    written: dict[Bus, Path] = {}
    with scratch(out.parent, f".{out.stem}.") as folder, ticker("sound", 3 * timeline.samples) as tick:
        mixed = mix(timeline, sources, folder, tick.advance)
        write_wav(out, opened_mix(mixed.path, mixed.samples), SAMPLE_RATE)
        for bus, raw in mixed.stems.items() if stems else ():
            written[bus] = out.with_name(f"{out.stem.removesuffix('.mix')}.{bus}.wav")
            write_wav(written[bus], opened_mix(raw, mixed.samples), SAMPLE_RATE)
    return written
