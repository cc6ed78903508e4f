#!/usr/bin/env bash
# OpenTimelineIO 0.18.1: its `otiostat` calls tracks of unequal length "a system error", and still ends with status 0.
#
# A track may be shorter than its timeline: the stack then shows nothing there, and the library reads, validates and writes
# such a file without a word. `otiostat` prints the error among its statistics, to standard error, and leaves out the statistics
# behind that one: a file whose tracks are padded by a gap prints more lines. So a check by its exit status passes both.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'opentimelineio==0.18.1' 'setuptools<81'
"$folder/venv/bin/python" - "$folder" <<'P'
import subprocess
import sys
from pathlib import Path
import opentimelineio as otio
from opentimelineio.opentime import RationalTime, TimeRange
folder = Path(sys.argv[1])

def stat(padded):
    timeline = otio.schema.Timeline("two tracks")
    for frames in (48, 24):
        track = otio.schema.Track(kind="Video")
        track.append(otio.schema.Clip("clip", source_range=TimeRange(RationalTime(0, 24), RationalTime(frames, 24))))
        if padded and frames < 48:
            track.append(otio.schema.Gap(duration=RationalTime(48 - frames, 24)))
        timeline.tracks.append(track)
    path = folder / "timeline.otio"
    otio.adapters.write_to_file(timeline, str(path))
    length = otio.adapters.read_from_file(str(path)).duration()
    done = subprocess.run([folder / "venv/bin/otiostat", path], capture_output=True, text=True)
    return length.value, done.returncode, "system error" in done.stderr, len(done.stdout.splitlines())

uneven, padded = stat(False), stat(True)
print("tracks of 48 and 24 frames: length, status, system error, lines:", *uneven)
print("the second padded by a gap:", *padded)
print(f"opentimelineio {otio.__version__}")
sys.exit(0 if uneven[:3] == (48, 0, True) and padded[:3] == (48, 0, False) and uneven[3] < padded[3] else 1)
P
echo "as described"
