"""Which phones are heard when, whatever is said: PocketSphinx by its own acoustic model and language of phones."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiprod.qc.bundled.catalogue import BUNDLED
from aiprod.speech.phones import ENGLISH, PHONES, SILENCE
from aiprod.speech.voice import TimedUnit

RATE_HZ = 16_000
_FRAME = RATE_HZ // 100
_LANGUAGE_WEIGHT, _BEAM = 2.0, 1e-20


@cache
def _decoder() -> Any:
    """A decoder, kept for the process: to read its model takes as long as to recognise two seconds."""
    import pocketsphinx

    model = BUNDLED["lips"]
    folder = next(model.file(name) for name in model.files if "/en-us/en-us/" in name).parent
    return pocketsphinx.Decoder(
        hmm=str(folder),
        allphone=str(model.file("en-us-phone.lm.bin")),
        lm=None,
        lw=_LANGUAGE_WEIGHT,
        beam=_BEAM,
        pbeam=_BEAM,
        loglevel="FATAL",
    )


def recognise(samples: NDArray[np.float32]) -> list[TimedUnit]:
    """Phones of English, without gaps, silences and noises among them, of mono sound [T] at ``RATE_HZ``.

    Languages share most of what makes lips close and jaws open, so that other languages give phones too.
    """
    decoder = _decoder()
    decoder.reinit_feat()  # what was heard before would shift the means that features are taken from
    decoder.start_utt()
    decoder.process_raw(np.round(np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes(), full_utt=True)
    decoder.end_utt()
    end_s = samples.size / RATE_HZ
    phones = []
    for part in decoder.seg() or []:
        name = part.word if part.word in PHONES[ENGLISH] else SILENCE
        start, end = (min(frame * _FRAME / RATE_HZ, end_s) for frame in (part.start_frame, part.end_frame + 1))
        phones.append(TimedUnit(name, start, end))
    return phones
