#!/usr/bin/env bash
# OpenTimelineIO 0.18.1 with the CMX 3600 adapter 1.0.0: an EDL written at 29.97 or 23.976 cannot be read at that rate.
#
# Writing takes the nearest rate of SMPTE time code, so 29.97 is as good as 30000/1001. Reading takes the exact quotient
# only and raises for the decimal, although times read at the quotient print as "29.97" themselves, and an EDL states no
# rate that could be taken instead. A round trip that is tested at 24 and 25 fails with the first film from NTSC countries.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'OpenTimelineIO==0.18.1' 'otio-cmx3600-adapter==1.0.0'
"$folder/venv/bin/python" - <<'P'
import sys
import opentimelineio as otio
from opentimelineio.opentime import RationalTime, TimeRange

def round_trip(rate):
    """Length in frames of a shot of 100 that was written to an EDL and read from it, at one rate."""
    track = otio.schema.Track("V1", kind="Video")
    track.append(otio.schema.Clip("shot", source_range=TimeRange(RationalTime(10, rate), RationalTime(100, rate))))
    timeline = otio.schema.Timeline("edit")
    timeline.tracks.append(track)
    text = otio.adapters.write_to_string(timeline, "cmx_3600", rate=rate)
    try:
        length = otio.adapters.read_from_string(text, "cmx_3600", rate=rate).find_clips()[0].source_range.duration
    except ValueError as error:
        return str(error)
    return f"{length.value:.0f} frames at {str(length).split(', ')[1][:-1]}"

found = {str(rate): round_trip(rate) for rate in (25, 29.97, 23.976, 30000 / 1001)}
print(f"OpenTimelineIO {otio.__version__}: {found}")
refused = "SMPTE timecode does not support this rate"
wanted = ["100 frames at 25", refused, refused, "100 frames at 29.97"]
sys.exit(0 if list(found.values()) == wanted else 1)
P
echo "as described"
