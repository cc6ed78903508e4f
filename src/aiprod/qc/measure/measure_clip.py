"""Measures one clip: one decode, every check, no thresholds."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from aiprod.media.errors import MediaError
from aiprod.media.media_info import MediaFacts
from aiprod.media.packets import sound_end_s
from aiprod.media.probing import probe, require_video
from aiprod.media.truncation import ending
from aiprod.qc.bundled import shot_network
from aiprod.qc.checks import MEASUREMENTS
from aiprod.qc.clip_context import ClipContext
from aiprod.qc.image_classifier import load_classifier
from aiprod.qc.measure.decode_pass import observe
from aiprod.qc.measure_params import QcMeasureParams
from aiprod.qc.measurement import Measurement, OfColours, OfFrames, OfStills

_SHOWN = 0.9  # of the stated length: the last still is looked for at eleven twelfths of it
_HIGHEST_FPS = 240.0  # headers that state more are taken for wrong where samples are spread


def measure_file(path: Path, params: QcMeasureParams) -> tuple[dict[str, Any], list[np.ndarray]]:
    """Measure a whole film as one clip; see :func:`measure_clip`.

    A container that states far more than it shows (it is cut off, or its clock starts late) is measured again at the
    length that it shows: what is sampled was sampled where there is nothing.
    """
    facts = probe(path)
    video = require_video(facts)
    length = video.duration_s or facts.duration_s or 0.0
    if video.frames and video.fps > 0:
        length = max(length, video.frames / video.fps)
    stated = length if length > 0 else float("inf")
    measurements, thumbnails = measure_clip(path, facts, 0.0, stated, params, whole=True)
    shown = measurements["timing"].get("measured_s", 0.0)
    if 0 < shown < _SHOWN * stated and "bounded_at_s" not in measurements["timing"]:
        return measure_clip(path, facts, 0.0, shown, params, whole=True)
    return measurements, thumbnails


def measure_clip(
    path: Path,
    facts: MediaFacts,
    start_s: float,
    end_s: float,
    params: QcMeasureParams,
    *,
    whole: bool = False,
    only: Collection[str] | None = None,
) -> tuple[dict[str, Any], list[np.ndarray]]:
    """Measure the range [start_s, end_s) of a film.

    Args:
        whole: the range is the film, so that where it ends can be held against what the file states. (Ingest has done
            so before it gives a range to each shot.)
        only: names of the measurements to make; all if None.

    Returns:
        (measurements: check → {status, method, version, figures…}, thumbnails: RGB arrays [h, w, 3]).

    Raises:
        MediaError: the film cannot be opened or no picture of the range decodes.
    """
    cv2.setNumThreads(1)  # the engine runs clips side by side
    video = require_video(facts)
    asked_end_s = end_s
    if not np.isfinite(end_s):
        end_s = start_s + 3600.0  # sampling needs a length; a header without one is rare and such films are short
    rate = min(max(video.fps, 1.0), _HIGHEST_FPS)
    running = {name: MEASUREMENTS[name].begin(params, video) for name in with_needs(only)}
    coloured = [each for each in running.values() if isinstance(each, OfColours)]
    for each in coloured:
        each.network = shot_network.load
    seen = observe(
        path,
        facts,
        start_s,
        end_s,
        params,
        of_frames=[each for each in running.values() if isinstance(each, OfFrames)],
        of_stills=[each for each in running.values() if isinstance(each, OfStills)],
        of_colours=coloured,
        sampled_s=params.decoded_gigapixels_max * 1e9 / (video.width * video.height * rate),
    )
    seen.asked_end_s = asked_end_s
    seen.classifier = partial(load_classifier, params.nsfw) if params.nsfw.checkpoint else None
    track = facts.audio.index if facts.audio else None
    if whole and not seen.bounded:
        end = ending(facts, seen.pictures_end_s, lambda: sound_end_s(path, track))
        seen.ending = end._asdict() if end is not None else {}
    measurements = figures_of(running, seen)
    upright = [seen.video.orientation.turned(picture) for picture in seen.thumbnails]
    return {name: measurements[name] for name in sorted(measurements) if only is None or name in only}, upright


def with_needs(names: Collection[str] | None) -> list[str]:
    """These measurements, all if None, and those that they need, in an order in which they can be made."""
    wanted = set(MEASUREMENTS if names is None else names)
    for name in reversed(MEASUREMENTS):
        if name in wanted:
            wanted.update(MEASUREMENTS[name].needs)
    return [name for name in MEASUREMENTS if name in wanted]


def figures_of(running: Mapping[str, Measurement], seen: ClipContext) -> dict[str, dict[str, Any]]:
    """The figures of each measurement with its method and version, as rows keep them."""
    measurements: dict[str, dict[str, Any]] = {}
    for name, measurement in running.items():
        figures = measurement.measure(seen, measurements)
        measurements[name] = {"method": measurement.method, "version": measurement.version, **figures}
    return {
        name: {key: _rounded(value) for key, value in figures.items() if not key.startswith("_")}
        for name, figures in measurements.items()
    }


def contact_strip(thumbnails: list[np.ndarray], count: int = 4) -> bytes:
    """A JPEG of up to ``count`` frames side by side; the same frames give the same bytes."""
    picked = [
        thumbnails[i] for i in np.linspace(0, len(thumbnails) - 1, min(count, len(thumbnails))).round().astype(int)
    ]
    strip = cv2.cvtColor(np.concatenate(picked, axis=1), cv2.COLOR_RGB2BGR)
    done, data = cv2.imencode(".jpg", strip, [cv2.IMWRITE_JPEG_QUALITY, 78])
    if not done:
        raise MediaError("unsupported", "the thumbnails could not be encoded")
    return data.tobytes()


def _rounded(value: Any) -> Any:
    """Six significant digits: enough for every judgement, and free of the last bits of rounding noise."""
    if isinstance(value, float):
        if not np.isfinite(value):
            return None
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {k: _rounded(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(v) for v in value]
    if isinstance(value, np.generic):
        return _rounded(value.item())
    return value
