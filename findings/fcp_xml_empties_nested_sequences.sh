#!/usr/bin/env bash
# otio-fcp-adapter 1.0.0: sequences within a sequence of Final Cut Pro 7 XML come out empty, without a word.
#
# Editing programs write a nested sequence as a `clipitem` that holds a whole `sequence`. The adapter makes it a stack of the
# right name, place and length, and looks for its tracks one element too high: the stack has none. The timeline reads, validates,
# and is as long as it was; whoever renders or flattens it shows nothing where the nested sequence was.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'opentimelineio==0.18.1' 'otio-fcp-adapter==1.0.0'
"$folder/venv/bin/python" - "$folder" <<'P'
import sys
from importlib.metadata import version
from pathlib import Path
import opentimelineio as otio
path = Path(sys.argv[1]) / "nested.xml"
RATE = "<rate><timebase>25</timebase><ntsc>FALSE</ntsc></rate>"

def item(name, content):
    times = "<start>0</start><end>50</end><in>0</in><out>50</out>"
    return f'<clipitem id="{name}"><name>{name}</name><duration>50</duration>{RATE}{times}{content}</clipitem>'

def sequence(name, content):
    media = f"<media><video><track>{content}</track></video></media>"
    return f'<sequence id="{name}"><name>{name}</name><duration>50</duration>{RATE}{media}</sequence>'

film = f'<file id="f"><name>a.mp4</name><pathurl>file://localhost/a.mp4</pathurl>{RATE}<duration>50</duration></file>'

def read(content):
    path.write_text(f'<?xml version="1.0"?><!DOCTYPE xmeml><xmeml version="5">{sequence("outer", content)}</xmeml>')
    timeline = otio.adapters.read_from_file(str(path))
    return timeline.duration().value, len(timeline.find_clips()), type(timeline.tracks[0][0]).__name__

plain, nested = read(item("shot", film)), read(item("scene", sequence("inner", item("shot", film))))
print("one clip of 50 frames: length, clips, item:", *plain)
print("the same within a sequence:", *nested)
print(f"otio-fcp-adapter {version('otio-fcp-adapter')}")
sys.exit(0 if plain == (50, 1, "Clip") and nested == (50, 0, "Stack") else 1)
P
echo "as described"
