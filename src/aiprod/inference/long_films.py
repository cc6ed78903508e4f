"""Films longer than a model makes at once: windows, each of which is given the end of the one before, and goes on.

A window is forgotten once it is written, so that memory does not grow with the film.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from aiprod.base.files import write_json
from aiprod.base.progress import log, ticker
from aiprod.core.generation import GenerationConfig
from aiprod.errors import AiprodError
from aiprod.inference.initial_state import trained_tasks
from aiprod.inference.input_files import RIGHTS_NOTE
from aiprod.inference.params import made_by
from aiprod.inference.pipeline import AVPipeline
from aiprod.inference.request import AudioCondition, GeneratedClip, Request, VideoCondition
from aiprod.inference.video_writer import film_tags
from aiprod.media.segments import encode_segment, join_segments, rgb_planes_709, yuv_frame
from aiprod.media.video_form import VideoForm

if TYPE_CHECKING:
    import av

_CRF = 12.0


@dataclass(frozen=True)
class FilmWindows:
    """How a long film is divided.

    Attributes:
        frames: of the film.
        window: frames that the model makes at once.
        overlap: of these, how many it is given.
    """

    frames: int
    window: int
    overlap: int

    @classmethod
    def of(cls, config: GenerationConfig, time: int, duration_s: float, overlap_s: float | None = None) -> FilmWindows:
        """The division of a film.

        Args:
            time: frames that a latent frame stands for.
            overlap_s: what is given, rounded to whole latent frames; None = about half of a window.

        Raises:
            AiprodError: the window has no room for it.
        """
        most = (config.frames - 1) // time - 1  # latent frames beside the first, and one at least is made
        wanted = max(1, (config.frames - 1) // time // 2)
        if overlap_s is not None:
            wanted = max(0, round((overlap_s * config.fps - 1) / time))
        if wanted > most:
            room = (1 + max(0, most) * time) / config.fps
            raise AiprodError(
                f"windows of {config.frames / config.fps:.2f} s overlap by {(1 + wanted * time) / config.fps:.2f} s,"
                " which leaves nothing to make",
                f"give --overlap up to {room:.2f}, or more --frames",
            )
        return cls(max(1, round(duration_s * config.fps)), config.frames, 1 + wanted * time)

    @property
    def count(self) -> int:
        """How many windows there are."""
        return 1 + max(0, -(-(self.frames - self.window) // (self.window - self.overlap)))


def make_long_film(  # noqa: PLR0917 (a film and what it is made from)
    pipeline: AVPipeline,
    request: Request,
    path: Path,
    config: GenerationConfig,
    windows: FilmWindows,
    conditions: Sequence[Mapping[str, Any]] = (),
) -> str:
    """Make a film window by window and write it, with its description, as :func:`write_video` does.

    Args:
        request: prompt, seed and, if any, first frame; the seeds of later windows follow from its seed.
        config: of one window.
        conditions: what the description says of files that the request was made from.

    Returns:
        size, length and whether there is sound, for a person to read.

    Raises:
        AiprodError: settings that the model cannot follow, or a full disk.
    """
    _warn(pipeline, windows)
    path.parent.mkdir(parents=True, exist_ok=True)
    rate, size = pipeline.audio_vae.compression.sample_rate, (config.width_px, config.height_px)
    form = VideoForm(Fraction(config.fps).limit_denominator(1001), *size, crf=_CRF, keyframe_s=1.0)
    facts = {
        **made_by(pipeline.record, config),
        "windows": {
            "count": windows.count,
            "frames": windows.window,
            "overlap_s": round(windows.overlap / config.fps, 6),
        },
        **({"given": list(conditions), "rights_of_given": RIGHTS_NOTE} if conditions else {}),
    }
    with (
        tempfile.TemporaryDirectory(prefix=f".{path.stem}_", dir=path.parent) as place,
        ticker("sampling", windows.count * config.all_steps) as tick,
    ):
        pictures, raw = Path(place) / "pictures.mp4", Path(place) / "sound.f32"
        with raw.open("wb") as file:
            film = _Film(pipeline, request, config, windows, file, rate)
            encode_segment(pictures, film.frames(tick.advance), form)
        sound = np.memmap(raw, np.float32, "r").reshape(-1, 2).T if film.heard else None
        tags = film_tags(request, facts)
        join_segments(path, [(pictures, windows.frames)], form, sound, sample_rate=rate, tags=tags)
    described = {
        "file": path.name,
        "prompt": request.prompt,
        "seed": request.seed,
        "width_px": config.width_px,
        "height_px": config.height_px,
        "frames": windows.frames,
        "fps": config.fps,
        "duration_s": round(windows.frames / config.fps, 6),
        "sample_rate": rate,
        "has_sound": bool(film.heard),
        "synthetic": True,
        **facts,
    }
    write_json(path.with_suffix(".json"), described)
    heard = "with sound" if film.heard else "silent"
    return f"{config.width_px}x{config.height_px}, {windows.frames / config.fps:.2f} s, {heard}"


@dataclass
class _Film:
    """Makes windows one after another; what stays is the end of the last.

    Attributes:
        heard: samples that were written.
    """

    pipeline: AVPipeline
    request: Request
    config: GenerationConfig
    windows: FilmWindows
    file: BinaryIO
    rate: int
    heard: int = 0
    _pictures: np.ndarray = field(init=False)
    _sound: np.ndarray | None = None

    def frames(self, on_step: Any) -> Iterator[av.VideoFrame]:
        """All pictures; their sound is written into the file meanwhile."""
        shown = 0
        for number in range(self.windows.count):
            begin = max(0, shown - self.windows.overlap) if number else 0
            clip = self.pipeline.generate([self._wanted(number)], self.config, at_once=1, on_step=on_step)[0]
            new = clip.pictures[shown - begin : self.windows.frames - begin]
            self._hear(clip, begin, shown)
            self._pictures = clip.pictures[len(clip.pictures) - self.windows.overlap :].copy()
            shown += len(new)
            for picture in new:
                yield yuv_frame(rgb_planes_709(picture))

    def _wanted(self, number: int) -> Request:
        if not number:
            return self.request
        digest = hashlib.sha256(f"{self.request.seed}/{number}".encode()).digest()
        seed, overlap, window = int.from_bytes(digest[:8], "little") >> 2, self.windows.overlap, self.windows.window
        canvas = np.pad(self._pictures, ((0, window - overlap), (0, 0), (0, 0), (0, 0)), mode="edge")
        kept = np.zeros(canvas.shape[:3], bool)
        kept[:overlap] = True
        video, audio = VideoCondition(canvas, kept), None
        if self._sound is not None:
            length, known = self._at(window), self._sound.shape[1]
            heard = np.zeros(length, bool)
            heard[: max(0, known - self._fade)] = True  # what is left is made anew, and faded into
            audio = AudioCondition(np.pad(self._sound, ((0, 0), (0, length - known))), heard)
        return replace(self.request, seed=seed, first_frame=None, video=video, audio=audio)

    def _hear(self, clip: GeneratedClip, begin: int, shown: int) -> None:
        """Write the sound that the next window does not make anew, and keep the end."""
        if clip.sound is None:
            return
        sound, fresh = clip.sound.copy(), self._at(shown) - self._at(begin)
        if self._sound is not None:
            fade = min(self._fade, fresh)
            rise = (np.arange(fade, dtype=np.float32) + 0.5) / max(1, fade)
            over = slice(fresh - fade, fresh)
            sound[:, over] = self._sound[:, over] * (1 - rise) + sound[:, over] * rise
        end = min(self._at(begin + self.windows.window), self._at(self.windows.frames))
        tail = self._at(begin + self.windows.window - self.windows.overlap)
        last = end == self._at(self.windows.frames)
        upto = end if last else tail
        piece = sound[:, self.heard - self._at(begin) : upto - self._at(begin)]
        short = upto - self.heard - piece.shape[1]
        piece = np.pad(piece, ((0, 0), (0, max(0, short))), mode="edge")  # a sample, where a rate does not divide
        self.file.write(np.ascontiguousarray(piece.T, dtype=np.float32).tobytes())
        self.heard += piece.shape[1]
        self._sound = sound[:, tail - self._at(begin) :]

    @property
    def _fade(self) -> int:
        return self.pipeline.audio_vae.compression.hop

    def _at(self, frame: int) -> int:
        return round(frame / self.config.fps * self.rate)


def _warn(pipeline: AVPipeline, windows: FilmWindows) -> None:
    tasks = trained_tasks(pipeline.record)
    if windows.count > 1 and tasks is not None and not any(task.video.find("prefix") for task in tasks):
        log(
            "warning: this model was not trained with a prefix given, so the windows of the film may not fit each other"
            " → train with such a task in train_diffusion.task"
        )
