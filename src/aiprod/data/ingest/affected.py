"""Which stored clips an earlier version of reading may have stored damaged, by what their rows say."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from aiprod.data.rows import ClipRow, FilmRow
from aiprod.media.normalising import VERSION

_REORDERED = {"h264", "hevc", "mpeg4", "mpeg2video", "mpeg1video", "vc1", "wmv3"}
_COARSE = {"WebM", "Matroska", "Ogg", "Flash Video", "ASF", "AVI"}
_JOINABLE = {
    "MPEG transport stream", "MPEG program stream", "Matroska", "WebM", "Flash Video", "Ogg", "ASF", "MXF", "AVI",
}  # fmt: skip
_CHANGING = {"WebM", "Matroska", "MPEG transport stream", "MPEG program stream", "Flash Video"}
_RESIZED = ("scaled to", "square pixels")


@dataclass(frozen=True)
class Affected:
    """A clip that may be stored damaged.

    Attributes:
        certain: whether its row shows the damage; else films of its kind may have it.
        why: what may be wrong, in words.
    """

    clip_id: str
    film_id: str
    made_by: int
    certain: bool
    why: tuple[str, ...]


@dataclass(frozen=True)
class _Repair:
    """Something that was mended in ``version``: which clips made before may show it."""

    version: int
    why: str
    fits: Callable[[FilmRow, ClipRow, Mapping[str, Any]], bool]
    certain: bool = False


def affected(films: Iterable[FilmRow], clips: Iterable[ClipRow]) -> Iterator[Affected]:
    """Clips of earlier versions that one of the repairs since then may concern, in the order of ``clips``."""
    by_id = {film.film_id: film for film in films}
    for clip in clips:
        film = by_id.get(clip.film_id)
        if clip.made_by >= VERSION or clip.status != "ok" or film is None or film.facts is None:
            continue
        found = [r for r in _REPAIRS if clip.made_by < r.version and r.fits(film, clip, film.facts)]
        if found:
            certain = any(repair.certain for repair in found)
            yield Affected(clip.clip_id, film.film_id, clip.made_by, certain, tuple(repair.why for repair in found))


def _video(facts: Mapping[str, Any]) -> Mapping[str, Any]:
    return facts.get("video") or {}


def _audio(facts: Mapping[str, Any]) -> Mapping[str, Any]:
    return facts.get("audio") or {}


def _rewritten(clip: ClipRow) -> bool:
    return "as is" not in clip.steps


_REPAIRS = (
    _Repair(
        2, "pictures were left out because their times did not grow, and others shown twice",
        lambda film, clip, facts: any("out of order" in reason and "left out" in reason for reason in film.reasons),
        certain=True,
    ),
    _Repair(
        2, "pictures of AVI with B-frames may be left out or doubled, and sound up to two pictures early",
        lambda film, clip, facts: facts.get("container") == "AVI" and _video(facts).get("codec") in _REORDERED,
    ),
    _Repair(
        2, "a second recording, joined byte by byte, may be left out or mixed with the sound of the first",
        lambda film, clip, facts: facts.get("container") in _JOINABLE,
    ),
    _Repair(
        2, "pictures that change their size within the film may be stretched",
        lambda film, clip, facts: facts.get("container") in _CHANGING and _rewritten(clip),
    ),
    _Repair(
        2, "sound may have holes where the container's times are coarse (Vorbis in WebM above all)",
        lambda film, clip, facts: facts.get("container") in _COARSE and clip.has_audio and bool(_audio(facts)),
    ),
    _Repair(
        2, "the sound of fragmented MP4 may be recorded as early or late though it is in step, or kept out of step",
        lambda film, clip, facts: facts.get("container") in ("MP4", "QuickTime") and bool(_audio(facts))
        and _video(facts).get("frames") is None,
    ),
    _Repair(
        2, "resized: read for training it was a code or two too dark (its latents are made anew, too)",
        lambda film, clip, facts: any(step.startswith(_RESIZED) for step in clip.steps),
    ),
)  # fmt: skip
