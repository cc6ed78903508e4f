#!/usr/bin/env bash
# PyAV 18.1.0 (FFmpeg 8.1): the first samples of an .mp3 file are dated 1,105 samples late, although they are the first.
#
# An MP3 encoder begins with samples of its own (LAME: 576, and the decoder's 529), and writes their number into the file's first
# frame. FFmpeg reads it and cuts them off, so the samples that come out are as many as went in and none is moved. But the time
# stamps go on counting what was cut: the stream begins at 1,105 ticks, 23 ms at 48 kHz, and so does the first frame. The same
# packets in Matroska begin at 0. Whoever lays sound where its time stamps say, as one has to for films, plays music from
# .mp3 files 23 ms late beside pictures, and every other file of sound (WAV, FLAC, M4A, Opus) in time.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'av==18.1.0' 'numpy==2.4.6'
cat >"$folder/dated.py" <<'P'
import sys
from fractions import Fraction

import av
import numpy as np

RATE, CLICK = 48_000, 24_000
wave = np.random.default_rng(0).normal(0, 0.01, (1, 2 * RATE)).astype(np.float32)
wave[0, CLICK - 32 : CLICK + 32] += 0.8 * np.hanning(64)


def told(path, codec):
    with av.open(path, "w") as container:
        stream = container.add_stream(codec, rate=RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
        resampler = av.AudioResampler(format=stream.format, layout="mono", rate=RATE)
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    with av.open(path) as container:
        frames = list(container.decode(audio=0))
        begins = round(float(frames[0].pts * frames[0].time_base) * RATE)
        sound = np.concatenate([frame.to_ndarray().astype(np.float64).ravel() for frame in frames])
    return begins, len(sound), int(np.abs(sound).argmax()) - CLICK


seen = {name: told(f"{sys.argv[1]}/{name}", codec) for name, codec in (
    ("a.mp3", "libmp3lame"), ("b.mka", "libmp3lame"), ("c.m4a", "aac"), ("d.flac", "flac"))}
for name, (begins, count, off) in seen.items():
    print(f"{name}: dated from sample {begins}, {count} samples, click off by {off} samples of the stream")
mp3 = seen.pop("a.mp3")
assert mp3[0] == 1105 and mp3[1] == 2 * RATE and abs(mp3[2]) <= 1, mp3
assert all(begins == 0 and abs(off) <= 1 for begins, _, off in seen.values()), seen
P
"$folder/venv/bin/python" "$folder/dated.py" "$folder"
echo "as described"
