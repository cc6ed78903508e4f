#!/usr/bin/env bash
# PyAV 18.1.0 (FFmpeg 8.1): the lut3d filter misreads a .cube file whose domain is not 0 to 1.
#
# DOMAIN_MIN and DOMAIN_MAX say for which input values the first and last entries stand. A table that spans -0.5 to 1.5
# and holds the same values as its inputs changes nothing; a table over 0 to 0.5 that holds its inputs changes nothing
# below the middle and clamps above. FFmpeg's filter takes the lower end for 0 whatever is stated and does not scale by
# an upper one beyond 1, without a word: codes move by up to half of the range. OpenColorIO 2.6.0 reads both as meant.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'av==18.1.0' 'numpy==2.4.6' 'opencolorio==2.6.0'
cd "$folder"
"$folder/venv/bin/python" - <<'P'
import sys
import av, numpy as np
import PyOpenColorIO as ocio

def write(name, low, high, size=17):
    grid = np.linspace(low, high, size)
    with open(name, "w") as file:
        file.write(f"LUT_3D_SIZE {size}\nDOMAIN_MIN {low} {low} {low}\nDOMAIN_MAX {high} {high} {high}\n")
        for b in grid:
            for g in grid:
                for r in grid:
                    file.write(f"{r:.6f} {g:.6f} {b:.6f}\n")

codes = np.arange(256, dtype=np.uint8)
ramp = np.repeat(np.repeat(codes[None, :, None], 16, axis=0), 3, axis=2)

def by_ffmpeg(name):
    graph = av.filter.Graph()
    source = graph.add_buffer(width=256, height=16, format="rgb24", time_base="1/25")
    table, sink = graph.add("lut3d", f"file={name}"), graph.add("buffersink")
    source.link_to(table); table.link_to(sink); graph.configure()
    frame = av.VideoFrame.from_ndarray(ramp, "rgb24"); frame.pts = 0
    source.push(frame)
    return graph.pull().to_ndarray(format="rgb24")[0, :, 0].astype(int)

def by_ocio(name):
    processor = ocio.Config.CreateRaw().getProcessor(ocio.FileTransform(name, interpolation=ocio.INTERP_TETRAHEDRAL))
    values = np.ascontiguousarray(ramp[:1].astype(np.float32) / 255)
    processor.getDefaultCPUProcessor().applyRGB(values)
    return values[0, :, 0] * 255

worst = {}
for name, low, high in (("wide.cube", -0.5, 1.5), ("half.cube", 0.0, 0.5)):
    write(name, low, high)
    meant = np.clip(codes / 255, low, high) * 255
    worst[name] = round(float(np.abs(by_ffmpeg(name) - meant).max())), round(float(np.abs(by_ocio(name) - meant).max()), 3)
    print(f"{name}, domain {low} to {high}: FFmpeg is up to {worst[name][0]} codes from what is meant, OpenColorIO {worst[name][1]}")
print(f"av {av.__version__}, opencolorio {ocio.__version__}")
sys.exit(0 if all(ffmpeg >= 50 and other < 0.01 for ffmpeg, other in worst.values()) else 1)
P
echo "as described"
