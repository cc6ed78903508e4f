#!/usr/bin/env bash
# PyAV 18.1.0 (FFmpeg 8.1): decoded pictures of H.264 with B-frames in ASF carry times that run backwards.
#
# A decoder returns pictures in the order in which they are shown, so one expects `frame.pts` to rise. ASF keeps one time
# for a packet. Written by FFmpeg's own muxer and read by its own demuxer, 24 pictures with B-frames come out of the
# decoder in the right order (by content) with stamps such as 0.04, 0.12, 0.16, 0.08: sorting by time, or showing each
# picture at its stamp, shuffles the film. The same packets in Matroska have rising times. Nothing is warned of.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'av==18.1.0' 'numpy==2.4.6'
cd "$folder"
"$folder/venv/bin/python" - <<'P'
import sys
import av, numpy as np
seen = {}
for kind in ("asf", "matroska"):
    with av.open(f"film.{kind}", "w", format=kind) as film:
        video = film.add_stream("libx264", rate=25, options={"bf": "2"})
        video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
        for number in range(24):
            picture = av.VideoFrame.from_ndarray(np.full((64, 96, 3), 20 + number * 9, np.uint8), format="rgb24")
            picture.pts = number
            film.mux(video.encode(picture))
        film.mux(video.encode())
    with av.open(f"film.{kind}") as film:
        frames = [(float(f.pts * f.time_base), float(f.to_ndarray(format="gray").mean())) for f in film.decode(video=0)]
    times, levels = zip(*frames)
    seen[kind] = (list(times) == sorted(times), list(levels) == sorted(levels), len(frames))
    print(f"{kind}: {len(frames)} pictures, first times {[round(t, 3) for t in times[:6]]}; "
          f"times rise: {seen[kind][0]}, contents in order: {seen[kind][1]}")
print(f"av {av.__version__}")
sys.exit(0 if seen == {"asf": (False, True, 24), "matroska": (True, True, 24)} else 1)
P
echo "as described"
