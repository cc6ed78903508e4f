#!/usr/bin/env bash
# PyAV 18.1.0 (FFmpeg 8.1): the first picture of H.264 in AVI is stamped one picture late, although nothing is reordered.
#
# AVI holds no presentation times. For a film without B-frames one would expect pts = dts, as every packet is shown in
# the order in which it is stored. FFmpeg's demuxer states pts = dts + 1 instead (it allows for one reordered picture),
# so the pictures run from 1/24 s on while PCM in the same file begins at 0: sound is 42 ms early for whoever trusts
# stated times. The same packets in Matroska begin at 0. The decoder returns each picture at once, which tells the truth.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'av==18.1.0' 'numpy==2.4.6'
cd "$folder"
"$folder/venv/bin/python" - <<'P'
import sys
import av, numpy as np
first = {}
for kind in ("avi", "matroska"):
    with av.open(f"film.{kind}", "w", format=kind) as film:
        stream = film.add_stream("libx264", rate=24, options={"bf": "0"})
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for number in range(24):
            frame = av.VideoFrame.from_ndarray(np.full((64, 96, 3), number * 10, np.uint8), format="rgb24")
            frame.pts = number
            film.mux(stream.encode(frame))
        film.mux(stream.encode())
    with av.open(f"film.{kind}") as film:
        packets = [(p.pts, p.dts) for p in film.demux(video=0) if p.size]
    with av.open(f"film.{kind}") as film:
        times = [round(float(f.pts * f.time_base), 4) for f in film.decode(video=0)]
    first[kind] = times[0]
    print(f"{kind}: packets (pts, dts) {packets[:3]}, pictures at {times[:3]} s, {len(times)} in all")
print(f"av {av.__version__}")
sys.exit(0 if first == {"avi": 0.0417, "matroska": 0.0} else 1)
P
echo "as described"
