#!/usr/bin/env bash
# OpenColorIO 2.6.0: a dark .3dl comes out four times too bright, although its header states its depth.
#
# A .3dl holds whole numbers, and white is the top of their depth. "Mesh 4 12" in the header says: 2^4 + 1 steps along an
# axis, results of 12 bits. OpenColorIO does not use it and takes the depth that the largest number of the table makes
# likely. A look that never reaches a quarter of white (a night look, or a table for one exposure of a bracket) is
# therefore read as 10 bits: a table that takes 0.50 to 0.12 is right, or gives 0.48, by nothing but its darkness.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'opencolorio==2.6.0' 'numpy==2.4.6'
cd "$folder"
"$folder/venv/bin/python" - <<'P'
import os, sys
import numpy as np
import PyOpenColorIO as ocio

def middle(share):
    """What 0.5 becomes by a table of 12 bits that multiplies by `share`."""
    steps = [round(4095 * share * n / 16) for n in range(17)]
    with open(f"{share}.3dl", "w") as file:
        file.write("3DMESH\nMesh 4 12\n" + " ".join(str(round(1023 * n / 16)) for n in range(17)) + "\n")
        file.writelines(f"{r} {g} {b}\n" for r in steps for g in steps for b in steps)
    transform = ocio.FileTransform(os.path.abspath(f"{share}.3dl"))
    value = np.full((1, 3), 0.5, np.float32)
    ocio.Config.CreateRaw().getProcessor(transform).getDefaultCPUProcessor().applyRGB(value)
    return round(float(value[0, 0]), 2)

found = {share: middle(share) for share in (1.0, 0.5, 0.24)}
print(f"opencolorio {ocio.__version__}: 0.5 by 12-bit tables that multiply by {found}")
sys.exit(0 if found == {1.0: 0.5, 0.5: 0.25, 0.24: 0.48} else 1)
P
echo "as described"
