"""How often videos show what was asked, as a plot: each attribute's share and interval beside chance."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiprod.base.figures import INK, MUTED, new_figure, save_figure

_ABOVE, _WITHIN, _CHANCE = "#2a6f97", "#a9b7c6", "#c0392b"


def draw_adherence(path: Path, measured: Mapping[str, Mapping[str, Any]]) -> None:
    """Write a PNG: a bar for each attribute with its 95 % interval, and a line at its chance.

    A bar is dark where the whole interval lies above chance, and pale where the share may be luck.

    Args:
        measured: what :func:`aiprod.evaluation.prompt_adherence.adherence` gives; may be empty.
    """
    figure = new_figure(7.2, 1.3 + 0.36 * max(1, len(measured)))
    axes = figure.add_subplot(1, 1, 1)
    for row, about in enumerate(measured.values()):
        rate, colour = about["rate"], _ABOVE if about["beats_chance"] else _WITHIN
        axes.barh(row, rate, height=0.62, color=colour)
        axes.plot((about["low"], about["high"]), (row, row), color=INK, linewidth=1)
        if about["chance"] is not None:
            axes.plot((about["chance"],) * 2, (row - 0.42, row + 0.42), color=_CHANCE, linewidth=1.8)
        axes.text(1.02, row, f"{rate:.2f} (n {about['n']})", fontsize=7.5, color=MUTED, va="center")
    axes.set_yticks(range(len(measured)), [name.replace("_", " ") for name in measured])
    axes.set_xlim(0, 1)
    axes.invert_yaxis()
    axes.tick_params(labelsize=8, colors=INK, length=2)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(MUTED)
    subtitle = "what was asked and is seen or heard" if measured else "no prompt asks for anything that can be measured"
    axes.set_title(f"Prompt adherence: {subtitle}", fontsize=9.5, color=INK, loc="left", pad=8)
    axes.set_xlabel(
        "share of samples, with 95 % interval · red: chance · pale: no better than chance", fontsize=7.5, color=MUTED
    )
    height_in = figure.get_figheight()
    figure.subplots_adjust(left=0.19, right=0.87, top=1 - 0.4 / height_in, bottom=0.6 / height_in)
    save_figure(figure, path)
