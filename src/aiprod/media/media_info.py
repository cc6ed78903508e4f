"""What a probe finds out about a media file, as typed facts with units in their names."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from pydantic import BaseModel, ConfigDict, Field


class _Facts(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Orientation(_Facts):
    """How stored pictures become upright: swap the axes first, then flip."""

    transpose: bool = False
    flip_x: bool = False
    flip_y: bool = False

    @property
    def upright(self) -> bool:
        """Whether nothing has to be done."""
        return not (self.transpose or self.flip_x or self.flip_y)

    def turned(self, picture: np.ndarray) -> np.ndarray:
        """An array [H, W] or [H, W, C] turned upright; contiguous."""
        if self.upright:
            return picture
        turned = picture.swapaxes(0, 1) if self.transpose else picture
        if self.flip_x:
            turned = turned[:, ::-1]
        if self.flip_y:
            turned = turned[::-1]
        return np.ascontiguousarray(turned)

    @property
    def rotation_deg(self) -> int:
        """Clockwise turn that the display applies (mirroring apart)."""
        if self.transpose:
            return 90 if self.flip_x else 270
        return 180 if self.flip_y else 0

    @property
    def mirrored(self) -> bool:
        """Whether the display shows a mirror image."""
        return (self.transpose + self.flip_x + self.flip_y) % 2 == 1


class VideoFacts(_Facts):
    """The picture stream that is used (never an attached cover picture)."""

    index: int
    codec: str
    profile: str | None = None
    pixel_format: str
    bit_depth: int
    width: int = Field(description="stored, before rotation and pixel aspect")
    height: int
    sar: tuple[int, int] = Field(default=(1, 1), description="sample aspect ratio")
    orientation: Orientation = Orientation()
    fps: float = Field(description="average by the container; 0 where it does not say")
    fps_exact: tuple[int, int] = (0, 1)
    start_s: float = Field(description="presentation time of the first picture that decodes, on the container's clock")
    duration_s: float | None = None
    frames: int | None = Field(default=None, description="by the container; None where it does not say")
    bitrate_bps: int | None = None
    full_range: bool = False
    matrix: int = Field(default=2, description="H.273 matrix coefficients, 2 = not signalled")
    primaries: int = Field(default=2, description="H.273 colour primaries")
    transfer: int = Field(default=2, description="H.273 transfer characteristics")
    peak_nits: float | None = Field(default=None, description="cd/m² of the display that it was graded on, if stated")
    interlaced: bool = False
    has_alpha: bool = False

    def changed_from(self, before: VideoFacts) -> str:
        """What is another than in ``before``, in words: size, shape, turn, format, colour."""

        def words(video: VideoFacts) -> list[str]:
            turn = f"turned by {video.orientation.rotation_deg} degrees{' and mirrored' * video.orientation.mirrored}"
            shape = f"pixels of {video.sar[0]}:{video.sar[1]}"
            colour = f"transfer {video.transfer} and primaries {video.primaries}"
            codes = f"matrix {video.matrix} and {'full' if video.full_range else 'limited'} range"
            return [f"{video.width}x{video.height}", shape, turn, video.pixel_format, colour, codes]

        return ", ".join(f"{a} to {b}" for a, b in zip(words(before), words(self), strict=True) if a != b)

    @property
    def wide_gamut(self) -> bool:
        """Primaries of BT.2020 or P3."""
        return self.primaries in (9, 11, 12)

    @property
    def hdr(self) -> bool:
        """PQ or HLG transfer (ITU-R BT.2100)."""
        return self.transfer in (16, 18)

    @property
    def display_width(self) -> int:
        """Width in square pixels when upright, even."""
        return self._display()[0]

    @property
    def display_height(self) -> int:
        """Height in square pixels when upright, even."""
        return self._display()[1]

    def _display(self) -> tuple[int, int]:
        num, den = self.sar
        wide = Fraction(self.width * num, den) if num >= den else Fraction(self.width)
        tall = Fraction(self.height) if num >= den else Fraction(self.height * den, num)  # never scale a side down
        width, height = max(2, 2 * round(wide / 2)), max(2, 2 * round(tall / 2))
        return (height, width) if self.orientation.transpose else (width, height)


class AudioFacts(_Facts):
    """The sound stream that is used."""

    index: int
    codec: str
    profile: str | None = None
    sample_rate: int
    channels: int
    layout: str
    start_s: float
    priming_s: float = Field(default=0.0, description="what decodes before the sound itself, from ``start_s`` on")
    duration_s: float | None = None
    bitrate_bps: int | None = None


class MediaFacts(_Facts):
    """A media file."""

    container: str
    extension: str
    size_bytes: int
    duration_s: float | None
    bitrate_bps: int | None
    video: VideoFacts | None
    audio: AudioFacts | None
    video_streams: int = 0
    audio_streams: int = 0
    other_streams: int = 0
    attached_pictures: int = 0

    @property
    def length_s(self) -> float | None:
        """How long it is by its container. Fragments state their end on the container's clock, which may begin late: in
        the part of a live stream, days after zero."""
        from_zero = self.container in ("MP4", "QuickTime") and self.video is not None and self.video.frames is None
        if self.duration_s is None or self.video is None or not from_zero:
            return self.duration_s
        return max(0.0, self.duration_s - max(0.0, self.video.start_s))

    @property
    def av_offset_s(self) -> float | None:
        """How much later sound is heard than the first picture is seen, as a player plays them: by the container, edit
        lists included, and behind the priming of the encoder."""
        if self.audio is None or self.video is None:
            return None
        return round(self.audio.start_s + self.audio.priming_s - self.video.start_s, 6)
