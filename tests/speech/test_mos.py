"""Ratings of speech by DNSMOS, where its extra is installed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from aiprod.cli import app
from aiprod.errors import AiprodError
from aiprod.media.segments import write_wav
from aiprod.speech import mos
from aiprod.speech.scores import ratings
from aiprod.speech.voice import RATE
from tests.speech.small_model import small_model
from tests.speech.test_drawn_voice import spoken

needs_mos = pytest.mark.skipif(not mos.installed(), reason="aiprod[mos] is not installed")


@needs_mos
def test_a_voice_is_rated_above_noise_and_above_itself_in_noise(tmp_path: Path) -> None:
    voice = spoken("place blue at A two now", "alba").sound
    noise = np.random.default_rng(0).normal(0, 0.1, 10 * RATE).astype(np.float32)
    listeners = mos.Listeners()
    clear, noisy, alone = (listeners.rate(each)["overall"] for each in (voice, voice + noise[: len(voice)], noise))
    assert 5 > clear > noisy + 0.3 > 1 and 1 < alone < 1.5
    assert listeners.rate(np.tile(voice, 3)[: 8 * RATE]) == pytest.approx(
        listeners.rate(voice), abs=0.3
    )  # it is looped
    write_wav(tmp_path / "line.wav", voice[None], RATE)
    shown = CliRunner().invoke(app, ["measure", "speech", str(tmp_path / "line.wav")])
    said = dict(line.split(maxsplit=1) for line in shown.output.splitlines())
    assert float(said["dnsmos_overall"]) == pytest.approx(clear, abs=0.02)


def test_without_it_files_are_measured_all_the_same_and_ratings_name_their_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mos, "find_spec", lambda name: None)
    write_wav(tmp_path / "line.wav", spoken("place blue at A two now", "alba").sound[None], RATE)
    shown = CliRunner().invoke(app, ["measure", "speech", str(tmp_path / "line.wav")])
    assert shown.exit_code == 0 and "dnsmos" not in shown.output and "f0_median_hz" in shown.output
    with pytest.raises(AiprodError, match="not installed") as caught:
        ratings(small_model(), [])
    assert "aiprod[mos]" in str(caught.value)


@needs_mos
def test_another_network_than_the_known_one_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mos, "_DIGEST", "0" * 64)
    with pytest.raises(AiprodError, match="another"):
        mos.Listeners()
