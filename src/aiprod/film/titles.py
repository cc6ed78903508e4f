"""Lettering: titles, credits and words over pictures, in any script that a font at hand has."""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from collections.abc import Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from aiprod.base.files import write_bytes
from aiprod.errors import AiprodError

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

Colour = tuple[int, int, int]
SAFE = 0.05
"""Share of each side that lettering leaves free; EBU R 95 gives graphics 5 %."""
_LEADING = 1.35
_RIGHT_TO_LEFT = ((0x0590, 0x08FF), (0xFB1D, 0xFDFF), (0xFE70, 0xFEFF), (0x10800, 0x10FFF), (0x1E800, 0x1EFFF))


@cache
def default_font() -> Path:
    """DejaVu Sans, which Matplotlib bundles: Latin, Greek, Cyrillic, Arabic, Hebrew, Armenian, Georgian and more."""
    try:
        import matplotlib
    except ImportError:
        raise AiprodError(
            "Matplotlib, whose font titles are set in, is not installed", "pip install 'aiprod[film]'"
        ) from None
    return Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"


@lru_cache(maxsize=64)
def _font(path: Path, size: int) -> FreeTypeFont:
    from PIL import ImageFont

    try:
        return ImageFont.truetype(str(path), size)
    except OSError:
        raise AiprodError(f"{path.name} is not a supported font", "give a .ttf, .otf or .ttc file") from None


@lru_cache(maxsize=64)
def _missing_glyph(path: Path) -> bytes:
    return _drawn(path, "\U0010fffe")


@lru_cache(maxsize=4096)
def _drawn(path: Path, letter: str) -> bytes:
    mask = _font(path, 40).getmask(letter)
    return bytes(mask) + repr(mask.size).encode()


def _has(path: Path, letter: str) -> bool:
    return letter.isspace() or not letter.isprintable() or _drawn(path, letter) != _missing_glyph(path)


def font_for(text: str, fonts: Sequence[Path]) -> Path:
    """The first font that has every letter of a text: a line is set in one font, so that its letters join.

    Raises:
        AiprodError: none has; names the letters that the best one lacks.
    """
    tried = [*fonts, default_font()]
    lacking = []
    for font in tried:
        missing = sorted({letter for letter in text if not _has(font, letter)})
        if not missing:
            return font
        lacking.append(missing)
    fewest = min(lacking, key=len)
    raise AiprodError(
        f"no font here has {' '.join(fewest[:8])} of {text[:40]!r}", "name a font file that has them under `fonts:`"
    )


def _direction(text: str) -> str | None:
    """``rtl`` where the first letter that has a direction runs to the left; None where the layout engine is basic."""
    from PIL import features

    if not features.check("raqm"):
        if any(low <= ord(letter) <= high for letter in text for low, high in _RIGHT_TO_LEFT):
            hint = "install Pillow with libraqm and FriBiDi"
            raise AiprodError(f"this Pillow cannot set {text[:40]!r} from right to left", hint)
        return None
    first = next((letter for letter in text if letter.isalpha()), " ")
    return "rtl" if any(low <= ord(first) <= high for low, high in _RIGHT_TO_LEFT) else "ltr"


def _width(line: str, fonts: Sequence[Path], size: int) -> float:
    return float(_font(font_for(line, fonts), size).getlength(line, direction=_direction(line))) if line else 0.0


def wrapped(text: str, fonts: Sequence[Path], size: int, width: float) -> list[str]:
    """Lines that fit a width, as few as that takes and then about equally long; text without spaces (Chinese, Thai)
    breaks between letters."""
    lines: list[str] = []
    for paragraph in text.splitlines() or [""]:
        filled = _filled(paragraph, fonts, size, width)
        if len(filled) > 1:  # or the last line would be left with a word
            low, high = width / len(filled), width
            while high - low > size / 4:
                middle = (low + high) / 2
                tried = _filled(paragraph, fonts, size, middle)
                low, high = (middle, high) if len(tried) > len(filled) else (low, middle)
                filled = tried if len(tried) <= len(filled) else filled
        lines += filled
    return lines


def _filled(paragraph: str, fonts: Sequence[Path], size: int, width: float) -> list[str]:
    """Lines that each take as many words as fit."""
    lines, line = [], ""
    for word in paragraph.split():
        longer = f"{line} {word}".strip()
        if _width(longer, fonts, size) <= width:
            line = longer
            continue
        if line:
            lines.append(line)
        line = word
        while _width(line, fonts, size) > width and len(line) > 1:
            cut = _cut(line, fonts, size, width)
            lines.append(line[:cut])
            line = line[cut:]
    return [*lines, line]


def _cut(line: str, fonts: Sequence[Path], size: int, width: float) -> int:
    """How many letters of a word that is too long fit, and at least one."""
    cuts = [n for n in range(1, len(line)) if unicodedata.category(line[n])[0] != "M"]  # marks stay
    near = bisect_right(cuts, width, key=lambda n: _width(line[:n], fonts, size))
    around = cuts[max(0, near - 3) : near + 3]  # a letter more can take less room, where it joins
    fitting = [n for n in around if _width(line[:n], fonts, size) <= width]
    return max(fitting, default=min(cuts, default=len(line)))


def _canvas(width: int, height: int, background: Colour | None) -> Any:
    from PIL import Image

    return Image.new("RGBA", (width, height), (*background, 255) if background is not None else (0, 0, 0, 0))


def _set(canvas: Any, lines: list[tuple[str, int]], fonts: Sequence[Path], top: float, shadow: bool = False) -> None:
    """Draw lines (text, size) one below the other, each in the middle."""
    from PIL import ImageDraw

    draw = ImageDraw.Draw(canvas)
    y = top
    for text, size in lines:
        if text:
            at, font = (canvas.width / 2, y + size * _LEADING / 2), _font(font_for(text, fonts), size)
            edge = max(1, size // 14) if shadow else 0
            draw.text(
                at,
                text,
                font=font,
                fill=(238, 238, 232, 255),
                anchor="mm",
                direction=_direction(text),
                stroke_width=edge,
                stroke_fill=(0, 0, 0, 200) if edge else None,
            )
        y += size * _LEADING


def _tall(lines: list[tuple[str, int]]) -> float:
    return sum(size * _LEADING for _, size in lines)


def _fitting(title: str, below: str, fonts: Sequence[Path], width: int, height: int) -> list[tuple[str, int]]:
    """Lines of a title at the largest size that leaves the edges free."""
    free = 1 - 2 * SAFE - 0.04
    for share in (0.12, 0.1, 0.085, 0.07, 0.06, 0.05, 0.04, 0.033):
        large, small = max(10, round(height * share)), max(9, round(height * share * 0.55))
        lines = [(line, large) for line in wrapped(title, fonts, large, width * free)]
        lines += [(line, small) for line in wrapped(below, fonts, small, width * free)] if below else []
        if _tall(lines) <= height * free:
            return lines
    raise AiprodError(f"the title {title[:40]!r} does not fit a picture of {width}x{height}", "shorten it")


def title_card(  # noqa: PLR0917
    path: Path, title: str, below: str, width: int, height: int, fonts: Sequence[Path], background: Colour
) -> None:
    """Write a title that fills the picture."""
    lines = _fitting(title, below, fonts, width, height)
    canvas = _canvas(width, height, background)
    _set(canvas, lines, fonts, (height - _tall(lines)) / 2)
    _write(path, canvas)


def words_over(path: Path, text: str, place: str, width: int, height: int, fonts: Sequence[Path]) -> None:  # noqa: PLR0917
    """Write words on nothing, with an edge that is read on any picture."""
    size = max(10, round(height * 0.06))
    edge = round(height * (SAFE + 0.02))
    lines = [(line, size) for line in wrapped(text, fonts, size, width * (1 - 2 * SAFE - 0.06))]
    if _tall(lines) > height - 2 * edge:
        raise AiprodError(f"the words {text[:40]!r} do not fit a picture of {width}x{height}", "shorten them")
    top = {"top": edge, "middle": (height - _tall(lines)) / 2, "bottom": height - edge - _tall(lines)}[place]
    canvas = _canvas(width, height, None)
    _set(canvas, lines, fonts, top, shadow=True)
    _write(path, canvas)


def credit_pages(title: str, lines: Sequence[str], width: int, height: int, fonts: Sequence[Path]) -> list[list[str]]:
    """Lines of credits by page, as many as are read at this size."""
    size = _credit_size(height)
    room = int(height * (1 - 2 * SAFE - 0.04) / (size * _LEADING)) - 2
    pages: list[list[str]] = [[]]
    for line in lines:
        parts = wrapped(line, fonts, size, width * (1 - 2 * SAFE - 0.04))
        for part in parts:
            if len(pages[-1]) >= room:
                pages.append([])
            pages[-1].append(part)
    return pages


def credit_card(path: Path, title: str, lines: Sequence[str], width: int, height: int, fonts: Sequence[Path]) -> None:  # noqa: PLR0917
    """Write one page of credits."""
    size = _credit_size(height)
    every = [(title, round(size * 1.4)), ("", round(size * 0.5)), *((line, size) for line in lines)]
    canvas = _canvas(width, height, (12, 12, 14))
    _set(canvas, every, fonts, (height - _tall(every)) / 2)
    _write(path, canvas)


def _credit_size(height: int) -> int:
    return max(9, round(height * 0.042))


def _write(path: Path, canvas: Any) -> None:
    import cv2

    done, data = cv2.imencode(".png", cv2.cvtColor(np.asarray(canvas), cv2.COLOR_RGBA2BGRA))
    assert done
    write_bytes(path, data.tobytes())


def lettered_box(path: Path, background: Colour | None) -> tuple[int, int, int, int] | None:
    """Left, top, right and bottom of the pixels that a still letters, as they are; None where it letters nothing."""
    from aiprod.montage.stills import read_still

    still = read_still(path)
    if background is None:
        assert still.alpha is not None
        marked = np.asarray(still.alpha > 0.02)
    else:
        marked = np.asarray((np.abs(still.rgb.astype(np.int16) - np.array(background, np.int16)) > 8).any(axis=-1))
    rows, columns = np.flatnonzero(marked.any(axis=1)), np.flatnonzero(marked.any(axis=0))
    if not rows.size:
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
