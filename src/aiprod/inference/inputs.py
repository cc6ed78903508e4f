"""What the command line gives to the model, which of it goes together, and what it amounts to."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiprod.base.progress import log
from aiprod.core.generation import GenerationConfig
from aiprod.data.latents.tasks import TaskParams
from aiprod.errors import AiprodError
from aiprod.inference.edits import Edit, Make, extended, heard, outpainted, retaken, sounded
from aiprod.inference.initial_state import trained_reference, trained_tasks
from aiprod.inference.input_files import RATE, InputFilm, about, read_film, read_mask
from aiprod.inference.input_image import read_picture
from aiprod.inference.pipeline import AVPipeline
from aiprod.models.load_transformer import has_sound

_BASES = ("extend", "retake", "outpaint", "video", "audio")  # of which one at most is given
BOX = (0.25, 0.25, 0.75, 0.75)
_STILLS = ("image", "last_image", "keyframes")


@dataclass(frozen=True)
class GenerationInputs:
    """Files that a video is made from or put into, by the names of the options.

    Attributes:
        strength: how much of ``video`` is forgotten (1: all), where it is changed as a whole.
        keyframes: (seconds, picture).
        before: the film is extended backwards.
        span_s: of ``retake``.
        box: of ``outpaint``: left, top, right and bottom of the given film, in shares of the frame.
        make: which modalities are made, where that is not clear from the rest.
    """

    image: Path | None = None
    video: Path | None = None
    strength: float = 0.7
    last_image: Path | None = None
    keyframes: tuple[tuple[float, Path], ...] = ()
    extend: Path | None = None
    before: bool = False
    audio: Path | None = None
    mask: Path | None = None
    reference: Path | None = None
    retake: Path | None = None
    span_s: tuple[float | None, float | None] = (None, None)
    outpaint: Path | None = None
    box: tuple[float, float, float, float] = BOX
    make: Make = "both"

    @property
    def changed(self) -> Path | None:
        """The video that is changed as a whole, by noise; None where it is used otherwise."""
        return self.video if self.mask is None and self.make == "both" else None

    def check(self) -> None:
        """Refuse what does not go together.

        Raises:
            AiprodError: names the options.
        """
        bases = [name for name in _BASES if getattr(self, name) is not None]
        stills = [name for name in _STILLS if getattr(self, name)]
        spanned = any(value is not None for value in self.span_s)
        edited = [name for name in bases if name != "audio" and not (name == "video" and self.changed)]
        for wrong, what, hint in (
            (len(bases) > 1, f"{_option(bases[-1:])} stands beside {_option(bases[:1])}", "give one of them"),
            (
                bool(stills and edited),
                f"{_option(stills)} stands beside {_option(edited)}, which has pictures",
                "give one of them",
            ),
            (
                bool(self.reference and edited),
                f"--reference stands beside {_option(edited)}",
                "give one of them",
            ),
            (self.before and self.extend is None, "--before is of --extend", "give --extend FILE"),
            (spanned and self.retake is None, "--from and --to are of --retake", "give --retake FILE"),
            (self.box != BOX and self.outpaint is None, "--box is of --outpaint", "give --outpaint FILE"),
            (
                self.mask is not None and self.retake is None and self.video is None,
                "--mask says what is made of a film",
                "give the film with --video or --retake",
            ),
            (
                self.retake is not None and self.mask is None and None in self.span_s,
                "--retake needs --from and --to, or --mask",
                "state which section or region is generated again",
            ),
            (
                self.retake is not None and None in self.span_s and spanned,
                "one of --from and --to is missing",
                "give both",
            ),
            (
                self.make != "both" and any(getattr(self, n) is not None for n in ("extend", "outpaint", "audio")),
                f"--make {self.make} stands beside {_option(bases)}",
                "leave --make out: what is made is clear",
            ),
            (self.make == "video" and self.video is not None, "--video gives the pictures", "use --make audio"),
            (
                self.mask is not None and self.make == "audio",
                "--mask is of pictures, and --make audio makes none",
                "leave one of them out",
            ),
            (
                self.make == "audio" and bool(stills),
                f"{_option(stills)} is for pictures, and --make audio makes none",
                "leave one of them out",
            ),
        ):
            if wrong:
                raise AiprodError(what, hint)


def refuse_windows(inputs: GenerationInputs, viewing_scale: int) -> None:
    """Refuse what a film that is made window by window does not follow.

    Raises:
        AiprodError: names the option.
    """
    other = [name for name in (*_BASES, "last_image", "keyframes", "reference", "mask") if getattr(inputs, name)]
    if other or inputs.make != "both":
        option = _option(other[:1]) if other else "--make"
        raise AiprodError(f"--duration cannot be combined with {option}", "give a prompt, with --image at most")
    if viewing_scale > 1:
        raise AiprodError("--duration cannot be combined with --viewing-scale", "leave it out; players enlarge")


def parsed_keyframe(text: str) -> tuple[float, Path]:
    """Seconds and file of ``T=FILE``.

    Raises:
        AiprodError: it is written otherwise.
    """
    seconds, between, name = text.partition("=")
    try:
        at = float(seconds)
    except ValueError:
        at = math.nan
    if not (between and name and 0 <= at < math.inf):
        raise AiprodError(f"--keyframe {text!r} is not T=FILE", "write seconds and a picture, as 0.5=middle.png")
    return at, Path(name)


def parsed_box(text: str) -> tuple[float, float, float, float]:
    """Four shares of the frame.

    Raises:
        AiprodError: there are not four, or they hold nothing or all of the frame.
    """
    try:
        left, top, right, bottom = (float(part) for part in text.split(","))
    except ValueError:
        left = math.nan
    if not (left >= 0 and left < right <= 1 and 0 <= top < bottom <= 1 and (right - left) * (bottom - top) < 1):
        raise AiprodError(
            f"--box {text!r} is not part of the frame", "give left,top,right,bottom, as 0.25,0.25,0.75,0.75"
        )
    return left, top, right, bottom


def parsed_make(text: str) -> Make:
    """What is made.

    Raises:
        AiprodError: there is no such thing.
    """
    make = {"both": "both", "video": "video", "audio": "audio"}.get(text)
    if make is None:
        raise AiprodError(f"--make {text!r} is nothing that can be made", "use both, video or audio")
    return make  # type: ignore[return-value]


def _option(names: list[str]) -> str:
    return ", ".join("--keyframe" if name == "keyframes" else f"--{name.replace('_', '-')}" for name in names)


def gather(
    inputs: GenerationInputs, pipeline: AVPipeline, config: GenerationConfig
) -> tuple[Edit, list[dict[str, Any]]]:
    """What the model is given, and what the description of the result says of each file.

    Raises:
        AiprodError: a file cannot be read or does not fit, or the model cannot follow it.
    """
    files = [about(option, path) for option, path in _files(inputs)]
    edit = _edit(inputs, pipeline, config)
    parts = dict(edit.conditions)
    stills = [(round(at * config.fps), path) for at, path in inputs.keyframes]
    if inputs.last_image is not None:
        stills.append((config.frames - 1, inputs.last_image))
    if stills:
        size = (config.height_px, config.width_px)
        parts["stills"] = tuple((number, read_picture(path, *size)) for number, path in stills)
    if inputs.reference is not None:
        parts |= _references(read_film(inputs.reference, config, most=config.frames), pipeline, config)
    if not has_sound(pipeline.transformer) and "audio" in parts and edit.film is not None and parts["audio"].kept.all():
        parts.pop("audio")  # the film keeps its sound, which the model cannot hear
    rate = pipeline.audio_vae.compression.sample_rate
    if rate != RATE and ("audio" in parts or "reference_sound" in parts):
        raise AiprodError(
            f"the model's sound has {rate} samples a second, and files are read at {RATE}", "use a model of that rate"
        )
    _warn(inputs, pipeline, parts)
    return Edit(parts, edit.film, edit.at, edit.heard_at, edit.grows, edit.cut), files


def _files(inputs: GenerationInputs) -> Iterator[tuple[str, Path]]:
    for name in ("image", "last_image", "extend", "retake", "outpaint", "video", "audio", "mask", "reference"):
        if (path := getattr(inputs, name)) is not None:
            yield _option([name]), path
    for _, path in inputs.keyframes:
        yield "--keyframe", path


def _edit(inputs: GenerationInputs, pipeline: AVPipeline, config: GenerationConfig) -> Edit:
    if inputs.extend is not None:
        time = pipeline.video_vae.compression.time
        return extended(read_film(inputs.extend, config), config, time, inputs.before)
    if inputs.retake is not None or (inputs.video is not None and inputs.mask is not None):
        film = read_film(inputs.retake or inputs.video, config)  # type: ignore[arg-type]
        mask = read_mask(inputs.mask, config, film.frames) if inputs.mask is not None else None
        begin, end = inputs.span_s
        return retaken(film, config, None if begin is None or end is None else (begin, end), mask, inputs.make)
    if inputs.outpaint is not None:
        left, top, right, bottom = inputs.box
        height, width = config.height_px, config.width_px
        places = round(top * height), round(left * width), round(bottom * height), round(right * width)
        size = (places[2] - places[0], places[3] - places[1])
        if min(size) < 1:
            raise AiprodError("--box holds no pixel of the frame", "make it larger")
        return outpainted(read_film(inputs.outpaint, config, size, most=config.frames + 1), config, places)
    if inputs.audio is not None:
        return heard(read_film(inputs.audio, config), config)
    if inputs.video is not None and inputs.make == "audio":
        return sounded(read_film(inputs.video, config, most=config.frames + 1), config)
    if inputs.make != "both":
        return Edit({"absent": frozenset({"video" if inputs.make == "audio" else "audio"})})
    return Edit()


def _references(film: InputFilm, pipeline: AVPipeline, config: GenerationConfig) -> dict[str, Any]:
    """What of a film the model was trained to look at or listen to."""
    references: dict[str, Any] = {}
    if film.pictures is not None and trained_reference(pipeline.record, "video") is not None:
        references["reference"] = film.pictures[[min(n, film.frames - 1) for n in range(config.frames)]]
    if film.sound is not None and trained_reference(pipeline.record, "audio") is not None:
        references["reference_sound"] = film.sound
    if not references:
        has = "pictures" if film.pictures is not None else "sound"
        modality = "video" if film.pictures is not None else "audio"
        raise AiprodError(
            f"this model takes no reference of {has}",
            f"train with a task whose {modality} has the condition reference",
        )
    return references


def _warn(inputs: GenerationInputs, pipeline: AVPipeline, parts: dict[str, Any]) -> None:
    """Say what is asked of a model that no task of its training showed it."""
    tasks = trained_tasks(pipeline.record)
    if tasks is None:
        return
    untrained = [task_name for task_name, known in _wanted(inputs, parts) if not any(known(task) for task in tasks)]
    for task_name, option in untrained:
        log(
            f"warning: this model was not trained with {task_name}: {option} is followed as far as it goes, and the"
            " rest may not fit it → train with such a task in train_diffusion.task"
        )


def _wanted(inputs: GenerationInputs, parts: dict[str, Any]) -> Iterator[tuple[tuple[str, str], Any]]:
    """What is asked for, and whether a task shows it."""

    def has(kind: str) -> Any:
        def knows(task: TaskParams) -> bool:
            return any(part.find(kind) is not None for part in (task.video, task.audio))  # type: ignore[arg-type]

        return knows

    def roles(video: str, audio: str) -> Any:
        def knows(task: TaskParams) -> bool:
            return (task.video.role, task.audio.role) == (video, audio)

        return knows

    for name, kind in (("image", "first_frame"), ("last_image", "last_frame"), ("keyframes", "keyframes")):
        if getattr(inputs, name):
            yield (f"{kind} given", _option([name])), has(kind)
    if inputs.extend is not None:
        kind = "suffix" if inputs.before else "prefix"
        yield (f"a {kind} given", "--extend"), has(kind)
    if inputs.mask is not None or inputs.retake is not None:
        yield ("a mask", "--mask" if inputs.mask is not None else "--retake"), has("mask")
    if inputs.outpaint is not None:
        yield ("a crop", "--outpaint"), has("crop")
    if inputs.audio is not None:
        yield ("sound given and video generated", "--audio"), roles("generated", "given")
    if inputs.make == "audio" and inputs.video is not None:
        yield ("video given and sound generated", "--video"), roles("given", "generated")
    if parts.get("absent") == frozenset({"video"}) and inputs.make == "audio":
        yield ("sound alone", "--make audio"), roles("absent", "generated")
