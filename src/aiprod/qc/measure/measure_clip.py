"""Measures one clip: one decode, every check, no thresholds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from aiprod.media.completeness import ending
from aiprod.media.errors import MediaError
from aiprod.media.facts import MediaFacts, VideoFacts
from aiprod.media.packets import sound_end_s
from aiprod.media.probing import probe, require_video
from aiprod.qc.checks import (
    black,
    borders,
    camera,
    defects,
    encoding,
    events,
    faces,
    fingerprint,
    freeze,
    geometry,
    loudness,
    motion,
    nsfw,
    palette,
    snr,
    sync,
    text,
    timing,
    watermark,
    yunet,
)
from aiprod.qc.clip_context import Evidence
from aiprod.qc.measure.decode_pass import observe
from aiprod.qc.params import QcMeasureParams

_MODULES = {
    "geometry": geometry,
    "borders": borders,
    "timing": timing,
    "black": black,
    "freeze": freeze,
    "motion": motion,
    "encoding": encoding,
    "watermark": watermark,
    "faces": faces,
    "nsfw": nsfw,
    "text": text,
    "camera": camera,
    "palette": palette,
    "loudness": loudness,
    "defects": defects,
    "snr": snr,
    "sync": sync,
    "events": events,
    "fingerprint": fingerprint,
}
_SHOWN = 0.9  # of the stated length: the last still is looked for at eleven twelfths of it
_HIGHEST_FPS = 240.0  # headers that state more are taken for wrong where samples are spread
_TOLD = 32  # stretches or changes that a row names
_SOUND = ("loudness", "defects", "snr", "events")


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
    found, thumbnails = measure_clip(path, facts, 0.0, stated, params, whole=True)
    shown = found["timing"].get("measured_s", 0.0)
    if 0 < shown < _SHOWN * stated and "bounded_at_s" not in found["timing"]:
        return measure_clip(path, facts, 0.0, shown, params, whole=True)
    return found, thumbnails


def measure_clip(
    path: Path, facts: MediaFacts, start_s: float, end_s: float, params: QcMeasureParams, *, whole: bool = False
) -> tuple[dict[str, Any], list[np.ndarray]]:
    """Measure the range [start_s, end_s) of a film.

    Args:
        whole: the range is the film, so that where it ends can be held against what the file states. (Ingest has done
            so before it gives a range to each shot.)

    Returns:
        (measurements: check → {status, method, version, figures…}, thumbnails: RGB arrays [h, w, 3]).

    Raises:
        MediaError: the film cannot be opened or no picture of the range decodes.
    """
    cv2.setNumThreads(1)  # the engine runs clips side by side
    video = require_video(facts)
    declared_s = end_s - start_s
    if not np.isfinite(end_s):
        end_s = start_s + 3600.0  # sampling needs a length; a header without one is rare and such films are short
    rate = min(max(video.fps, 1.0), _HIGHEST_FPS)
    shots, dark, still_picture, bars = motion.Motion(), black.Black(), freeze.Freeze(), borders.Borders()
    prints = fingerprint.Fingerprint()
    artefacts, colours = encoding.Artefacts(), palette.Palette()
    looks = _looks(params, video)
    unsafe = nsfw.Nsfw(params.nsfw, video) if params.nsfw.checkpoint else None
    seen = observe(
        path,
        facts,
        start_s,
        end_s,
        params,
        frame_checks=[shots, dark, still_picture, bars, prints],
        still_checks=[looks, artefacts, colours, *([unsafe] if unsafe else [])],
        follow_ups=[looks],
        sampled_s=params.decoded_gigapixels_max * 1e9 / (video.width * video.height * rate),
    )
    shown_s = float(seen.times_s[-1] - seen.times_s[0]) + seen.frame_s
    camera_figures = camera.measure(seen.pairs, seen.frame_s, shown_s)
    border_figures = bars.figures()
    found: dict[str, dict[str, Any]] = {
        "geometry": geometry.measure(require_video(seen.facts)),
        "borders": border_figures,
        "timing": timing.measure(seen.times_s, video.fps or None, start_s, min(end_s, start_s + shown_s)),
        "black": dark.figures(),
        "freeze": still_picture.figures(),
        "motion": shots.figures(),
        "encoding": encoding.measure(seen, artefacts.figures()),
        "watermark": watermark.measure(seen.planes, camera_figures, border_figures),
        "faces": looks.figures(),
        "nsfw": unsafe.figures() if unsafe else nsfw.measure(),
        "text": text.measure(),
        "camera": camera_figures,
        "palette": colours.figures(),
        **_measure_sound(seen),
        "fingerprint": fingerprint.measure(
            prints.figures(borders.active_area(border_figures)),
            seen.sound.samples if seen.sound else None,
            seen.sound.rate_hz if seen.sound else 0,
        ),
        "sync": sync.measure(seen, shots.energy, shots.reversal),
    }
    for name, figures in found.items():
        figures.setdefault("method", _MODULES[name].METHOD)
        figures.setdefault("version", _MODULES[name].VERSION)
    track = facts.audio.index if facts.audio else None
    if seen.bounded:
        found["timing"]["bounded_at_s"] = seen.end_s - start_s
        if np.isfinite(declared_s):
            found["timing"]["clip_s"] = declared_s
    elif whole and (end := ending(facts, seen.pictures_end_s, lambda: sound_end_s(path, track))) is not None:
        found["encoding"].update(end._asdict())
    if seen.torn_s:
        found["encoding"]["torn_s"] = [list(stretch) for stretch in seen.torn_s[:_TOLD]]
    if seen.changes:
        found["geometry"]["changes"] = list(seen.changes[:_TOLD])
    if seen.first_error is not None:
        found["encoding"]["first_error"] = seen.first_error
    return {name: _rounded(figures) for name, figures in sorted(found.items())}, seen.thumbnails


def _looks(params: QcMeasureParams, video: VideoFacts) -> faces.Faces:
    """The search for faces, by the cascades or by the network that is named."""
    find, told = None, None
    if onnx := params.face_yunet_onnx:
        find, told = yunet.YuNet(onnx, video.orientation), yunet.method(onnx)
    return faces.Faces(params.face_height_px, params.face_stills, params.stills, find, told)


def _measure_sound(seen: Evidence) -> dict[str, dict[str, Any]]:
    audio, sound = seen.facts.audio, seen.sound
    if sound is None or audio is None:
        return {name: seen.without_sound() for name in _SOUND}
    span, rate = sound.span, sound.rate_hz
    return {
        "loudness": {**loudness.measure(span, rate), "acodec": audio.codec, "bitrate_bps": audio.bitrate_bps},
        "defects": defects.measure(span, rate, audio.channels, start_s=sound.start_s, gaps_s=sound.gaps_s),
        "snr": snr.measure(sound.solid, rate),
        "events": events.measure(span, rate, sound.start_s),
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
