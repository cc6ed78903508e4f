"""How a film is delivered: what a file of each kind has to be like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from aiprod.montage.timeline import LoudnessTarget


@dataclass(frozen=True)
class Profile:
    """What a delivery must keep to.

    Attributes:
        lufs, lu_off: loudness, and by how much it may be missed.
        true_peak_dbtp: of the delivered sound; the mix stays ``headroom_db`` below it, for a lossy codec adds peaks.
        black_s, freeze_s: the longest stretch; a title or another still picture is no frozen film.
        safe: share of each side that lettering keeps free, after EBU R 95.
        outside: share of a picture that may leave -5 % to 105 % of the signal, after EBU R 103.
        flashes: general or red flashes in a second, after ITU-R BT.1702.
    """

    codec: Literal["h264", "prores"] = "h264"
    crf: float = 18.0
    lufs: float = -23.0
    lu_off: float = 0.5
    true_peak_dbtp: float = -1.0
    headroom_db: float = 1.0
    black_s: float = 2.0
    freeze_s: float = 2.0
    sync_s: float = 0.005
    safe: float = 0.05
    outside: float = 0.01
    flashes: int = 3

    @property
    def mixed_to(self) -> LoudnessTarget:
        """What the mix is brought to."""
        return LoudnessTarget(lufs=self.lufs, true_peak_dbtp=self.true_peak_dbtp - self.headroom_db)

    @property
    def suffix(self) -> str:
        """Of the file."""
        return ".mp4" if self.codec == "h264" else ".mov"


PROFILES: dict[str, Profile] = {
    "ebu_r128": Profile(),
    "ebu_r128_master": Profile(codec="prores", headroom_db=0.0),
    "atsc_a85": Profile(lufs=-24.0, lu_off=1.0, true_peak_dbtp=-2.0),
    "streaming": Profile(lufs=-14.0, lu_off=1.0),
    "podcast": Profile(lufs=-16.0, lu_off=1.0),
}
