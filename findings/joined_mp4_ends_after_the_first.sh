#!/usr/bin/env bash
# PyAV 18.1.0 (FFmpeg 8.1): of two MP4 films joined with `cat`, the second is left out without an error or a warning.
#
# Joining recordings byte by byte works for MPEG-TS, and is what people try with the parts that a camera or a phone
# wrote. One would expect both, or an error about what follows the first film's end. All that is read is the first: its
# pictures, its length. Nothing is logged, and an archive that was made so looks whole to every tool that asks FFmpeg.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'av==18.1.0' 'numpy==2.4.6'
cd "$folder"
"$folder/venv/bin/python" - <<'P'
import sys
import av, numpy as np
for name, light in (("first.mp4", 60), ("second.mp4", 200)):
    with av.open(name, "w") as film:
        stream = film.add_stream("libx264", rate=24)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for number in range(24):
            frame = av.VideoFrame.from_ndarray(np.full((64, 96, 3), light, np.uint8), format="rgb24")
            frame.pts = number
            film.mux(stream.encode(frame))
        film.mux(stream.encode())
with open("joined.mp4", "wb") as joined:
    for name in ("first.mp4", "second.mp4"):
        joined.write(open(name, "rb").read())
with av.open("joined.mp4") as film:
    length = film.duration / av.time_base
    shown = [int(frame.to_ndarray(format="gray").mean()) for frame in film.decode(video=0)]
print(f"av {av.__version__}: {len(shown)} pictures of 48, {length:.1f} s of 2.0 s, brightness {sorted(set(shown))}")
sys.exit(0 if len(shown) == 24 and max(shown) < 100 else 1)
P
echo "as described"
