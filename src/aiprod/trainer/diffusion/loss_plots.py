"""The curves of a diffusion training on one page, with a line and a name where each phase begins."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aiprod.base.figures import INK, MUTED, new_figure, save_figure

_COLOURS = ("#3b6ea8", "#c4622d", "#4d8f5b", "#8a5aa8", "#a8923b")
Rows = Sequence[Mapping[str, Any]]


def draw_curves(path: Path, rows: Rows, heldout: Rows) -> None:
    """Write a PNG: losses, held-out losses, losses by noise level, rate and gradient norm over steps.

    Args:
        rows: of the training curve, each with ``step``, ``phase`` and figures.
        heldout: of the measurements of held-out clips, in the same form.
    """
    figure = new_figure(12.5, 6.4)
    panels: list[tuple[str, Rows, Callable[[str], bool], bool]] = [
        ("loss", rows, lambda name: name in ("loss_video", "loss_audio"), True),
        ("held-out loss of the averaged weights", heldout, lambda name: name.startswith("heldout/"), False),
        ("learning rate", rows, lambda name: name == "lr", False),
        ("video loss by noise level", rows, lambda name: name.startswith("video/sigma_"), True),
        ("audio loss by noise level", rows, lambda name: name.startswith("audio/sigma_"), True),
        ("gradient norm", rows, lambda name: name == "grad_norm", True),
    ]
    for place, (title, source, wanted, smooth) in enumerate(panels):
        axes = figure.add_subplot(2, 3, place + 1)
        names = sorted({name for row in source for name in row if wanted(name)})
        for name, colour in zip(names, _COLOURS, strict=False):
            points = [(row["step"], row[name]) for row in source if name in row]
            steps, values = np.array([p[0] for p in points]), np.array([p[1] for p in points], float)
            label = name.removeprefix("heldout/").removeprefix("loss_").partition("sigma_")
            shown = label[2].replace("_", "–") or label[0]
            if smooth and len(values) > 20:
                axes.plot(steps, values, linewidth=0.5, color=colour, alpha=0.25)
                axes.plot(steps, smoothed(values), linewidth=1.4, color=colour, label=shown)
            else:
                marker = "o" if not smooth and len(values) < 30 else ""
                axes.plot(steps, values, linewidth=1.4, color=colour, marker=marker, markersize=3, label=shown)
            if smooth and len(values) > 20:
                axes.set_ylim(0, 1.05 * max(np.quantile(values, 0.99), axes.get_ylim()[1] if len(names) > 1 else 0))
        mark_phases(axes, rows)
        axes.set_title(title, fontsize=9, color=INK, loc="left", pad=14)
        axes.tick_params(labelsize=7, colors=MUTED, length=2)
        for side, spine in axes.spines.items():
            spine.set_visible(side in ("left", "bottom"))
            spine.set_color(MUTED)
        if len(names) > 1:
            axes.legend(fontsize=7, frameon=False, labelcolor=MUTED)
    figure.subplots_adjust(left=0.045, right=0.99, top=0.92, bottom=0.06, hspace=0.38, wspace=0.19)
    save_figure(figure, path)


def phase_starts(rows: Rows) -> list[tuple[int, str]]:
    """First step and name of each phase."""
    starts: list[tuple[int, str]] = []
    for row in rows:
        if not starts or starts[-1][1] != row["phase"]:
            starts.append((int(row["step"]), str(row["phase"])))
    return starts


def mark_phases(axes: Any, rows: Rows) -> None:
    """A dashed line where a phase begins, and its name above."""
    if rows:
        axes.set_xlim(rows[0]["step"], rows[-1]["step"] + 1)
    for step, name in phase_starts(rows):
        axes.axvline(step, color=MUTED, linewidth=0.8, linestyle=(0, (3, 3)))
        axes.text(step, 1.015, f" {name}", transform=axes.get_xaxis_transform(), fontsize=7, color=MUTED)


def smoothed(values: np.ndarray) -> np.ndarray:
    """Means over a centred window of a twentieth of the curve, smaller at its ends."""
    half = max(1, len(values) // 40)
    sums = np.concatenate([[0.0], np.cumsum(values)])
    at = np.arange(len(values))
    low, high = np.maximum(at - half, 0), np.minimum(at + half + 1, len(values))
    return np.asarray((sums[high] - sums[low]) / (high - low))
