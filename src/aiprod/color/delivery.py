"""What a film is delivered as: Rec. 709, P3, HLG or PQ, of 8 or 10 bits, and the numbers that say so in its file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from aiprod.color.light import USUAL_PEAK_NITS, WHITE_NITS, Signal
from aiprod.color.tone import ToneMap
from aiprod.errors import AiprodError

Space = Literal["rec709", "p3", "hlg", "pq"]
SPACES: tuple[Space, ...] = get_args(Space)
_TAGS: dict[Space, tuple[int, int, int]] = {  # primaries, transfer, matrix of H.273
    "rec709": (1, 1, 1),
    "p3": (12, 1, 1),
    "hlg": (9, 18, 9),
    "pq": (9, 16, 9),
}
_LEAST_PEAK, _MOST_PEAK = 100.0, 10_000.0


def signal_named(space: Space, peak_nits: float = USUAL_PEAK_NITS, black_nits: float = 0.0) -> Signal:
    """What R'G'B' mean in a space; ``peak_nits`` is that of PQ."""
    primaries = _TAGS[space][0]
    if space == "pq":
        return Signal("pq", primaries, peak_nits, black_nits)
    if space == "hlg":
        return Signal("hlg", primaries, USUAL_PEAK_NITS, black_nits)
    return Signal("bt1886", primaries, WHITE_NITS, black_nits)


@dataclass(frozen=True)
class Delivery:
    """What pictures are delivered as.

    Attributes:
        bits: of a code; 10 for high dynamic range.
        peak_nits: cd/m² of the display that PQ is mastered for.
        black_nits: of the display's black, above which dark light is lifted (BT.2390).
        tone_map: how light beyond the peak is bent, or standard range expanded.
    """

    space: Space = "rec709"
    bits: int = 8
    peak_nits: float = USUAL_PEAK_NITS
    black_nits: float = 0.0
    tone_map: ToneMap = "bt2390"

    @property
    def signal(self) -> Signal:
        """What its R'G'B' mean."""
        return signal_named(self.space, self.peak_nits, self.black_nits)

    @property
    def tags(self) -> tuple[int, int, int]:
        """Primaries, transfer and matrix by ITU-T H.273."""
        return _TAGS[self.space]

    @property
    def usual(self) -> bool:
        """Whether it is what training clips are too: Rec. 709 of 8 bits."""
        return self == _USUAL


_USUAL = Delivery()


def delivery_of(
    space: str, bits: int | None, peak_nits: float = USUAL_PEAK_NITS, black_nits: float = 0.0, tone_map: str = "bt2390"
) -> Delivery:
    """A delivery by its name.

    Raises:
        AiprodError: there is no such space or tone mapping, or its bits or luminance do not fit it.
    """
    if space not in SPACES:
        raise AiprodError(f"there is no output {space!r}", f"one of {', '.join(SPACES)}")
    if tone_map not in get_args(ToneMap):
        raise AiprodError(f"there is no tone mapping {tone_map!r}", f"one of {', '.join(get_args(ToneMap))}")
    hdr = space in ("hlg", "pq")
    wanted = bits if bits is not None else 10 if hdr else 8
    if wanted not in (8, 10) or (hdr and wanted == 8):
        raise AiprodError(f"{space} with {wanted} bits is not made", "HLG and PQ have 10 bits, the others 8 or 10")
    if not _LEAST_PEAK <= peak_nits <= _MOST_PEAK:
        raise AiprodError(f"a peak of {peak_nits:g} cd/m²", f"give {_LEAST_PEAK:g} to {_MOST_PEAK:g}")
    if not 0 <= black_nits < 5:
        raise AiprodError(f"a black of {black_nits:g} cd/m²", "give 0 to 5, such as 0.05")
    return Delivery(space, wanted, peak_nits, black_nits, tone_map)  # type: ignore[arg-type]
