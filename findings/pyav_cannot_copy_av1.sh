#!/usr/bin/env bash
# PyAV 18.1.0: an AV1 stream that it encoded and reads cannot be copied into another file.
#
# `add_stream_from_template` is PyAV's way to copy packets without encoding them again. For video it takes the name of the
# decoder that the input opened, `libdav1d`, and there is no encoder of that name; so a remux that is written as for H.264
# fails although nothing is to be encoded. With `opaque=True`, which sound gets by default, the same copy works.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'av==18.1.0' 'numpy==2.4.6'
cd "$folder"
"$folder/venv/bin/python" - <<'P'
import sys
import av
import numpy as np

def made(codec):
    with av.open(f"{codec}.mp4", "w") as file:
        stream = file.add_stream(codec, rate=24)
        stream.width, stream.height, stream.pix_fmt = 128, 64, "yuv420p"
        for number in range(8):
            picture = np.full((64, 128, 3), 20 * number, np.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        file.mux(stream.encode())
    return f"{codec}.mp4"

def copied(path, **options):
    """How many pictures a copy holds, or the error."""
    try:
        with av.open(path) as source, av.open(f"copy_{path}", "w") as target:
            stream = target.add_stream_from_template(source.streams.video[0], **options)
            for packet in source.demux(source.streams.video[0]):
                if packet.dts is not None:
                    packet.stream = stream
                    target.mux(packet)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    with av.open(f"copy_{path}") as file:
        return sum(1 for _ in file.decode(video=0))

found = {codec: copied(made(codec)) for codec in ("libx264", "libsvtav1")}
opaque = copied("libsvtav1.mp4", opaque=True)
print(f"av {av.__version__}: copies hold {found}; with opaque=True {opaque}")
sys.exit(0 if found["libx264"] == 8 and opaque == 8 and "libdav1d" in str(found["libsvtav1"]) else 1)
P
echo "as described"
