"""A timeline: what is shown and heard when. Frames count at the timeline's rate; times in sources are rational."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, model_validator

from aiprod.color.grade import Grade
from aiprod.errors import AiprodError
from aiprod.montage.timecode import parse_rate

Conform = Literal["resample", "speed"]
Bus = Literal["dialogue", "music", "effects"]
BUSES: tuple[Bus, ...] = ("dialogue", "music", "effects")
FadeLaw = Literal["equal_power", "linear", "log", "s_curve"]
TransitionKind = Literal["dissolve", "dip", "wipe", "push", "slide"]
Side = Literal["left", "right", "up", "down"]
FRAMES_MAX = 240 * 3600 * 24
SAMPLE_RATE = 48_000

Rational = Annotated[Fraction, BeforeValidator(Fraction), PlainSerializer(str, return_type=str)]
Rate = Annotated[
    Fraction,
    BeforeValidator(parse_rate),
    PlainSerializer(str, return_type=str),
]


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class Placement(_Frozen):
    """Where a picture is put, in pixels of the timeline; it is scaled to fit and centred where nothing is said.

    Attributes:
        x, y: of the upper left corner.
        width, height: of the picture; both even.
    """

    x: int = 0
    y: int = 0
    width: int = Field(gt=0)
    height: int = Field(gt=0)


class Clip(_Frozen):
    """A stretch of a film on a picture track.

    Attributes:
        film: path of the film or still picture.
        record_in, record_out: frames of the timeline between which it is shown, without handles.
        source_in: second of the source that is shown at ``record_in``.
        conform: how a source of another rate meets the timeline: ``resample`` keeps its speed and shows the picture
            that is on screen at that time; ``speed`` shows picture for picture, faster or slower.
        fit: ``contain`` keeps the whole picture, with bars, ``cover`` fills the frame and crops, ``stretch`` does
            neither.
        matte: a film or picture whose luma is the opacity, frame for frame.
        grade: what is done to its colours, before it is placed.
    """

    film: Path
    record_in: int = Field(ge=0, le=FRAMES_MAX)
    record_out: int = Field(ge=0, le=FRAMES_MAX)
    source_in: Rational = Fraction(0)
    conform: Conform = "resample"
    fit: Literal["contain", "cover", "stretch"] = "contain"
    opacity: float = Field(default=1.0, ge=0, le=1)
    placement: Placement | None = None
    matte: Path | None = None
    grade: Grade | None = None
    name: str = ""

    @model_validator(mode="after")
    def _check(self) -> Clip:
        if self.record_out <= self.record_in:
            raise ValueError(f"the clip {self.name or self.film.name} has no length")
        if self.source_in < 0:
            raise ValueError(f"the clip {self.name or self.film.name} begins before its source")
        return self


class Transition(_Frozen):
    """From one clip of a track to the next, over the frames ``record_in`` to ``record_out``.

    A dissolve may also lie where a clip has no neighbour: it comes out of black or goes into it, on a higher track of
    what lies below.

    Attributes:
        kind: ``dissolve``; ``dip`` through ``colour``; ``wipe`` by SMPTE 258M number ``code``; ``push`` (the new
            picture pushes the old one out) and ``slide`` (it slides over it) towards ``towards``.
        softness: of a wipe's edge, in shares of the frame.
    """

    kind: TransitionKind = "dissolve"
    record_in: int = Field(ge=0)
    record_out: int = Field(gt=0)
    code: int = 1
    reverse: bool = False
    softness: float = Field(default=0.0, ge=0, le=1)
    colour: tuple[int, int, int] = (0, 0, 0)
    towards: Side = "left"

    @property
    def length(self) -> int:
        """Frames."""
        return self.record_out - self.record_in

    def progress(self, frame: int) -> Fraction:
        """How much of the transition is done in the middle of a frame, between 0 and 1."""
        return (frame - self.record_in + Fraction(1, 2)) / self.length


class PictureTrack(_Frozen):
    """Clips that follow each other, in order, without overlap, and the transitions between neighbours."""

    name: str = "V1"
    clips: tuple[Clip, ...] = ()
    transitions: tuple[Transition, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> PictureTrack:
        for before, after in zip(self.clips, self.clips[1:], strict=False):
            if after.record_in < before.record_out:
                raise ValueError(f"two clips of {self.name} overlap at frame {after.record_in}")
        ends = 0
        for transition in self.transitions:
            at = f"at frame {transition.record_in} of {self.name}"
            if transition.record_in < ends:
                raise ValueError(f"two transitions of {self.name} overlap at frame {transition.record_in}")
            ends = transition.record_out
            sides = self._sides(transition)
            if sides is None:
                raise ValueError(f"the transition {at} is not at a cut")
            if None in sides and transition.kind != "dissolve":
                raise ValueError(f"the {transition.kind} {at} has a clip on one side alone; there a dissolve is a fade")
        return self

    def around(self, transition: Transition) -> tuple[int | None, int | None]:
        """Numbers of the clips before and behind a transition; None where it comes out of nothing or goes into it."""
        sides = self._sides(transition)
        assert sides is not None, "checked when the track was made"
        return sides

    def _sides(self, transition: Transition) -> tuple[int | None, int | None] | None:
        """As :meth:`around`; None where there is no cut, begin or end of a clip within the transition."""
        after = bisect_left(self._starts, transition.record_in)
        for n in range(max(1, after), len(self.clips)):
            if self._starts[n] > transition.record_out:
                break
            if self.clips[n - 1].record_out == self._starts[n]:
                return n - 1, n
        for n in range(max(0, after - 1), len(self.clips)):
            if transition.record_in <= self._starts[n] <= transition.record_out:
                return None, n
            if transition.record_in <= self.clips[n].record_out <= transition.record_out:
                return n, None
        return None

    def shown(self, n: int) -> tuple[int, int]:
        """Frames between which clip ``n`` is on screen, handles included."""
        return self._spans[n]

    def transition_at(self, frame: int) -> Transition | None:
        """The transition that a frame is part of."""
        n = bisect_right(self._transition_starts, frame) - 1
        return self.transitions[n] if n >= 0 and frame < self.transitions[n].record_out else None

    @cached_property
    def _transition_starts(self) -> list[int]:
        return [transition.record_in for transition in self.transitions]

    @cached_property
    def _starts(self) -> list[int]:
        return [clip.record_in for clip in self.clips]

    @cached_property
    def _spans(self) -> list[tuple[int, int]]:
        spans = [(clip.record_in, clip.record_out) for clip in self.clips]
        for transition in self.transitions:
            before, after = self.around(transition)
            if before is not None:
                spans[before] = (spans[before][0], max(spans[before][1], transition.record_out))
            if after is not None:
                spans[after] = (min(spans[after][0], transition.record_in), spans[after][1])
        return spans


class Sound(_Frozen):
    """A stretch of sound on a bus.

    Attributes:
        source_in: second of the source that is heard at ``record_in``.
        pan: -1 left to 1 right; equal power, 0 dB in the middle for two channels.
        fade_in, fade_out: frames, inside of the stretch.
        fade_law: ``equal_power`` for sounds that have nothing to do with each other, ``linear`` for equal ones.
    """

    film: Path
    record_in: int = Field(ge=0, le=FRAMES_MAX)
    record_out: int = Field(ge=0, le=FRAMES_MAX)
    source_in: Rational = Fraction(0)
    bus: Bus = "effects"
    conform: Conform = "resample"
    gain_db: float = Field(default=0.0, ge=-120, le=24)
    pan: float = Field(default=0.0, ge=-1, le=1)
    fade_in: int = Field(default=0, ge=0)
    fade_out: int = Field(default=0, ge=0)
    fade_law: FadeLaw = "equal_power"
    name: str = ""

    @model_validator(mode="after")
    def _check(self) -> Sound:
        length = self.record_out - self.record_in
        if length <= 0:
            raise ValueError(f"the sound {self.name or self.film.name} has no length")
        if self.fade_in + self.fade_out > length:
            raise ValueError(f"the fades of {self.name or self.film.name} are longer than its {length} frames")
        if self.source_in < 0:
            raise ValueError(f"the sound {self.name or self.film.name} begins before its source")
        return self


class Ducking(_Frozen):
    """How music and effects make room for speech: the dialogue bus is the side chain.

    Attributes:
        depth_db: by how much the other bus is lowered while somebody speaks.
        threshold_db: level of the dialogue (RMS over 50 ms, dBFS) that counts as speech.
        attack_s, release_s: of the ramps, in decibels; hold_s: how long speech is taken to go on after it fell below.
        ahead_s: how much earlier than the speech the ramp begins.
    """

    buses: tuple[Literal["music", "effects"], ...] = ("music",)
    depth_db: float = Field(default=12.0, ge=0, le=60)
    threshold_db: float = Field(default=-45.0, ge=-100, le=0)
    attack_s: float = Field(default=0.15, gt=0, le=5)
    hold_s: float = Field(default=0.25, ge=0, le=10)
    release_s: float = Field(default=0.6, gt=0, le=10)
    ahead_s: float = Field(default=0.2, ge=0, le=5)


class LoudnessTarget(_Frozen):
    """What the mix is brought to; ``lufs`` None leaves its level, ``true_peak_dbtp`` None its peaks."""

    lufs: float | None = Field(default=-23.0, ge=-60, le=0)
    true_peak_dbtp: float | None = Field(default=-1.0, ge=-20, le=0)


TARGETS: dict[str, LoudnessTarget] = {
    "ebu_r128": LoudnessTarget(lufs=-23.0, true_peak_dbtp=-1.0),
    "atsc_a85": LoudnessTarget(lufs=-24.0, true_peak_dbtp=-2.0),
    "streaming": LoudnessTarget(lufs=-14.0, true_peak_dbtp=-1.0),
    "podcast": LoudnessTarget(lufs=-16.0, true_peak_dbtp=-1.0),
    "as_mixed": LoudnessTarget(lufs=None, true_peak_dbtp=-1.0),
    "untouched": LoudnessTarget(lufs=None, true_peak_dbtp=None),
}


class Subtitle(_Frozen):
    """Text between two frames of the timeline."""

    record_in: int = Field(ge=0)
    record_out: int = Field(gt=0)
    text: str


class Timeline(_Frozen):
    """What is shown and heard when.

    Attributes:
        rate: frames a second.
        pictures: tracks from the lowest to the highest.
        start: frame number of the first frame's time code.
        drop_frame: whether time codes of lists are drop-frame codes.
    """

    name: str = "montage"
    rate: Rate = Fraction(25)
    width: int = Field(default=1280, ge=16, le=8192, multiple_of=2)
    height: int = Field(default=720, ge=16, le=8192, multiple_of=2)
    pictures: tuple[PictureTrack, ...] = ()
    sounds: tuple[Sound, ...] = ()
    ducking: Ducking | None = None
    loudness: LoudnessTarget = TARGETS["ebu_r128"]
    subtitles: tuple[Subtitle, ...] = ()
    start: int = Field(default=0, ge=0)
    drop_frame: bool = False

    @property
    def frames(self) -> int:
        """Length in frames: where the last picture or sound ends."""
        ends = [clip.record_out for track in self.pictures for clip in track.clips]
        ends += [transition.record_out for track in self.pictures for transition in track.transitions]
        return max([*ends, *(sound.record_out for sound in self.sounds)], default=0)

    @property
    def samples(self) -> int:
        """Length in samples of :data:`SAMPLE_RATE`."""
        return self.sample_of(self.frames)

    def sample_of(self, frame: int) -> int:
        """The first sample of a frame, from the start of the timeline."""
        return round(Fraction(frame * SAMPLE_RATE) / self.rate)

    def films(self) -> Iterator[Path]:
        """Each film that is used, once, in order."""
        seen: dict[Path, None] = {}
        for track in self.pictures:
            for clip in track.clips:
                seen[clip.film] = None
                if clip.matte is not None:
                    seen[clip.matte] = None
        for sound in self.sounds:
            seen[sound.film] = None
        yield from seen

    @classmethod
    def checked(cls, **values: Any) -> Timeline:
        """A timeline, or one line of what is wrong.

        Raises:
            AiprodError: values that contradict each other, or nothing to show and to hear.
        """
        from pydantic import ValidationError

        try:
            timeline = cls(**values)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise AiprodError(f"{where + ': ' if where else ''}{first['msg'].removeprefix('Value error, ')}") from None
        if not timeline.frames:
            raise AiprodError("the timeline is empty", "put at least one clip on a track")
        return timeline
