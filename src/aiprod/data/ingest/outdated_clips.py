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
    "MPEG transport stream",
    "MPEG program stream",
    "Matroska",
    "WebM",
    "Flash Video",
    "Ogg",
    "ASF",
    "MXF",
    "AVI",
}
_CHANGING = {"WebM", "Matroska", "MPEG transport stream", "MPEG program stream", "Flash Video"}
_RESIZED = ("scaled to", "square pixels")
_COLOURED = ("colour to BT.709", "wide gamut to BT.709")
_TONE_MAPPED = ("HLG to BT.709", "PQ to BT.709")
_BOXED = ("MP4", "QuickTime")
_COUNTED = {"AVI", "MXF"}
_NUMBERED = {"h264", "mpeg4", "mpeg2video", "mpeg1video"}
_FEW_BITS = ("rgb555", "bgr555", "rgb565", "bgr565", "rgb444", "bgr444", "rgb8", "bgr8")
_PAUSE = "no picture comes for"
_ODD_SOUND = ("sound: missing", "sound: time stamps", "sound: its clock")
_SPARE = 2  # pictures by which a rounded length may be off
_OFFSET_S = 0.005  # sound that starts further from the picture is heard to


@dataclass(frozen=True)
class AffectedClip:
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
    """Something that was fixed in ``version``: which clips made before may show it."""

    version: int
    why: str
    fits: Callable[[FilmRow, ClipRow, Mapping[str, Any]], bool]
    certain: bool = False


def affected(films: Iterable[FilmRow], clips: Iterable[ClipRow]) -> Iterator[AffectedClip]:
    """Clips of earlier versions that one of the repairs since then may concern, in the order of ``clips``."""
    by_id = {film.film_id: film for film in films}
    for clip in clips:
        film = by_id.get(clip.film_id)
        if clip.made_by >= VERSION or clip.status != "ok" or film is None or film.facts is None:
            continue
        repairs = [r for r in _REPAIRS if clip.made_by < r.version and r.fits(film, clip, film.facts)]
        if repairs:
            certain = any(repair.certain for repair in repairs)
            yield AffectedClip(
                clip.clip_id, film.film_id, clip.made_by, certain, tuple(repair.why for repair in repairs)
            )


def _video(facts: Mapping[str, Any]) -> Mapping[str, Any]:
    return facts.get("video") or {}


def _audio(facts: Mapping[str, Any]) -> Mapping[str, Any]:
    return facts.get("audio") or {}


def _did(clip: ClipRow, steps: tuple[str, ...]) -> bool:
    return any(step.startswith(steps) for step in clip.steps)


def _tracks(facts: Mapping[str, Any]) -> int:
    return int(facts.get("audio_streams") or 0)


def _other_matrix(facts: Mapping[str, Any]) -> bool:
    """Whether pictures were taken for those of another matrix than BT.709 (``media.scaling.matrix_of``)."""
    video = _video(facts)
    if video.get("matrix") == 2:
        return bool(video.get("height", 0) <= 576 and video.get("width", 0) <= 1024)
    return video.get("matrix") in (4, 5, 6, 7, 9, 10)


def _unlisted(clip: ClipRow, video: Mapping[str, Any]) -> bool:
    """Whether the movie box lists some pictures, and fewer than the clip reaches to."""
    listed = video.get("frames")
    return listed is not None and round(clip.end_s * clip.fps) > int(listed) + _SPARE


def _begins_hidden(facts: Mapping[str, Any]) -> bool:
    """Whether pictures or sound begin before the zero of the container's clock, priming apart."""
    video, audio = _video(facts), _audio(facts)
    sound_s = audio.get("start_s", 0.0) + audio.get("priming_s", 0.0)
    return bool(video.get("start_s", 0.0) < -_OFFSET_S or sound_s < -_OFFSET_S)


def _rewritten(clip: ClipRow) -> bool:
    return "as is" not in clip.steps


_REPAIRS = (
    _Repair(
        2,
        "pictures were left out because their times did not grow, and others shown twice",
        lambda film, clip, facts: any("out of order" in reason and "left out" in reason for reason in film.reasons),
        certain=True,
    ),
    _Repair(
        2,
        "pictures of AVI with B-frames may be left out or doubled, and sound up to two pictures early",
        lambda film, clip, facts: facts.get("container") == "AVI" and _video(facts).get("codec") in _REORDERED,
    ),
    _Repair(
        2,
        "a second recording, joined byte by byte, may be left out or mixed with the sound of the first",
        lambda film, clip, facts: facts.get("container") in _JOINABLE,
    ),
    _Repair(
        2,
        "pictures that change their size within the film may be stretched",
        lambda film, clip, facts: facts.get("container") in _CHANGING and _rewritten(clip),
    ),
    _Repair(
        2,
        "sound may have holes where the container's times are coarse (Vorbis in WebM above all)",
        lambda film, clip, facts: facts.get("container") in _COARSE and clip.has_audio and bool(_audio(facts)),
    ),
    _Repair(
        3,
        "fragmented MP4: sound may be recorded as late though it is in step, pictures may be a frame or two late",
        lambda film, clip, facts: (
            facts.get("container") in _BOXED and bool(_audio(facts)) and _video(facts).get("frames") is None
        ),
    ),
    _Repair(
        3,
        "pictures of ASF may be a frame or two late or early against the sound",
        lambda film, clip, facts: (
            facts.get("container") == "ASF" and bool(_audio(facts)) and _video(facts).get("codec") in _REORDERED
        ),
    ),
    _Repair(
        2,
        "silent, or without sound: of several sound tracks one may have been taken that has no decoder or is silent",
        lambda film, clip, facts: _tracks(facts) > 1,
    ),
    _Repair(
        2,
        "kept as it is though its sound is late by an encoder's priming that the file does not drop",
        lambda film, clip, facts: not _rewritten(clip) and _audio(facts).get("priming_s", 0.0) >= _OFFSET_S,
        certain=True,
    ),
    _Repair(
        2,
        "brought to BT.709 from another matrix: white is stored as 233 in place of 235",
        lambda film, clip, facts: _did(clip, _COLOURED) and not _did(clip, _TONE_MAPPED) and _other_matrix(facts),
    ),
    _Repair(
        2,
        "tone-mapped: 0.3 % too dark",
        lambda film, clip, facts: _did(clip, _TONE_MAPPED),
    ),
    _Repair(
        2,
        "resized: read for training it was a code or two too dark (its latents are made anew, too)",
        lambda film, clip, facts: _did(clip, _RESIZED),
    ),
    _Repair(
        3,
        "MP4 that begins in its movie box and goes on in fragments: pictures may be a frame or two late behind those",
        lambda film, clip, facts: facts.get("container") in _BOXED and _unlisted(clip, _video(facts)),
    ),
    _Repair(
        3,
        "pauses of Ogg may come up to a second late, or be lost",
        lambda film, clip, facts: facts.get("container") == "Ogg",
    ),
    _Repair(
        3,
        "range or matrix that change within the film: the second part may be too pale or too strong",
        lambda film, clip, facts: (
            facts.get("container") in _CHANGING
            or (facts.get("container") in _BOXED and _video(facts).get("frames") is None)
        ),
    ),
    _Repair(
        3,
        "pictures may be missing, and what follows them too early for the sound",
        lambda film, clip, facts: facts.get("container") in _COUNTED and _video(facts).get("codec") in _NUMBERED,
    ),
    _Repair(
        3,
        "where pictures were missing, those made of them are torn, which was not noticed",
        lambda film, clip, facts: str(_video(facts).get("codec")).startswith(("mpeg1video", "mpeg2video")),
    ),
    _Repair(
        4,
        "fragments shorter than a packet of sound: half of the PCM may be missing, and a picture here and there",
        lambda film, clip, facts: facts.get("container") in _BOXED and _video(facts).get("frames") is None,
    ),
    _Repair(
        5,
        "fragmented MP4: what its edit list leaves out is in the clip",
        lambda film, clip, facts: facts.get("container") in _BOXED and _begins_hidden(facts),
        certain=True,
    ),
    _Repair(
        5,
        "fragments that are not in the order of their times: pictures may be missing",
        lambda film, clip, facts: (
            facts.get("container") in _BOXED
            and _video(facts).get("frames") is None
            and (
                _video(facts).get("start_s", 0.0) > _OFFSET_S
                or any("no picture comes for" in why for why in film.reasons)
            )
        ),
    ),
    _Repair(
        5,
        "where its edit list shows nothing between two stretches, pictures of its beginning may be shown",
        lambda film, clip, facts: (
            facts.get("container") in _BOXED
            and any(reason.startswith("edit list: ") and "stretches" in reason for reason in film.reasons)
        ),
    ),
    _Repair(
        5,
        "sound may have holes, or be shifted, where its file states a wrong length for frames that share a block",
        lambda film, clip, facts: (
            facts.get("container") in ("Matroska", "WebM")
            and clip.has_audio
            and any(reason.startswith(_ODD_SOUND) for reason in film.reasons)
        ),
    ),
    _Repair(
        6,
        "white of RGB with 16 bits a pixel or fewer is a light gray",
        lambda film, clip, facts: _rewritten(clip) and _video(facts).get("pixel_format", "").startswith(_FEW_BITS),
    ),
    _Repair(
        6,
        "gray of limited range may be taken for full: white as 235, black as 16",
        lambda film, clip, facts: (
            _rewritten(clip)
            and _video(facts).get("pixel_format", "").startswith("gray")
            and not _video(facts).get("full_range", False)
        ),
    ),
)
