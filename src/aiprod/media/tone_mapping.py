"""From high dynamic range to BT.709 for training clips, by the house's engine of colour (:mod:`aiprod.color`).

The way of the standards, in light and not in code values: ITU-R BT.2100 says which light a signal means (HLG with the
system gamma of a 1,000 cd/m² display), BT.2408 that diffuse white is 203 cd/m², which becomes the white of the result,
BT.2390 how highlights above it are bent into what is left, and BT.1886 how a BT.709 display turns a signal into light.
"""

from __future__ import annotations

import av
import numpy as np
from numpy.typing import NDArray

from aiprod.color.conversion import BAND, Conversion
from aiprod.color.light import PRIMARIES, REC709, USUAL_PEAK_NITS, WHITE_NITS, Signal, Transfer
from aiprod.media import colour
from aiprod.media.media_info import VideoFacts
from aiprod.media.scaling import Scaler

_LEVELS = 1024  # 10 bits per channel on the way in
_STEPS = 8192  # of the tables over light, which are read at its square root: enough for 8 bits, and quicker
_TRANSFERS: dict[int, Transfer] = {16: "pq", 18: "hlg", 13: "srgb", 4: "gamma22", 5: "gamma28"}


def signal_facts(video: VideoFacts) -> Signal:
    """What the R'G'B' of a film mean, as it is tagged; BT.1886 where it says nothing else."""
    transfer = _TRANSFERS.get(video.transfer, "bt1886")
    known = video.primaries in PRIMARIES
    if transfer in ("pq", "hlg"):
        peak_nits = video.peak_nits if transfer == "pq" and video.peak_nits else USUAL_PEAK_NITS
        return Signal(transfer, video.primaries if known else 9, peak_nits)
    theatre = 12 if video.primaries == 11 else 1  # DCI P3 shown on a display of D65
    return Signal(transfer, video.primaries if known else theatre, WHITE_NITS)


class ToneMapper:
    """Scales a PQ or HLG picture and makes it one of BT.709, 8 bit 4:2:0; the same bytes on every processor.

    Args:
        width: of the result as stored, pixels.
        height: likewise.
        video: facts of the film: transfer, primaries, and the peak of the display that it was graded on.
    """

    def __init__(self, width: int, height: int, video: VideoFacts) -> None:
        self._enter, self._leave = Scaler(width, height, "gbrp10le", True), Scaler(width, height, "yuv420p", True)
        source = signal_facts(video)
        self._name, self.peak_nits = source.transfer.upper(), source.peak_nits
        self._conversion = Conversion(source, REC709, levels=_LEVELS, steps=_STEPS, root=2)
        self._codes = np.rint(self._conversion.table * 255).astype(np.uint8)

    @property
    def step(self) -> str:
        """What this does, in words."""
        return f"{self._name} to BT.709 (BT.2390, {self.peak_nits:g} to {WHITE_NITS:g} cd/m²)"

    def frame(self, frame: av.VideoFrame) -> av.VideoFrame:
        """The picture as limited-range BT.709, yuv420p."""
        source = self._enter.frame(frame)
        target = av.VideoFrame(source.width, source.height, "gbrp")  # from 10 bits swscale would dither
        planes, mapped = colour.rgb_planes(source), colour.rgb_planes(target)
        conversion = self._conversion
        for top in range(0, source.height, BAND):
            lines = slice(top, top + BAND)
            light = conversion.light([np.asarray(plane[lines], np.uint16) for plane in planes])
            for plane, shown in zip(mapped, conversion.mapped(light), strict=True):
                plane[lines] = self._coded(shown)
        return self._leave.frame(target)

    def _coded(self, light: NDArray[np.float32]) -> NDArray[np.uint8]:
        return self._codes.take(self._conversion.place(light))
