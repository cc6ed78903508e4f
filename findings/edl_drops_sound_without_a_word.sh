#!/usr/bin/env bash
# otio-cmx3600-adapter 1.0.0 with OpenTimelineIO 0.18.1: writing an EDL leaves out every audio track, and says nothing.
#
# CMX 3600 has channels for sound (A, A2, B for both), and the adapter reads them. A timeline with a picture track and
# two audio tracks is written as its picture alone: no exception, no warning, no comment in the file. A second picture
# track is refused with NotSupportedError, so one would expect the same of what else cannot be written.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'opentimelineio==0.18.1' 'otio-cmx3600-adapter==1.0.0'
cd "$folder"
"$folder/venv/bin/python" -W error - <<'P'
import sys
import opentimelineio as otio

def span(start, length):
    return otio.opentime.TimeRange(otio.opentime.RationalTime(start, 24), otio.opentime.RationalTime(length, 24))

def track(name, kind):
    made = otio.schema.Track(name, kind=kind)
    media = otio.schema.ExternalReference(f"file:///media/{name}.mov", span(0, 240))
    made.append(otio.schema.Clip(name, media, span(24, 48)))
    return made

def timeline(*tracks):
    made = otio.schema.Timeline("cut")
    made.tracks.extend(track(name, kind) for name, kind in tracks)
    return made

written = otio.adapters.write_to_string(timeline(("V1", "Video"), ("A1", "Audio"), ("A2", "Audio")), "cmx_3600")
print(written)
back = otio.adapters.read_from_string(written, "cmx_3600")
kinds = [t.kind for t in back.tracks]
print("tracks written: Video, Audio, Audio; read back:", ", ".join(kinds))
try:
    otio.adapters.write_to_string(timeline(("V1", "Video"), ("V2", "Video")), "cmx_3600")
    refused = False
except Exception as error:
    refused = True
    print("two picture tracks:", type(error).__name__)
print(f"opentimelineio {otio.__version__}")
sys.exit(0 if kinds == ["Video"] and "A1" not in written and refused else 1)
P
echo "as described"
