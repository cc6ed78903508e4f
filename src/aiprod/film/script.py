"""The script of a film, in YAML: scenes with shots, spoken lines, music, lettering, and how it is delivered.

.. code-block:: yaml

    title: Shapes at play
    rate: 24
    size: 1280x720
    profile: ebu_r128
    scenes:
      - name: opening
        grade: {exposure: 0.2}
        shots:
          - {title: Shapes at play, length: 2s}
          - {dissolve: 12f}
          - {sample: 0, from: 0.5s, length: 1.5s}
          - {prompt: A large red circle bounces to the right., seed: 7}
          - {clip: {source: demo, key: clean-048}, length: 2s}
          - {film: beach.mp4, length: 2s, license: CC-BY-4.0, attribution: Jane Doe}
        voice:
          - {text: Here we see a large red circle., speaker: alba, at: 3s}
          - {file: words.wav, at: 1s, text: The sea is calm today., speaker: Ada, license: LicenseRef-own}
    music:
      - {file: song.wav, length: 10s, gain_db: -6, fade_out: 1s, license: CC0-1.0}
    credits: {length: 4s}
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, ValidationError, model_validator

from aiprod.base.params import Params, nearest
from aiprod.base.structured import YAML_BYTES_MAX, parse_yaml, read_bounded
from aiprod.errors import AiprodError
from aiprod.film.profiles import PROFILES

ORIGINS = ("title", "sample", "prompt", "clip", "film", "chart", "head")
HEAD_LEAD_S = 1
"""Seconds before and behind what a drawn head says, which transitions may show."""
_TRANSITIONS = ("dissolve", "dip", "wipe", "push", "slide", "gap")
Text = Annotated[str, BeforeValidator(lambda value: value if isinstance(value, bool) else str(value))]
Colour = tuple[
    Annotated[int, Field(ge=0, le=255)], Annotated[int, Field(ge=0, le=255)], Annotated[int, Field(ge=0, le=255)]
]


class Rights(Params):
    """What a file of one's own is used by: needed of every file that this pipeline did not take in or make."""

    license: str | None = Field(default=None, max_length=300, description="SPDX, or a licence's common name")
    attribution: str | None = Field(default=None, max_length=1000, description="whom the licence asks to be named")


class ClipChoice(Params):
    """A clip of the dataset by where its film came from, which stays the same in every copy of the dataset."""

    source: str
    key: str
    shot: int = Field(default=0, ge=0)


class ScriptShot(Rights):
    """One shot; exactly one of title, sample, prompt, clip, film, chart and head says what it shows.

    Everything else is as in a timeline of ``aiprod cut``.
    """

    title: str | None = Field(default=None, min_length=1, max_length=500)
    below: str = Field(default="", max_length=1000, description="smaller lines under a title")
    background: Colour = (12, 12, 14)
    sample: int | Path | None = Field(default=None, description="number of a sample of this project, or its file")
    prompt: str | None = Field(default=None, min_length=1, max_length=2000)
    seed: int | None = Field(default=None, ge=0, le=2**62)
    clip: str | ClipChoice | None = Field(default=None, description="id, or source, key and shot")
    film: Path | None = None
    chart: Literal[True] | None = Field(default=None, description="a test chart, which `aiprod measure film` looks for")
    head: int | None = Field(
        default=None, ge=0, description="number of the scene's line that a drawn head says; `at` then counts from here"
    )
    start: Text = Field(default="0s", alias="from")
    length: Text | None = None
    sound: bool = Field(default=True, description="whether its own sound is heard, on the effects bus")
    gain_db: float = Field(default=0.0, ge=-120, le=24)
    grade: dict[str, Any] | str | None = None
    fit: str = "contain"
    conform: str = "resample"

    @model_validator(mode="after")
    def _one(self) -> ScriptShot:
        if len(stated := [name for name in ORIGINS if getattr(self, name) is not None]) != 1:
            what = " and ".join(stated) or f"none of {', '.join(ORIGINS)}"
            raise ValueError(f"a shot shows one thing, and this one states {what}")
        for name in ("title", "chart"):
            if getattr(self, name) is not None and self.length is None:
                raise ValueError(f"a {name} needs a length")
        if self.head is not None and self.start != "0s":
            raise ValueError("a head begins where its line does: leave out `from`")
        return self


class ScriptLine(Rights):
    """A spoken line: a sound file, or a text that the project's speech model speaks.

    Attributes:
        at: from the start of its scene.
        text: what is said; it becomes a subtitle.
        speaker: where there is no file, one that the speech model knows; the first if empty.
        language: where there is no file, one of the speech model; English if empty.
        speed: where there is no file: 2 is twice as fast.
    """

    file: Path | None = None
    at: Text = "0s"
    text: str = Field(default="", max_length=2000)
    speaker: str = Field(default="", max_length=200)
    language: str = Field(default="", max_length=35)
    speed: float = Field(default=1.0, ge=0.25, le=4)
    seed: int | None = Field(default=None, ge=0, le=2**62)
    gain_db: float = Field(default=0.0, ge=-120, le=24)

    @model_validator(mode="after")
    def _heard(self) -> ScriptLine:
        if self.file is None and not self.text.strip():
            raise ValueError("a spoken line needs a text to speak, or a file")
        if self.file is not None and (self.seed is not None or self.speed != 1.0):
            raise ValueError("seed and speed are for lines without a file")
        if self.file is None and (self.license is not None or self.attribution is not None):
            raise ValueError("license and attribution are for lines with a file")
        return self


class Music(Rights):
    """Music or an effect: a file, or the sound of a sample or a clip.

    Attributes:
        at: from the start of the film, or of the scene that it stands in.
    """

    file: Path | None = None
    sample: int | Path | None = None
    clip: str | ClipChoice | None = None
    at: Text = "0s"
    start: Text = Field(default="0s", alias="from")
    length: Text | None = None
    gain_db: float = Field(default=-6.0, ge=-120, le=24)
    fade_in: Text = "0s"
    fade_out: Text = "0s"
    pan: float = Field(default=0.0, ge=-1, le=1)

    @model_validator(mode="after")
    def _one(self) -> Music:
        if sum(value is not None for value in (self.file, self.sample, self.clip)) != 1:
            raise ValueError("a sound is one of file, sample and clip")
        return self


class Lettering(Params):
    """Words over the pictures of a scene."""

    text: str = Field(min_length=1, max_length=500)
    at: Text = "0s"
    length: Text = "2s"
    fade: Text = Field(default="0.2s", description="over which they come and go")
    place: str = Field(default="bottom", pattern="^(bottom|middle|top)$")


def _entry(value: Any) -> str:
    return "transition" if isinstance(value, dict) and set(value) & set(_TRANSITIONS) else "shot"


Entry = Annotated[
    Annotated[ScriptShot, Tag("shot")] | Annotated[dict[str, Any], Tag("transition")], Discriminator(_entry)
]


class Scene(Params):
    """Shots one behind the other, with transitions between them, and what is heard and written over them."""

    name: str = Field(default="", max_length=200)
    grade: dict[str, Any] | str | None = Field(default=None, description="of every shot that states none")
    shots: tuple[Entry, ...] = Field(min_length=1, max_length=10_000)
    voice: tuple[ScriptLine, ...] = ()
    effects: tuple[Music, ...] = ()
    lettering: tuple[Lettering, ...] = ()

    @model_validator(mode="after")
    def _said(self) -> Scene:
        heads = [entry.head for entry in self.shots if isinstance(entry, ScriptShot) and entry.head is not None]
        for head in heads:
            if head >= len(self.voice) or not self.voice[head].text or self.voice[head].file is not None:
                raise ValueError(f"head: {head} says a line with a text and no file, counted from 0; there is none")
        if len(set(heads)) < len(heads):
            raise ValueError("two heads say one line")
        return self


class Credits(Params):
    """The credits at the end, from the rights of everything that is used."""

    length: Text = "4s"
    fade: Text = Field(default="0.5s", description="over which the last page goes into black")
    before: tuple[str, ...] = Field(default=(), description="lines of one's own that come first")
    title: str = "Credits"


class Script(Params):
    """A whole film."""

    title: str = Field(min_length=1, max_length=300)
    rate: Text = "24"
    size: Text = "1280x720"
    profile: str = "ebu_r128"
    seed: int = Field(default=42, ge=0, le=2**62, description="of prompts that state none")
    fonts: tuple[Path, ...] = Field(default=(), description="font files, tried in this order before DejaVu Sans")
    scenes: tuple[Scene, ...] = Field(min_length=1, max_length=1000)
    music: tuple[Music, ...] = ()
    ducking: dict[str, Any] | bool = True
    credits: Credits | None = Credits()

    @model_validator(mode="after")
    def _known(self) -> Script:
        if self.profile not in PROFILES:
            raise ValueError(f"profile is {self.profile!r}; there are {', '.join(PROFILES)}")
        return self


def read_script(path: Path) -> Script:
    """Read a script.

    Raises:
        AiprodError: with the entry that is wrong.
    """
    data = parse_yaml(read_bounded(path, YAML_BYTES_MAX, "give the path of a script"), str(path))
    if not isinstance(data, dict):
        raise AiprodError(f"{path} holds no mapping", "see docs/howto/make_a_film.md for an example")
    try:
        return Script.model_validate(data, by_alias=True, by_name=False)
    except ValidationError as error:
        problems = error.errors()  # a typo first: a key that is "missing" is often the one that was misspelt
        first = min(problems, key=lambda problem: problem["type"] != "extra_forbidden")
        where = [str(part) for part in first["loc"]]
        if first["type"] == "extra_forbidden":
            owner = next((_PARTS[part] for part in reversed(where[:-1]) if part in _PARTS), Script)
            known = [field.alias or name for name, field in owner.model_fields.items()]
            raise AiprodError(f"{path}: unknown key {'.'.join(where)!r}", nearest(where[-1], known)) from None
        problem = str(first["msg"]).removeprefix("Value error, ")
        what = f"{path}: {'.'.join(where)}: {problem}" if where else f"{path}: {problem}"
        raise AiprodError(what, "correct it in the script") from None


_PARTS: dict[str, type[Params]] = {
    "scenes": Scene,
    "shot": ScriptShot,
    "clip": ClipChoice,
    "voice": ScriptLine,
    "lettering": Lettering,
    "music": Music,
    "credits": Credits,
}
