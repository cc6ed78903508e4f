"""From figures to scores, of the checks of sound: one small pure function each. Every answer says why, in words."""

from __future__ import annotations

from collections.abc import Mapping

from aiprod.qc.decide.video_rules import EPSILON_S, Figures, Judgement, Parts, absent, ramp, worst
from aiprod.qc.params import QcDecideParams
from aiprod.qc.params import sound_codec as codec_of

_LOSSLESS = frozenset({"pcm", "flac", "alac"})
_ASKED = 0.9  # encoders that are asked for a rate spend less on film with pauses: 242 kbps of 256 in the demo corpus


def audio(found: Mapping[str, Figures], params: QcDecideParams) -> Judgement:
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


def sync(found: Mapping[str, Figures], params: QcDecideParams) -> Judgement:
    """Sound against picture and where it ends; unweighted, a failure asks for a review. Content evidence outranks the
    container's."""
    figures = found["sync"]
    if figures["status"] != "ok":
        return absent(figures)
    offset, source = figures["content_offset_s"], "by content"
    if offset is None:
        offset, source = figures["container_offset_s"], "by the container"
    offset = float(offset)
    words = f"sound {abs(offset) * 1000:.0f} ms {'late' if offset > 0 else 'early'} ({source})"
    score = float(abs(offset) <= params.sound.sync_max_s + EPSILON_S)
    missing = float(figures.get("missing_end_s") or 0.0)
    if missing > params.sound.sync_max_s + EPSILON_S:
        end = f"the sound ends {missing:.2f} s before the pictures"
        words = end if score else f"{words}; {end}"
        score = score if missing <= params.sound.missing_end_max_s + EPSILON_S else 0.0
    return Judgement("ok", offset, score, words)


def sound_codec(found: Mapping[str, Figures], params: QcDecideParams) -> Judgement:
    """Sound codec against the allowed ones; unweighted, another one asks for a review (ingest makes AAC of any)."""
    figures, allowed = found["loudness"], params.sound.codecs
    if figures["status"] != "ok" or not figures.get("acodec"):
        return _unheard(figures)
    name = codec_of(str(figures["acodec"]))
    good = name in allowed
    return Judgement("ok", name, float(good), name if good else f"sound codec {name} is none of {', '.join(allowed)}")


def sound_bitrate(found: Mapping[str, Figures], params: QcDecideParams) -> Judgement:
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
