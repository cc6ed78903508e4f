"""``make bench``: our parts against peers in one run, as ratios; what it has no harness or film for is said."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.bench import (
    cluster,
    compare,
    decide_many,
    erase_scale,
    governance_scale,
    growth,
    ingest_cost,
    latent_read,
    montage,
    qc_cost,
    scan_again,
    shards,
    shards_scale,
    speech_stream,
)

ROOT = Path(__file__).resolve().parents[2]
PEERS = ROOT.parent / "shared" / "bench" / "models" / "peers.py"
AGAINST = (  # arguments of the harness: the transformer, and each autoencoder against the peer that it is made like
    ("transformer", "--with", "peer_plugin:transformer", "--only", "ltx2"),
    *(
        ("video-vae", "--with", f"vae_plugin:{ours}", "--only", peer, "--ops", "encode,decode")
        for ours, peer in (("like_ltx", "ltx-vae"), ("like_wan", "wan-vae"))
    ),
)


def against_peers(harness: Path = PEERS) -> bool:
    """Ours and public models in turn, tiny, on one thread; False where the harness is not beside this checkout."""
    if not harness.is_file():
        where = "/".join(harness.parts[-4:-1])
        print(f"models against peers: skipped, {harness.name} is not in {where} beside this checkout")
        return False
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT / "tests" / "bench"), os.environ.get("PYTHONPATH", "")])
    for task, *rest in AGAINST:
        print(f"== {task} {' '.join(rest)}", flush=True)
        command = [sys.executable, str(harness), task, "--size", "tiny", "--threads", "1", *rest]
        subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": path})
    return True


def against_decoding(films: Path = qc_cost.FOLDER) -> bool:
    """Quality control against a plain decode of the same films; False where there are none."""
    if not films.is_dir():
        print(f"quality control: skipped, there is no film in {'/'.join(films.parts[-3:])} beside this checkout")
        return False
    print("== quality control over plain decoding, CPU time")
    qc_cost.main(films)
    return True


if __name__ == "__main__":
    print(compare.machine())
    against_peers()
    against_decoding()
    print("== ingest over FFmpeg's own program, processor time")
    ingest_cost.main()
    print("== cached latents against decoding and encoding, processor time")
    latent_read.main()
    print("== cutting against a plain encode, MoviePy and FFmpeg's xfade, processor time")
    montage.main([12], 360)
    print("== lineage and log at scale")
    governance_scale.main()
    print("== first sound of streamed speech over the whole of it")
    speech_stream.main()
    print("== DVC over one file for each object, and over shards")
    shards.main()
    print("== objects in shards: list, verify, read at random, erase one")
    shards_scale.main()
    print("== erasing a film of very many, with manifests, caches and models")
    erase_scale.main(20_000)
    print("== scan of very many films")
    scan_again.main()
    print("== verdicts of very many clips")
    decide_many.main()
    print("== growth of processor time with clips")
    growth.main(sizes=(10_000, 30_000))
    print("== how much of a Ray cluster's time its workers work")
    cluster.main()
