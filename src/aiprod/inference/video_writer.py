"""Writes what was generated: MP4 with sound, a description beside it, and a contact sheet."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from aiprod.base.files import write_bytes, write_json
from aiprod.inference.request import GeneratedClip, Request
from aiprod.media.encoding import encode, write_wav

_GAP = 8  # pixels between videos on the contact sheet
_BETWEEN = 4  # pixels between the pictures of one video, so that they do not look like one wide picture
_FONT_PX = 13


def write_video(generated: GeneratedClip, path: Path, *, facts: dict[str, Any], viewing_scale: int = 1) -> None:
    """Write ``path`` (H.264 + AAC) at native size and ``path`` with ``.json``.

    With ``viewing_scale`` above 1 also ``<name>_view.mp4``, enlarged by Lanczos for people to look at; the description
    says so, and every measurement is made on the native pictures. Prompt, seed and origin stand in the metadata of both
    films as well, so that a film that was passed on alone still says them.
    """
    tags = film_tags(generated.request, facts)
    if not len(generated.pictures):
        _write_sound(generated, path, facts, tags)
        return

    def write(to: Path, pictures: Iterable[np.ndarray], crf: float) -> None:
        rate = generated.sample_rate
        encode(to, pictures, generated.fps, generated.sound, sample_rate=rate, crf=crf, tags=tags)

    write(path, generated.pictures, 12.0)
    frames, height, width = generated.pictures.shape[:3]
    described: dict[str, Any] = {
        "file": path.name,
        "prompt": generated.request.prompt,
        "seed": generated.request.seed,
        "width_px": width,
        "height_px": height,
        "frames": frames,
        "fps": generated.fps,
        "duration_s": round(frames / generated.fps, 6),
        "sample_rate": generated.sample_rate,
        "has_sound": generated.sound is not None,
        "synthetic": True,
        **facts,
    }
    if viewing_scale > 1:
        view = path.with_name(f"{path.stem}_view.mp4")
        write(view, (enlarge(picture, viewing_scale) for picture in generated.pictures), 16.0)
        described["view"] = {"file": view.name, "enlarged_by": viewing_scale, "method": "lanczos"}
    write_json(path.with_suffix(".json"), described)


def _write_sound(generated: GeneratedClip, path: Path, facts: Mapping[str, Any], tags: Mapping[str, str]) -> None:
    """Sound alone, as WAV, with its description."""
    sound, rate = generated.sound, generated.sample_rate
    assert sound is not None
    write_wav(path, sound, rate, tags)
    described = {
        "file": path.name,
        "prompt": generated.request.prompt,
        "seed": generated.request.seed,
        "duration_s": round(sound.shape[1] / rate, 6),
        "sample_rate": rate,
        "has_sound": True,
        "synthetic": True,
        **facts,
    }
    write_json(path.with_suffix(".json"), described)


def film_tags(request: Request, facts: Mapping[str, Any]) -> dict[str, str]:
    """Metadata of a film: ``title`` is the prompt, ``comment`` says ``name=value`` what made it."""
    named: dict[str, Any] = {
        "seed": request.seed,
        "model": facts.get("model_digest"),
        "dataset": facts.get("dataset_root"),
    }
    if facts.get("given"):
        named["given"] = ", ".join(f"{part['option']} sha256:{part['sha256'][:16]}" for part in facts["given"])
        named["rights_of_given"] = "not checked"
    comment = "; ".join(f"{name}={value}" for name, value in named.items() if value is not None)
    return {"title": request.prompt, "comment": f"made by a model (AIPROD), synthetic; {comment}"}


def enlarge(picture: np.ndarray, scale: int) -> np.ndarray:
    """A picture ``scale`` times as large, by Lanczos."""
    size = (picture.shape[1] * scale, picture.shape[0] * scale)
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_LANCZOS4))


def contact_sheet(results: Sequence[GeneratedClip], path: Path, *, pictures: int = 5, scale: int = 2) -> None:
    """One PNG: for each video its prompt, pictures evenly spaced with their times, and a spectrogram under them."""
    strips = [_strip(generated, pictures, scale) for generated in results]
    width = max(strip.shape[1] for strip in strips)
    rows = [np.pad(s, ((0, _GAP), (0, width - s.shape[1]), (0, 0)), constant_values=255) for s in strips]
    sheet = np.concatenate(rows)
    done, data = cv2.imencode(".png", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
    assert done
    write_bytes(path, data.tobytes())


def spectrogram(sound: np.ndarray, rate: int, height: int, width: int) -> np.ndarray:
    """Log-frequency power of mono sound in -90..0 dB as an RGB picture [height, width, 3], low pitches below."""
    mono = sound.mean(axis=0)
    size = 2048
    hop = max(1, (len(mono) - 1) // max(1, width - 1))
    padded = np.pad(mono, (size // 2, size))
    frames = np.stack([padded[i * hop : i * hop + size] for i in range(width)]) * np.hanning(size)
    power = 20 * np.log10(np.abs(np.fft.rfft(frames, axis=1)) / (size / 4) + 1e-6)
    bins = np.geomspace(60, rate / 2 * 0.98, height) / (rate / size)
    level = np.clip((power[:, np.round(bins).astype(int)] + 90) / 90, 0, 1)
    picture = (level.T[::-1] * 255).astype(np.uint8)
    return np.asarray(cv2.cvtColor(cv2.applyColorMap(picture, cv2.COLORMAP_MAGMA), cv2.COLOR_BGR2RGB))


def _strip(generated: GeneratedClip, pictures: int, scale: int) -> np.ndarray:
    places = np.linspace(0, len(generated.pictures) - 1, pictures).round().astype(int)
    apart = ((0, 0), (0, _BETWEEN), (0, 0))
    shown = [np.pad(enlarge(generated.pictures[i], scale), apart, constant_values=255) for i in places]
    row = np.concatenate(shown, axis=1)[:, :-_BETWEEN]
    wide = shown[0].shape[1]
    times = np.concatenate([_text(f"{i / generated.fps:.2f} s", wide) for i in places], axis=1)[:, :-_BETWEEN]
    parts = [_text(f"{generated.request.prompt}  (seed {generated.request.seed})", row.shape[1]), row, times]
    if generated.sound is not None:
        parts.append(spectrogram(generated.sound, generated.sample_rate, 40, row.shape[1]))
    return np.concatenate(parts)


def _text(text: str, width: int) -> np.ndarray:
    """The text in lines that fit ``width``, black on white, in a font that has Latin, Greek and Cyrillic letters."""
    font = _font()
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font.getlength(longer) > width - 8:
            lines.append(word)
        else:
            lines[-1] = longer
    above, below = font.getmetrics()
    step = above + below + 3
    image = Image.new("RGB", (width, step * len(lines) + 4), "white")
    draw = ImageDraw.Draw(image)
    for number, line in enumerate(lines):
        draw.text((4, step * number + 2), line, fill="black", font=font)
    return np.asarray(image)


@functools.cache
def _font() -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which matplotlib brings along: the same letters on every machine."""
    import matplotlib

    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"), _FONT_PX)
