"""What a command waits for before it generates: our own models load none of the large libraries beside torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HEAVY = ("transformers", "diffusers", "accelerate", "torch._dynamo", "scipy", "pandas", "mlflow", "matplotlib", "dvc")
GENERATES = f"""
import sys
from aiprod.inference.params import GenerationParams
from aiprod.inference.pipeline import AVPipeline
from aiprod.inference.request import Request
pipeline = AVPipeline.from_pretrained(sys.argv[1])
config = GenerationParams(phase="low", steps=1).config(pipeline.record)
[clip] = pipeline.generate([Request("a red circle", 0)], config)
assert clip.pictures.shape[0] == 5
print(sorted(set({HEAVY!r}) & set(sys.modules)))
"""


def test_generating_loads_nothing_large_beside_torch(models: Path) -> None:
    done = subprocess.run([sys.executable, "-c", GENERATES, str(models)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
