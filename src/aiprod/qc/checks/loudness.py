"""Loudness and peaks of sound by ITU-R BS.1770-5 and EBU R 128, and clipped samples."""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aiprod.qc.checks.judging import Case, Judgements, Places, Rule, Worst, answered, judged, or_else, ramp, rounded
from aiprod.qc.checks.weighted_power import weighted_power
from aiprod.qc.clip_context import ClipSound
from aiprod.qc.codec_names import sound_codec as codec_of
from aiprod.qc.measurement import OfSound
from aiprod.qc.metric_table import FigureColumns, FigureTable, Floats, Mask

if TYPE_CHECKING:
    from aiprod.media.media_info import AudioFacts
    from aiprod.qc.params import QcDecideParams

VERSION = "3"
METHOD = (
    "BS.1770-5 K-weighting and gating, EBU Tech 3342 range, 4x oversampled true peak, runs of samples at full scale"
)
FLOOR_LUFS = -120.0
FLOOR_DB = -120.0
_PEAK_BLOCK = 4096
_REACH = 10  # samples either way that a value between two is made of
_SUMMITS = 4096  # of a channel that are looked at closely


@cache
def _between() -> NDArray[np.float32]:
    """Taps that give what is a quarter, a half and three quarters of the way to the sample before and the one behind,
    [21 samples about one, 6]: a windowed sinc for four times the rate."""
    taps = np.sinc(np.arange(-40, 41) / 4) * np.kaiser(81, 5.0)
    taps *= 4 / taps.sum()
    apart = np.arange(-_REACH, _REACH + 1)  # of the samples; those over ten away have no part
    at = 40 + np.array([-3, -2, -1, 1, 2, 3]) - 4 * apart[:, None]
    return np.where((at >= 0) & (at <= 80), taps[np.clip(at, 0, 80)], 0.0).astype(np.float32)


def _lufs(power: NDArray[np.float64] | float) -> Any:
    return -0.691 + 10 * np.log10(np.maximum(power, 1e-13))


def _different(samples: NDArray[np.float32]) -> tuple[NDArray[np.float32], int]:
    """One channel and 2 where the second is the same, as films of one microphone have it; else all, and 1."""
    first = samples[:, :_PEAK_BLOCK]  # where most differ already
    if samples.shape[0] == 2 and np.array_equal(first[0], first[1]) and np.array_equal(samples[0], samples[1]):
        return samples[:1], 2
    return samples, 1


def sample_peak(samples: NDArray[np.float32]) -> float:
    """The greatest absolute value, without an array of absolute values."""
    return max(float(samples.max(initial=0.0)), -float(samples.min(initial=0.0)))


def _window_power(sums: NDArray[np.float64], hop: int, hops: int) -> NDArray[np.float64]:
    """Mean square of sliding windows of so many hops."""
    before = np.concatenate(([0.0], np.cumsum(sums)))
    return np.asarray((before[hops:] - before[:-hops]) / (hop * hops))


def integrated_lufs(samples: NDArray[np.float32], rate_hz: int) -> tuple[float, float | None, float]:
    """Integrated loudness (LUFS), loudness range (LU, None below 3 s + 10 windows) and greatest momentary loudness.

    Args:
        samples: [channels, T], one or two channels.
    """
    hop = max(1, round(0.1 * rate_hz))
    if samples.shape[1] < max(0.4 * rate_hz, 4 * hop):
        return FLOOR_LUFS, None, FLOOR_LUFS
    different, times = _different(samples)
    sums = times * np.sum([weighted_power(channel, rate_hz, hop) for channel in different], axis=0)
    momentary = _window_power(sums, hop, 4)
    loud = _lufs(momentary)
    above = momentary[loud >= -70.0]
    integrated = FLOOR_LUFS
    if above.size:
        gate = _lufs(above.mean()) - 10.0
        gated = above[_lufs(above) >= gate]
        integrated = float(_lufs(gated.mean()))
    spread = None
    short = _window_power(sums, hop, 30) if samples.shape[1] >= 4 * rate_hz else np.array([])
    audible = short[_lufs(short) >= -70.0] if short.size else short
    if audible.size:
        kept = _lufs(audible[_lufs(audible) >= _lufs(audible.mean()) - 20.0])
        spread = float(np.quantile(kept, 0.95) - np.quantile(kept, 0.10))
    return integrated, spread, float(max(loud.max(), FLOOR_LUFS))


def mean_square(samples: NDArray[np.float32]) -> float:
    """Mean of the squares: stretches in single precision, their sums in double; no array of squares is made."""
    parts = (channel[at : at + _PEAK_BLOCK] for channel in samples for at in range(0, channel.size, _PEAK_BLOCK))
    return sum(float(part.dot(part)) for part in parts) / samples.size


def _block_peaks(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Greatest absolute values of blocks of [channels, T], [channels, blocks], without an array of absolute values."""
    whole = samples.shape[1] // _PEAK_BLOCK * _PEAK_BLOCK
    parts = [samples[:, :whole].reshape(samples.shape[0], -1, _PEAK_BLOCK)] if whole else []
    parts += [samples[:, None, whole:]] if whole < samples.shape[1] else []
    return np.concatenate([np.maximum(part.max(axis=2), -part.min(axis=2)) for part in parts], axis=1)


def true_peak_dbtp(samples: NDArray[np.float32], peaks: NDArray[np.float32] | None = None) -> float:
    """Peak between samples, dBTP, by fourfold oversampling about those that come near the sample peak.

    Args:
        peaks: of the blocks, where they are known.
    """
    peaks = _block_peaks(samples) if peaks is None else peaks
    peak = float(peaks.max(initial=0.0))
    if peak <= 1e-6:
        return FLOOR_DB
    best = peak
    for channel, highest in zip(_different(samples)[0], peaks, strict=False):
        places = [_summits(channel, block, 0.7 * peak) for block in np.flatnonzero(highest >= 0.7 * peak).tolist()]
        at = np.concatenate(places) if places else np.zeros(0, np.int64)
        if at.size > _SUMMITS:  # loud material touches the peak everywhere; the highest bound the cost
            at = at[np.argpartition(-np.abs(channel[at]), _SUMMITS)[:_SUMMITS]]
        about = at[:, None] + np.arange(-_REACH, _REACH + 1)
        near = channel[np.clip(about, 0, channel.size - 1)]
        if at.size and (about.min() < 0 or about.max() >= channel.size):  # there is nothing before the sound or behind
            near[(about < 0) | (about >= channel.size)] = 0.0
        between = near @ _between()
        best = max(best, float(between.max(initial=0.0)), -float(between.min(initial=0.0)))
    return float(20 * np.log10(best))


def _summits(channel: NDArray[np.float32], block: int, least: float) -> NDArray[np.int64]:
    """Samples of a block of at least that size which no sample beside them exceeds."""
    first = max(0, block * _PEAK_BLOCK - 1)
    size = np.abs(channel[first : (block + 1) * _PEAK_BLOCK + 1])
    high = np.flatnonzero(size >= least)
    last = size.size - 1
    summit = (size[high] >= size[np.maximum(high - 1, 0)]) & (size[high] >= size[np.minimum(high + 1, last)])
    return np.asarray(first + high[summit])


def clipped_fraction(samples: NDArray[np.float32], peaks: NDArray[np.float32] | None = None) -> float:
    """Share of clipped samples.

    Lossless sound shows clipping as runs of three and more samples at exactly the greatest value, near full scale.
    Lossy coding makes such flat tops ring about full scale: there, samples beyond full scale (which every player has
    to clamp) are counted.

    Args:
        peaks: of the blocks, where they are known.
    """
    if samples.size == 0:
        return 0.0
    peaks = _block_peaks(samples) if peaks is None else peaks
    peak = float(peaks.max())
    if peak < 0.9:
        return 0.0
    beyond = peak > 1.0 + 1e-4
    least = 1.0 if beyond else peak - 1e-6
    clipped = 0
    for channel, highest in zip(samples, peaks, strict=True):
        at = [_reaching(channel, block, least) for block in np.flatnonzero(highest >= np.float32(least)).tolist()]
        places = np.concatenate(at) if at else np.zeros(0, np.int64)
        if beyond:
            clipped += int(np.count_nonzero(np.abs(channel[places]) > 1.0))
            continue
        lengths = np.diff(np.flatnonzero(np.diff(places, prepend=-2, append=channel.size + 1) != 1))
        clipped += int(lengths[lengths >= 3].sum())
    return clipped / samples.size


def _reaching(channel: NDArray[np.float32], block: int, least: float) -> NDArray[np.int64]:
    """Samples of a block of at least that size."""
    first = block * _PEAK_BLOCK
    return np.asarray(first + np.flatnonzero(np.abs(channel[first : first + _PEAK_BLOCK]) >= least))


def measure(samples: NDArray[np.float32], rate_hz: int) -> dict[str, Any]:
    """Loudness in LUFS, range in LU, peaks in dBFS and dBTP, clipped share."""
    if samples.size == 0:
        return {"status": "unmeasurable", "reason": "no sound samples"}
    integrated, spread, momentary = integrated_lufs(samples, rate_hz)
    peaks = _block_peaks(samples)
    peak = float(peaks.max())
    rms = float(np.sqrt(mean_square(samples)))
    return {
        "status": "ok",
        "integrated_lufs": integrated,
        "range_lu": spread,
        "momentary_max_lufs": momentary,
        "sample_peak_dbfs": float(20 * np.log10(max(peak, 1e-6))),
        "true_peak_dbtp": true_peak_dbtp(samples, peaks),
        "rms_dbfs": float(20 * np.log10(max(rms, 1e-6))),
        "clipped_fraction": clipped_fraction(samples, peaks),
        "digital_silence": bool(peak == 0.0),
    }


class Loudness(OfSound):
    """Loudness and peaks, codec and bit rate as the file states them."""

    name = "loudness"
    version = VERSION
    method = METHOD

    def hear(self, sound: ClipSound, audio: AudioFacts) -> dict[str, Any]:
        """Loudness in LUFS, range in LU, peaks in dBFS and dBTP, clipped share."""
        return {**measure(sound.span, sound.rate_hz), "acodec": audio.codec, "bitrate_bps": audio.bitrate_bps}


def judge_audio(measurements: FigureTable, params: QcDecideParams) -> Judgements:
    """The worst of sampling rate, channels, noise, clipping, drop-outs, bandwidth and level."""
    level, faults, noise, limits = measurements["loudness"], measurements["defects"], measurements["snr"], params.sound
    rate, channels = np.trunc(faults.number("sample_rate_hz")), np.trunc(faults.number("channels"))
    silent = (level.number("integrated_lufs") < limits.silent_below_lufs) & (level.number("sample_peak_dbfs") < -50.0)
    mono, dual = channels == 1, (channels != 1) & faults.flag("dual_mono")
    clipped, lost = level.number("clipped_fraction"), faults.number("dropout_s")
    width, snr = faults.number("bandwidth_hz"), noise.number("snr_db")
    heard, dropouts = noise.ok & ~noise.flag("at_least"), faults.number("dropouts")
    dropped = np.empty(rate.size, object)
    for i in np.flatnonzero(lost > 0).tolist():
        dropped[i] = f"{dropouts[i]:.0f} drop-outs, {lost[i]:.3f} s in all"

    def where(mask: Mask, score: Floats | float) -> Floats:
        return np.where(mask, score, np.nan)

    worst = Worst(
        [
            (where(lost > 0, 1.0 - ramp(lost, 0.0, limits.dropout_max_s)), "{}", dropped),
            (1.0 - ramp(clipped, 0.0, limits.clipped_max_fraction), "{:.2%} of the samples are clipped", clipped),
            (where(heard, ramp(snr, limits.snr_poor_db, limits.snr_good_db)), "signal {:.0f} dB over noise", snr),
            (ramp(width, limits.bandwidth_poor_hz, limits.bandwidth_good_hz), "nothing above {:.1f} kHz", width / 1000),
            (ramp(rate, limits.sample_rate_poor_hz, limits.sample_rate_min_hz), "{:.0f} Hz sampling", rate),
            (where(mono, limits.mono_score), "mono", rate),
            (where(dual, limits.dual_mono_score), "both channels are the same", rate),
        ]
    )
    return judged(
        level,
        Case(silent, None, "the sound is silent", status="unmeasurable"),  # as good as none, and no worse
        Case(worst.score < 1, worst.score, "{worst}"),
        Case(True, worst.score, "{rate:.0f} Hz, {channels:.0f} channels, clean"),
        value=np.where(silent, np.nan, rounded(worst.score, 4)),
        needs=[faults],
        worst=worst.words,
        rate=rate,
        channels=channels,
    )


_LOSSLESS = frozenset({"pcm", "flac", "alac"})
_ASKED = 0.9  # encoders that are asked for a rate spend less on film with pauses: 242 kbps of 256 in the demo corpus


def judge_codec(measurements: FigureTable, params: QcDecideParams) -> Judgements:
    """Sound codec against the allowed ones; unweighted, another one asks for a review (ingest makes AAC of any)."""
    figures, allowed = measurements["loudness"], params.sound.codecs
    names, which = _codecs(figures)
    codec = np.array(names, object)[which]
    return answered(
        measurements,
        _unheard(figures),
        Case(np.array([name in allowed for name in names])[which], 1.0, "{codec}"),
        Case(True, 0.0, "sound codec {codec} is none of {allowed}"),
        value=codec,
        codec=codec,
        allowed=", ".join(allowed),
        why=partial(_why, figures),
    )


def judge_bitrate(measurements: FigureTable, params: QcDecideParams) -> Judgements:
    """Bit rate of the sound, as its file states it, against the least; unweighted. What is lossless passes at any.

    Less than the least is said; how far the sound suffers from it is for ``audio`` to hear. Less than half asks for a
    review, as a score below ``fail_below`` does of any check.
    """
    figures, least = measurements["loudness"], params.sound.bitrate_min_bps
    names, which = _codecs(figures)
    lossless = np.array([name in _LOSSLESS for name in names])[which]
    rate = np.trunc(or_else(figures.number("bitrate_bps"), 0.0))
    score = np.minimum(1.0, rate / (_ASKED * least)) if least else np.ones(rate.size)
    below = f", below the {least / 1000:g} of the policy"
    return answered(
        measurements,
        _unheard(figures),
        Case(lossless, 1.0, "{codec} is lossless"),
        Case(rate == 0, None, "the file states no bit rate of its {codec} sound", remark=True, status="unmeasurable"),
        Case(score < 1, score, f"{{kbps:.0f}} kbps{below}", remark=True),
        Case(True, score, "{kbps:.0f} kbps"),
        value=np.where(lossless, np.nan, rate),
        codec=np.array(names, object)[which],
        kbps=rate / 1000,
        why=partial(_why, figures),
    )


def _codecs(figures: FigureColumns) -> tuple[list[str], NDArray[np.int64]]:
    """The different codecs, and which of them each clip has."""
    known, which = figures.distinct("acodec")
    return [codec_of(name) if name else "" for name in known], which


def _unheard(figures: FigureColumns) -> Case:
    """Without sound there is nothing to say; that it is in error is said by ``audio``."""
    return Case(~(figures.ok & figures.flag("acodec")), None, "{why}", status="unmeasurable")


def _why(figures: FigureColumns, places: Places) -> list[str]:
    return [reason or "the codec of the sound is not known" for reason in figures.text("reason")[places].tolist()]


_LEVEL = ("integrated_lufs", "sample_peak_dbfs", "clipped_fraction")
_FAULTS = ("sample_rate_hz", "channels", "dual_mono", "dropouts", "dropout_s", "bandwidth_hz")
_NOISE = ("snr_db", "at_least")

RULES = (
    Rule("audio", "loudness", {"loudness": _LEVEL, "defects": _FAULTS, "snr": _NOISE}, judge_audio, weight=0.15),
    Rule("sound_codec", "loudness", {"loudness": ("acodec",)}, judge_codec, may_reject=True),
    Rule("sound_bitrate", "loudness", {"loudness": ("acodec", "bitrate_bps")}, judge_bitrate, remarks=True),
)
