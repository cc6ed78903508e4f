"""Makes the README's first picture, an animation of the demo's film, anew.

    python docs/hooks/film_picture.py reports/film/film.mp4 docs/images/film.webp

Takes pictures evenly over the whole film, smaller and fewer until the file is small enough.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from aiprod.media.frames import VideoReader
from aiprod.media.scaling import Scaler

MOST_BYTES = 400_000
QUALITY = 60
TRIES = ((480, 8), (400, 8), (400, 6), (320, 6), (320, 4), (256, 4), (192, 3))
"""Width in pixels and pictures a second."""


def pictures(film: Path, width: int, per_s: float) -> list[Image.Image]:
    """Pictures of the film, evenly in time."""
    found: list[Image.Image] = []
    with VideoReader(film) as reader:
        shown = reader.shown
        height = round(width * shown.display_height / shown.display_width / 2) * 2
        scaler = Scaler(width, height, "rgb24", exact=True)
        for timed in reader.frames():
            if timed.time_s * per_s >= len(found):
                found.append(Image.fromarray(np.ascontiguousarray(scaler.array(timed.frame))))
    return found


def animation(film: Path, width: int, per_s: float) -> bytes:
    """The film as animated WebP, which is a quarter of a GIF's size."""
    frames, made = pictures(film, width, per_s), io.BytesIO()
    more = {"append_images": frames[1:], "duration": round(1000 / per_s), "loop": 0, "quality": QUALITY, "method": 4}
    frames[0].save(made, "WEBP", save_all=True, **more)
    return made.getvalue()


def main(film: Path, out: Path) -> None:
    """Write the largest animation that is small enough."""
    for width, per_s in TRIES:
        data = animation(film, width, per_s)
        if len(data) <= MOST_BYTES:
            out.write_bytes(data)
            print(f"{out}: {width} pixels wide, {per_s} pictures a second, {len(data)} bytes")
            return
    sys.exit(f"{film} is too long for {MOST_BYTES} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
