#!/usr/bin/env bash
# otio-kdenlive-adapter 0.0.3: a clip that begins within its file is cut short where a timeline does not say how long the file is.
#
# OpenTimelineIO lets a media reference have no available range, and an edit list can state none. The adapter then takes the clip's own
# duration for the length of the whole file: frames 24 to 78 of a file become a producer of 55 frames that is entered at frame 24.
# Kdenlive 22.12 shows the frames that are left, and all that follows moves up. With an available range the length is right; so whoever
# hands a list to such a Kdenlive looks up how long the files are, and hands on .otio rather than .edl. (The adapter is the only way
# into Kdenlive before 25.04; it says itself that it is not kept any more.)
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'opentimelineio==0.17.0' 'otio-kdenlive-adapter==0.0.3' 'setuptools<81'
"$folder/venv/bin/python" -W ignore - <<'P'
import xml.etree.ElementTree as ElementTree

import opentimelineio as otio
from opentimelineio.opentime import RationalTime, TimeRange


def told(known):
    """Length of the producer in frames, and where the clip ends in it."""
    media = otio.schema.ExternalReference("film.mp4", TimeRange(RationalTime(0, 24), RationalTime(96, 24)) if known else None)
    shown = TimeRange(RationalTime(24, 24), RationalTime(55, 24))
    timeline = otio.schema.Timeline("t")
    track = otio.schema.Track("V", kind=otio.schema.TrackKind.Video)
    track.append(otio.schema.Clip("shot", media, shown))
    timeline.tracks.append(track)
    whole = ElementTree.fromstring(otio.adapters.write_to_string(timeline, "kdenlive"))
    producer = next(each for each in whole.iter("producer") if "film.mp4" in [p.text for p in each.iter("property")])
    length = int(next(p.text for p in producer.iter("property") if p.get("name") == "length"))
    entries = [each for each in whole.iter("entry") if each.get("producer") == producer.get("id") and each.get("out")]
    hours, minutes, seconds = entries[-1].get("out").split(":")
    return length, round((int(hours) * 3600 + int(minutes) * 60 + float(seconds)) * 24)


seen = {known: told(known) for known in (False, True)}
for known, (length, last) in seen.items():
    print(f"available range {'stated' if known else 'not stated'}: a file of {length} frames, shown up to frame {last}")
assert seen[False] == (55, 78) and seen[True] == (96, 78), seen
P
echo "as described"
