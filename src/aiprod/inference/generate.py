"""What ``aiprod generate`` does: settings by name, prompts from a file, pictures and videos to begin with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from aiprod.base.params import validate
from aiprod.base.progress import say, ticker
from aiprod.core.components.diffusion_steps import SAMPLERS
from aiprod.core.generation import GenerationConfig
from aiprod.errors import AiprodError
from aiprod.inference.given_image import read_picture
from aiprod.inference.params import GenerationParams
from aiprod.inference.pipeline import AVPipeline, Request
from aiprod.inference.video_writer import write_video
from aiprod.media.clips import read_clip
from aiprod.media.errors import MediaError
from aiprod.media.probing import probe

GUIDERS: dict[str, dict[str, object]] = {  # name → settings of sample.generation; the scale is the text guidance
    "none": {"video_guidance": 1.0, "audio_guidance": 1.0, "perturbed_guidance": 0.0, "modality_guidance": 1.0},
    "text": {"perturbed_guidance": 0.0, "modality_guidance": 1.0, "guidance_rescale": 0.0},
    "rescaled": {"perturbed_guidance": 0.0, "modality_guidance": 1.0, "guidance_rescale": 0.7},
    "projected": {"guider": "projected", "perturbed_guidance": 0.0, "modality_guidance": 1.0},
    "perturbed": {"perturbed_guidance": 1.0, "modality_guidance": 1.0},
    "modality": {"perturbed_guidance": 0.0, "modality_guidance": 3.0},
}


@dataclass(frozen=True)
class GenerationInputs:
    """What the videos begin with: files, and how much of a video is forgotten (1: all)."""

    image: Path | None = None
    video: Path | None = None
    strength: float = 0.7


def chosen(base: GenerationParams, *, guider: str, step: str, steps: int, guidance: float | None) -> GenerationParams:
    """Settings changed by name; empty names and 0 steps leave them as they are.

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
    given: GenerationInputs,
    *,
    batch: int,
    viewing_scale: int,
) -> None:
    """Generate and write each (prompt, seed, file), a few at a time.

    Raises:
        AiprodError: a given picture or video cannot be read, or settings that the model cannot follow.
    """
    picture = read_picture(given.image, config.height_px, config.width_px) if given.image is not None else None
    if picture is not None and pipeline.record.first_frame == 0:
        say(
            "warning: this model was trained with train_diffusion.task.first_frame 0, which never shows it a given"
            " picture: --image is kept as the first frame, and the rest may not follow it"
            " → train with first_frame above 0, for example 0.1"
        )
    facts: dict[str, object] = {
        "model_digest": pipeline.record.model_digest,
        "dataset_root": pipeline.record.dataset_root,
        "settings": config.model_dump(mode="json", exclude={"seed"}),
    }
    source, sound = None, None
    if given.video is not None:
        try:
            heard = probe(given.video).audio is not None
            source, sound = read_clip(given.video, config.height_px, config.width_px, config.fps, config.frames)
        except MediaError as error:
            raise AiprodError(f"{given.video}: {error.what}", error.hint or "give a film that plays") from None
        sound = sound if heard else None
        facts["video_strength"] = given.strength
    follows = pipeline.record.strategy == "video_to_video"
    strength = given.strength if source is not None and not follows else 1.0
    with ticker("sampling", len(requests) * config.steps) as tick:
        for start in range(0, len(requests), batch):  # written as they are made
            wanted = [
                Request(prompt, seed, picture, reference=source)
                if follows
                else Request(prompt, seed, picture, source=source, source_sound=sound)
                for prompt, seed, _ in requests[start : start + batch]
            ]
            made = pipeline.generate(wanted, config, strength=strength, at_once=batch, on_step=tick.advance)
            for film, (_, _, path) in zip(made, requests[start : start + batch], strict=True):
                write_video(film, path, facts=facts, viewing_scale=viewing_scale)
