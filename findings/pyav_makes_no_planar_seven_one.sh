#!/usr/bin/env bash
# PyAV 18.1.0: AudioFrame.from_ndarray makes no planar frame of eight channels.
#
# 7.1 sound is decoded by FFmpeg as eight planes of floats, and an array [8, samples] with format "fltp" and layout
# "7.1" is what the documentation asks for. One would expect a frame, as for 5.1 (six planes). It is an IndexError of
# numpy ("index 8 is out of bounds for axis 0 with size 8"): the frame counts nine planes, one more than it has
# channels. Packed sound ("flt", [1, 8 * samples]) works.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'av==18.1.0' 'numpy==2.4.6'
"$folder/venv/bin/python" - <<'P'
import sys
import av, numpy as np
def make(channels, layout, form):
    shape = (channels, 100) if form == "fltp" else (1, channels * 100)
    try:
        return f"{len(av.AudioFrame.from_ndarray(np.zeros(shape, np.float32), format=form, layout=layout).layout.channels)} channels"
    except IndexError as error:
        return f"IndexError: {error}"
told = {name: make(*name) for name in ((6, "5.1", "fltp"), (8, "7.1", "fltp"), (8, "7.1", "flt"))}
print(f"av {av.__version__}", *told.items(), sep="\n  ")
as_seen = [text.startswith("IndexError") for text in told.values()]
sys.exit(0 if as_seen == [False, True, False] else 1)
P
echo "as described"
