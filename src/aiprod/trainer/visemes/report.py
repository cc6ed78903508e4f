"""The page of the network from sound to visemes: sentences to listen to, and the mouth that belongs to them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from aiprod.base.figures import INK, MUTED, new_figure, save_figure
from aiprod.base.files import atomic_folder, write_text
from aiprod.base.pages import with_policy
from aiprod.lips.viseme_model import VisemeModel
from aiprod.speech.features import FRAME_HZ
from aiprod.speech.phones import SILENCE
from aiprod.speech.sound_files import write_sound
from aiprod.trainer.figure_table import figure_rows
from aiprod.trainer.visemes.strategy import TrainingUtterance

_SHOWN = 4
_TEMPLATE = Path(__file__).with_name("report.html.j2")


def write_page(folder: Path, model: VisemeModel, apart: Sequence[TrainingUtterance], metrics: dict[str, Any]) -> None:
    """Write ``index.html`` with its sounds and pictures into a folder of its own."""
    apart = sorted(apart, key=lambda each: each.row.language)  # what is chosen is spread over the languages
    chosen = apart[:: max(1, len(apart) // _SHOWN)][:_SHOWN]
    with atomic_folder(folder) as place:
        for number, each in enumerate(chosen):
            write_sound(place / f"{number}.wav", each.sound)
            _draw(place / f"{number}.png", model, each)
        source = _TEMPLATE.read_text(encoding="utf-8")
        environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
        shown = [{"number": n, "text": each.row.text, "speaker": each.row.speaker} for n, each in enumerate(chosen)]
        text = environment.from_string(source).render(shown=shown, figures=figure_rows(metrics))
        write_text(place / "index.html", with_policy(text, source))


def _draw(path: Path, model: VisemeModel, each: TrainingUtterance) -> None:
    predicted = model.see(each.sound).mouth[:, 0]
    at = (np.arange(len(predicted)) + 0.5) / FRAME_HZ
    figure = new_figure(11.0, 2.8)
    axes = figure.add_axes((0.06, 0.17, 0.93, 0.66))
    axes.plot(at, each.mouth[0].numpy(), color=MUTED, linewidth=1.2, label="truth")
    axes.plot(at, predicted, color="#b4442c", linewidth=1.6, label="from the sound")
    axes.set_xlim(0, at[-1])
    axes.set_ylim(0, 1)
    axes.set_ylabel("aperture", fontsize=8, color=INK)
    axes.tick_params(labelsize=7, colors=MUTED)
    axes.set_xlabel("seconds", fontsize=8, color=INK)
    axes.legend(fontsize=7, loc="lower right", bbox_to_anchor=(1, 1.06), ncols=2, frameon=False)
    for phone in each.row.timed_phones():
        if phone.name != SILENCE:
            axes.text((phone.start_s + phone.end_s) / 2, 1.02, phone.name, fontsize=6, color=MUTED, ha="center")
    save_figure(figure, path)
