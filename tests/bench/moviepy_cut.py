"""A timeline cut by MoviePy 2, as its manual shows; ``python moviepy_cut.py PARTS.json OUT.mp4`` imports it alone.

Parts are (film, first second of it, last second, second of the timeline, whether it fades in).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

Part = tuple[str, float, float, float, bool]


def cut(parts: Sequence[Part], out: str, *, width: int, height: int, fps: float, fade_s: float) -> None:
    """Subclips with cross fades, composed."""
    from moviepy import CompositeVideoClip, VideoFileClip, vfx

    shown, files = [], []
    for film, begin, end, at, fades in parts:
        files.append(VideoFileClip(film))
        part = files[-1].subclipped(begin, end).with_start(at)
        shown.append(part.with_effects([vfx.CrossFadeIn(fade_s)]) if fades else part)
    CompositeVideoClip(shown, size=(width, height)).write_videofile(
        out, fps=fps, codec="libx264", preset="veryfast", ffmpeg_params=["-crf", "18", "-threads", "1"],
        audio_fps=48_000, audio_codec="aac", logger=None, threads=1, temp_audiofile_path=str(Path(out).parent),
    )  # fmt: skip
    for film in files:
        film.close()


if __name__ == "__main__":
    given = json.loads(Path(sys.argv[1]).read_text())
    cut(given.pop("parts"), sys.argv[2], **given)
