#!/usr/bin/env bash
# PocketSphinx 5.1.1: forced alignment finds the words of a sound, and then in the same sound no phones in them.
#
# A forced alignment to phones takes two passes: `set_align_text` and a decoding give the words, `set_alignment` and a
# second decoding of the same samples give the phones in them. One would expect the second to succeed where the first
# has, and neither to care on which sample its frames of 10 ms begin. But of 40 sentences by a synthetic voice
# (hibari-tts 0.2.1, 24 kHz brought to 16), of words that are in the dictionary, between silences with a little noise,
# `end_utt` of the second pass raises "Failed to stop utterance processing" in 30, though the first pass found
# every word; and 22 of these succeed, with the same words, if 1 to 9 ms of the leading silence are cut. So a corpus
# loses sentences by where a frame begins, not by what is said. Trying again a little later is a way round it.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'pocketsphinx==5.1.1' 'hibari-tts==0.2.1' \
    'numpy==2.4.6' 'scipy==1.17.1'
"$folder/venv/bin/python" - <<'P'
import itertools
import sys
from importlib.metadata import version

import numpy as np
from hibari import Hibari
from pocketsphinx import Decoder, get_model_path
from scipy.signal import resample_poly

RATE = 16_000
SIZES, COLOURS = ("large", "small", "medium"), ("black", "brown", "purple", "yellow", "maroon")
SHAPES, WAYS = ("square", "hexagon", "diamond"), ("moves slowly", "turns down", "waits behind the tree")
SENTENCES = [" ".join(("a", *words)) for words in itertools.product(SIZES, COLOURS, SHAPES, WAYS)][::3][:40]


def aligned(decoder: Decoder, samples: bytes, text: str) -> tuple[bool, bool]:
    """Whether every word was found, and then whether phones were found in them."""

    def decode() -> None:
        decoder.reinit_feat()  # else it depends on what it heard before
        decoder.start_utt()
        decoder.process_raw(samples, full_utt=True)
        decoder.end_utt()

    try:
        decoder.set_align_text(text)
        decode()
        if decoder.hyp() is None or [w for w in decoder.hyp().hypstr.split() if w[0] not in "<["] != text.split():
            return False, False
    except RuntimeError:
        return False, False
    try:
        decoder.set_alignment()
        decode()
        words = [(word.name, [part.duration for part in word]) for word in decoder.get_alignment()]
    except RuntimeError:
        return True, False
    spoken = [phones for name, phones in words if name[0] not in "<["]
    return True, len(spoken) == len(text.split()) and all(phones and min(phones) > 0 for phones in spoken)


voice = Hibari()
decoder = Decoder(
    hmm=get_model_path("en-us/en-us"), dict=get_model_path("en-us/cmudict-en-us.dict"), lm=None, loglevel="FATAL"
)
room = np.random.default_rng(0).normal(0, 1e-3, RATE // 5)
words_found = lost = regained = 0
for text in SENTENCES:
    speech = resample_poly(voice(text, seed=0).astype(np.float64), 2, 3)
    sound = np.round(np.clip(np.concatenate([room, speech, room]), -1, 1) * 32767).astype("<i2")
    found, phones = aligned(decoder, sound.tobytes(), text)
    words_found += found
    if found and not phones:
        lost += 1
        regained += any(all(aligned(decoder, sound[late:].tobytes(), text)) for late in range(20, 160, 20))
print(f"pocketsphinx {version('pocketsphinx')}, hibari-tts {version('hibari-tts')}, {len(SENTENCES)} sentences: words are")
print(f"found in {words_found}, but no phones in {lost} of these, of which {regained} have phones up to 9 ms later")
sys.exit(0 if words_found >= 35 and lost >= 10 and regained >= 0.6 * lost else 1)
P
echo "as described"
