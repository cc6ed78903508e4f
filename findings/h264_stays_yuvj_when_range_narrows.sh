#!/usr/bin/env bash
# PyAV 18.1.0 (FFmpeg 8.1): an H.264 stream that turns from full to limited range keeps the name yuvj420p.
#
# Two coded sequences stand in one stream, each with its own SPS; the first states full range, the second limited, as
# when two recordings are joined without coding them anew. The decoder sets color_range of each frame as stated, but it
# chooses yuvj420p (full range by its name) at the first sequence and stays with it: frames of the second say
# yuvj420p and color_range 1 at once. The conversion to RGB believes the name: white at code 235 comes out as 235 and
# black as 16. The other way round, limited first, range and name say 2 and yuv420p, and all is well.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'av==18.1.0' 'numpy==2.4.6'
cd "$folder"
"$folder/venv/bin/python" - <<'P'
import sys
from fractions import Fraction
import av, numpy as np

def coded(full):
    """Twelve white frames, code 255 or 235 by range, as packets that carry their own headers."""
    codec = av.CodecContext.create("libx264", "w")
    codec.width = codec.height = 64
    codec.time_base, codec.pix_fmt = Fraction(1, 25), "yuv420p"
    codec.options = {"preset": "ultrafast", "tune": "zerolatency", "x264-params":
        f"repeat-headers=1:fullrange={'on' if full else 'off'}:colorprim=bt709:transfer=bt709:colormatrix=bt709"}
    packets = []
    for n in range(12):
        planes = np.full((96, 64), 128, np.uint8)
        planes[:64] = 255 if full else 235
        frame = av.VideoFrame.from_ndarray(planes, "yuv420p")
        frame.pts = n
        packets += [bytes(p) for p in codec.encode(frame)]
    return packets + [bytes(p) for p in codec.encode(None)]

def last(packets):
    codec, frames = av.CodecContext.create("h264", "r"), []
    for data in packets:
        frames += codec.decode(av.Packet(data))
    frame = (frames + codec.decode(None))[-1]
    return frame.format.name, int(frame.color_range), int(frame.to_ndarray(format="rgb24").mean().round())

full, limited = coded(True), coded(False)
alone, after_full, after_limited = last(limited), last(full + limited), last(limited + full)
print("limited alone:          format, color_range, white in RGB:", *alone)
print("limited after full:     format, color_range, white in RGB:", *after_full)
print("full after limited:     format, color_range, white in RGB:", *after_limited)
print(f"av {av.__version__}")
as_described = alone == ("yuv420p", 1, 255) and after_full == ("yuvj420p", 1, 235) and after_limited[:2] == ("yuv420p", 2)
sys.exit(0 if as_described else 1)
P
echo "as described"
