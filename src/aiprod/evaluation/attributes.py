"""The things that a prompt can ask for and that picture or sound can be seen to hold."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from aiprod.evaluation.audio_attributes import heard_shape
from aiprod.evaluation.objects import seen_count, seen_direction, seen_motion, seen_shape
from aiprod.evaluation.prompt_parser import PromptAttributes
from aiprod.evaluation.video_attributes import CameraMotion, ObjectColours, seen_ground


@dataclass(frozen=True)
class MeasuredVideo:
    """One video as it is measured: uint8 RGB [F, H, W, 3] at ``fps``, and sound [channels, samples] or None."""

    pictures: np.ndarray
    fps: float = 12.0
    sound: np.ndarray | None = None
    sample_rate: int = 48_000

    @functools.cached_property
    def colours(self) -> ObjectColours:
        """Its pixels by object colour."""
        return ObjectColours.of(self.pictures)

    @functools.cached_property
    def camera(self) -> CameraMotion:
        """How the ground moves."""
        return CameraMotion.of(self.pictures)


@dataclass(frozen=True)
class Attribute:
    """One thing that can be asked for and measured. ``seen`` is None where the video cannot show it (no sound)."""

    name: str
    expected: Callable[[PromptAttributes], Any]
    seen: Callable[[MeasuredVideo], Any]
    matches: Callable[[Any, Any], bool]


def _same(expected: Any, seen: Any) -> bool:
    return bool(expected == seen)


def _among(expected: Any, seen: Any) -> bool:
    return bool(seen in expected)


ATTRIBUTES = (
    Attribute("ground_colour", lambda a: a.ground, lambda v: seen_ground(v.pictures), _same),
    Attribute("object_colour", lambda a: a.colours or None, lambda v: v.colours.most, _among),
    Attribute("object_shape", lambda a: a.shapes or None, lambda v: seen_shape(v.colours), _among),
    Attribute("object_count", lambda a: len(a.objects) or None, lambda v: seen_count(v.colours), _same),
    Attribute("object_motion", lambda a: a.motion, lambda v: seen_motion(v.colours, v.fps), _same),
    Attribute("object_direction", lambda a: a.direction, lambda v: seen_direction(v.colours), _same),
    Attribute("camera", lambda a: a.camera, lambda v: v.camera.name, _same),
    Attribute(
        "camera_direction", lambda a: a.camera if a.camera != "static" else None, lambda v: v.camera.direction, _same
    ),
    Attribute(
        "sound_pitch",
        lambda a: a.shapes or None,
        lambda v: heard_shape(v.sound, v.sample_rate) if v.sound is not None else None,
        _among,
    ),
)
