"""Small pictures as inline SVG: a loss curve and a histogram. Same numbers, same bytes; they print and they scale."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

_W, _H, _LEFT, _BOTTOM, _TOP = 560, 190, 58, 26, 14
_COLOURS = ("#2f78ad", "#c2622d", "#4c8a57", "#8a5fa8")


Point = tuple[float, float]


def line_chart(series: dict[str, list[Point]], title: str, breaks: Sequence[tuple[float, str]] = ()) -> str:
    """Lines over steps, on a logarithmic scale where all values are positive and span more than a factor of 20.

    Args:
        series: name → (step, value), finite values only; at most four names are drawn.
        title: what it shows, read out by screen readers.
        breaks: steps at which a curriculum phase begins, and its name.
    """
    drawn = {name: points for name, points in list(series.items())[: len(_COLOURS)] if points}
    values = [v for points in drawn.values() for _, v in points]
    steps = [s for points in drawn.values() for s, _ in points]
    if not values:
        return ""
    logarithmic = min(values) > 0 and max(values) / min(values) > 20
    scale: Callable[[float], float] = math.log10 if logarithmic else float
    low, high = scale(min(values)), scale(max(values))
    first, last = min(steps), max(steps)

    def place(step: float, value: float) -> str:
        x = _LEFT + (_W - _LEFT - 8) * (step - first) / ((last - first) or 1)
        y = _TOP + (_H - _TOP - _BOTTOM) * (1 - (scale(value) - low) / ((high - low) or 1))
        return f"{x:.1f},{y:.1f}"

    parts = [_open(title), _axes(f"{max(values):.3g}", f"{min(values):.3g}", f"{first:g}", f"step {last:g}")]
    for step, name in breaks:
        x = place(step, max(values)).split(",")[0]
        parts.append(
            f'<line x1="{x}" x2="{x}" y1="{_TOP}" y2="{_H - _BOTTOM}" stroke="currentColor" opacity=".25"/>'
            f'<text x="{float(x) + 3:.1f}" y="{_TOP + 9}">{_escape(name)}</text>'
        )
    for colour, points in zip(_COLOURS, drawn.values(), strict=False):
        path = " ".join(place(step, value) for step, value in _thin(points))
        parts.append(f'<polyline fill="none" stroke="{colour}" stroke-width="1.6" points="{path}"/>')
    for number, (colour, name) in enumerate(zip(_COLOURS, drawn, strict=False)):
        note = " (log)" if logarithmic and number == 0 else ""
        parts.append(
            f'<text x="{_W - 12}" y="{_TOP + 24 + 14 * number}" text-anchor="end" style="fill:{colour}">'
            f"{_escape(name)}{note}</text>"
        )
    return "".join(parts) + "</svg>"


def histogram(values: Sequence[float], title: str, low: float = 0.0, high: float = 1.0, bins: int = 20) -> str:
    """Counts of values in equal bins."""
    if not values:
        return ""
    counts = [0] * bins
    for value in values:
        counts[min(max(int((value - low) / (high - low) * bins), 0), bins - 1)] += 1
    width = (_W - _LEFT - 8) / bins
    tallest = max(counts)
    parts = [_open(title), _axes(str(tallest), "0", f"{low:g}", f"{high:g}")]
    for number, count in enumerate(counts):
        tall = (_H - _TOP - _BOTTOM) * count / tallest
        x, y = _LEFT + number * width + 1, _H - _BOTTOM - tall
        parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{width - 2:.1f}" height="{tall:.1f}" fill="{_COLOURS[0]}">'
            f"<title>{count}</title></rect>"
        )
    return "".join(parts) + "</svg>"


def _open(title: str) -> str:
    return (
        f'<svg viewBox="0 0 {_W} {_H}" width="{_W}" height="{_H}" role="img" aria-label="{_escape(title)}">'
        f"<title>{_escape(title)}</title>"
    )


def _axes(top: str, bottom: str, left: str, right: str) -> str:
    base = _H - _BOTTOM
    return (
        f'<path d="M{_LEFT} {_TOP}V{base}H{_W - 8}" fill="none" stroke="currentColor" opacity=".5"/>'
        f'<text x="{_LEFT - 6}" y="{_TOP + 8}" text-anchor="end">{top}</text>'
        f'<text x="{_LEFT - 6}" y="{base}" text-anchor="end">{bottom}</text>'
        f'<text x="{_LEFT}" y="{_H - 8}">{left}</text>'
        f'<text x="{_W - 8}" y="{_H - 8}" text-anchor="end">{right}</text>'
    )


def _thin(points: list[Point], most: int = 400) -> list[Point]:
    """Every n-th point and the last, so that a long training does not make a huge page."""
    stride = max(1, math.ceil(len(points) / most))
    kept = points[::stride]
    return kept if kept[-1] == points[-1] else [*kept, points[-1]]


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
