"""What an erasure costs: how many steps each model has to make again, and how long they took.

The next run decides by digests from where it goes on (``aiprod.trainer.loop.levels``). What is said here is what it
will find if nothing but the films of the erasure changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiprod.base.structured import read_json_mapping
from aiprod.errors import AiprodError

_MADE_FOR = "train_diffusion"  # its latents are made by the other models
_STAGES = ("train_text_encoder", "train_video_vae", "train_audio_vae", _MADE_FOR, f"{_MADE_FOR}_upsampler")


@dataclass(frozen=True)
class Cost:
    """Of one model.

    Attributes:
        steps: of its last run.
        again: how many of them are made again.
        seconds: what these took then; None where its checkpoints do not say.
    """

    stage: str
    steps: int
    again: int
    seconds: float | None


def costs(training: Path, films: set[str]) -> list[Cost]:
    """For each model with a finished run in the state folder, from its checkpoints; the others train from the start."""
    costs_of_stages: list[Cost] = []
    for stage in _STAGES:
        marks = sorted((training / stage).glob("*/finished"), key=lambda mark: mark.stat().st_mtime_ns)
        readings = [_read_values(path) for path in sorted(marks[-1].parent.glob("step_*/values.json"))] if marks else []
        readings = [values for values in readings if values]
        if not readings:
            continue
        last = max(readings, key=_step)
        kept = [values for values in readings if _apart(values, films)]
        if stage.startswith(_MADE_FOR) and any(c.again for c in costs_of_stages if not c.stage.startswith(_MADE_FOR)):
            kept = []
        step, spent = (_step(best), best.get("trained_s")) if kept and (best := max(kept, key=_step)) else (0, 0.0)
        whole = last.get("trained_s")
        known = isinstance(whole, float | int) and isinstance(spent, float | int)
        seconds = max(0.0, float(whole) - float(spent)) if known else None  # type: ignore[arg-type]
        costs_of_stages.append(Cost(stage, _step(last), _step(last) - step, seconds))
    return costs_of_stages


def _read_values(path: Path) -> dict[str, Any]:
    try:
        return dict(read_json_mapping(path))
    except (AiprodError, OSError):
        return {}


def _step(values: dict[str, Any]) -> int:
    return int(values.get("step", 0))


def _apart(values: dict[str, Any], films: set[str]) -> bool:
    """Whether a checkpoint depends on none of the films."""
    level = values.get("level")
    return isinstance(level, dict) and not films & set(level.get("films", ()))
