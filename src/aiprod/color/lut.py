"""Look-up tables of one and three dimensions: .cube and .3dl read here, the others by OpenColorIO.

Domains are honoured: a table says for which input values its first and last entries stand, which need not be 0 and 1.
Values outside of it are clamped to it, as the formats ask. This NumPy code is the reference that the quick path
(OpenColorIO) is tested against.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from aiprod.base.opening import read_file
from aiprod.errors import AiprodError

Interpolation = Literal["tetrahedral", "trilinear"]
Values = NDArray[np.float32]
_MOST_BYTES = 64 << 20
_SIZE_1D_MAX, _SIZE_3D_MAX = 65_536, 256
_DEPTHS = (8, 10, 12, 14, 16)  # bits of the numbers in a .3dl
READ_HERE = frozenset({".cube", ".3dl"})
"""Suffixes of tables that :func:`read_lut` reads; the others are OpenColorIO's to read."""
SUFFIXES = READ_HERE | {".csp", ".clf", ".ctf", ".spi1d", ".spi3d", ".cub"}


@dataclass(frozen=True)
class Lut:
    """A table.

    Attributes:
        values: float32 [N, 3] of one dimension, or [N, N, N, 3] indexed by red, green, blue.
        low, high: input values (red, green, blue) of the first and the last entry.
    """

    values: Values
    low: tuple[float, float, float] = (0.0, 0.0, 0.0)
    high: tuple[float, float, float] = (1.0, 1.0, 1.0)
    title: str = ""

    @property
    def size(self) -> int:
        """Entries along an axis."""
        return int(self.values.shape[0])

    @property
    def is_3d(self) -> bool:
        """Whether the channels act on each other."""
        return self.values.ndim == 4

    def applied(self, rgb: Values, interpolation: Interpolation = "tetrahedral") -> Values:
        """The colours that float32 [..., 3] become; linear between entries of one dimension."""
        low, high = np.array(self.low, np.float32), np.array(self.high, np.float32)
        place = np.clip((rgb - low) / (high - low), 0, 1) * np.float32(self.size - 1)
        if not self.is_3d:
            steps = np.arange(self.size)
            channels = [np.interp(place[..., n], steps, self.values[:, n]) for n in range(3)]
            return np.stack(channels, axis=-1).astype(np.float32)
        whole = np.minimum(place.astype(np.int32), self.size - 2)
        part = (place - whole).astype(np.float32)
        return (
            _trilinear(self.values, whole, part)
            if interpolation == "trilinear"
            else _tetrahedral(self.values, whole, part)
        )


def _corner(values: Values, whole: NDArray[np.int32], r: int, g: int, b: int) -> Values:
    return np.asarray(values[whole[..., 0] + r, whole[..., 1] + g, whole[..., 2] + b], np.float32)


def _trilinear(values: Values, whole: NDArray[np.int32], part: Values) -> Values:
    out = np.zeros(whole.shape, np.float32)
    for r in (0, 1):
        for g in (0, 1):
            for b in (0, 1):
                weight = np.ones(whole.shape[:-1], np.float32)
                for n, on in enumerate((r, g, b)):
                    weight = weight * (part[..., n] if on else 1 - part[..., n])
                out += weight[..., None] * _corner(values, whole, r, g, b)
    return out


def _tetrahedral(values: Values, whole: NDArray[np.int32], part: Values) -> Values:
    """From the black corner of a cell to its white one along the axes, the largest part first (Sakamoto's method)."""
    order = np.argsort(-part, axis=-1, kind="stable")
    sizes = np.take_along_axis(part, order, axis=-1)
    at = np.zeros_like(whole)
    here = _at(values, whole, at)
    out = here.copy()
    for n in range(3):
        np.put_along_axis(at, order[..., n : n + 1], 1, axis=-1)
        following = _at(values, whole, at)
        out += sizes[..., n : n + 1] * (following - here)
        here = following
    return out


def _at(values: Values, whole: NDArray[np.int32], step: NDArray[np.int32]) -> Values:
    place = whole + step
    return np.asarray(values[place[..., 0], place[..., 1], place[..., 2]], np.float32)


def read_lut(path: Path) -> list[Lut]:
    """The tables of a .cube or .3dl file in the order in which they act: a shaper of one dimension may come first.

    Raises:
        AiprodError: it cannot be read, or holds what the format does not allow, with the line.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise AiprodError(f"{path.name} is larger than {_MOST_BYTES >> 20} MiB", "give a smaller table")
        text = read_file(path).decode("utf-8-sig", errors="replace")
    except OSError as error:
        raise AiprodError(f"{path} cannot be read ({error.strerror})", "check its path and permissions") from None
    suffix = path.suffix.lower()
    if suffix == ".cube":
        return _cube(text, path.name)
    if suffix == ".3dl":
        return [_three_dl(text, path.name)]
    raise AiprodError(f"{path.name} is not a .cube or .3dl file", "name it for what it is")


def is_lut(path: Path) -> bool:
    """Whether a file is a table by its name."""
    return path.suffix.lower() in SUFFIXES


class _Lines:
    """Lines with content, and where one is."""

    def __init__(self, text: str, name: str) -> None:
        self.name = name
        self.lines = [(n, line.split("#", 1)[0].strip()) for n, line in enumerate(text.splitlines(), 1)]

    def wrong(self, number: int, what: str) -> AiprodError:
        """An error that names the line."""
        return AiprodError(f"{self.name}, line {number}: {what}", "export the table again")

    def floats(self, number: int, words: list[str], count: int) -> list[float]:
        """``count`` finite numbers."""
        try:
            values = [float(word) for word in words]
        except ValueError:
            raise self.wrong(number, f"{' '.join(words)[:40]!r} are not numbers") from None
        if len(values) != count or not np.isfinite(values).all():
            raise self.wrong(number, f"{count} finite numbers are expected")
        return values


def _cube(text: str, name: str) -> list[Lut]:
    """Adobe's and Resolve's .cube: red runs fastest; a shaper of one dimension may precede the table of three."""
    lines = _Lines(text, name)
    sizes: dict[int, int] = {}
    domain = {"DOMAIN_MIN": [0.0] * 3, "DOMAIN_MAX": [1.0] * 3}
    ranges: dict[int, list[float]] = {}
    title, bounded, rows = "", "", []
    for number, line in lines.lines:
        if not line:
            continue
        word, *rest = line.split()
        if word == "TITLE":
            title = line[5:].strip().strip('"')
        elif word in ("LUT_1D_SIZE", "LUT_3D_SIZE"):
            kind = int(word[4])
            value = lines.floats(number, rest, 1)[0]
            if value != int(value) or not 2 <= value <= (_SIZE_1D_MAX, _SIZE_3D_MAX)[kind == 3]:
                raise lines.wrong(number, f"a size of {rest[0]}")
            sizes[kind] = int(value)
        elif word in domain:
            domain[word], bounded = lines.floats(number, rest, 3), word
        elif word in ("LUT_1D_INPUT_RANGE", "LUT_3D_INPUT_RANGE"):
            ranges[int(word[4])] = lines.floats(number, rest, 2)
        elif word in ("LUT_IN_VIDEO_RANGE", "LUT_OUT_VIDEO_RANGE"):
            raise AiprodError(f"{name}, line {number}: the table is made for video range", "export it for full range")
        elif word[0].isalpha() and word.lower() not in ("nan", "inf", "infinity"):
            raise lines.wrong(number, f"{word} is not known")
        else:
            rows.append(lines.floats(number, line.split(), 3))
    if not sizes:
        raise AiprodError(f"{name} states no LUT_1D_SIZE or LUT_3D_SIZE", "export the table again")
    if len(sizes) > 1 and bounded:
        raise AiprodError(
            f"{name} holds two tables, and of which {bounded} is the domain is not defined",
            "state LUT_1D_INPUT_RANGE and LUT_3D_INPUT_RANGE",
        )
    counts = {kind: size ** (3 if kind == 3 else 1) for kind, size in sizes.items()}
    if len(rows) != sum(counts.values()):
        raise AiprodError(
            f"{name} has {len(rows)} rows, and its size asks for {sum(counts.values())}", "export it again"
        )
    table = np.array(rows, np.float32)
    luts, at = [], 0
    for kind in sorted(counts):
        low, high = domain["DOMAIN_MIN"], domain["DOMAIN_MAX"]
        if kind in ranges:
            low, high = [ranges[kind][0]] * 3, [ranges[kind][1]] * 3
        if not all(a < b for a, b in zip(low, high, strict=True)):
            raise AiprodError(f"{name}: the domain {low} to {high} is empty", "correct it")
        part = table[at : at + counts[kind]]
        at += counts[kind]
        if kind == 3:  # red is the fastest: the file's order is blue, green, red
            part = part.reshape(sizes[3], sizes[3], sizes[3], 3).transpose(2, 1, 0, 3)
        luts.append(Lut(np.ascontiguousarray(part), (low[0], low[1], low[2]), (high[0], high[1], high[2]), title))
    return luts


def _three_dl(text: str, name: str) -> Lut:
    """Lustre's and Flame's .3dl: blue runs fastest; the depth is what its header states, else the likely one."""
    lines = _Lines(text, name)
    rows: list[list[float]] = []
    grid: list[float] = []
    stated = 0
    for number, line in lines.lines:
        words = line.split()
        if words and words[0].lower() == "mesh" and len(words) == 3:  # "Mesh 4 12": 2^4 + 1 steps, results of 12 bits
            stated = int(lines.floats(number, words[1:], 2)[1])
        if not words or words[0][0].isalpha() or words[0].lower() == "3dmesh" or words[0].startswith("<"):
            continue  # also "LUT8", "gamma 1.0"
        if not grid and len(words) > 3:
            grid = lines.floats(number, words, len(words))
            continue
        rows.append(lines.floats(number, words, 3))
    size = round(len(rows) ** (1 / 3))
    if size**3 != len(rows) or size < 2 or (grid and len(grid) != size):
        raise AiprodError(f"{name} has {len(rows)} rows, which is not a cube", "export it again")
    table = np.array(rows, np.float32)
    largest = float(table.max())
    likely = _likely_depth(largest)
    if table.min() < 0 or not likely:
        raise AiprodError(f"{name} holds values beyond 16 bits", "export it again")
    bits = stated or likely
    if bits not in _DEPTHS or likely > bits:
        raise AiprodError(f"{name} states results of {bits} bits and holds {largest:g}", "export it again")
    if grid and not np.allclose(np.diff(grid), np.diff(grid).mean(), atol=1.01):
        raise AiprodError(f"{name} has an uneven grid, which is not read", "export it with an even one, or as .cube")
    return Lut(np.ascontiguousarray((table / (2**bits - 1)).reshape(size, size, size, 3), np.float32))


def _likely_depth(largest: float) -> int:
    """Of a table without a header. Values somewhat above the top of a depth are whiter than white, so that the border
    lies half-way to the next depth, as in other programs."""
    return next((bits for bits in _DEPTHS if largest <= 1.5 * 2**bits), 0)
