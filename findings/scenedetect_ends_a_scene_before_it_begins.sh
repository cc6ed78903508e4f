#!/usr/bin/env bash
# PySceneDetect 0.7.2: in a film of variable frame rate in Matroska, the last scene ends before it begins.
#
# Cuts are timed by each picture's own time stamp, so they are right at any spacing. The end of the list is not: it is the number of
# pictures over the nominal rate. Matroska states 30 frames a second here for a film that shows 10 for half of its time, so a cut at
# 7.0 s is followed by a scene from 7.0 to 5.33 s, of a film of 8 s. From MP4 (same packets, OpenCV's average rate of 20) and by the
# PyAV backend the list ends at 8 s. Code that cuts clips by the list asks for a clip of
# negative length; take the film's own duration for the end of the last scene.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'scenedetect==0.7.2' 'opencv-python-headless==5.0.0.93' 'av==18.1.0' 'numpy==2.4.6'
cd "$folder"
cat >look.py <<'P'
from fractions import Fraction

import av
import numpy as np
import scenedetect
from scenedetect import ContentDetector, SceneManager, open_video

dark, light = np.full((96, 128, 3), 40, np.uint8), np.full((96, 128, 3), (200, 90, 40), np.uint8)
times = [n / 30 for n in range(60)] + [2 + n / 10 for n in range(40)] + [6 + n / 30 for n in range(60)]
ends = {}
for name in ("film.mkv", "film.mp4"):
    with av.open(name, "w") as film:
        stream = film.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 90_000)
        for time in times:
            frame = av.VideoFrame.from_ndarray(dark if time < 7 else light, format="rgb24")
            frame.pts, frame.time_base = round(time * 90_000), Fraction(1, 90_000)
            film.mux(stream.encode(frame))
        film.mux(stream.encode())
    for backend in ("opencv", "pyav"):
        video, manager = open_video(name, backend=backend), SceneManager()
        manager.add_detector(ContentDetector())
        manager.detect_scenes(video)
        scenes = [(round(a.seconds, 2), round(b.seconds, 2)) for a, b in manager.get_scene_list()]
        print(f"scenedetect {scenedetect.__version__}, {name}, {backend}: scenes {scenes}")
        ends[name, backend] = scenes[-1]
assert ends["film.mkv", "opencv"] == (7.0, 5.33), ends
assert all(scene == (7.0, 8.0) for key, scene in ends.items() if key != ("film.mkv", "opencv")), ends
P
"$folder/venv/bin/python" look.py 2>/dev/null
echo "as described"
