#!/usr/bin/env bash
# OpenColorIO 2.6.0: a LUT file that changed on disk is not read again, not even by a new Config.
#
# Files are cached by path for the whole process, whatever their size or time of change says, and the cache belongs to
# no Config: one made afresh with Config.CreateRaw() is still answered from it. A watch folder or a notebook that edits
# a .cube and looks again sees the old look until ClearAllCaches() is called; a digest of the file taken beside it then
# names bytes that were not used.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'opencolorio==2.6.0' 'numpy==2.4.6'
cd "$folder"
"$folder/venv/bin/python" - <<'P'
import os, sys
import numpy as np
import PyOpenColorIO as ocio

def write(gain, entries, stamp):
    with open("look.cube", "w") as file:
        file.write(f"LUT_1D_SIZE {entries}\n")
        file.writelines(f"{gain * n / (entries - 1):.6f} " * 3 + "\n" for n in range(entries))
    os.utime("look.cube", (stamp, stamp))

def middle():
    processor = ocio.Config.CreateRaw().getProcessor(ocio.FileTransform(os.path.abspath("look.cube")))
    value = np.full((1, 3), 0.5, np.float32)
    processor.getDefaultCPUProcessor().applyRGB(value)
    return float(value[0, 0])

write(1.0, 2, 1_700_000_000)
first = middle()
write(0.5, 65, 1_800_000_000)
changed = middle()
ocio.ClearAllCaches()
cleared = middle()
print(f"0.5 through the file: {first}; after it was rewritten to halve: {changed}; after ClearAllCaches(): {cleared}")
print(f"opencolorio {ocio.__version__}")
sys.exit(0 if (first, changed, cleared) == (0.5, 0.5, 0.25) else 1)
P
echo "as described"
