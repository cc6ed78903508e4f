"""From a script to a timeline: shots in their places, sound on its buses, words over pictures, credits at the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

from aiprod.base.files import sha256_file
from aiprod.errors import AiprodError
from aiprod.film import titles
from aiprod.film.chart import write_chart
from aiprod.film.credits import credit_lines
from aiprod.film.dialogue import RenderedLine
from aiprod.film.edit import Balance, Edit
from aiprod.film.generation import SeededPrompt
from aiprod.film.ingredients import Ingredient, Ingredients, Kind, generated
from aiprod.film.profiles import PROFILES
from aiprod.film.script import HEAD_LEAD_S, Music, Scene, Script, ScriptLine, ScriptShot
from aiprod.montage.short_form import parse_size, timeline_of
from aiprod.montage.sources import look, speed_of
from aiprod.montage.timecode import parse_rate, parse_time
from aiprod.montage.timeline import Clip, PictureTrack, Sound, Subtitle, Timeline, Transition

_BALANCED = ("auto", "like")  # keys of a grade that the stage `grade` resolves by looking at the shot
_EDGE = 2  # frames over which a shot's own sound comes and goes where nothing else is said


@dataclass(frozen=True)
class Builder:
    """Builds the timeline of a script.

    Args:
        ingredients: where ingredients are looked up and noted.
        stills: folder that titles are written to.
        shots: files of the prompts, by scene and shot.
        spoken: lines that the speech model spoke, by scene and place.
    """

    script: Script
    folder: Path
    ingredients: Ingredients
    stills: Path
    shots: dict[tuple[int, int], Path]
    spoken: dict[tuple[int, int], RenderedLine] = field(default_factory=dict)
    lettered: dict[Path, tuple[int, int, int] | None] = field(default_factory=dict)
    heads: dict[Path, int] = field(default_factory=dict)  # with the frames that they are shown

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return parse_size(self.script.size)

    @property
    def fonts(self) -> list[Path]:
        """Font files of the script."""
        return [(self.folder / font).resolve() for font in self.script.fonts]

    def build(self) -> Edit:
        """The whole film.

        Raises:
            AiprodError: something that the script names is not there, may not be used, or does not fit.
        """
        script = self.script
        entries: list[dict[str, Any]] = []
        shots: list[tuple[int, ScriptShot]] = []
        for number, scene in enumerate(script.scenes):
            for place, entry in enumerate(scene.shots):
                if not isinstance(entry, ScriptShot):
                    entries.append(entry)
                    continue
                path = self._shown(number, place, entry)
                entries.append(self._entry(scene, entry, path))
                shots.append((number, entry))
        stated = {"name": script.title, "rate": script.rate, "size": script.size, "pictures": entries}
        plain = timeline_of({**stated, "loudness": "as_mixed"}, self.folder)
        track = plain.pictures[0]
        starts = [
            next(clip.record_in for clip, (n, _) in zip(track.clips, shots, strict=True) if n == number)
            for number in range(len(script.scenes))
        ]
        said = {
            (number, shot.head): clip.record_in
            for clip, (number, shot) in zip(track.clips, shots, strict=True)
            if shot.head is not None
        }
        scenes = [
            (scene.name or f"scene {n}", at) for n, (scene, at) in enumerate(zip(script.scenes, starts, strict=True), 1)
        ]
        sounds = self._own_sounds(plain, [shot for _, shot in shots])
        subtitles: list[Subtitle] = []
        over: list[tuple[Clip, int]] = []  # with the frames over which they come and go
        for number, (scene, at) in enumerate(zip(script.scenes, starts, strict=True)):
            for place, line in enumerate(scene.voice):
                begins = said.get((number, place), at)
                sounds.append(self._line(plain, line, begins, self.spoken.get((number, place)), subtitles))
            sounds += [self._music(plain, music, at, "effects") for music in scene.effects]
            over += self._words(number, scene, at, plain)
        sounds += [self._music(plain, music, 0, "music") for music in script.music]
        for clip in track.clips:
            for file in clip.grade.files() if clip.grade is not None else ():
                self.ingredients.grade_file(file)
        lines = credit_lines(self.ingredients.used.values(), script.credits.before) if script.credits else []
        clips = [*track.clips, *self._credits(lines, plain)]
        whole = Timeline.checked(
            name=script.title,
            rate=plain.rate,
            width=plain.width,
            height=plain.height,
            pictures=[
                PictureTrack(
                    name="V1", clips=tuple(clips), transitions=(*track.transitions, *self._last_fade(clips, plain))
                ),
                *([_faded("V2", over)] if over else []),
            ],
            sounds=sounds,
            ducking={} if script.ducking is True else script.ducking or None,
            loudness=PROFILES[script.profile].mixed_to,
            subtitles=subtitles,
        )
        ends = clips[-1].record_out
        late = next((sound for sound in sounds if sound.record_out > ends), None)
        if late is not None:
            raise AiprodError(
                f"{late.film.name} continues {float((late.record_out - ends) / whole.rate):.2f} s after the last frame",
                "shorten it with `length:`, or lengthen the credits",
            )
        return Edit(
            whole, scenes, [n for n, _ in shots], self.lettered, self.ingredients.used, lines, self._balances(shots)
        )

    def _shown(
        self,
        number: int,
        place: int,
        shot: ScriptShot,
    ) -> Path:
        """The file that a shot shows."""
        if shot.clip is not None:
            return self.ingredients.clip(shot.clip)
        if shot.sample is not None:
            return self.ingredients.sample(shot.sample)
        if shot.film is not None:
            return self.ingredients.file(shot.film, shot)
        if shot.title is not None:
            path = self.stills / f"title-{number:03d}-{place:03d}.png"
            titles.title_card(path, shot.title, shot.below, *self.size, self.fonts, shot.background)
            return self._letters(path, shot.title, shot.background)
        if shot.chart:
            path = (self.stills / f"chart-{number:03d}-{place:03d}.png").resolve()
            write_chart(path, *self.size)
            return self.ingredients.add(self._made_here("chart", "Test chart", path))
        if shot.head is not None:
            return self._head(number, place, shot)
        from aiprod.base.files import read_json

        path = self.shots[number, place]
        file = f"{path.parent.name}/{path.name}"
        return self.ingredients.add(generated("prompt", path, read_json(path.with_suffix(".json")), file))

    def _head(self, number: int, place: int, shot: ScriptShot) -> Path:
        """A drawn head that says a line of the scene, as long as the line where nothing else is stated."""
        from aiprod.film.talking_head import draw_head  # takes OpenCV

        line = self.script.scenes[number].voice[shot.head or 0]
        spoken = self.spoken[number, shot.head or 0]
        rate = parse_rate(self.script.rate)
        path = (self.stills / f"head-{number:03d}-{place:03d}.mp4").resolve()
        at_s = round(parse_time(line.at, rate) * rate) / rate
        length_s = Fraction(_sound_s(spoken.path)).limit_denominator(10**6)
        ends = (at_s + length_s if shot.length is None else parse_time(shot.length, rate)) * rate
        self.heads[path] = frames = -int(-ends // 1)
        times, speaker = spoken.path.with_suffix(".json"), str(spoken.facts["speaker"])
        draw_head(path, times, speaker, self.size, rate, at_s, frames / rate)
        facts = {
            "text": line.text,
            "speaker": speaker,
            "line_sha256": sha256_file(spoken.path),
            "speech_model_digest": spoken.facts["speech_model_digest"],  # its lips are as late as the voice's phones
        }
        return self.ingredients.add(self._made_here("head", line.text, path, facts))

    def _made_here(self, kind: Kind, name: str, path: Path, facts: dict[str, Any] | None = None) -> Ingredient:
        """Something drawn for this film, which is kept beside it."""
        return Ingredient(kind, name, path, f"{self.stills.name}/{path.name}", sha256_file(path), facts=facts or {})

    def _letters(
        self,
        path: Path,
        text: str,
        background: tuple[int, int, int] | None,
    ) -> Path:
        path = path.resolve()
        self.lettered[path] = background
        return self.ingredients.add(self._made_here("lettering", text, path))

    def _entry(self, scene: Scene, shot: ScriptShot, path: Path) -> dict[str, Any]:
        """A shot as an entry of a timeline in short form."""
        entry: dict[str, Any] = {"film": str(path), "fit": shot.fit, "conform": shot.conform, "from": shot.start}
        if shot.length is not None:
            entry["length"] = shot.length
        if path in self.heads:
            entry |= {"from": f"{HEAD_LEAD_S}s", "length": f"{self.heads[path]}f"}
        grade = _stated_grade(scene, shot)
        if isinstance(grade, dict):
            grade = {key: value for key, value in grade.items() if key not in _BALANCED}
        if grade:
            entry["grade"] = grade
        return entry

    def _balances(self, shots: Sequence[tuple[int, ScriptShot]]) -> dict[int, Balance]:
        """Shots that are to be balanced; a still picture is as it was drawn.

        Raises:
            AiprodError: the model or the shot that it is to look like is not there.
        """
        balances = {}
        for n, (number, shot) in enumerate(shots):
            grade = _stated_grade(self.script.scenes[number], shot)
            if not isinstance(grade, dict) or not set(grade) & set(_BALANCED) or shot.chart:
                continue
            where = f"the grade of shot {n - _first(shots, number)} of scene {number + 1}"
            if not isinstance(grade.get("auto"), str):
                raise AiprodError(f"{where}: auto is no file", "train one: aiprod grade FOLDER --train FILE")
            model = (self.folder / grade["auto"]).resolve()
            if not model.is_file():
                raise AiprodError(f"{where}: {grade['auto']} does not exist", "paths are relative to the script")
            self.ingredients.grade_file(model)
            balances[n] = Balance(model, self._alike(shots, n, grade.get("like"), where))
        return balances

    @staticmethod
    def _alike(shots: Sequence[tuple[int, ScriptShot]], n: int, like: Any, where: str) -> int | None:
        """The number of the shot that a shot is to look like; None for one that stands for itself."""
        if like is None:
            return None
        number, first = shots[n][0], _first(shots, shots[n][0])
        count = sum(scene == number for scene, _ in shots)
        if not isinstance(like, int) or isinstance(like, bool) or not 0 <= like < count:
            raise AiprodError(f"{where}: like is {like!r}", f"give a number of a shot of the scene, 0 to {count - 1}")
        if shots[first + like][1].title is not None or shots[first + like][1].chart:
            raise AiprodError(f"{where}: shot {like} is a still picture", "name one that moves")
        return None if first + like == n else first + like

    def _own_sounds(self, timeline: Timeline, shots: Sequence[ScriptShot]) -> list[Sound]:
        """What the shots themselves sound like; it crosses over where their pictures do."""
        track, sounds = timeline.pictures[0], []
        for n, (clip, shot) in enumerate(zip(track.clips, shots, strict=True)):
            source = look(clip.film)
            if not shot.sound or source.facts is None or source.facts.audio is None:
                continue
            first, behind = track.shown(n)
            begin = clip.source_in - (clip.record_in - first) / timeline.rate * speed_of(
                clip.conform, source, timeline.rate
            )
            most = (behind - first) // 2
            fades = [min(most, max(_EDGE, by)) for by in self._crossing(track, n)]
            sounds.append(
                Sound(
                    film=clip.film,
                    record_in=first,
                    record_out=behind,
                    source_in=max(Fraction(0), begin),
                    conform=clip.conform,
                    gain_db=shot.gain_db,
                    fade_in=fades[0],
                    fade_out=fades[1],
                )
            )
        return sounds

    @staticmethod
    def _crossing(track: PictureTrack, n: int) -> tuple[int, int]:
        """Lengths of the transitions before and behind a clip."""
        before = after = 0
        for transition in track.transitions:
            old, new = track.around(transition)
            before = transition.length if new == n else before
            after = transition.length if old == n else after
        return before, after

    def _frames(self, value: str, timeline: Timeline) -> int:
        return round(parse_time(value, timeline.rate) * timeline.rate)

    def _line(
        self,
        timeline: Timeline,
        line: ScriptLine,
        scene: int,
        spoken: RenderedLine | None,
        subtitles: list[Subtitle],
    ) -> Sound:
        """A spoken line on the dialogue bus, with its subtitles."""
        if spoken is not None:
            path = self.ingredients.add(self._voiced(spoken))
        elif line.file is not None:
            facts = {"speaker": line.speaker, "language": line.language, "text": line.text}
            path = self.ingredients.file(line.file, line, "voice", **facts)
        else:
            raise AiprodError(f"nobody spoke {line.text[:30]!r}", "give a file")
        first = scene + self._frames(line.at, timeline)
        length = max(1, -int(-Fraction(_sound_s(path)).limit_denominator(10**6) * timeline.rate // 1))
        if spoken is not None:
            for cue in spoken.cues:
                begin, end = first + int(cue.start_s * timeline.rate), first - int(-cue.end_s * timeline.rate // 1)
                subtitles.append(Subtitle(record_in=begin, record_out=max(begin + 1, end), text=cue.text))
        elif line.text:
            subtitles.append(Subtitle(record_in=first, record_out=first + length, text=line.text))
        fade = min(1, length // 2)
        return Sound(
            film=path, record_in=first, record_out=first + length, bus="dialogue", gain_db=line.gain_db,
            fade_in=fade, fade_out=fade,
        )  # fmt: skip

    @staticmethod
    def _voiced(spoken: RenderedLine) -> Ingredient:
        path = spoken.path.resolve()
        file = f"{path.parent.name}/{path.name}"
        return Ingredient("speech", str(spoken.facts["text"]), path, file, sha256_file(path), facts=spoken.facts)

    def _music(self, timeline: Timeline, music: Music, scene: int, bus: str) -> Sound:
        if music.file is not None:
            path = self.ingredients.file(music.file, music)
        elif music.clip is not None:
            path = self.ingredients.clip(music.clip)
        else:
            path = self.ingredients.sample(music.sample or 0)
        first = scene + self._frames(music.at, timeline)
        begin = parse_time(music.start, timeline.rate)
        left = Fraction(_sound_s(path)).limit_denominator(10**6) - begin
        length = self._frames(music.length, timeline) if music.length else int(left * timeline.rate)
        values: dict[str, Any] = {
            "film": path,
            "record_in": first,
            "record_out": first + length,
            "source_in": begin,
            "bus": bus,
            "gain_db": music.gain_db,
            "pan": music.pan,
            "fade_in": self._frames(music.fade_in, timeline),
            "fade_out": self._frames(music.fade_out, timeline),
        }
        return _checked(Sound, path.name, values)

    def _words(
        self,
        number: int,
        scene: Scene,
        at: int,
        timeline: Timeline,
    ) -> list[tuple[Clip, int]]:
        """Words over the pictures of a scene, and over how many frames they come and go."""
        clips = []
        for place, words in enumerate(scene.lettering):
            path = self.stills / f"words-{number:03d}-{place:03d}.png"
            titles.words_over(path, words.text, words.place, *self.size, self.fonts)
            path = self._letters(path, words.text, None)
            first = at + self._frames(words.at, timeline)
            values = {"film": path, "record_in": first, "record_out": first + self._frames(words.length, timeline)}
            clips.append((_checked(Clip, f"lettering {words.text[:30]!r}", values), self._frames(words.fade, timeline)))
        return clips

    def _credits(
        self,
        lines: Sequence[str],
        timeline: Timeline,
    ) -> list[Clip]:
        """Pages of credits behind the last picture; each is shown equally long."""
        if self.script.credits is None or not lines:
            return []
        pages = titles.credit_pages(self.script.credits.title, lines, *self.size, self.fonts)
        length = self._frames(self.script.credits.length, timeline)
        each = max(1, length // len(pages))
        least = round(1.5 * timeline.rate)
        if each < least:
            raise AiprodError(
                f"credits of {len(pages)} pages cannot be read in {self.script.credits.length}",
                f"give them at least {len(pages) * 1.5:g}s",
            )
        at, clips = timeline.pictures[0].clips[-1].record_out, []
        for number, page in enumerate(pages):
            path = self.stills / f"credits-{number:03d}.png"
            titles.credit_card(path, self.script.credits.title, page, *self.size, self.fonts)
            path = self._letters(path, "credits", (12, 12, 14))
            clips.append(Clip(film=path, record_in=at, record_out=at + each))
            at += each
        return clips

    def _last_fade(self, clips: Sequence[Clip], timeline: Timeline) -> list[Transition]:
        """The last page of credits goes into black."""
        if self.script.credits is None or len(clips) == len(timeline.pictures[0].clips):
            return []
        last = clips[-1]
        length = min(self._frames(self.script.credits.fade, timeline), (last.record_out - last.record_in) // 2)
        return [Transition(record_in=last.record_out - length, record_out=last.record_out)] if length > 0 else []


def _stated_grade(scene: Scene, shot: ScriptShot) -> dict[str, Any] | str | None:
    """A shot's own grade or that of its scene; letters have none."""
    if shot.title is not None:
        return None
    return shot.grade if shot.grade is not None else scene.grade


def _first(shots: Sequence[tuple[int, ScriptShot]], scene: int) -> int:
    """The place of a scene's first shot among all."""
    return next(n for n, (number, _) in enumerate(shots) if number == scene)


def _faded(name: str, entries: Sequence[tuple[Clip, int]]) -> PictureTrack:
    """A track of clips that come and go over some frames, at most over a half of each, where nothing is beside them."""
    ordered = sorted(entries, key=lambda pair: pair[0].record_in)
    begins, ends = ({getattr(clip, edge) for clip, _ in entries} for edge in ("record_in", "record_out"))
    fades = []
    for clip, wanted in ordered:
        length = min(wanted, (clip.record_out - clip.record_in) // 2)
        if length > 0 and clip.record_in not in ends:
            fades.append(Transition(record_in=clip.record_in, record_out=clip.record_in + length))
        if length > 0 and clip.record_out not in begins:
            fades.append(Transition(record_in=clip.record_out - length, record_out=clip.record_out))
    values = {"name": name, "clips": tuple(clip for clip, _ in ordered), "transitions": tuple(fades)}
    return cast(PictureTrack, _checked(PictureTrack, "lettering", values))


def _sound_s(path: Path) -> float:
    source = look(path)
    if source.sound_s <= 0:
        raise AiprodError(f"{path.name} has no sound", "give another file")
    return source.sound_s


def _checked(model: Any, where: str, values: dict[str, Any]) -> Any:
    from pydantic import ValidationError

    try:
        return model(**values)
    except ValidationError as error:
        problem = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise AiprodError(f"{where}: {problem}", "correct it in the script") from None


def wanted_shots(script: Script) -> list[tuple[tuple[int, int], SeededPrompt]]:
    """Scene and place of each shot that is asked for in words; a seed that is not stated is the script's, so that
    a shot that is put in or taken out changes no other."""
    shots: list[tuple[tuple[int, int], SeededPrompt]] = []
    for number, scene in enumerate(script.scenes):
        for place, entry in enumerate(scene.shots):
            if isinstance(entry, ScriptShot) and entry.prompt is not None:
                seed = script.seed if entry.seed is None else entry.seed
                shots.append(((number, place), SeededPrompt(entry.prompt, seed)))
    return shots
