"""The listening page of the speech model: text, the voice it learnt from, the model, spectrograms and times."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import torch

from aiprod.base.figures import INK, MUTED, new_figure, save_figure
from aiprod.base.files import atomic_folder, write_text
from aiprod.base.pages import with_policy
from aiprod.speech.features import log_mel
from aiprod.speech.model import SpeechModel
from aiprod.speech.phones import SILENCE
from aiprod.speech.sound_files import write_sound
from aiprod.speech.synthesis import Voice, speak_phones, timed
from aiprod.speech.voice import TimedUnit
from aiprod.storage.crypto.film_encryption import is_private
from aiprod.trainer.figure_table import figure_rows
from aiprod.trainer.speech.data import LoadedUtterance

_SHOWN = 6
_TEMPLATE = Path(__file__).with_name("report.html.j2")


def write_page(
    folder: Path,
    model: SpeechModel,
    heldout: Sequence[LoadedUtterance],
    unseen: Sequence[LoadedUtterance],
    metrics: dict[str, Any],
) -> None:
    """Write ``index.html`` with its sounds and pictures into a folder of its own; what a person said is in none."""
    heldout = [each for each in heldout if not is_private(each.row.utterance_id)]
    heldout.sort(key=lambda each: each.row.language)  # what is chosen is spread over the languages
    unseen = [each for each in unseen if not is_private(each.row.utterance_id)]
    chosen = [*heldout[:: max(1, len(heldout) // _SHOWN)][:_SHOWN], *unseen[:1]]
    with atomic_folder(folder) as place:
        shown = [_shown(place, number, model, each) for number, each in enumerate(chosen)]
        environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
        source = _TEMPLATE.read_text(encoding="utf-8")
        page = environment.from_string(source)
        unseen_pair = figure_rows(metrics.get("unseen_pair") or {})
        text = page.render(shown=shown, figures=figure_rows(metrics), unseen=unseen_pair)
        write_text(place / "index.html", with_policy(text, source))


def _shown(place: Path, number: int, model: SpeechModel, utterance: LoadedUtterance) -> dict[str, Any]:
    row = utterance.row
    features, frames = speak_phones(model, utterance.phones, Voice(row.speaker, row.language))
    with torch.no_grad():
        sound = model.sound(features[None], seed=0)[0].numpy()
    phones, words = timed(utterance.phones, frames, row.words)
    write_sound(place / f"{number}_voice.wav", utterance.sound)
    write_sound(place / f"{number}_model.wav", sound)
    _draw(
        place / f"{number}.png",
        (("the voice", utterance.sound, row.timed_phones()), ("the model", sound, phones)),
    )
    times = [(word.name, f"{word.start_s:.2f}", f"{word.end_s:.2f}") for word in words]
    return {
        "number": number,
        "text": row.text,
        "speaker": row.speaker,
        "language": row.language,
        "split": row.split,
        "words": times,
    }


def _draw(path: Path, rows: Sequence[tuple[str, np.ndarray, Sequence[TimedUnit]]]) -> None:
    """Mel spectrograms under each other, with the phones above."""
    figure = new_figure(11.0, 4.6)
    longest = max(len(sound) for _, sound, _ in rows) / 16_000
    for number, (name, sound, phones) in enumerate(rows):
        mel = log_mel(torch.from_numpy(np.ascontiguousarray(sound))).numpy()
        axes = figure.add_axes((0.06, 0.57 - 0.46 * number, 0.93, 0.38))
        axes.imshow(
            mel, origin="lower", aspect="auto", cmap="magma", vmin=-4.6, vmax=3.5, extent=(0, mel.shape[1] / 80, 0, 80)
        )
        axes.set_facecolor("black")
        axes.set_xlim(0, longest)
        axes.set_ylabel(f"{name}, mel band", fontsize=8, color=INK)
        axes.tick_params(labelsize=7, colors=MUTED)
        for phone in phones:
            axes.axvline(phone.start_s, color="#ffffff", linewidth=0.4, alpha=0.6)
            if phone.name != SILENCE:
                axes.text((phone.start_s + phone.end_s) / 2, 81, phone.name, fontsize=6, color=MUTED, ha="center")
    axes.set_xlabel("seconds", fontsize=8, color=INK)
    save_figure(figure, path)
