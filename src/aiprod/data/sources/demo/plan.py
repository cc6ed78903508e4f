"""Decides what each demo film shows, from a seed, without drawing anything (standard library only).

Two faults of the policy are not planted: a film longer than 600 s (ten minutes of encoding for one row; the limit is
tested on measurements instead) and a human face (there is no honest face in drawn shapes; real film shows those).
"""

from __future__ import annotations

import functools
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from aiprod.base.files import digest_of
from aiprod.data.params import DemoCorpusParams

VERSION = 2  # raise it when the same plan makes another film

SHAPES: dict[str, float] = {  # shape -> pitch in Hz of the tone that it makes (a pentatonic scale: any two sound well)
    "circle": 440.00,
    "square": 329.63,
    "triangle": 587.33,
    "star": 659.26,
    "hexagon": 392.00,
    "diamond": 493.88,
}
COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (222, 44, 48),
    "orange": (246, 138, 30),
    "yellow": (250, 214, 52),
    "green": (58, 180, 75),
    "cyan": (70, 214, 226),
    "blue": (46, 98, 222),
    "purple": (150, 64, 190),
    "pink": (244, 130, 186),
    "white": (242, 242, 238),
}
SIZES: dict[str, float] = {"small": 0.125, "medium": 0.175, "large": 0.235}  # radius as a share of the height
CALM_RADIUS = 0.25  # of the one object of a calm scene, which is always a large one
PLAIN = "plain"  # the ground of a calm scene
GENTLE_RADII = {"large": 0.25, "medium": 0.175}  # of the one object of a gentle scene, and of each of two
GENTLE_TEXTURE = "spotted"  # the ground of a gentle scene, which shows how the camera moves
GENTLE_CAMERA_SPEEDS = {"pan": 4.0, "tilt": 3.0, "zoom": 0.3}  # in the units of `ScenePlan`, at 480 lines
# Softened, orange has parts that look yellow and purple has parts that look blue.
GENTLE_COLOURS = tuple(colour for colour in COLOURS if colour not in ("orange", "purple"))
PACES: dict[str, dict[str, float]] = {  # pace -> seconds until what bounces hits the floor, and what drifts the ceiling
    "slowly": {"bounce": 1.15, "drift": 1.4},
    "quickly": {"bounce": 0.88, "drift": 0.55},
}
_DRIFT_FROM = {"slowly": 0.62, "quickly": 0.5}  # pace -> height at which a gentle scene's drift begins, from the top
TEXTURES = ("speckled", "striped", "checked", "brick", "wavy", "cloudy", "dotted", "marbled")
GROUNDS: dict[str, tuple[int, int, int]] = {
    "grey": (112, 116, 122),
    "brown": (124, 88, 58),
    "navy": (34, 46, 92),
    "olive": (92, 100, 52),
    "maroon": (98, 34, 46),
    "teal": (28, 98, 98),
}
CAMERAS = ("static", "pan left", "pan right", "tilt up", "tilt down", "zoom in", "zoom out")
_COUNTS = ("no", "a", "two", "three")

_TURNS = 336  # of gentle scenes, after which they begin again: 7 cameras, 48 combinations of shape, way and pace
_FAULTY_S = 3.0  # least length of a faulty film whose fault is not its length

Expected = Literal["APPROVED", "REVIEW_NEEDED", "REJECTED", "not APPROVED", "split", "duplicate"]


@dataclass(frozen=True)
class Fault:
    """A planted fault: what is done to the film and what quality control must say about it."""

    name: str
    check: str
    expected: Expected
    says: str
    duration_s: float | None = None


FAULTS: tuple[Fault, ...] = (
    Fault("black", "black", "not APPROVED", "2.5 s of black", 5.0),
    Fault("freeze", "freeze", "not APPROVED", "the picture stands still for 2.5 s", 5.0),
    Fault("short", "duration", "REJECTED", "1 s long, 2 s are needed", 1.0),
    Fault("low-resolution", "resolution", "REJECTED", "240 lines, 480 are needed"),
    Fault("slow-rate", "fps", "not APPROVED", "12 pictures a second, 24 are needed"),
    Fault("variable-rate", "fps", "not APPROVED", "picture intervals jump between 1/30 and 1/8 s"),
    Fault("watermark", "watermark", "not APPROVED", "lettering over the whole picture while the camera moves"),
    Fault("letterbox", "aspect", "not APPROVED", "bars leave a picture of 2.7:1"),
    Fault("portrait", "aspect", "not APPROVED", "9:16"),
    Fault("silent", "audio", "not APPROVED", "a sound stream of zeros"),
    Fault("no-sound", "audio", "not APPROVED", "no sound stream"),
    Fault("clipped", "audio", "not APPROVED", "sound driven 18 dB over full scale"),
    Fault("noisy", "snr", "not APPROVED", "white noise at -34 dBFS, an SNR of 60 dB is needed"),
    Fault("upsampled", "bandwidth", "not APPROVED", "sound recorded at 8 kHz and resampled to 48 kHz"),
    Fault("sound-rate", "audio", "not APPROVED", "sound at 22.05 kHz mono, 48 kHz stereo is needed"),
    Fault("desync", "av_sync", "not APPROVED", "sound comes 400 ms late, 100 ms are allowed"),
    Fault("blocky", "encoding", "not APPROVED", "compressed hard by MPEG-4 Part 2, then again by H.264"),
    Fault("starved", "encoding", "not APPROVED", "H.264 at a constant rate factor of 51, the coarsest"),
    Fault("wrong-codec", "codec", "REJECTED", "MPEG-4 Part 2, the policy wants H.264 or H.265"),
    Fault("truncated", "decode", "REJECTED", "cut off after 55 % of its bytes"),
    Fault("not-media", "decode", "REJECTED", "text under the name of a film"),
    Fault("empty", "decode", "REJECTED", "zero bytes"),
    Fault("cut", "shots", "split", "two scenes: two clips", 5.0),
    Fault("duplicate", "duplicates", "duplicate", "the bytes of clean-000 once more"),
    Fault("flicker", "flicker", "not APPROVED", "brightness swings by 6 % eight times a second, as under a bad lamp"),
)


@dataclass(frozen=True)
class ObjectPlan:
    """One moving object; positions in pixels, speeds in pixels per second."""

    shape: str
    colour: str
    size: str
    radius_px: float
    x: float
    y: float
    vx: float
    vy: float
    spin_deg_s: float

    @property
    def heading(self) -> str:
        """Which way it goes at first; an object by itself ends further that way than it began."""
        return "right" if self.vx > 0 else "left"


@dataclass(frozen=True)
class ScenePlan:
    """What one scene shows."""

    seed: int
    texture: str
    ground: str
    camera: str
    camera_speed: float  # pixels per picture (pan, tilt) or share of the size over the whole film (zoom)
    gravity_px_s2: float
    objects: tuple[ObjectPlan, ...]
    pace: str = ""  # how fast a gentle scene's objects go, one of `PACES`

    def sentence(self) -> str:
        """What is seen, in one true sentence."""
        things = [_article(f"{o.size} {o.colour} {o.shape}") for o in self.objects]
        who = things[0] if len(things) == 1 else ", ".join(things[:-1]) + " and " + things[-1]
        verb = "bounce" if self.gravity_px_s2 else "drift"
        if len(things) == 1:
            verb += f"s to the {self.objects[0].heading}"
        verb = f"{self.pace} {verb}".strip()
        where = f"{_article(self.ground)} {self.texture} background"
        camera = "the camera is still" if self.camera == "static" else f"the camera {_third_person(self.camera)}"
        return f"{who[0].upper()}{who[1:]} {verb} over {where} while {camera}."

    def labels(self) -> list[str]:
        """Tags that are true of the scene."""
        things = [f"{o.colour} {o.shape}" for o in self.objects]
        motion = "bouncing" if self.gravity_px_s2 else "drifting"
        return ["synthetic", "animation", motion, *things, f"{self.ground} {self.texture} background"]


@dataclass(frozen=True)
class FilmPlan:
    """One film: its scenes (two for the fault `cut`) and its fault."""

    key: str
    fault: str | None
    duration_s: float
    width: int
    height: int
    fps: int
    scenes: tuple[ScenePlan, ...] = field(default=())

    def digest(self) -> str:
        """SHA-256 that stands for the film before it is drawn."""
        return digest_of({"version": VERSION, "plan": self.json()})

    def json(self) -> dict[str, Any]:
        """As plain values; a scene without a pace is as it was before there were any."""
        values = asdict(self)
        for scene in values["scenes"]:
            if not scene["pace"]:
                del scene["pace"]
        return values


def plan_corpus(params: DemoCorpusParams) -> list[FilmPlan]:
    """All films, clean ones first, in the order of their keys' making."""
    films = [_film(params, f"clean-{n:03d}", n, None) for n in range(params.films)]
    if params.faults:
        films += [_film(params, f"fault-{f.name}", 10_000 + n, f) for n, f in enumerate(FAULTS)]
    return films


def _film(params: DemoCorpusParams, key: str, number: int, fault: Fault | None) -> FilmPlan:
    width, height, fps = params.width, params.height, params.fps
    duration_s = params.duration_s
    if fault is not None and fault.name != "duplicate":  # most show only in films of some length
        duration_s = fault.duration_s or max(duration_s, _FAULTY_S)
    if fault is not None and fault.name == "low-resolution":
        width, height = 426, 240
    if fault is not None and fault.name == "portrait":
        width, height = height, width
    if fault is not None and fault.name == "slow-rate":
        fps = 12
    if fault is not None and fault.name == "duplicate":
        number = 0
    count = 2 if fault is not None and fault.name == "cut" else 1
    lots = [(params.seed * 1_000_003 + 7919 * number + 104_729 * n, number + 3 * n) for n in range(count)]
    clean = fault is None or fault.name == "duplicate"
    if clean and (turn := _turn(number, params.calm_share)) is not None:
        scenes = tuple(_calm_scene(seed, turn, width, height) for seed, _ in lots)
    elif clean and (turn := _turn(number - int(number * params.calm_share), params.gentle_share)) is not None:
        scenes = tuple(_gentle_scene(seed, turn, width, height) for seed, _ in lots)
    else:
        scenes = tuple(_scene(seed, lot, width, height, fault) for seed, lot in lots)
    return FilmPlan(key, fault.name if fault else None, duration_s, width, height, fps, scenes)


def _scene(seed: int, number: int, width: int, height: int, fault: Fault | None) -> ScenePlan:
    """Draw a scene by lot; shapes, textures and cameras go round, so that a small corpus holds all of them."""
    rng = random.Random(f"aiprod demo {seed}")  # hashed: seeds in a row would give scenes that resemble each other
    count = rng.choices((1, 2, 3), (7, 2, 1))[0]
    shapes = rng.sample(list(SHAPES), count)
    shapes[0] = list(SHAPES)[number % len(SHAPES)]
    if len(set(shapes)) < count:
        shapes[1:] = rng.sample([s for s in SHAPES if s != shapes[0]], count - 1)
    colours = rng.sample(list(COLOURS), count)
    camera = CAMERAS[(number * 3 + number // 7) % len(CAMERAS)]
    if fault is not None and fault.name == "watermark":
        camera = "pan left"  # a watermark shows itself against a moving picture only
    objects: list[ObjectPlan] = []
    gravity = rng.random() < 0.6
    for n, (shape, colour) in enumerate(zip(shapes, colours, strict=True)):
        size = rng.choice(list(SIZES) if count < 3 else ["small", "medium"])
        radius = SIZES[size] * min(width, height)
        slot = width / count  # one lane each, so that nothing overlaps or collides at the start
        x = slot * n + rng.uniform(radius + 4, max(radius + 5, slot - radius - 4))
        y = height * rng.uniform(0.22, 0.40) if gravity else height * rng.uniform(0.40, 0.60)
        y = max(y, radius + 4)
        direction = 1 if x < width / 2 else -1
        pace = rng.uniform(0.10, 0.26)  # widths a second
        if count == 1:  # it crosses the picture, so that which way it goes can be said and seen
            x = rng.uniform(radius + 4, radius + 4 + 0.15 * width)
            x, pace = (x if direction > 0 else width - x), 0.5 * (pace + 0.26)
        objects.append(
            ObjectPlan(
                shape,
                colour,
                size,
                round(radius, 2),
                round(x, 2),
                round(y, 2),
                round(direction * width * pace, 2),
                0.0 if gravity else round(rng.choice((-1, 1)) * height * rng.uniform(0.38, 0.60), 2),
                round(rng.uniform(-120, 120), 2),
            )
        )
    speed: float = rng.uniform(0.06, 0.16)
    if not camera.startswith("zoom"):  # whole pixels: the ground is then cut out, not interpolated
        speed = rng.randint(3, 7) if camera.startswith("pan") else rng.randint(2, 4)
    return ScenePlan(
        seed=seed,
        texture=TEXTURES[(number + number // 8) % len(TEXTURES)],
        ground=rng.choice(list(GROUNDS)),
        camera=camera,
        camera_speed=0.0 if camera == "static" else round(speed, 3),
        gravity_px_s2=round(height * rng.uniform(2.4, 3.4), 1) if gravity else 0.0,
        objects=tuple(objects),
    )


def _turn(number: int, share: float) -> int | None:
    """Number of a film among those of a share that take turns, or None for one of the others: the share is kept among
    the first few films as among all."""
    before, after = int(number * share), int((number + 1) * share)
    return before if after > before else None


def _calm_scene(seed: int, turn: int, width: int, height: int) -> ScenePlan:
    """One large object that crosses a plain ground under a still camera, on nearly the same way as all that go its way.

    How it moves and where it goes say nearly where it is in each picture. A model of a few minutes learns such pictures
    as wholes; where the same words stand for many ways, it first learns their mean, a blur. Shapes, ways, colours and
    grounds take turns, so that each shape is seen on each way, in each colour and on each ground equally often: drawn
    by lot, a few dozen scenes leave gaps, and a model learns scenes by heart, not what their words have in common.
    """
    rng = random.Random(f"aiprod demo calm {seed}")
    shapes, colours = list(SHAPES), list(COLOURS)
    round_number, place = divmod(turn, 4 * len(shapes))
    way, shape = divmod(place, len(shapes))
    heading, gravity = (-1, 1)[way % 2], way >= 2
    radius = CALM_RADIUS * min(width, height)
    start = radius + rng.uniform(0.05, 0.08) * width  # so that a crop to a slightly narrower picture keeps it whole
    top = radius + 4
    y = top + rng.uniform(0.0, 0.04) * height if gravity else rng.uniform(0.48, 0.52) * height
    thing = ObjectPlan(
        shapes[shape],
        colours[(round_number + 7 * (way + shape)) % len(colours)],
        "large",
        round(radius, 2),
        round(start if heading > 0 else width - start, 2),
        round(y, 2),
        round(heading * width * rng.uniform(0.19, 0.22), 2),
        0.0 if gravity else round(-height * rng.uniform(0.34, 0.38), 2),
        round(rng.uniform(-12, 12), 2),
    )
    fall = round(height * rng.uniform(2.0, 2.2), 1) if gravity else 0.0
    ground = list(GROUNDS)[(round_number + way - shape) % len(GROUNDS)]
    return ScenePlan(seed, PLAIN, ground, "static", 0.0, fall, (thing,))


def _gentle_scene(seed: int, turn: int, width: int, height: int) -> ScenePlan:
    """One large object that crosses a spotted ground, or two medium ones side by side, under any camera, at two paces.

    As in a calm scene, the words say nearly all that is seen and when it is heard: an object hits the floor or the
    ceiling at a time that its motion and pace give. In four films, three show one object and one shows two.
    """
    rng = random.Random(f"aiprod demo gentle {seed}")
    fours, place = divmod(turn, 4)
    facts = _singles(_TURNS)[(3 * fours + place) % _TURNS] if place < 3 else _pairs(_TURNS)[fours % _TURNS]
    size = "large" if len(facts.shapes) == 1 else "medium"
    radius = GENTLE_RADII[size] * min(width, height)
    hit_s = PACES[facts.pace]["bounce" if facts.bounces else "drift"] * rng.uniform(0.98, 1.02)
    top = radius + 4 + rng.uniform(0.0, 0.02) * height
    y = top if facts.bounces else (_DRIFT_FROM[facts.pace] + rng.uniform(-0.01, 0.01)) * height
    rise = 0.0 if facts.bounces else (radius - y) / hit_s
    fall = 2 * (height - radius - top) / hit_s**2 if facts.bounces else 0.0
    objects = []
    for number, (shape, colour) in enumerate(zip(facts.shapes, facts.colours, strict=True)):
        if len(facts.shapes) == 1:
            start = radius + rng.uniform(0.05, 0.08) * width  # a crop to a slightly narrower picture keeps it whole
            x, vx = (start if facts.heading > 0 else width - start), facts.heading * width * rng.uniform(0.19, 0.22)
        else:
            x, vx = width * ((0.28, 0.72)[number] + rng.uniform(-0.01, 0.01)), 0.0
        spin = rng.uniform(-12, 12)
        x, y, vx, rise, spin = (round(value, 2) for value in (x, y, vx, rise, spin))
        objects.append(ObjectPlan(shape, colour, size, round(radius, 2), x, y, vx, rise, spin))
    speed = GENTLE_CAMERA_SPEEDS.get(facts.camera.split(" ")[0], 0.0)
    if not facts.camera.startswith("zoom"):  # whole pixels: the ground is then cut out, not interpolated
        speed = float(round(speed * height / 480))
    return ScenePlan(
        seed, GENTLE_TEXTURE, facts.ground, facts.camera, speed, round(fall, 1), tuple(objects), facts.pace
    )


@dataclass(frozen=True)
class _GentleFacts:
    """What a gentle scene's words say."""

    shapes: tuple[str, ...]
    colours: tuple[str, ...]
    bounces: bool
    heading: int
    pace: str
    camera: str
    ground: str


class _Even:
    """Chooses values that have been seen least often with the others of a scene, so that each pair takes its turn."""

    def __init__(self) -> None:
        self._seen: Counter[tuple[str, str, str, str]] = Counter()
        self._facts: dict[str, str] = {}

    def begin(self, **facts: str) -> None:
        """A scene of which this is given."""
        self._facts = {}
        for name, value in facts.items():
            self._take(name, value)

    def choose(self, name: str, values: Sequence[str]) -> str:
        """The value of another kind; of those seen equally seldom, the first."""
        least = min(values, key=lambda v: sum(self._seen[pair] ** 2 for pair in self._pairs(name, v)))
        self._take(name, least)
        return least

    def _take(self, name: str, value: str) -> None:
        self._seen.update(self._pairs(name, value))
        self._facts[name] = value

    def _pairs(self, name: str, value: str) -> list[tuple[str, str, str, str]]:
        return [(other, known, name, value) for other, known in self._facts.items()]


@functools.cache
def _singles(count: int) -> list[_GentleFacts]:
    """Facts of scenes with one object: in 336 turns each shape goes each way at each pace under each camera once.

    Seven cameras and the 48 combinations of the others have no common divisor, so both just go round.
    """
    even, facts = _Even(), []
    for turn in range(count):
        shape, way, pace, camera = list(SHAPES)[turn % 6], turn // 6 % 4, list(PACES)[turn // 24 % 2], CAMERAS[turn % 7]
        even.begin(shape=shape, way=str(way), pace=pace, camera=camera)
        colour, ground = even.choose("colour", GENTLE_COLOURS), even.choose("ground", list(GROUNDS))
        facts.append(_GentleFacts((shape,), (colour,), way >= 2, (-1, 1)[way % 2], pace, camera, ground))
    return facts


@functools.cache
def _pairs(count: int) -> list[_GentleFacts]:
    """Facts of scenes with two objects, of different shapes and colours; no heading is said."""
    even, facts = _Even(), []
    for turn in range(count):
        shape, way, pace, camera = list(SHAPES)[turn % 6], turn // 6 % 2, list(PACES)[turn // 12 % 2], CAMERAS[turn % 7]
        even.begin(shape=shape, way=str(way), pace=pace, camera=camera)
        other = even.choose("other shape", [s for s in SHAPES if s != shape])
        colour = even.choose("colour", GENTLE_COLOURS)
        second = even.choose("other colour", [c for c in GENTLE_COLOURS if c != colour])
        ground = even.choose("ground", list(GROUNDS))
        facts.append(_GentleFacts((shape, other), (colour, second), way == 1, 0, pace, camera, ground))
    return facts


def _article(words: str) -> str:
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def _third_person(camera: str) -> str:
    verb, where = camera.split(" ")
    return f"{verb}s {where}"
