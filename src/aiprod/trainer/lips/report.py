"""The page of the network that draws mouths: clips to play beside what was drawn from their sound."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from aiprod.base.figures import INK, MUTED, new_figure, save_figure
from aiprod.base.files import atomic_folder, contained, write_text
from aiprod.base.pages import with_policy
from aiprod.media.audio import read_sound
from aiprod.media.encoding import encode
from aiprod.trainer.figure_table import figure_rows
from aiprod.trainer.lips.scores import RedrawnClip

_SHOWN = 3
_TEMPLATE = Path(__file__).with_name("report.html.j2")


def write_page(folder: Path, done: Sequence[RedrawnClip], data: Path, metrics: dict[str, Any]) -> None:
    """Write ``index.html`` with its films and pictures into a folder of its own."""
    with atomic_folder(folder) as place:
        for number, each in enumerate(done[:_SHOWN]):
            sides = [np.concatenate(pair, 1) for pair in zip(each.pictures, each.drawn, strict=True)]
            sound = read_sound(contained(data, each.row.file_name), 48_000, 1)
            tags = {"comment": f"synthetic: {each.row.provenance}; right half redrawn by aiprod"}
            rate = Fraction(each.row.fps).limit_denominator(1001)
            encode(place / f"{number}.mp4", sides, rate, sound, crf=16.0, tags=tags)
            _draw(place / f"{number}.png", each)
        source = _TEMPLATE.read_text(encoding="utf-8")
        environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
        shown = [{"number": n, "text": each.row.text} for n, each in enumerate(done[:_SHOWN])]
        text = environment.from_string(source).render(shown=shown, figures=figure_rows(metrics))
        write_text(place / "index.html", with_policy(text, source))


def _draw(path: Path, each: RedrawnClip) -> None:
    at = (np.arange(each.row.frames) + 0.5) / each.row.fps
    figure = new_figure(11.0, 2.8)
    axes = figure.add_axes((0.06, 0.17, 0.93, 0.70))
    seen = np.array([np.nan if face is None else face.aperture for face in each.faces])
    for curve, name, colour in (
        (np.array(each.row.aperture), "truth", MUTED),
        (seen, "measured in the film", "#2a6f97"),
        (each.own, "measured in what was drawn", "#b4442c"),
    ):
        axes.plot(at, curve, color=colour, linewidth=1.4, label=name)
    axes.set_xlim(0, at[-1] + 0.5 / each.row.fps)
    axes.set_ylabel("lips apart / eyes apart", fontsize=8, color=INK)
    axes.tick_params(labelsize=7, colors=MUTED)
    axes.set_xlabel("seconds", fontsize=8, color=INK)
    axes.legend(fontsize=7, loc="lower right", bbox_to_anchor=(1, 1.0), ncols=3, frameon=False)
    save_figure(figure, path)
