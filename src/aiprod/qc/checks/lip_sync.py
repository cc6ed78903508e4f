"""Lip-sync of a speaking face: the mouth that is seen against the phones that are heard.

It costs something only where a face was found in the stills and somebody speaks: the film's stretches of speech are
then decoded once more, and the face is followed through them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from aiprod.base.params import Params
from aiprod.qc.bundled import face_mesh
from aiprod.qc.bundled.catalogue import BUNDLED, missing
from aiprod.qc.bundled.fitting import fastest
from aiprod.qc.checks import phone_recognition
from aiprod.qc.checks.judging import EPSILON_S, Case, Judgements, Rule, judged
from aiprod.qc.checks.voices import resampled
from aiprod.qc.measurement import Figures, Measurement
from aiprod.qc.metric_table import FigureTable
from aiprod.speech.lip_sync import REACH_S, MouthTrack, offset_of
from aiprod.speech.phones import ENGLISH
from aiprod.speech.voice import TimedUnit

if TYPE_CHECKING:
    from aiprod.media.media_info import VideoFacts
    from aiprod.qc.clip_context import ClipContext, ClipSound
    from aiprod.qc.measure_params import QcMeasureParams
    from aiprod.qc.params import QcDecideParams

VERSION = "4"
METHOD = "none: no recogniser of phones is configured"
_BY_NETWORKS = (
    "largest face followed by Face Mesh through up to 8 s of speech, in 24 to 48 pictures a second where there are "
    "more; its aperture correlated with the mouth that phones heard by PocketSphinx ask for, at offsets up to 0.6 s; "
    "given up after 3 s in which the correlation does not come to 0.35; "
    "counted where the greatest correlation is 0.55 or more and none beyond 0.12 s of it comes to 0.7 of it"
)
_SPEECH_MAX_S = 8.0
_PICTURES_HZ = 24.0  # which is enough for lips: of films with twice as many or more, every second one, third one, …
_ROOM_S = 0.25  # before and behind a stretch of speech: windows of half a second say where it is
_SIDE_PX = 720
# Over few pictures the greatest correlation is rather too great. Where it stays below what strange sounds seldom reach,
# more pictures would not bring it to what counts.
_FIRST_S, _FIRST_MIN = 3.0, 0.35
_FACE_MIN = 0.5  # of the pictures
_FOLLOWS_MIN, _RIVAL_MAX = 0.55, 0.7
_Spans = Sequence[tuple[float, float]]


class LipSync(Measurement):
    """By how much the sound of a speaking face is late.

    Args:
        why_not: why nothing is measured; None where the networks are there.
    """

    name = "lip_sync"
    version = VERSION
    method = METHOD
    needs = ("faces", "voices")

    def __init__(self, why_not: str | None) -> None:
        self._why_not = why_not

    @classmethod
    def begin(cls, params: QcMeasureParams, video: VideoFacts) -> Self:
        """By the networks, where the parameters ask for them."""
        if "lips" not in params.uses:
            return cls("no recogniser of phones is configured")
        if "speech" not in params.uses:
            return cls("where somebody speaks is not looked for → name speech beside lips in qc_measure.models")
        return cls(missing("lips") or missing("speech"))

    def measure(self, seen: ClipContext, measurements: Mapping[str, Figures]) -> dict[str, Any]:
        """The offset, or why there is none."""
        if self._why_not is not None:
            return {"status": "not_evaluated", "reason": self._why_not}
        identities = f"{face_mesh.MESH.identity()}-{BUNDLED['lips'].identity()}"
        return {**_measured(seen, measurements), "method": _BY_NETWORKS, "version": f"{VERSION}-{identities}"}


def _measured(seen: ClipContext, measurements: Mapping[str, Figures]) -> dict[str, Any]:
    if seen.sound is None:
        return seen.without_sound()
    faces, voices = measurements["faces"], measurements["voices"]
    for figures in (faces, voices):
        if figures["status"] != "ok":
            return {"status": figures["status"], "reason": figures["reason"]}
    if not voices["speech"]:
        return {"status": "unmeasurable", "reason": "nobody speaks"}
    if not faces["found"]:
        return {"status": "unmeasurable", "reason": "no face is seen in the stills"}
    spans = spoken(voices["spans"])
    mouth, phones = _followed(seen, seen.sound, spans)
    counts: dict[str, float] = {
        "pictures": int(mouth.aperture.size),
        "pictures_with_face": int(np.isfinite(mouth.aperture).sum()),
    }
    if not _is_seen(mouth):
        return {"status": "unmeasurable", "reason": "the face is seen in too few of the pictures", **counts}
    counts["phones"] = len(phones)
    offset = offset_of(mouth, phones, ENGLISH)
    if offset is None:
        return {"status": "unmeasurable", "reason": "the mouth hardly moves, or hardly anything is said", **counts}
    counts |= {"correlation": offset.correlation, "rival": offset.rival}
    if offset.correlation < _FOLLOWS_MIN or offset.rival > _RIVAL_MAX * offset.correlation:
        return {"status": "unmeasurable", "reason": "the mouth does not clearly do what is heard", **counts}
    late_s = offset.late_frames * mouth.step_s
    late_frames = offset.late_frames * _every(seen)
    return {"status": "ok", "sound_late_s": late_s, "sound_late_frames": late_frames, "auc": offset.auc, **counts}


def spoken(spans: Sequence[Mapping[str, Any]]) -> list[tuple[float, float]]:
    """Stretches of speech with some room, those that meet as one, of so many seconds in all at most."""
    stretches: list[tuple[float, float]] = []
    left = _SPEECH_MAX_S
    for span in spans:
        if span["kind"] != "speech" or left <= 0:
            continue
        start, end = max(0.0, span["start_s"] - _ROOM_S), min(span["end_s"], span["start_s"] + left) + _ROOM_S
        left -= span["end_s"] - span["start_s"]
        stretches.append((start, end))
    return _joined(stretches)


def _joined(stretches: _Spans) -> list[tuple[float, float]]:
    """Stretches in order, those that meet as one."""
    joined: list[tuple[float, float]] = []
    for start, end in stretches:
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined


def _phones(sound: NDArray[np.float32], spans: _Spans) -> list[TimedUnit]:
    """Phones on the clip's clock, of each stretch apart."""
    rate = phone_recognition.RATE_HZ
    phones: list[TimedUnit] = []
    for start, end in spans:
        first = round(start * rate)
        heard = phone_recognition.recognise(sound[first : round(end * rate)])
        phones += [TimedUnit(p.name, p.start_s + first / rate, p.end_s + first / rate) for p in heard]
    return phones


def _followed(seen: ClipContext, sound: ClipSound, spans: _Spans) -> tuple[MouthTrack, list[TimedUnit]]:
    """The mouth and the phones of the stretches, or of the first of them where these speak against the mouth.

    Where the face is seen in too few pictures no phones are looked for.
    """
    pictures = _pictures(seen, spans)
    watched = list(itertools.islice(pictures, round(_FIRST_S / max(_step_s(seen), 1e-3))))
    mouth, samples, phones = _track(seen, watched), resampled(sound.mono, sound.rate_hz), list[TimedUnit]()
    begun = [span for span in spans if watched and span[0] < watched[-1][0]]
    if _is_seen(mouth):
        phones = _phones(samples, begun)
        offset = offset_of(mouth, phones, ENGLISH)
        if offset is not None and offset.correlation < _FIRST_MIN:
            return mouth, phones
    else:
        begun = []
    mouth = _track(seen, [*watched, *pictures])
    if _is_seen(mouth):
        phones += _phones(samples, spans[len(begun) :])
    return mouth, phones


def _is_seen(mouth: MouthTrack) -> bool:
    """Whether there is a face in enough of the pictures."""
    return bool(np.isfinite(mouth.aperture).sum() >= max(1.0, _FACE_MIN * mouth.aperture.size))


def _track(seen: ClipContext, pictures: Sequence[tuple[float, float]]) -> MouthTrack:
    times, aperture = (np.array([picture[i] for picture in pictures], np.float64) for i in (0, 1))
    return MouthTrack(times + seen.frame_s / 2, aperture, _step_s(seen))


def _pictures(seen: ClipContext, spans: _Spans) -> Iterator[tuple[float, float]]:
    """Time on the clip's clock, and how far the lips are apart: in the stretches and in what offsets reach."""
    last_s = float(seen.times_s[-1]) + seen.frame_s / 2
    reached = [(max(0.0, start - REACH_S), min(end + REACH_S, last_s)) for start, end in spans]
    for low, high in _joined([(low, high) for low, high in reached if low < high]):  # each is opened and sought anew
        film = seen.rgb(_SIDE_PX, seen.start_s + low, seen.start_s + high, _every(seen))
        shown, pictures = itertools.tee(film)
        faces = face_mesh.follow((picture for _, picture in pictures), runtime=fastest)
        for (time_s, _), face in zip(shown, faces, strict=True):
            yield time_s - seen.start_s, np.nan if face is None else face.aperture


def _step_s(seen: ClipContext) -> float:
    """Between two of the pictures that lips are looked for in."""
    return seen.frame_s * _every(seen)


def _every(seen: ClipContext) -> int:
    """Which pictures lips are looked for in: 1 is each, 2 every second."""
    return max(1, int(1 / (_PICTURES_HZ * max(seen.frame_s, 1e-3)) + 1e-6))


class LipSyncLimits(Params):
    """How far lips and sound may be apart."""

    sound_late_max_s: float = Field(
        default=0.125,
        gt=0,
        le=0.6,
        description="from here on it is noticed (ITU-R BT.1359); a picture or two are unsure",
    )
    sound_early_max_s: float = Field(
        default=0.125,
        gt=0,
        le=0.6,
        description="more than is noticed (0.045 s): mouths begin up to 0.12 s before their sound",
    )


def judge(measurements: FigureTable, params: QcDecideParams) -> Judgements:
    """Lips against sound; unweighted, a failure asks for a review."""
    figures, limits = measurements["lip_sync"], params.limits(LipSyncLimits)
    late = figures.number("sound_late_s")
    good = (late <= limits.sound_late_max_s + EPSILON_S) & (late >= -limits.sound_early_max_s - EPSILON_S)
    return judged(
        figures,
        Case(late == 0, 1.0, "speech goes with the lips"),
        Case(True, good.astype(np.float64), "speech {ms:.0f} ms {side} the lips"),
        value=late,
        ms=np.abs(late) * 1000,
        side=np.where(late > 0, "behind", "ahead of"),
    )


RULES = (Rule("lip_sync", "lip_sync", {"lip_sync": ("sound_late_s",)}, judge, limits=LipSyncLimits),)
