#!/usr/bin/env bash
# PyAV 18.1.0 (libx265): a film of one or two pictures in HEVC gets a decode time that nobody set.
#
# x265 learns how far decoding runs ahead of showing from the first pictures that it reorders. Where a film ends before,
# as a cut of a timeline or a still may, the packets come with whatever stood in memory: mostly numbers far below zero,
# which MP4 refuses now and then ("not yet implemented", "invalid argument") and else stores. From three pictures on, the
# decode times are right. Set them by hand, (n - 2) steps for packet n, or encode without B-frames.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'av==18.1.0' 'numpy==2.4.6'
cd "$folder"
"$folder/venv/bin/python" - 2>/dev/null <<'P'
import sys
from fractions import Fraction
import av
import numpy as np

def decode_times(count, bframes):
    """Of a film of so many gray pictures."""
    context = av.CodecContext.create("libx265", "w")
    context.width, context.height, context.pix_fmt = 128, 64, "yuv420p"
    context.time_base, context.framerate = Fraction(1, 25), Fraction(25)
    context.options = {"preset": "ultrafast", "x265-params": f"log-level=none:bframes={bframes}"}
    packets = []
    for number in range(count):
        frame = av.VideoFrame.from_ndarray(np.full((96, 128), 128, np.uint8), format="yuv420p")
        frame.pts, frame.time_base = number, Fraction(1, 25)
        packets += context.encode(frame)
    return tuple(packet.dts for packet in [*packets, *context.encode(None)])

def seen(count, bframes=4):
    found = set()
    for _ in range(80):
        memory = [np.random.bytes(200_000) for _ in range(3)]  # what an ordinary program leaves behind
        found.add(decode_times(count, bframes))
        del memory
    return found

found = {count: seen(count) for count in (1, 2, 3)}
plain = seen(2, bframes=0)
print(f"av {av.__version__}: of 80 runs each, different decode times: {({n: len(v) for n, v in found.items()})}; "
      f"three pictures {found[3]}; two without B-frames {plain}")
sys.exit(0 if len(found[1]) > 1 and len(found[2]) > 1 and len(found[3]) == 1 and len(plain) == 1 else 1)
P
echo "as described"
