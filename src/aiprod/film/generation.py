"""Shots that a script asks for in words, made by the project's model; one is made again only where it changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiprod.base.files import link_or_copy, read_json, write_json
from aiprod.base.progress import ticker

if TYPE_CHECKING:
    from aiprod.inference.params import GenerationParams
    from aiprod.inference.pipeline import GeneratedClip
    from aiprod.storage.result_cache import Memo


@dataclass(frozen=True)
class SeededPrompt:
    """A prompt and its seed."""

    prompt: str
    seed: int


def generate(
    wanted: Sequence[SeededPrompt],
    folder: Path,
    memo: Memo | None,
    settings: GenerationParams,
    models: Path = Path("models"),
) -> tuple[list[Path], int]:
    """Write ``000.mp4`` … with descriptions into ``folder``.

    Returns:
        The files in the order of what was wanted, and how many were made now.

    Raises:
        AiprodError: there is no trained model, or the settings do not fit it.
    """
    from aiprod.models.artifacts import read_record

    record = read_record(models)
    config = settings.config(record)
    about = {"model_digest": record.model_digest, "dataset_root": record.dataset_root}
    facts: dict[str, Any] = {**about, "settings": config.model_dump(mode="json", exclude={"seed"})}
    paths = [folder / f"{number:03d}.mp4" for number in range(len(wanted))]
    keys = [memo.key(each.prompt, each.seed, facts, record.made_with) if memo else "" for each in wanted]
    missing = []
    for number, path in enumerate(paths):
        kept = memo.get(keys[number]) if memo else None
        if kept is None:
            missing.append(number)
            continue
        _take(kept[1], path)
    if not missing:
        return paths, 0
    from aiprod.inference.pipeline import AVPipeline, Request
    from aiprod.inference.video_writer import write_video
    from aiprod.trainer.loop.accelerator import default_device

    pipeline = AVPipeline.from_pretrained(models, device=default_device())
    with ticker("generating shots", len(missing) * config.steps) as tick:
        requests = [Request(wanted[number].prompt, wanted[number].seed) for number in missing]
        clips = pipeline.generate(requests, config, on_step=tick.advance)

    def build(film: GeneratedClip, place: Path) -> None:
        write_video(film, place / "shot.mp4", facts=facts)

    for number, film in zip(missing, clips, strict=True):
        if memo is None:
            write_video(film, paths[number], facts=facts)
            continue
        _, place = memo.put(keys[number], partial(build, film))
        _take(place, paths[number])
    return paths, len(missing)


def _take(place: Path, path: Path) -> None:
    """Put a kept shot and its description at their names in the film's folder."""
    link_or_copy(place / "shot.mp4", path)
    write_json(path.with_suffix(".json"), {**read_json(place / "shot.json"), "file": path.name})
