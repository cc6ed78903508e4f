#!/usr/bin/env bash
# PyAV 18.1.0 (FFmpeg 8.1): frames predicted from a lost H.264 frame carry no mark.
#
# One packet of a P frame is left out of a valid stream, as a network or a bad disk block does. The decoder raises
# nothing, returns all other frames, and says of none that it is corrupt (AVFrame.flags, FF_DECODE_ERROR_* are not set),
# though those up to the next key frame are built on a picture that is not there and differ from what was coded.
# The gap can be seen before decoding: frame_num in the slice headers jumps.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'av==18.1.0' 'numpy==2.4.6'
cd "$folder"
"$folder/venv/bin/python" - <<'P'
import sys
from fractions import Fraction
import av, numpy as np

rng = np.random.default_rng(0)
codec = av.CodecContext.create("libx264", "w")
codec.width = codec.height = 128
codec.time_base, codec.pix_fmt = Fraction(1, 25), "yuv420p"
codec.options = {"preset": "ultrafast", "tune": "zerolatency", "x264-params": "keyint=24:repeat-headers=1:ref=1"}
ground = rng.integers(0, 256, (128, 512), np.uint8)
packets = []
for n in range(24):
    planes = np.full((192, 128), 128, np.uint8)
    planes[:128] = ground[:, 9 * n : 9 * n + 128]
    frame = av.VideoFrame.from_ndarray(planes, "yuv420p")
    frame.pts = n
    packets += codec.encode(frame)
packets += codec.encode(None)

def decoded(chosen):
    reader, frames = av.CodecContext.create("h264", "r"), []
    for packet in chosen:
        again = av.Packet(bytes(packet))
        again.pts = packet.pts
        frames += reader.decode(again)
    return frames + reader.decode(None)

whole = {f.pts: f.to_ndarray().astype(int) for f in decoded(packets)}
kept = [p for p in packets if p.pts != 5]
frames = decoded(kept)
damaged = [f.pts for f in frames if np.abs(f.to_ndarray().astype(int) - whole[f.pts]).max() > 32]
marked = [f.pts for f in frames if f.is_corrupt]
print(f"{len(packets)} packets, number 5 left out: {len(frames)} frames come back, errors raised 0")
print(f"frames that differ from what was coded by over 32 codes: {damaged}")
print(f"frames marked corrupt: {marked}")
print(f"av {av.__version__}")
sys.exit(0 if len(frames) == 23 and damaged and min(damaged) == 6 and not marked else 1)
P
echo "as described"
