"""Memory of decoding a long film: the demo's video autoencoder, 480p, chunk by chunk into an MP4 file.

``python -m tests.bench.decode_memory [MINUTES …]`` decodes one film as long as the largest number in one process and
prints the peak of resident memory when it passes each of them. Latents arrive two latent frames at a time, the weights
are drawn at random (memory does not depend on them), and frames go to the encoder as they come.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from aiprod.core.vae.config import VideoVAEConfig
from aiprod.core.vae.tiling import decode_stream
from aiprod.core.vae.video import VideoVAE
from aiprod.media.encoding import encode
from tests.bench.processor_time import peak_mib

HEIGHT, WIDTH, FPS, CHUNK = 480, 848, 12, 2  # the demo's rate; cells of 8 pixels make 848 of 854


def latents(vae: VideoVAE, seconds: float, height: int, width: int) -> Iterator[Tensor]:
    """Latents of a slow fade between two pictures, ``CHUNK`` latent frames at a time."""
    c = vae.compression
    generator = torch.Generator().manual_seed(0)
    one, two = torch.randn(2, 1, c.channels, 1, height // c.height, width // c.width, generator=generator)
    count = round(seconds * FPS) // c.time + 1
    for start in range(0, count, CHUNK):
        angle = torch.arange(start, min(start + CHUNK, count)).view(1, 1, -1, 1, 1) / 50
        yield angle.cos() * one + angle.sin() * two


def pictures(vae: VideoVAE, seconds: float, height: int, width: int) -> Iterator[np.ndarray]:
    """The frames of that film, uint8 ``[H, W, 3]``."""
    for chunk in decode_stream(vae, latents(vae, seconds, height, width)):
        frames = chunk[0].clamp_(-1, 1).add_(1).mul_(127.5).round_().to(torch.uint8)
        yield from frames.permute(1, 2, 3, 0).numpy()


Row = tuple[float, int, float, float]


def measure(minutes: Sequence[float], height: int = HEIGHT, width: int = WIDTH) -> list[Row]:
    """(minutes, frames, peak MiB, CPU seconds) when the film passes each duration."""
    torch.manual_seed(0)
    vae = VideoVAE(VideoVAEConfig.demo()).eval()
    marks = [round(m * 60 * FPS) for m in sorted(minutes)]
    rows: list[Row] = []

    def watched() -> Iterator[np.ndarray]:
        for count, picture in enumerate(pictures(vae, max(minutes) * 60, height, width), 1):
            yield picture
            if count in marks:
                rows.append((count / 60 / FPS, count, peak_mib(os.getpid()), time.process_time()))
                print("{:6.2f} min {:6d} frames  peak {:7.1f} MiB {:7.1f} s of CPU time".format(*rows[-1]), flush=True)

    with tempfile.TemporaryDirectory() as folder:
        encode(Path(folder) / "film.mp4", watched(), FPS, crf=40, preset="ultrafast")
    return rows


if __name__ == "__main__":
    measure([float(a) for a in sys.argv[1:]] or (1, 3, 10))
