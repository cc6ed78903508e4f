#!/usr/bin/env bash
# MoviePy 2.2.1: an HD film that is opened and written again, unchanged, has other colours in every player.
#
# MoviePy decodes to RGB through FFmpeg, by the matrix that the film states (BT.709), and pipes RGB back to FFmpeg's encoder. There
# the conversion to YCbCr takes BT.601's matrix, whatever the size, and the file states no matrix at all. Players take an HD
# film that states none for BT.709. A red of (200, 40, 60) is then shown as (210, 55, 59). MoviePy itself shows nothing wrong: it reads
# its own file back by BT.601 too. Remedy: `ffmpeg_params=["-vf", "scale=out_color_matrix=bt709", "-colorspace", "bt709"]`.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'moviepy==2.2.1' 'imageio-ffmpeg==0.8.1' 'av==18.1.0' 'numpy==2.4.6'
cd "$folder"
cat >colours.py <<'P'
import av
import numpy as np
from moviepy import VideoFileClip

RED = np.array([200, 40, 60])
KR, KB = 0.2126, 0.0722  # BT.709


def film(path):
    """1280x720, BT.709 and said to be."""
    r, g, b = RED / 255
    luma = KR * r + (1 - KR - KB) * g + KB * b
    levels = [16 + 219 * luma, 128 + 224 * (b - luma) / (2 - 2 * KB), 128 + 224 * (r - luma) / (2 - 2 * KR)]
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=24, options={"crf": "10"})
        stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuv420p"
        context = stream.codec_context
        context.colorspace, context.color_primaries, context.color_trc, context.color_range = 1, 1, 1, 1
        for number in range(12):
            frame = av.VideoFrame(1280, 720, "yuv420p")
            for plane, level in zip(frame.planes, levels):
                plane.update(bytes([round(level)]) * plane.buffer_size)
            frame.pts, frame.colorspace, frame.color_range = number, 1, 1
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def shown(path):
    """What a player shows that takes HD for BT.709, and the matrix that the file states (2: none)."""
    with av.open(path) as container:
        frame = next(container.decode(video=0))
        y, cb, cr = (float(np.frombuffer(plane, np.uint8)[5000]) for plane in frame.planes)
    y, cb, cr = (y - 16) / 219, (cb - 128) / 224, (cr - 128) / 224
    r, b = y + 2 * (1 - KR) * cr, y + 2 * (1 - KB) * cb
    return np.array([r, (y - KR * r - KB * b) / (1 - KR - KB), b]) * 255, int(frame.colorspace)


film("in.mp4")
with VideoFileClip("in.mp4") as clip:
    read = clip.get_frame(0)[100, 100]
    clip.write_videofile("out.mp4", logger=None)
    clip.write_videofile("told.mp4", logger=None, ffmpeg_params=["-vf", "scale=out_color_matrix=bt709", "-colorspace", "bt709"])
with VideoFileClip("out.mp4") as clip:
    again = clip.get_frame(0)[100, 100]
seen = {name: shown(name) for name in ("in.mp4", "out.mp4", "told.mp4")}
print("MoviePy reads", read.tolist(), "and from its own file", again.tolist())
for name, (colour, matrix) in seen.items():
    print(f"{name}: a player shows {np.round(colour).astype(int).tolist()}, matrix stated: {matrix}")
assert np.abs(seen["in.mp4"][0] - RED).max() < 4 and np.abs(read - RED).max() < 4 and np.abs(again - RED).max() < 5
assert seen["out.mp4"][1] == 2 and seen["out.mp4"][0][1] - RED[1] > 10, seen
assert np.abs(seen["told.mp4"][0] - RED).max() < 4 and seen["told.mp4"][1] == 1, seen
P
venv/bin/python colours.py
echo "as described"
