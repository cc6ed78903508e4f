#!/usr/bin/env bash
# PyAV 18.1.0 (libavformat 62.12): an edit list hides pictures in an MP4, and hides none in the same MP4 in fragments.
#
# A film that is cut without encoding it again keeps the pictures before the cut that others are predicted from, and an
# edit list tells players to leave them out. In a plain MP4 the demuxer does; written with movflags=frag_keyframe+delay_moov
# the file states the same edit list, and the demuxer only moves the times: the pictures that were cut off come out too, at
# times below 0. Who counts pictures or takes the first one gets what the maker of the film removed.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'av==18.1.0' 'numpy==2.4.6'
cd "$folder"
"$folder/venv/bin/python" - <<'P'
import sys
import av
import numpy as np

with av.open("whole.mp4", "w") as file:
    stream = file.add_stream("libx264", rate=24, options={"g": "48", "bf": "0"})
    stream.width, stream.height, stream.pix_fmt = 128, 64, "yuv420p"
    for number in range(48):
        picture = np.full((64, 128, 3), 5 * number, np.uint8)
        file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
    file.mux(stream.encode())

def cut(path, **options):
    """The film from its 13th picture on, copied; how many pictures come out, and the time of the first."""
    with av.open("whole.mp4") as source, av.open(path, "w", options=options) as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        half = round(0.5 / source.streams.video[0].time_base)
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.pts, packet.dts, packet.stream = packet.pts - half, packet.dts - half, stream
                target.mux(packet)
    data = open(path, "rb").read()
    with av.open(path) as file:
        times = [round(frame.time, 3) for frame in file.decode(video=0)]
    return data.count(b"elst"), len(times), times[0]

found = {"plain": cut("plain.mp4"), "fragments": cut("fragments.mp4", movflags="frag_keyframe+delay_moov")}
print(f"av {av.__version__}, libavformat {av.library_versions['libavformat']}: (edit lists, pictures, first time) {found}")
sys.exit(0 if found == {"plain": (1, 36, 0.0), "fragments": (1, 48, -0.5)} else 1)
P
echo "as described"
