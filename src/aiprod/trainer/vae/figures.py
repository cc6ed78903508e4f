"""Reconstructions for reports: frames and films side by side, and spectrogram pairs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torchaudio.functional import amplitude_to_DB, spectrogram

from aiprod.base.figures import INK, MUTED, add_picture, new_figure, save_figure
from aiprod.media.encoding import encode

_GAP = 4  # pixels between the films of a pair and under it


def draw_videos(path: Path, title: str, rows: Sequence[tuple[str, Tensor, Tensor]], columns: int = 5) -> None:
    """A sheet with two lines a clip, original and reconstruction, at evenly spaced times.

    Args:
        rows: (caption, original, reconstruction), videos ``[3, F, H, W]`` in [−1, 1].
    """
    if not rows:
        rows = [("no clip to show", torch.zeros(3, 1, 8, 8), torch.zeros(3, 1, 8, 8))]
    height, width = rows[0][1].shape[2:]
    cell_w, left, top, gap = 1.75, 1.05, 0.62, 0.30
    cell_h = cell_w * height / width
    total_w, total_h = left + columns * cell_w + 0.15, top + len(rows) * (2 * cell_h + gap) + 0.1
    figure = new_figure(total_w, total_h)
    figure.text(0.15 / total_w, 1 - 0.30 / total_h, title, fontsize=12, fontweight="bold", color=INK, va="center")
    for r, (caption, original, output) in enumerate(rows):
        y = total_h - top - r * (2 * cell_h + gap)
        figure.text(left / total_w, (y + 0.09) / total_h, caption, fontsize=7.5, color=MUTED, va="center")
        picks = np.linspace(0, original.shape[1] - 1, columns).round().astype(int)
        for line, (name, video) in enumerate((("original", original), ("reconstruction", output))):
            bottom = y - (line + 1) * cell_h
            figure.text(
                (left - 0.08) / total_w,
                (bottom + cell_h / 2) / total_h,
                name,
                fontsize=8,
                color=INK,
                ha="right",
                va="center",
            )
            for c, frame in enumerate(picks):
                size = (0.985 * cell_w / total_w, 0.985 * cell_h / total_h)
                picture = ((video[:, frame].clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
                add_picture(figure, ((left + c * cell_w) / total_w, bottom / total_h, *size), picture)
    save_figure(figure, path)


def film_videos(path: Path, rows: Sequence[tuple[str, Tensor, Tensor]], fps: float) -> None:
    """An MP4 with a line a clip, the original left and the reconstruction right; a shorter clip holds its last picture.

    Args:
        rows: as for :func:`draw_videos`.
    """
    if not rows:
        rows = [("no clip to show", torch.zeros(3, 1, 8, 8), torch.zeros(3, 1, 8, 8))]
    length, width = max(row[1].shape[1] for row in rows), max(row[1].shape[3] for row in rows)
    scale = max(1, 256 // width)
    lines = []
    for _, original, output in rows:
        both = torch.cat([original, torch.ones(*original.shape[:3], _GAP), output], dim=3)  # white between them
        both = torch.cat([both, both[:, -1:].expand(-1, length - both.shape[1], -1, -1)], dim=1)
        both = torch.nn.functional.pad(both, (0, 2 * width + _GAP - both.shape[3], 0, _GAP), value=1.0)
        pixels = ((both.clamp(-1, 1) + 1) * 127.5).round().byte()
        lines.append(pixels.repeat_interleave(scale, 2).repeat_interleave(scale, 3))
    film = torch.cat(lines, dim=2).permute(1, 2, 3, 0).numpy()
    encode(path, (picture[: picture.shape[0] // 2 * 2, : picture.shape[1] // 2 * 2] for picture in film), fps, crf=14.0)


def spectrogram_db(sound: Tensor, window: int = 2048, hop: int = 480) -> np.ndarray:
    """Magnitudes ``[bins, frames]`` of the mean of the channels, in dB of full scale, floored at −100."""
    taper = torch.hann_window(window)
    magnitudes = spectrogram(sound.mean(0), 0, taper / taper.sum() * 2, window, hop, window, 1.0, normalized=False)
    return amplitude_to_DB(magnitudes, multiplier=20.0, amin=1e-5, db_multiplier=0.0).numpy()


def draw_sounds(path: Path, title: str, rows: Sequence[tuple[str, Tensor, Tensor]], rate: int) -> None:
    """Spectrogram pairs, original left and reconstruction right, with the waveform under each.

    Args:
        rows: (caption, original, reconstruction), waveforms ``[C, T]`` in [−1, 1].
    """
    if not rows:
        rows = [("no clip to show", torch.zeros(2, rate), torch.zeros(2, rate))]
    figure = new_figure(10.5, 0.75 + 2.05 * len(rows))
    heights = [h for _ in rows for h in (3.0, 1.0, 0.55)]
    grid = figure.add_gridspec(
        len(heights),
        2,
        height_ratios=heights,
        left=0.07,
        right=0.93,
        hspace=0.05,
        wspace=0.06,
        top=1 - 0.62 / figure.get_figheight(),
        bottom=0.18 / figure.get_figheight(),
    )
    top = 1 - 0.24 / figure.get_figheight()
    figure.text(0.012, top, title, fontsize=12, fontweight="bold", color=INK, va="center")
    image = None
    for r, (caption, original, output) in enumerate(rows):
        seconds = original.shape[1] / rate
        peak = max(0.05, float(original.abs().max()) * 1.1)
        for c, (name, sound) in enumerate((("original", original), ("reconstruction", output))):
            upper = figure.add_subplot(grid[3 * r, c])
            image = upper.imshow(
                spectrogram_db(sound),
                origin="lower",
                aspect="auto",
                cmap="magma",
                vmin=-90,
                vmax=-10,
                extent=(0, seconds, 0, rate / 2000),
                interpolation="bilinear",
            )
            upper.set_yscale("symlog", linthresh=1.0, linscale=1.0)
            upper.set_ylim(0, rate / 2000)
            upper.set_yticks([0.25, 1, 4, 16], ["0.25", "1", "4", "16"] if c == 0 else [])
            upper.set_xticks([])
            upper.set_title(f"{caption} · {name}" if c == 0 else name, fontsize=8, color=MUTED, loc="left", pad=3)
            lower = figure.add_subplot(grid[3 * r + 1, c])
            times = np.arange(sound.shape[1]) / rate
            lower.plot(times[::16], sound.mean(0).numpy()[::16], linewidth=0.4, color="#3b6ea8")
            lower.set_xlim(0, seconds)
            lower.set_ylim(-peak, peak)
            lower.set_yticks([])
            for axes in (upper, lower):
                axes.tick_params(labelsize=6.5, colors=MUTED, length=2)
                for spine in axes.spines.values():
                    spine.set_visible(False)
            if c == 0:
                upper.set_ylabel("kHz", fontsize=7, color=MUTED)
        lower.set_xlabel("")
    bar = figure.colorbar(image, cax=figure.add_axes((0.945, 0.35, 0.010, 0.3)))
    bar.set_label("dB of full scale", fontsize=7, color=MUTED)
    bar.ax.tick_params(labelsize=6.5, colors=MUTED, length=2)
    bar.outline.set_visible(False)
    save_figure(figure, path)
