"""What is measured of sound, and said of it, from real files: 16-bit sound and AAC as FFmpeg writes them."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from aiprod.media.encoding import encode
from aiprod.media.probing import probe
from aiprod.qc.checks import RULES
from aiprod.qc.measure.measure_clip import measure_clip, measure_file
from aiprod.qc.params import QcMeasureParams
from tests.qc.films import resampled, texture, write_sound
from tests.qc.one_clip import Answer, answer

RATE = 48_000
WRAPPINGS = [("film.mov", "pcm_s16le"), ("film.mp4", "aac")]
either = pytest.mark.parametrize(("name", "codec"), WRAPPINGS, ids=["16-bit", "aac"])


def measured(path: Path) -> dict[str, Any]:
    return measure_file(path, QcMeasureParams())[0]


def judged(check: str, found: dict[str, Any]) -> Answer:
    return answer(RULES[check].judge, found)


def noise(seconds: float, seed: int = 0, rate: int = RATE) -> np.ndarray:
    """White noise of unit power, [2, T], its channels independent."""
    return np.random.default_rng(seed).standard_normal((2, round(seconds * rate)))


def strikes(seconds: float, rate: int = RATE) -> np.ndarray:
    """[2, T]: a burst of noise that decays, every 0.7 s from 0.3 s on."""
    since = (np.arange(round(seconds * rate)) / rate - 0.3) % 0.7
    return noise(seconds, 1, rate) * 0.2 * np.exp(-since * 14) * np.minimum(1, since / 0.002)


@either
@pytest.mark.parametrize(("late_s", "early_s"), [(0.0, 0.25), (0.2, 0.0), (0.0, 1.2)])
def test_noise_is_not_hidden_by_sound_that_is_missing_at_an_end(
    tmp_path: Path, name: str, codec: str, late_s: float, early_s: float
) -> None:
    """The signal and the noise are what they are in the same film with all of its sound."""
    sound = strikes(3) + 0.01 * noise(3)
    whole = measured(write_sound(tmp_path / name, sound, codec))
    rest = sound.shape[1] - round(early_s * RATE)
    path = write_sound(tmp_path / f"cut-{name}", sound, codec, start_s=late_s, gap=slice(rest, sound.shape[1]))
    cut = measured(path)
    assert cut["snr"]["snr_db"] == pytest.approx(whole["snr"]["snr_db"], abs=1.5)
    assert judged("audio", cut).score == pytest.approx(judged("audio", whole).score, abs=0.03)
    assert judged("audio", cut).score < 0.5
    assert cut["loudness"]["rms_dbfs"] == pytest.approx(whole["loudness"]["rms_dbfs"], abs=1.0)


@either
def test_sound_that_ends_before_the_pictures_is_said(tmp_path: Path, name: str, codec: str) -> None:
    sound = strikes(3)
    whole = judged("sync", measured(write_sound(tmp_path / name, sound, codec)))
    assert whole.score == 1.0
    assert "ends" not in whole.reason
    path = write_sound(tmp_path / f"cut-{name}", sound, codec, gap=slice(RATE * 3 // 2, sound.shape[1]))
    answer = judged("sync", measured(path))
    assert answer.score == 0.0
    assert "the sound ends 1.4" in answer.reason or "the sound ends 1.5" in answer.reason
    short = write_sound(tmp_path / f"short-{name}", sound, codec, gap=slice(RATE * 57 // 20, sound.shape[1]))
    answer = judged("sync", measured(short))
    assert answer.score == 1.0  # a fifth of a second is usual in a cut stream, and is said
    assert "the sound ends 0.1" in answer.reason
    # A shot that is over before the sound is lacks nothing.
    found, _ = measure_clip(path, probe(path), 0.0, 1.25, QcMeasureParams())
    assert judged("sync", found).score == 1.0


@pytest.mark.parametrize("old_hz", [8_000, 16_000, 22_050, 32_000])
@pytest.mark.parametrize("level", [1.0, 0.05])
def test_upsampled_sound_shows_its_old_bandwidth(tmp_path: Path, old_hz: int, level: float) -> None:
    """FFmpeg's resampler lets a little pass above half of the old rate; 16 bits bring noise over the whole spectrum."""
    low = strikes(3, old_hz) * level + level * 0.001 * noise(3, 2, old_hz)
    sound = resampled(low, old_hz, RATE)
    found = measured(write_sound(tmp_path / "up.mov", sound, "pcm_s16le"))
    assert 0.9 * old_hz / 2 < found["defects"]["bandwidth_hz"] < 1.25 * old_hz / 2
    full = measured(write_sound(tmp_path / "full.mov", strikes(3), "pcm_s16le"))
    assert full["defects"]["bandwidth_hz"] > 22_000
    if old_hz == 8_000:
        assert judged("audio", found).score < 0.5


def test_sound_upsampled_from_8_khz_is_seen_through_aac(tmp_path: Path) -> None:
    found = measured(write_sound(tmp_path / "up.mp4", resampled(strikes(3, 8_000), 8_000, RATE), "aac"))
    assert found["defects"]["bandwidth_hz"] < 8_000
    assert judged("audio", found).score < 0.5


@pytest.mark.parametrize(
    ("name", "codec", "partials"),
    [*((*how, [hz]) for how in WRAPPINGS for hz in (50, 440)), (*WRAPPINGS[0], [440 * k for k in range(1, 9)])],
)
def test_tones_are_not_taken_for_upsampled_sound(tmp_path: Path, name: str, codec: str, partials: list[int]) -> None:
    """A tone fills no spectrum at any sampling rate: there is no telling what it was recorded at."""
    time = np.arange(3 * RATE) / RATE
    tone = sum(0.2 / (n + 1) * np.sin(2 * np.pi * hz * time) for n, hz in enumerate(partials))
    found = measured(write_sound(tmp_path / name, np.stack([tone, 0.7 * tone]), codec))
    width = found["defects"]["bandwidth_hz"]
    assert width is None or width > 12_000


@either
def test_fades_and_pauses_are_no_drop_outs_and_holes_are(tmp_path: Path, name: str, codec: str) -> None:
    time = np.arange(4 * RATE) / RATE
    steady = 0.1 * noise(4)
    at = (time - 0.05) % 0.4  # syllables of 0.22 s that fade in and out, digital silence between them
    syllables = steady * np.interp(at, [0, 0.05, 0.17, 0.22], [0, 1, 1, 0])
    pause = np.where((time >= 1) & (time < 3), 0.0, steady)
    hole = np.where((time >= 1) & (time < 1.1), 0.0, steady)
    for sound in (syllables, pause):
        found = measured(write_sound(tmp_path / name, sound, codec))
        assert found["defects"]["dropouts"] == 0
        assert judged("audio", found).score > 0.9
    found = measured(write_sound(tmp_path / name, hole, codec))
    assert found["defects"]["dropouts"] == 1
    assert found["defects"]["first_dropout_s"] == pytest.approx(1.0, abs=0.01)
    assert found["defects"]["dropout_s"] == pytest.approx(0.1, abs=0.02)
    assert judged("audio", found).score < 0.5


def test_sound_without_packets_is_a_drop_out_however_long(tmp_path: Path) -> None:
    gap = slice(RATE, RATE * 5 // 2)
    found = measured(write_sound(tmp_path / "film.mkv", strikes(4) + 0.01 * noise(4), "pcm_s16le", gap=gap))
    assert found["defects"]["dropouts"] == 1
    assert found["defects"]["first_dropout_s"] == pytest.approx(1.0, abs=0.03)
    assert found["defects"]["dropout_s"] == pytest.approx(1.5, abs=0.03)
    assert found["snr"]["snr_db"] < 30  # the gap is no quiet stretch


@either
def test_a_note_that_is_held_from_the_start_has_no_onset(tmp_path: Path, name: str, codec: str) -> None:
    note = 0.1 * np.sin(2 * np.pi * 440 * np.arange(3 * RATE) / RATE)
    found = measured(write_sound(tmp_path / name, np.stack([note, 0.7 * note]), codec))["events"]
    assert (found["kind"], found["onset_times_s"]) == ("steady tone", [])


@either
def test_quiet_sound_without_noise_is_not_called_noisy(tmp_path: Path, name: str, codec: str) -> None:
    quiet = measured(write_sound(tmp_path / name, strikes(3) * 0.02 * (np.arange(3 * RATE) % 33_600 > 14_400), codec))
    assert quiet["snr"]["snr_db"] < 40
    assert judged("audio", quiet).score == 1.0
    noisy = measured(write_sound(tmp_path / name, strikes(3) * 0.02 + 0.0003 * noise(3), codec))
    assert "over noise" in judged("audio", noisy).reason


def test_sound_that_does_not_decode_is_not_called_absent(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "film.mp4", strikes(2), "aac")
    content = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        for packet in container.demux(container.streams.audio[0]):
            if packet.size and packet.pos:
                content[packet.pos : packet.pos + packet.size] = b"\xff" * packet.size
    path.write_bytes(content)
    for check in ("sync", "audio"):
        answer = judged(check, measured(path))
        assert answer.status == "error"
        assert "does not decode" in answer.reason
    path = write_sound(tmp_path / "film.mov", strikes(2), "pcm_s16le")
    content = path.read_bytes()
    assert b"sowt" in content
    path.write_bytes(content.replace(b"sowt", b"xyzw"))
    for check in ("sync", "audio"):
        answer = judged(check, measured(path))
        assert answer.status == "unmeasurable"
        assert "codec" in answer.reason


@pytest.mark.parametrize("late_s", [0.0, 0.09, 0.2])
@pytest.mark.parametrize(("name", "codec"), [*WRAPPINGS, ("film.mkv", "aac"), ("film.ts", "aac")])
def test_late_sound_reads_as_late_as_it_is(tmp_path: Path, name: str, codec: str, late_s: float) -> None:
    """Containers store times to a millisecond; the 21 ms of priming before AAC are no part of the delay."""
    found = measured(write_sound(tmp_path / name, strikes(2), codec, start_s=late_s))
    assert found["sync"]["container_offset_s"] == pytest.approx(late_s, abs=0.0011)


@pytest.mark.parametrize("fps", [24, 30, 60])
@pytest.mark.parametrize("late_s", [-0.15, 0.0, 0.15])
def test_content_tells_the_offset_without_bias(tmp_path: Path, fps: int, late_s: float) -> None:
    """A ball that turns round at uneven times, anywhere between two pictures, and a knock at each time."""
    before = np.array([0.0, 0.8, 0.2, 0.9, 0.3, 0.7, 0.1])  # of a frame: how long before a picture
    turns = (np.round(np.array([0.5, 1.15, 1.7, 2.6, 3.15, 4.1, 4.55]) * fps) - before) / fps
    sound = np.zeros((2, 5 * RATE), np.float32)
    knock = 0.5 * np.exp(-np.arange(4_800) / 600) * np.sin(np.arange(4_800) * 0.1)
    for turn in turns:
        first = round((turn + late_s) * RATE)
        sound[:, first : first + 4_800] += knock
    ground = np.repeat(texture(320, 180)[..., None], 3, axis=2)

    def pictures() -> Iterator[np.ndarray]:
        corners = np.concatenate(([0.0], turns, [5.0]))
        places = np.concatenate(([60.0], 60 + np.cumsum(np.diff(corners) * 100 * (-1.0) ** np.arange(8))))
        for number in range(5 * fps):
            picture, x = ground.copy(), float(np.interp(number / fps, corners, places))
            cv2.circle(picture, (round(x * 16), 90 * 16), 30 * 16, (250, 30, 30), -1, cv2.LINE_AA, 4)
            yield picture

    encode(tmp_path / "ball.mp4", pictures(), Fraction(fps), sound)
    found = measured(tmp_path / "ball.mp4")["sync"]["content_offset_s"]
    assert found == pytest.approx(late_s, abs=0.012)
