"""Scenes put together from open film, of which everything is known: faces, lettering, shots, movement, sound.

What real film lacks in number is made from it: cut-outs of its faces, its pictures under lettering of many fonts, its
shots behind each other, its speech over its noise. Each half is made of films of that half alone.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from matplotlib import get_data_path
from PIL import Image, ImageDraw, ImageFont

from aiprod.media.audio import hear
from aiprod.media.frames import VideoReader
from aiprod.media.probing import probe, require_video
from aiprod.media.scaling import Scaler
from tests.qc.films import write
from tests.qc.still_scenes import COUNT, WIDTH
from tests.qc.test_bundled_on_film import TRUTH, Face

SIZE = 854, 480
FONTS = (
    *("DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSerif", "DejaVuSerif-Italic", "DejaVuSansMono"),
    *("STIXGeneral", "STIXGeneralBol", "DejaVuSansMono-Bold", "DejaVuSerif-Bold"),
)
WORDS = (
    *("HOSPITAL", "No entry", "Open 24 hours", "Episode 3", "www.example.org", "THE END", "Kaffee 2,50", "Platform 9"),
    *("Live from Oslo", "© 2024 Aurora", "SAMPLE", "Good morning, everyone.", "10:45:07", "Do not copy", "Chapter two"),
)
RATE_HZ = 16_000


@dataclass(frozen=True)
class Half:
    """One half of the films: every other one by name is half A, on which thresholds were chosen.

    Attributes:
        truth: rows of the table of what a person saw, of this half.
    """

    name: str
    clips: Path
    truth: list[dict[str, str]]

    def open_films(self) -> list[Path]:
        """The open films of this half."""
        return [self.clips / row["file"] for row in self.truth if row["file"].startswith("open/")]


def half(name: str, clips: Path) -> Half:
    """The films of a half that are there."""
    rows = [row for row in csv.DictReader(TRUTH.open(encoding="utf-8")) if (clips / row["file"]).is_file()]
    return Half(name, clips, [row for row in rows if row["half"] == name])


def stills(path: Path, times_s: list[float], width: int, height: int) -> list[np.ndarray]:
    """Pictures [height, width, 3] RGB at given times; of a film that ends before, fewer."""
    found: list[np.ndarray] = []
    with VideoReader(path) as reader:
        scaler = Scaler(width, height, "rgb24")
        for timed in reader.frames(max(0.0, times_s[0] - 0.001), times_s[-1] + 1.0):
            if len(found) < len(times_s) and timed.time_s >= times_s[len(found)] - 1e-3:
                found.append(scaler.array(timed.frame).copy())
    return found


def plates(films: Half) -> list[np.ndarray]:
    """Pictures without faces and lettering, [480, 854, 3] RGB."""
    bare = [row for row in films.truth if row["file"].startswith("open/") and not row["faces"] and row["text"] == "no"]
    return [p for row in bare for p in stills(films.clips / row["file"], [0.5, 1.5], *SIZE)]


def cut_outs(films: Half) -> list[tuple[np.ndarray, float]]:
    """Heads with what is around them, RGB, and how large the face is, from the boxes that a person looked through.

    Two stills of a film, so that a film with one person does not count for all.
    """
    found = []
    for row in films.truth:
        path = films.clips / row["file"]
        video = require_video(probe(path))
        wide, tall = video.display_width, video.display_height
        length = video.duration_s or 1.0
        if not row["faces"] or not video.orientation.upright:
            continue
        times = [(n + 0.5) * length / 6 for n in (0, 1, 2, 4, 5)]  # the stills that are searched for faces
        pictures = stills(path, times, wide, tall)
        for word in row["faces"].split():
            number, left, top, size = (int(part) for part in word.split("/"))
            reach = round(0.45 * size)
            y, x = max(0, top - reach), max(0, left - reach)
            if number < len(pictures) and number % 3 == 0:
                found.append((pictures[number][y : top + size + reach, x : left + size + reach], float(size)))
    return found


def with_faces(
    rng: np.random.Generator, plate: np.ndarray, heads: list[tuple[np.ndarray, float]], least: float, most: float
) -> tuple[np.ndarray, list[Face]]:
    """A picture with up to three faces of a size between two bounds, and where they are."""
    picture, faces = plate.astype(np.float32), []
    for place in range(3):
        head, size = heads[rng.integers(len(heads))]
        wanted = float(rng.uniform(least, most))
        look = cv2.resize(head, None, fx=wanted / size, fy=wanted / size, interpolation=cv2.INTER_AREA)
        look = look[:, ::-1] if rng.random() < 0.5 else look
        h, w = look.shape[:2]
        if h >= picture.shape[0] - 4 or w >= SIZE[0] // 3:
            continue
        y, x = int(rng.integers(0, picture.shape[0] - h)), place * SIZE[0] // 3 + int(rng.integers(0, SIZE[0] // 3 - w))
        down, along = np.mgrid[-1 : 1 : h * 1j, -1 : 1 : w * 1j]
        cover = np.clip(5 * (1 - np.hypot(down, along)), 0, 1)[..., None]
        part = picture[y : y + h, x : x + w]
        part += cover * (look * rng.uniform(0.8, 1.1) - part)
        faces.append((0, float(x + (w - wanted) / 2), float(y + (h - wanted) / 2), wanted))
    return np.clip(picture, 0, 255).astype(np.uint8), faces


def with_words(rng: np.random.Generator, plate: np.ndarray) -> np.ndarray:
    """A picture with a line of text, 18 to 60 pixels high, as titles, notices and marks are set."""
    image = Image.fromarray(plate)
    font = Path(get_data_path()) / "fonts" / "ttf" / f"{FONTS[rng.integers(len(FONTS))]}.ttf"
    size, words = int(rng.integers(24, 80)), WORDS[rng.integers(len(WORDS))]
    drawn = ImageDraw.Draw(image)
    type_ = ImageFont.truetype(str(font), size)
    wide = drawn.textlength(words, font=type_)
    x, y = float(rng.uniform(5, max(6.0, SIZE[0] - wide - 5))), float(rng.uniform(5, SIZE[1] - 1.4 * size))
    light = rng.random() < 0.7
    ink = ((255, 255, 255), (255, 230, 40), (240, 240, 240))[rng.integers(3)] if light else (15, 15, 25)
    edge = int(rng.integers(0, 3))  # half of all titles have an outline or a shadow
    drawn.text((x, y), words, font=type_, fill=ink, stroke_width=edge, stroke_fill=(0, 0, 0) if light else (255,) * 3)
    return np.asarray(image)


def moving_scene(rng: np.random.Generator, plate: np.ndarray) -> list[np.ndarray]:
    """Four seconds of a camera that pans, tilts, moves in or is held by hand before a picture, luma, 320 wide."""
    gray = cv2.cvtColor(plate, cv2.COLOR_RGB2GRAY)[:, 60:-60]  # some of the films have bars at their sides
    tall, across = WIDTH * 9 // 16, gray.shape[1]
    kind, way = int(rng.integers(4)), int(rng.choice((-1, 1)))
    speed = float(rng.uniform(0.03, 0.1)) * WIDTH / 25
    reach, rate, begin = rng.uniform(2, 6, (2, 2)), rng.uniform(0.2, 1.1, (2, 2)), rng.uniform(0, 6.28, (2, 2))
    made = []
    for n in range(COUNT):
        scale = (1.7 + (0.12 * n / 25 if kind == 2 else 0.0)) * WIDTH / across
        moved = np.zeros(2)
        if kind < 2:
            moved[kind] = way * speed * (n - COUNT / 2)
        if kind == 3:  # a hand sways in two ways at once, along either axis
            moved = (reach * np.sin(2 * np.pi * rate * n / 25 + begin)).sum(axis=1)
        middle = np.array([WIDTH, tall]) / 2 - scale * np.array([across, gray.shape[0]]) / 2 + moved
        place = np.array([[scale, 0, middle[0]], [0, scale, middle[1]]], np.float64)
        seen = cv2.warpAffine(gray, place, (WIDTH, tall), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        made.append(np.clip(seen + rng.normal(0, 1.2, seen.shape), 0, 255).astype(np.uint8))
    return made


def joined_shots(
    rng: np.random.Generator, films: list[Path], target: Path, count: int = 16, over: int = 0
) -> list[int]:
    """Write shots of 0.8 to 2 s of different films behind each other; the pictures at which a new one begins.

    Args:
        over: pictures for which one turns into the next; the first of them is where that one begins.
    """
    pictures: list[np.ndarray] = []
    cuts: list[int] = []
    last = -1
    for _ in range(count):
        which = int(rng.choice([n for n in range(len(films)) if n != last]))
        length_s = require_video(probe(films[which])).duration_s or 2.0
        start, frames = float(rng.uniform(0, max(0.0, length_s - 2.1))), int(rng.integers(20, 50))
        shot = stills(films[which], [start + n / 25 for n in range(frames)], 320, 180)
        if len(shot) >= max(15, 2 * over):
            if pictures:
                cuts.append(len(pictures) - over)
                for n in range(over):
                    share = (n + 1) / (over + 1)
                    pictures[n - over] = cv2.addWeighted(pictures[n - over], 1 - share, shot[n], share, 0)
            pictures, last = pictures + shot[over:], which
    write(target, pictures, fps=25)
    return cuts


def sound_of(path: Path) -> np.ndarray:
    """Mono sound of a film at 16 kHz; empty where it has none."""
    facts = probe(path)
    heard = (
        hear(path, rate=RATE_HZ, channels=1) if facts.audio is not None else None
    )  # no longer: it would be filled up
    return np.zeros(0, np.float32) if heard is None else np.asarray(heard.samples[0, : 60 * RATE_HZ], np.float32)


def pieces(mono: np.ndarray, seconds: float = 12.0) -> list[np.ndarray]:
    """Stretches of a length, of a shorter film the whole; those that are not silent."""
    size = max(1, min(mono.size, round(seconds * RATE_HZ)))
    found = [mono[n : n + size] for n in range(0, mono.size - size + 1, max(1, size // 2))]
    return [part for part in found if np.sqrt(np.mean(part**2)) > 1e-3]
