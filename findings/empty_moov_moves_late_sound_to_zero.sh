#!/usr/bin/env bash
# PyAV 18.1.0 (FFmpeg 8.1): sound that begins late begins at 0 in a fragmented MP4 made with empty_moov alone.
#
# A film whose first sound packet is stamped 0.3 s is muxed three ways. One would expect the three files to agree, as
# fragments carry times of their own. With `movflags=frag_keyframe+empty_moov` the moov box is written before the first
# packet is known, so there is no edit list; the muxer then stamps the first sound packet 0 and makes that one packet
# last until the second. Who reads the start of the stream, or places the first packet by its stamp, has the beginning
# of the sound 0.3 s early. Adding `delay_moov` (or writing no fragments) keeps the late start. Nothing is warned of.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'av==18.1.0' 'numpy==2.4.6'
cd "$folder"
"$folder/venv/bin/python" - <<'P'
import sys
import av, numpy as np
LATE = 14400  # samples at 48 kHz: 0.3 s
starts = {}
for name, flags in (("plain", ""), ("empty_moov", "frag_keyframe+empty_moov"), ("delay_moov", "frag_keyframe+empty_moov+delay_moov")):
    with av.open(f"{name}.mov", "w", format="mov", options={"movflags": flags} if flags else {}) as film:
        video = film.add_stream("libx264", rate=25, options={"bf": "0"})
        video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
        audio = film.add_stream("pcm_s16le", rate=48000, layout="mono")
        for number in range(50):
            picture = av.VideoFrame.from_ndarray(np.full((64, 96, 3), 40 + number, np.uint8), format="rgb24")
            picture.pts = number
            film.mux(video.encode(picture))
            sound = av.AudioFrame.from_ndarray(np.zeros((1, 1920), np.int16), format="s16", layout="mono")
            sound.rate, sound.pts = 48000, LATE + number * 1920
            film.mux(audio.encode(sound))
        film.mux(video.encode())
        film.mux(audio.encode())
    with av.open(f"{name}.mov") as film:
        packets = [p for p in film.demux(audio=0) if p.size]
        starts[name] = round(float(packets[0].pts * packets[0].time_base), 3)
        lasts = round(float(packets[0].duration * packets[0].time_base), 3)
    print(f"{name}: the first sound packet is at {starts[name]} s and lasts {lasts} s")
print(f"av {av.__version__}")
sys.exit(0 if starts == {"plain": 0.3, "empty_moov": 0.0, "delay_moov": 0.3} else 1)
P
echo "as described"
