#!/usr/bin/env bash
# FFmpeg 8.1 (in PyAV 18.1.0): its DNxHR says BT.709 of a film of BT.2020, and its decoder believes that.
#
# The encoder is told `colorspace=9` and the file's `colr` box says so. But each picture of DNxHR has its matrix in its own
# header (SMPTE ST 2019-1), where the encoder always leaves BT.709, and the decoder puts that into its frames, whatever the
# file says; so an HDR master comes back with primaries and curve of BT.2020 and PQ and with the matrix of BT.709. With
# the two bits set in each packet, frames say what the file does.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'av==18.1.0' 'numpy==2.4.6'
cd "$folder"
"$folder/venv/bin/python" - <<'P'
import sys
import av
import numpy as np

def made(path, patched):
    with av.open(path, "w") as file:
        stream = file.add_stream("dnxhd", rate=25)
        stream.width, stream.height, stream.pix_fmt = 256, 144, "yuv422p10le"
        context = stream.codec_context
        context.options = {"profile": "dnxhr_hqx"}
        context.colorspace, context.color_primaries, context.color_trc, context.color_range = 9, 9, 16, 1
        frame = av.VideoFrame.from_ndarray(np.full((144 * 3 // 2, 256), 512, np.uint16), format="yuv420p10le")
        frame.colorspace, frame.color_primaries, frame.color_trc, frame.color_range = 9, 9, 16, 1
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            if patched:
                data = bytearray(bytes(packet))
                data[0x2C] = data[0x2C] & ~0b110 | 0b010
                copy = av.Packet(bytes(data))
                copy.pts, copy.dts, copy.time_base, copy.stream = packet.pts, packet.dts, packet.time_base, stream
                packet = copy
            file.mux(packet)
    with av.open(path) as file:
        frame = next(file.decode(video=0))
        return int(frame.colorspace), int(frame.color_primaries), int(frame.color_trc)

found, patched = made("a.mov", False), made("b.mov", True)
print(f"av {av.__version__}: matrix, primaries and curve of the frame are {found}; with its two bits set {patched}")
sys.exit(0 if found == (1, 9, 16) and patched == (9, 9, 16) else 1)
P
echo "as described"
