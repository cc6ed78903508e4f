"""One module per DVC stage, runnable as ``python -m pipeline.<stage>``."""

import os
import sys
from pathlib import Path

# An experiment in a temporary workspace must run its own copy of the code, not the one that is installed.
_SOURCE = str(Path(__file__).resolve().parents[1] / "src")
if _SOURCE not in sys.path[:1]:
    sys.path.insert(0, _SOURCE)

# Read when torch and friends load: spinning threads on a busy machine cost many times the work itself; no stage
# talks to anything outside on its own accord. Arrow's own allocator keeps most of what is freed.
for _name, _value in {
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "OMP_WAIT_POLICY": "PASSIVE",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "PYDANTIC_DISABLE_PLUGINS": "__all__",  # else the files of every installed package are asked for one
}.items():
    os.environ.setdefault(_name, _value)
