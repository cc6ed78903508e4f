#!/usr/bin/env bash
# PyAV 18.1.0 (FFmpeg 8.1's swscale): white video becomes 253 of 255 when it is resized to RGB.
#
# A picture of nominal white (Y 235, U and V 128, limited range, BT.709 named on both sides) is uniform, so no filter
# can change it, and one would expect 255 at any size. At its own size it is 255. Resized it is 253, and mid-grey loses
# a code or two as well, because chroma is interpolated and converted with shortened tables. Everything that is trained
# on resized frames is a little too dark, by an amount that no one sees.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'av==18.1.0' 'numpy==2.4.6'
"$folder/venv/bin/python" - <<'P'
import sys
import av, numpy as np
def white(width, height):
    frame = av.VideoFrame(320, 180, "yuv420p")
    for plane, value in zip(frame.planes, (235, 128, 128)):
        plane.update(bytes([value]) * plane.buffer_size)
    names = {"src_colorspace": "ITU709", "dst_colorspace": "ITU709"}
    return np.unique(frame.reformat(width=width, height=height, format="rgb24", **names).to_ndarray()).tolist()
same, half, odd = white(320, 180), white(160, 90), white(200, 112)
print(f"av {av.__version__}: at its own size {same}, at half {half}, at 200x112 {odd}")
sys.exit(0 if same == [255] and half == [253] and odd == [253] else 1)
P
echo "as described"
