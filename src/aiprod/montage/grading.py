"""A whole film through one grade, and scopes of one of its pictures."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np

from aiprod.base.files import atomic_path
from aiprod.color.delivery import Delivery
from aiprod.color.grade import Grade
from aiprod.color.light import REC709
from aiprod.color.rendering import rendering
from aiprod.color.scopes import sheet
from aiprod.errors import AiprodError
from aiprod.media.hdr10 import ContentLight
from aiprod.media.high_bit_depth import DeepPictures
from aiprod.media.probing import require_video
from aiprod.montage.sources import PicturesAt, SourceFacts, look
from aiprod.montage.stills import read_still
from aiprod.montage.timecode import parse_time
from aiprod.montage.timeline import TARGETS, Clip, PictureTrack, Sound, Timeline


def _even(side: int) -> int:
    return max(16, side // 2 * 2)


def whole_film(film: Path, grade: Grade) -> Timeline:
    """A timeline of one film as long as it is, at its own size and rate, its sound untouched.

    Raises:
        AiprodError: it does not open, or has no picture.
    """
    source = _film(film)
    assert source.facts is not None and source.rate is not None
    video = require_video(source.facts)
    length = max(1, round(Fraction(source.ends_s).limit_denominator(10**6) * source.rate))
    path = film.resolve()
    heard = source.facts.audio is not None and source.sound_s > 0
    return Timeline.checked(
        name=film.stem,
        rate=source.rate,
        width=_even(video.display_width),
        height=_even(video.display_height),
        pictures=[PictureTrack(clips=(Clip(film=path, record_in=0, record_out=length, fit="stretch", grade=grade),))],
        sounds=[Sound(film=path, record_in=0, record_out=length)] if heard else [],
        loudness=TARGETS["untouched"],
    )


def _film(film: Path) -> SourceFacts:
    if not film.is_file():
        raise AiprodError(f"{film} does not exist", "give the path of a film")
    source = look(film)
    if source.facts is None or source.facts.video is None:
        raise AiprodError(f"{film.name} is not a film with a video track", "give a film")
    return source


def light_words(light: ContentLight | None) -> str:
    """What an HDR10 file states of its light, for the end of a line."""
    return "" if light is None else f", MaxCLL {light.max_nits:.0f} and MaxFALL {light.mean_nits:.0f} cd/m²"


def scope_sheet(film: Path, grade: Grade, at: str, out: Path, delivery: Delivery) -> None:
    """Write scopes of the picture at a time, before and after the grade, as PNG; both as signal of the delivery.

    Raises:
        AiprodError: there is no picture at that time, or the file cannot be written.
    """
    source = _film(film)
    assert source.rate is not None
    data = scopes_at(source, grade, parse_time(at, source.rate), delivery)
    with atomic_path(out) as temporary:
        temporary.write_bytes(data)


def scopes_at(source: SourceFacts, grade: Grade, time_s: Fraction, delivery: Delivery) -> bytes:
    """Scopes as PNG of a picture before the grade, and below them after it; a still picture has the same at any time.

    Raises:
        AiprodError: there is no picture at that time.
    """
    import cv2

    grades = Grade(input=grade.input), grade
    if source.still:
        rgb = read_still(source.path).rgb.astype(np.uint16) * np.uint16(257)
        codes = [np.ascontiguousarray(rgb[..., n]) for n in range(3)]
        rows = [sheet(np.stack(rendering(REC709, each, delivery).signal(codes), axis=-1)) for each in grades]
    else:
        with PicturesAt(source) as pictures:
            frame = pictures.at(float(time_s)).frame
            video = pictures.reader.shown
        size = _even(video.display_width), _even(video.display_height)
        rows = [sheet(DeepPictures(*size, video, each, delivery).signal(frame)) for each in grades]
    gap = np.full((8, rows[0].shape[1], 3), 24, np.uint8)
    done, data = cv2.imencode(".png", np.concatenate([rows[0], gap, rows[1]])[..., ::-1])
    assert done
    return bytes(data.tobytes())
