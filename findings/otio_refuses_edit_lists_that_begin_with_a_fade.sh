#!/usr/bin/env bash
# OpenTimelineIO's reader of CMX 3600 (otio-cmx3600-adapter 1.0.0): a list whose first event is a fade from black is refused.
#
# CMX 3600 writes a fade from black as two lines of one event: black (BL) of no length, then the new film with `D` and its
# frames. The reader takes the two lines for one transition, finds the track still empty, and ends with "Transitions can't
# be at the very beginning of a track". With one more event before it, of black and without length, it reads the list
# whole, at the same frames. Kdenlive opens edit lists through this reader, as its OpenTimelineIO import does.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'opentimelineio==0.18.1' 'otio-cmx3600-adapter==1.0.0' 'setuptools<81'
"$folder/venv/bin/python" -W ignore - <<'P'
import sys
import opentimelineio as otio
BLACK = "BL       V     C        00:00:00:00 00:00:00:00 00:00:00:00 00:00:00:00\n"
FILM = "A        V     D    012 00:00:00:00 00:00:02:00 00:00:00:00 00:00:02:00\n"
HEAD = "TITLE: x\nFCM: NON-DROP FRAME\n"
try:
    otio.adapters.read_from_string(f"{HEAD}001  {BLACK}001  {FILM}", "cmx_3600", rate=24)
    refused = "nothing"
except Exception as error:
    refused = str(error)
[track] = otio.adapters.read_from_string(f"{HEAD}001  {BLACK}002  {BLACK}002  {FILM}", "cmx_3600", rate=24).tracks
kinds = [type(each).__name__ for each in track]
print(f"as CMX 3600 has it: {refused}; behind an event of no length: {kinds}, {track.duration().value:g} frames")
sys.exit(not ("very beginning" in refused and "Transition" in kinds and track.duration().value == 48))
P
