"""Ours and public models in turn, tiny, on one thread, by a harness beside this checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.bench.figures import figure

ROOT = Path(__file__).resolve().parents[2]
PEERS = ROOT.parent / "shared" / "bench" / "models" / "peers.py"
AGAINST = (  # arguments of the harness: the transformer, and each autoencoder against the peer that it is made like
    ("transformer", "--with", "peer_plugin:transformer", "--only", "ltx2"),
    *(
        ("video-vae", "--with", f"vae_plugin:{ours}", "--only", peer, "--ops", "encode,decode")
        for ours, peer in (("like_ltx", "ltx-vae"), ("like_wan", "wan-vae"))
    ),
)


def main(harness: Path = PEERS) -> bool:
    """Run the harness; False where it is not beside this checkout."""
    if not harness.is_file():
        where = "/".join(harness.parts[-4:-1])
        print(f"models against peers: skipped, {harness.name} is not in {where} beside this checkout")
        return False
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT / "tests" / "bench"), os.environ.get("PYTHONPATH", "")])
    for task, *rest in AGAINST:
        print(f"== {task} {' '.join(rest)}", flush=True)
        with tempfile.TemporaryDirectory(prefix="aiprod-bench-") as place:
            told = Path(place) / "told.json"
            command = [
                sys.executable,
                str(harness),
                task,
                "--size",
                "tiny",
                "--threads",
                "1",
                "--json",
                str(told),
                *rest,
            ]
            subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": path})
            for pair in json.loads(told.read_text())["pairs"] if told.exists() else ():
                figure(f"{task}, {pair['op']}: ours over {pair['b']}'s time", pair["ratio"]["median"])
    return True


if __name__ == "__main__":
    main()
