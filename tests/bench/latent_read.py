"""What reading a cached latent saves: processor time of decoding a clip and encoding its pictures and sound over it.

``python -m tests.bench.latent_read [PROJECT] [CLIPS]`` on a project whose stage ``cache_latents`` has run, the same
clips in either way, one thread. What is read is compared with its digest each time; nothing is kept in memory.
"""

from __future__ import annotations

import contextlib
import sys
import time
from pathlib import Path

import torch

from aiprod.data.latents.dataset import LatentDataset
from aiprod.data.latents.rows import LatentRow
from aiprod.media.clips import read_clip
from aiprod.storage.clip_store import decrypted_copy
from aiprod.trainer.latents.encode import CacheLatentsParams, CacheModels
from tests.bench.figures import figure
from tests.bench.one_more_film import ROOT

WANTED = 10.0


@torch.no_grad()
def encode(row: LatentRow, models: CacheModels) -> None:
    """Decode a clip in the geometry of its row and encode it, as the stage does without its check."""
    assert row.height and row.width and row.frames and row.fps
    rate = models.audio_vae.compression.sample_rate
    with decrypted_copy(Path(f"datasets/v1/processed/{row.clip_id}.mp4")) as path:
        pictures, heard = read_clip(path, row.height, row.width, row.fps, row.frames, sample_rate=rate)
    pixels = torch.from_numpy(pictures).permute(3, 0, 1, 2)[None].float() / 127.5 - 1
    models.video_vae.normalize(models.video_vae.encode(pixels).mode())
    if row.has_audio:
        sound = torch.from_numpy(heard)[None]
        sound = torch.nn.functional.pad(sound, (0, -sound.shape[-1] % models.audio_vae.compression.hop))
        models.audio_vae.normalize(models.audio_vae.encode(sound).mode())


def main(project: Path = ROOT, count: int = 24) -> bool:
    """Print milliseconds a clip and the ratio by phase; False where the project has no cached latents."""
    if not (project / "datasets/v1/latents").is_dir():
        print(
            "cached latents: skipped, there are none → run `dvc repro cache_latents`, or name a project that has some"
        )
        return False
    torch.set_num_threads(1)
    with contextlib.chdir(project):
        models = CacheModels.load(Path("models"), CacheLatentsParams())
        cached = LatentDataset("datasets/v1/latents", {}, memory_bytes=0)
        for phase in dict.fromkeys(phase for phase, _ in cached.rows):
            rows = cached.usable(phase, "train")[:count]
            encode(rows[0], models)  # what the first call sets up
            cached.load(phase, rows[0].clip_id)
            seconds = [0.0, 0.0]
            for row in rows:
                began = time.process_time()
                encode(row, models)
                between = time.process_time()
                cached.load(phase, row.clip_id)
                seconds = [seconds[0] + between - began, seconds[1] + time.process_time() - between]
            made, read = (1000 * spent / len(rows) for spent in seconds)
            what = f"decoding and encoding a clip {made:.1f} ms, reading its latents and text {read:.2f} ms"
            print(f"{phase}: {what}", flush=True)
            figure(f"{phase}: decoding and encoding a clip over reading its latents", made / read, least=WANTED)
    return True


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]), *map(int, sys.argv[2:3]))
