"""Cutting against MoviePy, FFmpeg's xfade and a plain decode and encode of the same frames, in one run.

``python -m tests.bench.montage [--events 12 200] [--height 360] [--rounds 3]`` prints a table: frames that are not
those on screen in the source at the middle of the timeline's frame, how far the last click is from its place, and
processor seconds: the least of interleaved rounds, in which all is imported, and those of the first, with imports. The
command is one process with all its workers, from its start, of modules that are compiled, as pip leaves them; it is to
be compared with a script of MoviePy's from its start. Peers that are not installed are named and left out.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from bisect import bisect_right
from collections.abc import Callable
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import av
import cv2
import numpy as np

from aiprod.executors.types import Outcome
from aiprod.media.audio import read_sound
from aiprod.media.encoding import encode
from aiprod.media.video_form import VideoForm
from aiprod.montage.cut import cut
from aiprod.montage.timeline import TARGETS, Clip, Sound, Timeline, Transition
from tests.bench import moviepy_cut
from tests.bench.figures import figure
from tests.bench.processor_time import adopt_orphans, children_cpu_s
from tests.montage.conftest import number_in, numbered

RATES = (Fraction(24), Fraction(24000, 1001), Fraction(25), Fraction(30000, 1001))
# Of the fifth source, whose rate varies: between 17 and 65 ms to the next picture, and none at the middle of a frame.
TIMES_S = [0.0, *(n / 24 + (n * 7 % 5 - 2) * 0.006 + 0.0005 for n in range(1, 480))]
OUT = Fraction(25)
FADE = 10
STRIP = 4  # its height is a quarter of the picture's


class Result(NamedTuple):
    """What a peer made of a timeline."""

    name: str
    seconds: float
    film: Path


def sources(folder: Path, width: int, height: int) -> list[Path]:
    """Films of 20 s, one at each rate and one of none: a strip with its number over a pan, and a click each second."""
    made = []
    smooth = np.random.default_rng(0).integers(40, 200, (height // 16 + 2, width // 8 + 2, 3)).astype(np.uint8)
    ground = cv2.resize(smooth, (width * 2, height), interpolation=cv2.INTER_CUBIC)
    grain = np.random.default_rng(1).integers(-3, 4, (height, width * 2, 3))
    ground = np.clip(ground + grain, 0, 255).astype(np.uint8)
    for n, rate in enumerate((*RATES, Fraction(24))):
        count, times_s = round(20 * rate), TIMES_S if n == len(RATES) else None
        sound = np.zeros((2, 20 * 48_000), np.float32)
        sound[:, ::48_000] = 0.5
        path = folder / f"source{n}.mp4"
        strip = height // STRIP // 16 * 16

        def picture(k: int, first: int = 1000 * n, strip: int = strip) -> np.ndarray:
            shown = ground[:, k % width : k % width + width].copy()
            shown[:strip] = numbered(first + k, width, strip)
            return shown

        pictures = (picture(k) for k in range(count))
        encode(path, pictures, rate, sound, crf=16, times_s=times_s)
        made.append(path)
    return made


def timeline(films: list[Path], events: int, width: int, height: int) -> Timeline:
    """Events of two seconds and a bit, a dissolve at every third cut."""
    clips, sounds, transitions, at = [], [], [], 0
    for n in range(events):
        length, begin = 50 + n % 7, Fraction(1 + n % 11)
        film = films[n % len(films)]
        clips.append(Clip(film=film, record_in=at, record_out=at + length, source_in=begin))
        sounds.append(Sound(film=film, record_in=at, record_out=at + length, source_in=begin))
        if n % 3 == 2:
            transitions.append(Transition(record_in=at - FADE // 2, record_out=at + FADE // 2))
        at += length
    return Timeline.checked(
        rate=OUT,
        width=width,
        height=height,
        pictures=[{"clips": clips, "transitions": transitions}],
        sounds=sounds,
        loudness=TARGETS["as_mixed"],
    )


def truth(made: Timeline) -> list[set[int]]:
    """The numbers that each frame may show: both in a dissolve, where the stronger cells win."""
    track = made.pictures[0]
    wanted: list[set[int]] = [set() for _ in range(made.frames)]
    for n, clip in enumerate(track.clips):
        first, behind = track.shown(n)
        which = int(clip.film.stem.removeprefix("source"))
        for frame in range(first, behind):
            at = clip.source_in + (frame - clip.record_in + Fraction(1, 2)) / OUT
            passed = int(at * RATES[which]) if which < len(RATES) else bisect_right(TIMES_S, at) - 1
            wanted[frame].add(1000 * which + passed)
    return wanted


def wrong(film: Path, made: Timeline) -> tuple[int, float]:
    """Frames that show neither, or are too many or too few; and the last click's distance from its place, in ms."""
    wanted = truth(made)
    with av.open(str(film)) as container:
        strip = made.height // STRIP // 16 * 16
        shown = [number_in(frame.to_ndarray(format="gray")[:strip]) for frame in container.decode(video=0)]
    bad = sum(
        1
        for k in range(max(len(shown), len(wanted)))
        if k >= min(len(shown), len(wanted)) or not _is(shown[k], wanted[k])
    )
    sound = read_sound(film)
    assert sound is not None
    places = clicks(made)
    heard = np.flatnonzero(np.abs(sound[0]) > 0.15)
    away = min((abs(int(at) - places[-1]) for at in heard), default=10**6)
    return bad, away / 48.0


def _is(shown: int, wanted: set[int]) -> bool:
    if shown in wanted:
        return True
    if len(wanted) < 2:
        return False
    one, other = wanted  # cells that both have are never wrong
    return (shown & ~(one | other)) == 0 and (one & other & ~shown) == 0


def clicks(made: Timeline) -> list[int]:
    """Samples of the timeline at which a click begins."""
    found = []
    for sound in made.sounds:
        first, behind = made.sample_of(sound.record_in), made.sample_of(sound.record_out)
        starts = round(sound.source_in * 48_000)
        found += range(first + -starts % 48_000, behind, 48_000)
    return found


def ours(made: Timeline, folder: Path) -> Path:
    """This project, in this process: workers are forked from a server, and their time reaches no counter of ours."""
    out = folder / "ours.mp4"

    def here(function: Callable[[Any], Any], items: list[Any], **_: Any) -> Any:
        return (Outcome(n, function(item)) for n, item in enumerate(items))

    with patch("aiprod.montage.cut.ordered_map", here):
        cut(made, out, form=VideoForm(made.rate, made.width, made.height))
    return out


def command(made: Timeline, folder: Path) -> Path:
    """``aiprod cut`` as it is called, with its workers."""
    from aiprod.montage.exporting import write_otio

    listed, out = folder / "made.otio", folder / "command.mp4"
    write_otio(made, listed, folder)
    size = f"{made.width}x{made.height}"
    arguments = [sys.executable, "-m", "aiprod.cli", "cut", str(listed), "--size", size, "--out", str(out)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run([*arguments, "--no-lists"], check=True, stdout=subprocess.DEVNULL, env=environment)
    return out


def _parts(made: Timeline) -> list[moviepy_cut.Part]:
    track, parts = made.pictures[0], []
    for n, clip in enumerate(track.clips):
        first, behind = track.shown(n)
        begin = float(clip.source_in + Fraction(first - clip.record_in) / OUT)
        end = begin + (behind - first) / float(OUT)
        parts.append((str(clip.film), begin, end, first / float(OUT), first < clip.record_in))
    return parts


def moviepy(made: Timeline, folder: Path) -> Path:
    """MoviePy 2, in this process."""
    out = folder / "moviepy.mp4"
    moviepy_cut.cut(_parts(made), str(out), **_about(made))
    return out


def _about(made: Timeline) -> dict[str, Any]:
    return {"width": made.width, "height": made.height, "fps": float(OUT), "fade_s": FADE / float(OUT)}


def moviepy_script(made: Timeline, folder: Path) -> Path:
    """The same as a script that is started, as ``command`` is."""
    listed, out = folder / "parts.json", folder / "moviepy_script.mp4"
    listed.write_text(json.dumps({"parts": _parts(made), **_about(made)}))
    subprocess.run([sys.executable, moviepy_cut.__file__, str(listed), str(out)], check=True)
    return out


def xfade(made: Timeline, folder: Path) -> Path:
    """FFmpeg's filters: each stretch through fps, joined by concat or xfade, as its manual shows; pictures alone."""
    out = folder / "xfade.mp4"
    track = made.pictures[0]
    into = {track.around(t)[1] for t in track.transitions}
    graph = av.filter.Graph()
    inputs: list[Any] = []
    joined, length_s = None, 0.0
    for n, clip in enumerate(track.clips):
        first, behind = track.shown(n)
        lasts_s = (behind - first) / float(OUT)
        container = av.open(str(clip.film))
        source = graph.add_buffer(template=container.streams.video[0])
        begin = float(clip.source_in + Fraction(first - clip.record_in) / OUT)
        chain = source
        for name, arguments in (
            ("trim", f"start={begin:.6f}:duration={lasts_s:.6f}"),
            ("setpts", "PTS-STARTPTS"),
            ("fps", f"{OUT.numerator}/{OUT.denominator}"),
            ("format", "yuv444p"),
        ):
            following = graph.add(name, arguments)
            chain.link_to(following)
            chain = following
        inputs.append((container, source, begin + lasts_s + 0.2))
        if joined is None:
            joined, length_s = chain, lasts_s
            continue
        if n in into:
            mix = graph.add("xfade", f"transition=fade:duration={FADE / 25}:offset={length_s - FADE / 25:.6f}")
            length_s += lasts_s - FADE / 25
        else:
            mix = graph.add("concat", "n=2:v=1:a=0")
            length_s += lasts_s
        joined.link_to(mix, 0, 0)
        chain.link_to(mix, 0, 1)
        joined = mix
        again = graph.add("fps", f"{OUT.numerator}/{OUT.denominator}")  # or the next xfade finds no constant rate
        joined.link_to(again)
        joined = again
    assert joined is not None
    last = graph.add("format", "yuv420p")
    joined.link_to(last)
    sink = graph.add("buffersink")
    last.link_to(sink)
    graph.configure()

    def ready() -> Any:
        while True:
            try:
                yield sink.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return

    def pictures() -> Any:
        for container, source, ends_s in inputs:
            for frame in container.decode(video=0):
                if frame.time > ends_s:
                    break
                source.push(frame)
            source.push(None)
            container.close()
            yield from ready()

    encode(out, pictures(), OUT, np.zeros((2, made.samples), np.float32))
    return out


def plain(made: Timeline, folder: Path) -> Path:
    """One decode and encode of the same frames and the same sound: those of our cut, with the same settings."""
    out, source = folder / "plain.mp4", folder / "ours.mp4"
    with av.open(str(source)) as container:
        container.streams.video[0].thread_count = 1
        encode(out, container.decode(video=0), OUT, read_sound(source), keyframe_s=2.0)
    return out


def main(events: list[int], height: int, rounds: int) -> None:
    """Print the table."""
    adopt_orphans()
    width = height * 16 // 9 // 16 * 16
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        films = sources(folder, width, height)
        for count in events:
            made = timeline(films, count, width, height)
            print(f"== {count} events, {made.frames} frames of {width}x{height}", flush=True)
            peers: list[tuple[str, Callable[[Timeline, Path], Path]]] = [
                ("aiprod cut", ours),
                ("plain decode + encode", plain),
                ("aiprod cut (command)", command),
            ]
            if find_spec("moviepy"):
                peers += [("MoviePy", moviepy), ("MoviePy (script)", moviepy_script)]
            else:
                print("MoviePy: not installed, left out")
            peers.append(("FFmpeg xfade", xfade))
            spent: dict[str, list[float]] = {}
            words: dict[str, str] = {}
            for round_ in range(rounds):
                for peer, make in peers:
                    began = time.process_time(), children_cpu_s()
                    try:
                        out = make(made, folder)
                    except Exception as error:  # a peer that fails is a result
                        print(f"{peer:<22} failed: {type(error).__name__} {str(error)[:90]}", flush=True)
                        continue
                    took = time.process_time() - began[0] + children_cpu_s() - began[1]
                    spent.setdefault(peer, []).append(took)
                    if not round_:
                        bad, away = wrong(out, made)
                        click = "" if make is xfade else f"last click off {away:8.2f} ms"
                        words[peer] = f"frames wrong {bad:>5} of {made.frames}  {click}"
            mine, base = min(spent["aiprod cut"]), min(spent["plain decode + encode"])
            for peer, took_s in spent.items():
                least = min(took_s)
                print(
                    f"{peer:<22} {least:7.1f} s (first {took_s[0]:.1f})  {least / base:5.2f} x plain"
                    f"  {mine / least:5.2f} ours/this  {words[peer]}",
                    flush=True,
                )
            figure(f"cutting {count} events over one plain decode and encode", mine / base, most=1.2)
            for peer, most in (("MoviePy", 1.0), ("FFmpeg xfade", None)):
                if peer in spent:
                    figure(f"cutting {count} events over {peer}", mine / min(spent[peer]), most=most)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, nargs="+", default=[12, 200])
    parser.add_argument("--height", type=int, default=360)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    main(given.events, given.height, given.rounds)
