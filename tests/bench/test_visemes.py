"""The comparison of visemes: what is missing is said, and an installed peer is asked as its documentation says."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from aiprod.lips.viseme_model import VisemeModel, VisemeModelConfig
from aiprod.speech.visemes import VISEME_OF, VISEMES
from aiprod.speech.voice import RATE, TimedUnit
from tests.bench import visemes

PACKAGE = Path(os.environ.get("HEADAUDIO", "absent"))


@pytest.fixture
def said() -> list[visemes.Said]:
    """A tone that is called a vowel between two closures of the lips."""
    sound = (0.1 * np.sin(2 * np.pi * 200 * np.arange(RATE) / RATE)).astype(np.float32)
    phones = [TimedUnit("M", 0.0, 0.3), TimedUnit("AA", 0.3, 0.7), TimedUnit("M", 0.7, 1.0)]
    return [visemes.Said(sound, "mom", phones)]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    VisemeModel(VisemeModelConfig(width=8)).save(tmp_path / "visemes")
    return tmp_path / "visemes"


def test_what_is_missing_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    visemes.main(tmp_path / "a", tmp_path / "b", tmp_path / "c")
    assert capsys.readouterr().out.startswith(f"visemes: skipped, there is no {tmp_path / 'a'} and no")


def test_the_truth_is_all_right_and_follows_itself(said: list[visemes.Said]) -> None:
    true = np.zeros((len(said[0].times_s), len(VISEMES)))
    true[np.arange(len(true)), visemes.visemes_at(said[0].phones, "en", said[0].times_s)] = 1
    mouth = visemes.mouth_at(said[0].phones, "en", said[0].times_s)[:, 0]
    way = visemes.Way([visemes.Guess(true, mouth)], 0.0, None, False)
    assert visemes.share_right(way, said, VISEME_OF["en"]) == 1.0
    assert visemes.follows(way, said)[0] == pytest.approx(1.0)


def test_a_peer_that_is_not_there_is_left_out_by_name(
    said: list[visemes.Said], model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    took_part = visemes.compare("a tone", said, model, None)
    assert "AIPROD, from sound" in took_part and "HeadAudio, from sound" not in took_part
    assert "HeadAudio, from sound              left out: not installed" in capsys.readouterr().out


def test_openfacefx_closes_and_opens_by_its_phones(said: list[visemes.Said]) -> None:
    pytest.importorskip("openfacefx", reason="needs openfacefx, a peer")
    way = visemes.openfacefx(said, aligned=True)
    assert way is not None and way.table is not None and set(way.table) == set(VISEME_OF["en"])
    names = [VISEMES[n] for n in way.guesses[0].visemes.argmax(1)]
    assert names[40] == "aa" and names[12] == names[68] == "PP"


@pytest.mark.skipif(not (PACKAGE / "modules").is_dir(), reason="needs HeadAudio's package, named by HEADAUDIO")
def test_headaudio_gives_15_weights_for_every_frame(said: list[visemes.Said]) -> None:
    way = visemes.headaudio(PACKAGE, said)
    assert way is not None and way.table is not None and set(way.table) == set(VISEME_OF["en"])
    weights = way.guesses[0].visemes
    assert weights.shape == (len(said[0].times_s), 15) and np.allclose(weights.sum(1), 1)
