"""What ``aiprod generate`` does: settings by name, prompts from a file, pictures and videos to begin with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from aiprod.base.params import validate
from aiprod.base.progress import ticker
from aiprod.core.components.diffusion_steps import SAMPLERS
from aiprod.core.generation import GenerationConfig
from aiprod.errors import AiprodError
from aiprod.inference.edits import Edit
from aiprod.inference.input_files import RATE, RIGHTS_NOTE, InputFilm, about, read_film
from aiprod.inference.input_image import read_picture
from aiprod.inference.inputs import GenerationInputs, gather
from aiprod.inference.long_films import FilmWindows, make_long_film
from aiprod.inference.params import GenerationParams, made_by
from aiprod.inference.pipeline import AVPipeline
from aiprod.inference.request import GeneratedClip, Request
from aiprod.inference.video_writer import write_video

GUIDERS: dict[str, dict[str, object]] = {  # name → settings of sample.generation; the scale is the text guidance
    "none": {"video_guidance": 1.0, "audio_guidance": 1.0, "perturbed_guidance": 0.0, "modality_guidance": 1.0},
    "text": {"perturbed_guidance": 0.0, "modality_guidance": 1.0, "guidance_rescale": 0.0},
    "rescaled": {"perturbed_guidance": 0.0, "modality_guidance": 1.0, "guidance_rescale": 0.7},
    "projected": {"guider": "projected", "perturbed_guidance": 0.0, "modality_guidance": 1.0},
    "perturbed": {"perturbed_guidance": 1.0, "modality_guidance": 1.0},
    "modality": {"perturbed_guidance": 0.0, "modality_guidance": 3.0},
}


def chosen(
    base: GenerationParams, *, guider: str, step: str, steps: int, guidance: float | None, two_stage: bool = False
) -> GenerationParams:
    """Settings changed by name; empty names, 0 steps and no ``two_stage`` leave them as they are.

    Raises:
        AiprodError: there is no such guider or step, or a number is out of bounds.
    """
    changes: dict[str, object] = {}
    if guider:
        if guider not in GUIDERS:
            raise AiprodError(f"there is no guider {guider!r}", f"use one of {', '.join(GUIDERS)}")
        changes |= GUIDERS[guider]
    if step:
        if step not in SAMPLERS:
            raise AiprodError(f"there is no step {step!r}", f"use one of {', '.join(SAMPLERS)}")
        changes["step"] = step
    if guidance is not None:
        changes |= {"video_guidance": guidance, "audio_guidance": guidance}
    if steps:
        changes["steps"] = steps
    if two_stage:
        changes["two_stage"] = True
    return validate(GenerationParams, {**base.model_dump(), **changes}, "generation")


def resized(config: GenerationConfig, *, width: int, height: int, frames: int, fps: float) -> GenerationConfig:
    """The settings with another size, length or rate; 0 leaves one as it is.

    Raises:
        AiprodError: out of bounds; the pipeline says what the model cannot follow.
    """
    wanted = {"width_px": width, "height_px": height, "frames": frames, "fps": fps}
    changes = {name: value for name, value in wanted.items() if value}
    try:
        return GenerationConfig(**{**config.model_dump(), **changes})
    except ValidationError as error:
        fault = error.errors()[0]
        option = str(fault["loc"][0]).removesuffix("_px")
        raise AiprodError(f"--{option} {fault['input']}: {fault['msg'].lower()}", "give another number") from None


def read_prompts(path: Path) -> list[str]:
    """One prompt a line; empty lines and lines that begin with # are left out.

    Raises:
        AiprodError: no such file, no text, or no prompt in it.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        raise AiprodError(f"{path} does not exist", "give a text file with one prompt a line") from None
    except (UnicodeDecodeError, OSError):
        raise AiprodError(f"{path} is not a text file", "give a text file with one prompt a line") from None
    prompts = [line.strip() for line in lines if line.strip() and not line.strip().startswith("#")]
    if not prompts:
        raise AiprodError(f"{path} holds no prompt", "write one prompt a line")
    return prompts


def make_films(
    pipeline: AVPipeline,
    requests: Sequence[tuple[str, int, Path]],
    config: GenerationConfig,
    inputs: GenerationInputs,
    *,
    batch: int,
    viewing_scale: int,
) -> str:
    """Generate and write each (prompt, seed, file), a few at a time.

    Returns:
        size, length and whether there is sound, for a person to read.

    Raises:
        AiprodError: a given picture or video cannot be read, or settings that the model cannot follow.
    """
    edit, files = gather(inputs, pipeline, config)
    alone = "video" in edit.conditions.get("absent", ())
    for _, _, path in requests:
        if (path.suffix.lower() == ".wav") != alone:
            kind, suffix = ("sound alone", ".wav") if alone else ("a video", ".mp4")
            raise AiprodError(f"{path} is to hold {kind}", f"give a name that ends in {suffix}")
    picture = read_picture(inputs.image, config.height_px, config.width_px) if inputs.image is not None else None
    facts: dict[str, object] = made_by(pipeline.record, config)
    if files:
        facts |= {"given": files, "rights_of_given": RIGHTS_NOTE}
    source, sound = None, None
    if inputs.changed is not None:
        film = read_film(inputs.changed, config, most=config.frames)
        if film.pictures is None:
            raise AiprodError(f"{inputs.changed} holds no pictures", "give a film that plays")
        source, sound = _source(film, config)
        facts["video_strength"] = inputs.strength
    follows = pipeline.record.strategy == "video_to_video"
    strength = inputs.strength if source is not None and not follows else 1.0
    with ticker("sampling", len(requests) * config.all_steps) as tick:
        for start in range(0, len(requests), batch):  # written as they are made
            part = requests[start : start + batch]
            if follows and source is not None:
                edit = Edit({**edit.conditions, "reference": source})
            elif source is not None:
                edit = Edit({**edit.conditions, "source": source, "source_sound": sound})
            wanted = [Request(prompt, seed, picture, **edit.conditions) for prompt, seed, _ in part]
            clips = pipeline.generate(wanted, config, strength=strength, at_once=batch, on_step=tick.advance)
            for film_made, (_, _, path) in zip(clips, part, strict=True):
                whole = edit.result(film_made)
                write_video(whole, path, facts=facts, viewing_scale=viewing_scale)
    return _size(whole)


def make_long_films(
    pipeline: AVPipeline,
    requests: Sequence[tuple[str, int, Path]],
    config: GenerationConfig,
    image: Path | None,
    *,
    duration_s: float,
    overlap_s: float | None,
) -> str:
    """Generate and write each (prompt, seed, file), window by window.

    Returns:
        size, length and whether there is sound, for a person to read.

    Raises:
        AiprodError: a given picture cannot be read, or settings that the model cannot follow.
    """
    for _, _, path in requests:
        if path.suffix.lower() != ".mp4":
            raise AiprodError(f"{path} is to hold a video", "give a name that ends in .mp4")
    windows = FilmWindows.of(config, pipeline.video_vae.compression.time, duration_s, overlap_s)
    picture = read_picture(image, config.height_px, config.width_px) if image is not None else None
    files = [about("--image", image)] if image is not None else []
    for prompt, seed, path in requests:
        size = make_long_film(pipeline, Request(prompt, seed, picture), path, config, windows, files)
    return size


def _size(clip: GeneratedClip) -> str:
    frames, height, width = clip.pictures.shape[:3]
    if not frames:
        assert clip.sound is not None
        return f"{clip.sound.shape[1] / clip.sample_rate:.2f} s of sound"
    return f"{width}x{height}, {frames / clip.fps:.2f} s, {'with sound' if clip.sound is not None else 'silent'}"


def _source(film: InputFilm, config: GenerationConfig) -> tuple[np.ndarray, np.ndarray | None]:
    """The beginning of a film, as long as what is generated."""
    assert film.pictures is not None
    length = round(config.frames / config.fps * RATE)
    pictures = film.pictures[np.minimum(np.arange(config.frames), film.frames - 1)]
    return pictures, None if film.sound is None else film.sound[:, :length]
