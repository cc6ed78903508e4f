"""What ingest costs: processor time over that of FFmpeg's own program doing the same decode, scale and encode.

``python -m tests.bench.ingest_cost [FILM OR FOLDER…]`` takes films in as a worker does (with the search for shots, for
rights and for damage, and all digests) and has ``ffmpeg`` write the same pictures and sound with the same settings, one
thread each, in turn: once with the colours as they are, and, where ingest turns them to BT.709, once with FFmpeg's
quickest filter that does so too, which is the same work. ``ffmpeg`` counts with its start (0.06 s), a worker, which
takes in many films, without. Films whose packets are kept as they are, and those that FFmpeg would need other filters
for, are named and left out of the ratio.
"""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from aiprod.base.files import sha256_file
from aiprod.data.ingest.ingest_film import IngestJob, ingest_film
from aiprod.data.params import IngestParams
from aiprod.media.encoding import _has_avx512
from aiprod.media.normalising import SAMPLE_RATE
from aiprod.rights.licences import judge_licence
from aiprod.storage.result_cache import Memo
from tests.bench.figures import figure
from tests.bench.qc_cost import ENDINGS, FOLDER

BOUND = 1.15
_OTHER_WORK = ("deinterlaced", "tone", "turned", "bars cropped")  # steps that the command below does not do


def taken_in(film: Path, folder: Path) -> tuple[float, dict[str, Any]]:
    """Processor seconds of taking one film in, and what is known of it then."""
    memo, params = Memo(folder / "memo", ""), IngestParams()
    job = IngestJob(str(film), None, sha256_file(film), memo.key(film.name), memo, params)
    before = time.process_time()
    ingest_film(job)
    seconds = time.process_time() - before
    known = memo.get(job.key)
    assert known is not None
    return seconds, known[0]


def to_709(video: dict[str, Any]) -> str:
    """The filter that turns colours as ingest does, matrix and range alone; empty where there is nothing to turn."""
    names = {4: "fcc", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 9: "bt2020ncl", 10: "bt2020ncl"}
    small = video["height"] <= 576 and video["width"] <= 1024
    space = names.get(video["matrix"], "smpte170m" if small and video["matrix"] != 1 else "bt709")
    if space == "bt709" and not video["full_range"]:
        return ""
    kept = "itrc=bt709:trc=bt709:iprimaries=bt709:primaries=bt709"
    limits = f"irange={'pc' if video['full_range'] else 'tv'}:range=tv"
    return f",colorspace=ispace={space}:space=bt709:{kept}:{limits}:format=yuv420p"


def by_ffmpeg(film: Path, clip: dict[str, Any], target: Path, turned: str = "") -> float:
    """Processor seconds of ``ffmpeg`` writing a whole film in the form of one of its clips.

    Args:
        turned: the filter of :func:`to_709`.
    """
    form = IngestParams().normalise
    asm = ["-x264-params", "asm=AVX2"] if _has_avx512() else []  # as ours is encoded
    command = [
        "ffmpeg",
        "-v",
        "error",
        "-nostdin",
        "-y",
        "-threads",
        "1",
        "-i",
        str(film),
        "-map",
        "0:v:0",
        "-map",
        "0:a:0?",
    ]
    filters = f"scale={clip['width']}:{clip['height']}{turned}"
    command += ["-filter_threads", "1", "-vf", filters, "-r", f"{clip['fps']:.6g}"]
    command += ["-c:v", "libx264", "-preset", form.preset, "-crf", f"{form.crf:g}", "-g", str(round(clip["fps"])), *asm]
    command += ["-pix_fmt", "yuv420p", "-threads", "1", "-c:a", "aac", "-b:a", str(form.audio_bitrate_bps)]
    command += ["-ar", str(SAMPLE_RATE), "-ac", "2", "-movflags", "+faststart", str(target)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def films_of(places: list[Path]) -> list[Path]:
    """The films named, and those in the folders named."""
    found = []
    for place in places:
        found += [p for p in sorted(place.iterdir()) if p.suffix in ENDINGS] if place.is_dir() else [place]
    return found


def _line(plain: float, same: float, ours: float) -> str:
    by = f"ffmpeg {plain:6.2f} s   with the same colours {same:6.2f} s   ingest {ours:6.2f} s"
    return f"{by}   {ours / plain:5.2f} x, {ours / same:5.2f} x"


def main(*places: Path) -> bool:
    """Print a line a film and the ratio of all; False where there is no film or no ``ffmpeg``."""
    films = films_of([place for place in places or (FOLDER,) if place.exists()])
    if not films or shutil.which("ffmpeg") is None:
        what = (
            "ffmpeg is not installed"
            if films
            else f"there is no film in {'/'.join(FOLDER.parts[-3:])} beside this checkout"
        )
        print(f"ingest: skipped, {what}")
        return False
    ours = theirs = alike = 0.0
    with tempfile.TemporaryDirectory(prefix="aiprod-bench-") as place:
        taken_in(films[0], Path(place) / "first")  # what a worker imports and loads once
        judge_licence("CC0-1.0")
        for film in films:
            seconds, result = taken_in(film, Path(place) / film.name)
            written = [clip for clip in result["clips"] if clip["status"] == "ok"]
            steps = [step for clip in written for step in clip["steps"]]
            other = next((step for step in steps if step.startswith(_OTHER_WORK)), None)
            encoded = any(step.startswith("H.264 crf") for step in steps)
            if result["error"] or not encoded or other:
                print(f"{film.name:<40} left out: {result['error'] or other or 'its pictures are kept'}")
                continue
            target, turned = Path(place) / "theirs.mp4", to_709(result["facts"]["video"])
            plain = by_ffmpeg(film, written[0], target)
            same = by_ffmpeg(film, written[0], target, turned) if turned else plain
            ours, theirs, alike = ours + seconds, theirs + plain, alike + same
            print(f"{film.name:<40} {_line(plain, same, seconds)}", flush=True)
    if theirs:
        print(f"{'all':<40} {_line(theirs, alike, ours)}")
        figure("ingest over FFmpeg's program, colours as they are", ours / theirs, most=BOUND)
        figure("ingest over FFmpeg's program turning the same colours", ours / alike, most=BOUND)
    return bool(theirs)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
