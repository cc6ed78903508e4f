#!/usr/bin/env bash
# OpenTimelineIO 0.18.1: a drop-frame time code that does not exist is read as an existing one.
#
# Drop-frame counting at 29.97 frames/s leaves out the numbers 00 and 01 of each minute but every tenth, so 00:01:00;00
# names no frame: an edit list that holds it is wrong, or is not a drop-frame one. `from_timecode` refuses codes beyond
# the rate (frame 30) and takes this one without a word, as frame 1798, which is 00:00:59;28. It also depends on the
# semicolon alone: the same digits with a colon give another frame.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'opentimelineio==0.18.1'
"$folder/venv/bin/python" - <<'P'
import sys
import opentimelineio as otio
RATE = 30000 / 1001
read = otio.opentime.from_timecode("00:01:00;00", RATE)
again = otio.opentime.to_timecode(read, RATE, True)
colon = otio.opentime.from_timecode("00:01:00:00", RATE)
print(f"00:01:00;00 is frame {read.value:g}, which is written {again}; with a colon it is frame {colon.value:g}")
try:
    otio.opentime.from_timecode("00:00:00;30", RATE)
    beyond = "accepted"
except ValueError as error:
    beyond = type(error).__name__
print(f"00:00:00;30: {beyond}")
print(f"opentimelineio {otio.__version__}")
sys.exit(0 if (read.value, again, colon.value) == (1798, "00:00:59;28", 1800) else 1)
P
echo "as described"
