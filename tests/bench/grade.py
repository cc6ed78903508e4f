"""A table of three dimensions on a picture of 1080p: ours, OpenColorIO's own path and FFmpeg's lut3d, in one run.

``python -m tests.bench.grade [--repeats 20]`` prints processor milliseconds a picture and what each makes wrong: codes
of 255 from the table itself by its definition, for a usual domain and for one of -0.5 to 1.5; then conversions between
spaces with how far they are from colour-science.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from aiprod.color.conversion import conversion
from aiprod.color.delivery import delivery_of, signal_named
from aiprod.color.grade import Grade, LutFile, graded
from aiprod.color.lut import read_lut
from aiprod.media.grading import Grader
from aiprod.media.high_bit_depth import DeepPictures
from aiprod.media.media_info import VideoFacts
from aiprod.media.scaling import Scaler

WIDE, TALL = 1920, 1080


def table(path: Path, low: float, high: float, size: int = 33) -> Path:
    """A .cube that mixes channels, over a domain."""
    axis = np.linspace(low, high, size)
    blue, green, red = np.meshgrid(axis, axis, axis, indexing="ij")
    rgb = np.stack([red, green, blue], axis=-1).reshape(-1, 3)
    mixed = np.clip(rgb @ np.array([[0.9, 0.06, 0.04], [0.08, 0.85, 0.07], [0.02, 0.1, 0.88]]).T, 0, 1) ** 1.05
    rows = "\n".join("{:.7f} {:.7f} {:.7f}".format(*row) for row in mixed)
    domain = f"DOMAIN_MIN {low} {low} {low}\nDOMAIN_MAX {high} {high} {high}\n"
    path.write_text(f"LUT_3D_SIZE {size}\n{domain}{rows}\n")
    return path


def picture() -> np.ndarray:
    """Soft shapes and grain, uint8 [H, W, 3]."""
    noise = np.random.default_rng(0)
    soft = cv2.resize(
        noise.integers(0, 256, (TALL // 40, WIDE // 40, 3)).astype(np.uint8), (WIDE, TALL), interpolation=2
    )
    return np.clip(soft.astype(int) + noise.integers(-4, 5, soft.shape), 0, 255).astype(np.uint8)


class FFmpeg:
    """A chain of filters over one picture."""

    def __init__(self, frame: av.VideoFrame, *chain: tuple[str, str]) -> None:
        self._frame, self._graph = frame, av.filter.Graph()
        layout = frame.format.name
        self._first = last = self._graph.add_buffer(
            width=frame.width, height=frame.height, format=layout, time_base=Fraction(1, 25)
        )
        for name, arguments in chain:
            following = self._graph.add(name, arguments)
            last.link_to(following)
            last = following
        self._last = self._graph.add("buffersink")
        last.link_to(self._last)
        self._graph.configure()

    def __call__(self) -> av.VideoFrame:
        self._first.push(self._frame)
        return self._last.pull()


def spent_ms(work: Callable[[], Any], repeats: int) -> float:
    """Processor milliseconds of one call, the median."""
    work()
    found = []
    for _ in range(repeats):
        began = time.process_time()
        work()
        found.append(time.process_time() - began)
    return float(np.median(found)) * 1000


def spent_together_ms(work: dict[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """The same of several, one after the other in each round, so that a busy machine is as busy for all."""
    took: dict[str, list[float]] = {who: [] for who in work}
    for call in work.values():
        call()
    for _ in range(repeats):
        for who, call in work.items():
            began = time.process_time()
            call()
            took[who].append(time.process_time() - began)
    return {who: float(np.median(times)) * 1000 for who, times in took.items()}


def main(repeats: int) -> None:
    """Print the tables."""
    import PyOpenColorIO as ocio

    shown = picture()
    rgb = av.VideoFrame.from_ndarray(shown, "rgb24")
    yuv = Scaler(WIDE, TALL, "yuv420p", exact=True).frame(rgb)
    with tempfile.TemporaryDirectory() as name:
        usual, wide = table(Path(name) / "usual.cube", 0, 1), table(Path(name) / "wide.cube", -0.5, 1.5)
        for path in (usual, wide):
            grade = Grade(luts=(LutFile(file=path),))
            transform = ocio.FileTransform(str(path), interpolation=ocio.INTERP_TETRAHEDRAL)
            depth = ocio.BIT_DEPTH_F32
            own = ocio.Config.CreateRaw().getProcessor(transform)
            own = own.getOptimizedCPUProcessor(depth, depth, ocio.OPTIMIZATION_LOSSLESS)
            signal = shown.astype(np.float32) / 255
            [lut] = read_lut(path)
            true = lut.applied(signal) * 255
            peer = FFmpeg(rgb, ("lut3d", f"file={path}:interp=tetrahedral"))
            ours = graded(grade, signal.copy()) * 255
            theirs = peer().to_ndarray().astype(np.float32)
            # as pictures come to it here: pixels of four values, the fourth of no use
            given = np.concatenate([signal, np.zeros((TALL, WIDE, 1), np.float32)], axis=-1)
            assert np.array_equal(graded(grade, given.copy())[..., :3] * 255, ours)
            four, three = given.copy(), signal.copy()

            def by_ocio(pixels: np.ndarray, own: Any = own) -> None:
                own.apply(ocio.PackedImageDesc(pixels, WIDE, TALL, pixels.shape[2]))

            work: dict[str, Callable[[], Any]] = {
                "aiprod": lambda given=given, grade=grade: graded(grade, given),
                "OpenColorIO": lambda three=three: by_ocio(three),
                "its four values": lambda four=four: by_ocio(four),
                "FFmpeg lut3d": peer,
            }
            times = spent_together_ms(work, repeats)
            print(f"== table {path.stem}: RGB through it, float32; FFmpeg in 8 bits")
            wrong = {"aiprod": np.abs(ours - true), "FFmpeg lut3d": np.abs(theirs - true)}
            for who, took in times.items():
                off = f"at most {wrong[who].max():.3f}, mean {wrong[who].mean():.3f} codes off" if who in wrong else ""
                ratio = f"{times['aiprod'] / took:5.2f} ours/this"
                print(f"{who:<15} {took:7.1f} ms  {ratio}  {off}")
        grader = Grader(Grade(luts=(LutFile(file=usual),)), WIDE, TALL)
        chain = (("format", "gbrp10le"), ("lut3d", f"file={usual}:interp=tetrahedral"), ("format", "yuv420p"))
        print("== a picture of a film, 4:2:0 of 8 bits in and out")
        ours_ms, peer_ms = spent_ms(lambda: grader.frame(yuv), repeats), spent_ms(FFmpeg(yuv, *chain), repeats)
        print(f"aiprod         {ours_ms:7.1f} ms, dithered")
        print(f"FFmpeg         {peer_ms:7.1f} ms, by 10 bits of RGB; {ours_ms / peer_ms:.2f} ours/this")
    facts = VideoFacts(
        index=0, codec="h264", pixel_format="yuv420p", bit_depth=8, width=WIDE, height=TALL, fps=25, start_s=0,
        matrix=1, primaries=1, transfer=1,
    )  # fmt: skip
    for space, how in (("pq", "bt2390"), ("hlg", "bt2390"), ("p3", "bt2390"), ("pq", "bt2446a"), ("pq", "aces2")):
        deep = DeepPictures(WIDE, TALL, facts, None, delivery_of(space, None, tone_map=how))
        took = spent_ms(lambda deep=deep: deep.frame(yuv), max(2, repeats // 4))
        print(f"Rec. 709 to {space:<4} by {how:<8} {took:7.1f} ms a picture, 10 bits, dithered")
    accuracy()


def accuracy() -> None:
    """Light of charts after a conversion, against colour-science."""
    import colour

    from tests.color.test_conversion import chart, fits, made, nits

    print("== what both can show: greatest difference from colour-science")
    for first in ("rec709", "p3", "hlg", "pq"):
        for second in ("rec709", "p3", "hlg", "pq"):
            if first == second or {first, second} == {"rec709", "p3"}:
                continue
            source, target = signal_named(first), signal_named(second)  # type: ignore[arg-type]
            signal = np.rint(chart() * 65_535) / 65_535
            before = nits(signal, source)
            inside = fits(before, target)
            after = nits(made(signal, source, target), target)
            pair = [colour.RGB_to_ICtCp(np.maximum(light[inside], 0), L_p=10_000) for light in (before, after)]
            print(f"{first:>7} to {second:<7} ΔE ITP {colour.difference.delta_E_ITP(*pair).max():.3f}")
    for name in ("pq", "hlg"):
        own = signal_named(name)  # type: ignore[arg-type]
        other = signal_named("hlg" if name == "pq" else "pq")
        codes = np.rint(np.arange(877) / 876 * 65_535).astype(np.uint16)[None]
        there = [np.rint(c * 65_535).astype(np.uint16) for c in conversion(own, other).signal([codes] * 3)]
        back = conversion(other, own).signal(there)[0][0] * 876
        whole = np.arange(877)
        reach = whole <= (876 if name == "hlg" else 658)  # PQ of 1,000 cd/m²
        print(f"{name} there and back: at most {np.abs(back - whole)[reach].max():.3f} codes of 10 bits")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=20)
    main(parser.parse_args().repeats)
