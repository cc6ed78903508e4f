#!/usr/bin/env bash
# OpenTimelineIO 0.17.0: `otioview` ends with an IndexError on every timeline where PySide6 is what it imports.
#
# The wheel carries the viewer (0.18 does not any more) and imports PySide6 first, PySide2 where there is none. Its menu asks for
# `triggered[[QAction]]`, a way of naming a signal that PySide2 knew. PySide6 looks for `triggered()` and finds none, so that the
# window is never built. The extra `view` asks for PySide2 on x86_64, which has no wheel for Python 3.11 and later. A timeline
# that does not open there is not wrong; with the signal connected plainly the viewer shows it, and so does Raven
# (`pip install opentimelineio-raven`), which has taken its place.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'opentimelineio==0.17.0' 'PySide6_Essentials==6.12.0'
cat >"$folder/view.py" <<'P'
import sys
import opentimelineio as otio
from PySide6 import QtCore, QtWidgets
from opentimelineview import console, timeline_widget

path, mended = sys.argv[1], sys.argv[2] == "mended"
clip = otio.schema.Clip("shot", source_range=otio.opentime.TimeRange(duration=otio.opentime.RationalTime(50, 25)))
otio.adapters.write_to_file(otio.schema.timeline_from_clips([clip]), path)

def plainly(window, menu):
    actions = timeline_widget.build_menu(menu)
    menu.triggered.connect(lambda *_: window._navigation_filter_callback(actions))

if mended:
    console.Main._create_navigation_menu = plainly
sys.argv = ["otioview", path]
shown = []

def look():
    shown.extend(type(w).__name__ for w in QtWidgets.QApplication.topLevelWidgets() if w.isVisible())
    QtWidgets.QApplication.quit()

start = QtWidgets.QApplication.exec

def run(*_):
    QtCore.QTimer.singleShot(500, look)
    return start()

QtWidgets.QApplication.exec = QtWidgets.QApplication.exec_ = staticmethod(run)
try:
    console.main()
except IndexError as error:
    print("IndexError:", error)
except SystemExit:
    pass
print("windows shown:", shown)
sys.exit(0 if bool(shown) == mended else 1)
P
export QT_QPA_PLATFORM=offscreen
"$folder/venv/bin/python" "$folder/view.py" "$folder/t.otio" plain 2>/dev/null
"$folder/venv/bin/python" "$folder/view.py" "$folder/t.otio" mended 2>/dev/null
echo "as described"
