#!/usr/bin/env bash
# PyAV 18.1.0: options of a decoder that are given after its first packet do nothing, and nobody says so.
#
# `codec_context.options` can be assigned at any time, but is handed to FFmpeg once, when the first packet opens the
# decoder. Assigned later (say, to leave the loop filter out for the part of a film that is only skimmed) it reads back
# as assigned and every picture stays as it was. `skip_frame`, an attribute beside it, does act in the middle of a film.
# A name that FFmpeg does not know is taken without a word too, early or late, where the `ffmpeg` program refuses it.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'av==18.1.0' 'numpy==2.4.6'
cd "$folder"
"$folder/venv/bin/python" - <<'P'
import sys
import av
import numpy as np

noise = (np.random.default_rng(1).random((96, 400, 3)) * 255).astype(np.uint8)
with av.open("film.mp4", "w") as film:
    stream = film.add_stream("libx264", rate=24, options={"crf": "40", "x264-params": "bframes=2:b-adapt=0:scenecut=0"})
    stream.width, stream.height, stream.pix_fmt = 192, 96, "yuv420p"
    for left in range(0, 144, 3):
        picture = np.ascontiguousarray(noise[:, left : left + 192])
        film.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
    film.mux(stream.encode())

def pictures(early=None, late=None, skip=None):
    decoded = []
    with av.open("film.mp4") as film:
        stream = film.streams.video[0]
        context = stream.codec_context
        if early:
            context.options = early
        for place, packet in enumerate(film.demux(stream)):
            decoded += [frame.to_ndarray() for frame in packet.decode()]
            if place == 0 and late:
                context.options = late
            if place == 0 and skip:
                context.skip_frame = skip
        assert not late or context.options == late
    return decoded

usual = pictures()
def changed(decoded):
    return sum(not np.array_equal(a, b) for a, b in zip(usual, decoded, strict=True))

option = {"skip_loop_filter": "all"}
early, late = changed(pictures(early=option)), changed(pictures(late=option))
unknown, left = changed(pictures(early={"skip_loop_filtre": "all"})), len(pictures(skip="NONREF"))
print(f"av {av.__version__}, {len(usual)} pictures: {early} change by an option before the first packet, {late} by the same "
      f"after it, {unknown} by one that does not exist; skip_frame after it leaves {left}")
sys.exit(0 if early > 40 and late == unknown == 0 and left < len(usual) else 1)
P
echo "as described"
