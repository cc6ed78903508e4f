#!/usr/bin/env bash
# PyAV 18.1.0 (FFmpeg's `ebur128` filter): the rear channels of 7.1 count 1.5 LU too loud.
#
# ITU-R BS.1770-4 and -5 weigh a channel by where its loudspeaker stands (annex 3, for layouts beyond 5.1): 1.41 from 60
# to 120 degrees, 1.00 in front of and behind that. In 7.1 the side pair stands at 90 degrees and the rear pair at 135, so
# a tone in a rear channel is as loud as in a front one, and only a tone at the side counts +1.5 dB. The filter gives both
# pairs 1.41, as it must where 5.1 calls its surrounds "back". A 7.1 mix with much behind the listener that meets -23
# LUFS by this meter is delivered too quiet. The two layouts of 5.1 are right.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'av==18.1.0' 'numpy==2.4.6'
"$folder/venv/bin/python" - <<'P'
import sys
from fractions import Fraction
import av, numpy as np
RATE = 48000

def loudness(layout, channel):
    """Integrated loudness in LUFS of a tone of -20 dBFS at 997 Hz in one channel of five seconds."""
    names = [c.name for c in av.AudioLayout(layout).channels]
    sound = np.zeros((5 * RATE, len(names)), np.float32)
    sound[:, names.index(channel)] = 0.1 * np.sin(2 * np.pi * 997 * np.arange(5 * RATE) / RATE)
    graph = av.filter.Graph()
    source = graph.add("abuffer", f"sample_rate={RATE}:sample_fmt=flt:channel_layout={layout}:time_base=1/{RATE}")
    meter, sink = graph.add("ebur128", "metadata=1"), graph.add("abuffersink")
    source.link_to(meter); meter.link_to(sink); graph.configure()
    found = None
    for start in range(0, len(sound), 4800):
        frame = av.AudioFrame.from_ndarray(sound[start : start + 4800].reshape(1, -1), format="flt", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = RATE, start, Fraction(1, RATE)
        source.push(frame)
        while True:
            try:
                found = sink.pull().metadata.get("lavfi.r128.I", found)
            except (av.BlockingIOError, av.EOFError):
                break
    return round(float(found), 1)

cases = [("7.1", "FL"), ("7.1", "SL"), ("7.1", "BL"), ("5.1", "BL"), ("5.1(side)", "SL")]
found = {f"{layout} {channel}": loudness(layout, channel) for layout, channel in cases}
print(f"av {av.__version__}: {found}")
print("BS.1770-5 asks for -23.0, -21.5, -23.0, -21.5, -21.5")
sys.exit(0 if list(found.values()) == [-23.0, -21.5, -21.5, -21.5, -21.5] else 1)
P
echo "as described"
