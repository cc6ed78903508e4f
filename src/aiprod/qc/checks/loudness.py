"""Loudness and peaks of sound by ITU-R BS.1770-5 and EBU R 128, and clipped samples."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aiprod.qc.checks.judging import Judgement, Parts, Rule, absent, ramp, worst
from aiprod.qc.clip_context import Sound
from aiprod.qc.codec_names import sound_codec as codec_of
from aiprod.qc.measurement import Figures, OfSound

if TYPE_CHECKING:
    from aiprod.media.media_info import AudioFacts
    from aiprod.qc.params import QcDecideParams

VERSION = "2"
METHOD = (
    "BS.1770-5 K-weighting and gating, EBU Tech 3342 range, 4x oversampled true peak, runs of samples at full scale"
)
FLOOR_LUFS = -120.0
FLOOR_DB = -120.0
_STILL = 1e-15  # of full scale: what a filter rings with long after the last sound
_PEAK_BLOCK = 4096


@cache
def _oversampling() -> NDArray[np.float32]:
    """The filter that ``resample_poly`` would otherwise design for each block."""
    from scipy.signal import firwin

    return np.asarray(firwin(81, 1 / 4, window=("kaiser", 5.0)), np.float32)


def k_weighting(rate_hz: int) -> NDArray[np.float64]:
    """Second-order sections [2, 6] of the K filter for any rate.

    The standard lists coefficients at 48 kHz only; these follow from its analogue prototypes (shelf +4 dB at
    1681.97 Hz, high-pass at 38.135 Hz) by the bilinear transform, and equal the listed ones at 48 kHz.
    """
    k = np.tan(np.pi * 1681.974450955533 / rate_hz)
    vh, q = 10 ** (3.999843853973347 / 20), 0.7071752369554196
    vb = vh**0.4996667741545416
    a0 = 1 + k / q + k * k
    shelf = [
        (vh + vb * k / q + k * k) / a0,
        2 * (k * k - vh) / a0,
        (vh - vb * k / q + k * k) / a0,
        1.0,
        2 * (k * k - 1) / a0,
        (1 - k / q + k * k) / a0,
    ]
    k = np.tan(np.pi * 38.13547087602444 / rate_hz)
    q = 0.5003270373238773
    a0 = 1 + k / q + k * k
    high = [1.0, -2.0, 1.0, 1.0, 2 * (k * k - 1) / a0, (1 - k / q + k * k) / a0]
    return np.array([shelf, high])


def _lufs(power: NDArray[np.float64] | float) -> Any:
    return -0.691 + 10 * np.log10(np.maximum(power, 1e-13))


def _running_power(samples: NDArray[np.float32], rate_hz: int) -> NDArray[np.float64]:
    """Squares of the weighted samples, summed over channels (front channels weigh 1) and from the start on; [T + 1].

    A second of one channel at a time and in place: ten minutes of stereo would be a gigabyte otherwise. Digital silence
    is passed over: the filter would ring on with numbers so small that a processor takes far longer for them.
    """
    from scipy.signal import sosfilt  # here: deciding reads this file too, and must not wait for SciPy

    weighting = k_weighting(rate_hz)
    sums = np.zeros(samples.shape[1] + 1)
    different, times = _different(samples)
    for channel in different:
        state = np.zeros((weighting.shape[0], 2))
        for start in range(0, channel.size, rate_hz):
            part = channel[start : start + rate_hz]
            if np.abs(state).max() < _STILL and not part.any():
                state[:] = 0.0
                continue
            weighted, state = sosfilt(weighting, part, zi=state)
            sums[start + 1 : start + 1 + weighted.size] += np.square(weighted, out=weighted)
    if times > 1:
        sums *= times
    return np.cumsum(sums, out=sums)


def _different(samples: NDArray[np.float32]) -> tuple[NDArray[np.float32], int]:
    """One channel and 2 where the second is the same, as films of one microphone have it; else all, and 1."""
    if samples.shape[0] == 2 and np.array_equal(samples[0], samples[1]):
        return samples[:1], 2
    return samples, 1


def sample_peak(samples: NDArray[np.float32]) -> float:
    """The greatest absolute value, without an array of absolute values."""
    return max(float(samples.max(initial=0.0)), -float(samples.min(initial=0.0)))


def _window_power(sums: NDArray[np.float64], rate_hz: int, window_s: float, hop_s: float) -> NDArray[np.float64]:
    """Mean square of sliding windows."""
    window, hop = round(window_s * rate_hz), round(hop_s * rate_hz)
    starts = np.arange(0, sums.size - window, hop)
    return np.asarray((sums[starts + window] - sums[starts]) / window)


def integrated_lufs(samples: NDArray[np.float32], rate_hz: int) -> tuple[float, float | None, float]:
    """Integrated loudness (LUFS), loudness range (LU, None below 3 s + 10 windows) and greatest momentary loudness.

    Args:
        samples: [channels, T], one or two channels.
    """
    if samples.shape[1] < 0.4 * rate_hz:
        return FLOOR_LUFS, None, FLOOR_LUFS
    sums = _running_power(samples, rate_hz)
    momentary = _window_power(sums, rate_hz, 0.4, 0.1)
    loud = _lufs(momentary)
    above = momentary[loud >= -70.0]
    integrated = FLOOR_LUFS
    if above.size:
        gate = _lufs(above.mean()) - 10.0
        gated = above[_lufs(above) >= gate]
        integrated = float(_lufs(gated.mean()))
    spread = None
    short = _window_power(sums, rate_hz, 3.0, 0.1) if samples.shape[1] >= 4 * rate_hz else np.array([])
    audible = short[_lufs(short) >= -70.0] if short.size else short
    if audible.size:
        kept = _lufs(audible[_lufs(audible) >= _lufs(audible.mean()) - 20.0])
        spread = float(np.quantile(kept, 0.95) - np.quantile(kept, 0.10))
    return integrated, spread, float(max(loud.max(), FLOOR_LUFS))


def mean_square(samples: NDArray[np.float32]) -> float:
    """Mean of the squares: stretches in single precision, their sums in double; no array of squares is made."""
    parts = (channel[at : at + _PEAK_BLOCK] for channel in samples for at in range(0, channel.size, _PEAK_BLOCK))
    return sum(float(part.dot(part)) for part in parts) / samples.size


def true_peak_dbtp(samples: NDArray[np.float32]) -> float:
    """Peak between samples, dBTP, by fourfold oversampling of the blocks that come near the sample peak."""
    from scipy.signal import resample_poly

    peak = sample_peak(samples)
    if peak <= 1e-6:
        return FLOOR_DB
    best = peak
    for channel in _different(samples)[0]:
        blocks = channel[: channel.size // _PEAK_BLOCK * _PEAK_BLOCK].reshape(-1, _PEAK_BLOCK)
        near = set(np.flatnonzero(np.abs(blocks).max(axis=1) >= 0.7 * peak).tolist()) if blocks.size else {0}
        if channel.size % _PEAK_BLOCK:
            near.add(blocks.shape[0])
        # Loud material touches the peak everywhere; the 32 highest blocks bound the cost.
        ranked = sorted(near, key=lambda i: -float(np.abs(channel[i * _PEAK_BLOCK : (i + 1) * _PEAK_BLOCK]).max()))[:32]
        for i in ranked:
            part = channel[max(0, i * _PEAK_BLOCK - 32) : (i + 1) * _PEAK_BLOCK + 32]
            best = max(best, float(np.abs(resample_poly(part, 4, 1, window=_oversampling())).max()))
    return float(20 * np.log10(best))


def clipped_fraction(samples: NDArray[np.float32]) -> float:
    """Share of clipped samples.

    Lossless sound shows clipping as runs of three and more samples at exactly the greatest value, near full scale.
    Lossy coding makes such flat tops ring about full scale: there, samples beyond full scale (which every player has
    to clamp) are counted.
    """
    if samples.size == 0:
        return 0.0
    peak = sample_peak(samples)
    if peak < 0.9:
        return 0.0
    size = np.abs(samples)
    if peak > 1.0 + 1e-4:
        return float((size > 1.0).mean())
    clipped = 0
    for channel in size:
        edges = np.flatnonzero(np.diff(np.concatenate(([0], (channel >= peak - 1e-6).astype(np.int8), [0]))))
        lengths = edges[1::2] - edges[::2]
        clipped += int(lengths[lengths >= 3].sum())
    return clipped / samples.size


def measure(samples: NDArray[np.float32], rate_hz: int) -> dict[str, Any]:
    """Loudness in LUFS, range in LU, peaks in dBFS and dBTP, clipped share."""
    if samples.size == 0:
        return {"status": "unmeasurable", "reason": "no sound samples"}
    integrated, spread, momentary = integrated_lufs(samples, rate_hz)
    peak = sample_peak(samples)
    rms = float(np.sqrt(mean_square(samples)))
    return {
        "status": "ok",
        "integrated_lufs": integrated,
        "range_lu": spread,
        "momentary_max_lufs": momentary,
        "sample_peak_dbfs": float(20 * np.log10(max(peak, 1e-6))),
        "true_peak_dbtp": true_peak_dbtp(samples),
        "rms_dbfs": float(20 * np.log10(max(rms, 1e-6))),
        "clipped_fraction": clipped_fraction(samples),
        "digital_silence": bool(peak == 0.0),
    }


class Loudness(OfSound):
    """Loudness and peaks, codec and bit rate as the file states them."""

    name = "loudness"
    version = VERSION
    method = METHOD

    def hear(self, sound: Sound, audio: AudioFacts) -> dict[str, Any]:
        """Loudness in LUFS, range in LU, peaks in dBFS and dBTP, clipped share."""
        return {**measure(sound.span, sound.rate_hz), "acodec": audio.codec, "bitrate_bps": audio.bitrate_bps}


def judge_audio(found: Mapping[str, Figures], params: QcDecideParams) -> Judgement:
    """The worst of sampling rate, channels, noise, clipping, drop-outs, bandwidth and level."""
    level, faults, noise = found["loudness"], found["defects"], found["snr"]
    if level["status"] != "ok":
        return absent(level)
    if faults["status"] != "ok":
        return absent(faults)
    limits = params.sound
    rate, channels = int(faults["sample_rate_hz"]), int(faults["channels"])
    parts: Parts = [(ramp(rate, limits.sample_rate_poor_hz, limits.sample_rate_min_hz), "{} Hz sampling", rate)]
    if float(level["integrated_lufs"]) < limits.silent_below_lufs and float(level["sample_peak_dbfs"]) < -50.0:
        parts.append((0.0, "the sound is silent", None))
    if channels == 1:
        parts.append((limits.mono_score, "mono", None))
    elif faults.get("dual_mono"):
        parts.append((limits.dual_mono_score, "both channels are the same", None))
    clipped = float(level["clipped_fraction"])
    parts.append((1.0 - ramp(clipped, 0.0, limits.clipped_max_fraction), "{:.2%} of the samples are clipped", clipped))
    lost = float(faults["dropout_s"])
    if lost > 0:
        words = f"{faults['dropouts']} drop-outs, {{:.3f}} s in all"
        parts.append((1.0 - ramp(lost, 0.0, limits.dropout_max_s), words, lost))
    if faults.get("bandwidth_hz") is not None:
        width = float(faults["bandwidth_hz"])
        good = ramp(width, limits.bandwidth_poor_hz, limits.bandwidth_good_hz)
        parts.append((good, "nothing above {:.1f} kHz", width / 1000))
    if noise["status"] == "ok" and not noise.get("at_least"):
        snr = float(noise["snr_db"])
        parts.append((ramp(snr, limits.snr_poor_db, limits.snr_good_db), "signal {:.0f} dB over noise", snr))
    score, words = worst(parts)
    return Judgement("ok", round(score, 4), score, words if score < 1 else f"{rate} Hz, {channels} channels, clean")


_LOSSLESS = frozenset({"pcm", "flac", "alac"})
_ASKED = 0.9  # encoders that are asked for a rate spend less on film with pauses: 242 kbps of 256 in the demo corpus


def judge_codec(found: Mapping[str, Figures], params: QcDecideParams) -> Judgement:
    """Sound codec against the allowed ones; unweighted, another one asks for a review (ingest makes AAC of any)."""
    figures, allowed = found["loudness"], params.sound.codecs
    if figures["status"] != "ok" or not figures.get("acodec"):
        return _unheard(figures)
    name = codec_of(str(figures["acodec"]))
    good = name in allowed
    return Judgement("ok", name, float(good), name if good else f"sound codec {name} is none of {', '.join(allowed)}")


def judge_bitrate(found: Mapping[str, Figures], params: QcDecideParams) -> Judgement:
    """Bit rate of the sound, as its file states it, against the least; unweighted. What is lossless passes at any.

    Less than the least is said; how far the sound suffers from it is for ``audio`` to hear. Less than half asks for a
    review, as a score below ``fail_below`` does of any check.
    """
    figures, least = found["loudness"], params.sound.bitrate_min_bps
    if figures["status"] != "ok" or not figures.get("acodec"):
        return _unheard(figures)
    name = codec_of(str(figures["acodec"]))
    if name in _LOSSLESS:
        return Judgement("ok", None, 1.0, f"{name} is lossless")
    if not figures.get("bitrate_bps"):
        return Judgement("unmeasurable", None, None, f"the file states no bit rate of its {name} sound", remark=True)
    rate = int(figures["bitrate_bps"])
    score = min(1.0, rate / (_ASKED * least)) if least else 1.0
    words = f"{rate / 1000:.0f} kbps" + (f", below the {least / 1000:g} of the policy" if score < 1 else "")
    return Judgement("ok", rate, score, words, remark=score < 1)


def _unheard(figures: Figures) -> Judgement:
    """Without sound there is nothing to say; that it is in error is said by ``audio``."""
    return Judgement("unmeasurable", None, None, str(figures.get("reason") or "the codec of the sound is not known"))


_LEVEL = ("integrated_lufs", "sample_peak_dbfs", "clipped_fraction")
_FAULTS = ("sample_rate_hz", "channels", "dual_mono", "dropouts", "dropout_s", "bandwidth_hz")
_NOISE = ("snr_db", "at_least")

RULES = (
    Rule("audio", "loudness", {"loudness": _LEVEL, "defects": _FAULTS, "snr": _NOISE}, judge_audio, weight=0.15),
    Rule("sound_codec", "loudness", {"loudness": ("acodec",)}, judge_codec, may_reject=True),
    Rule("sound_bitrate", "loudness", {"loudness": ("acodec", "bitrate_bps")}, judge_bitrate, remarks=True),
)
