"""HDR10's static metadata: the mastering display (SMPTE ST 2086) and the content's light (CTA-861.3), measured, in the
file's boxes and before each key picture of HEVC."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aiprod.base.files import read_json, write_json
from aiprod.color.delivery import Delivery
from aiprod.color.light import PRIMARIES, pq_nits
from aiprod.errors import AiprodError
from aiprod.media import colour
from aiprod.media.high_bit_depth import Plane

_D65 = (0.3127, 0.3290)
_SEI_MASTERING, _SEI_LIGHT = 137, 144
_VISUAL_ENTRY = 86  # bytes of a VisualSampleEntry before its boxes (ISO/IEC 14496-12)
_VCL_MOST = 31  # NAL unit types up to this one hold pictures


@dataclass(frozen=True)
class ContentLight:
    """The brightest point and the brightest mean of a picture, cd/m² (MaxCLL and MaxFALL)."""

    max_nits: float = 0.0
    mean_nits: float = 0.0

    def joined(self, other: ContentLight) -> ContentLight:
        """Of both stretches."""
        return ContentLight(max(self.max_nits, other.max_nits), max(self.mean_nits, other.mean_nits))

    def write(self, path: Path) -> None:
        """Keep it beside a segment."""
        write_json(path, {"max_nits": self.max_nits, "mean_nits": self.mean_nits})

    @classmethod
    def read(cls, path: Path) -> ContentLight:
        """What :meth:`write` kept."""
        return cls(**read_json(path))


class LightMeter:
    """Measures PQ pictures of 10 bits: the largest of red, green and blue, as CTA-861.3 asks."""

    def __init__(self, delivery: Delivery) -> None:
        red, green, blue = (np.float32(w) for w in colour.luma_weights(delivery.tags[2]))
        self._cr, self._cb = 2 - 2 * red, 2 - 2 * blue
        self._green = self._cb * blue / green, self._cr * red / green
        self._nits = pq_nits(np.arange(4096) / 4095).astype(np.float32)
        self.light = ContentLight()

    def add(self, planes: list[Plane]) -> None:
        """Take one picture."""
        luma = (planes[0].astype(np.float32) - 64) / np.float32(876)
        cb, cr = ((plane.astype(np.float32) - 512) / np.float32(896) for plane in planes[1:])
        over = np.maximum(np.maximum(self._cr * cr, self._cb * cb), -(self._green[0] * cb + self._green[1] * cr))
        most = luma + np.repeat(np.repeat(over, 2, axis=0), 2, axis=1)
        nits = self._nits.take(np.rint(np.clip(most, 0, 1) * 4095).astype(np.intp))
        self.light = self.light.joined(ContentLight(float(nits.max()), float(nits.mean(dtype=np.float64))))


@dataclass(frozen=True)
class StaticMetadata:
    """What an HDR10 file states."""

    delivery: Delivery
    light: ContentLight

    @property
    def _light(self) -> bytes:
        values = (self.light.max_nits, self.light.mean_nits)
        return struct.pack(">HH", *(min(65_535, -int(-value // 1)) for value in values))

    @property
    def _st2086(self) -> bytes:
        """Green, blue, red and white in steps of 0.00002, then the luminances in steps of 0.0001."""
        red, green, blue = PRIMARIES[self.delivery.tags[0]]
        places = [round(value / 0.00002) for value in (*green, *blue, *red, *_D65)]
        least = max(1, round(self.delivery.black_nits * 10_000))
        return struct.pack(">8H2I", *places, round(self.delivery.peak_nits * 10_000), least)

    def boxes(self) -> bytes:
        """``mdcv`` and ``clli`` of ISO/IEC 14496-12."""
        metadata = ((b"mdcv", self._st2086), (b"clli", self._light))
        return b"".join(struct.pack(">I", 8 + len(data)) + name + data for name, data in metadata)

    def hevc(self, packet: bytes) -> bytes:
        """A key picture's packet with the messages before its picture (ITU-T H.265, annex D)."""
        rbsp = bytearray()
        for kind, data in ((_SEI_MASTERING, self._st2086), (_SEI_LIGHT, self._light)):
            rbsp += bytes((kind, len(data))) + data
        unit = b"\x4e\x01" + _escaped(bytes(rbsp) + b"\x80")
        at = 0
        while at + 5 <= len(packet):
            (size,) = struct.unpack_from(">I", packet, at)
            if packet[at + 4] >> 1 & 0x3F <= _VCL_MOST:
                break
            at += 4 + size
        return packet[:at] + struct.pack(">I", len(unit)) + unit + packet[at:]


def _escaped(data: bytes) -> bytes:
    """With the bytes that keep a NAL unit from looking like the start of another."""
    out, zeros = bytearray(), 0
    for byte in data:
        if zeros == 2 and byte <= 3:
            out.append(3)
            zeros = 0
        out.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    return bytes(out)


def with_boxes(segment: Path, boxes: bytes, target: Path) -> None:
    """Copy a segment, whose index lies behind its pictures, with boxes added to what describes its picture stream."""
    data = bytearray(segment.read_bytes())
    at, end, path = 0, len(data), []
    for name in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd"):
        at = _box(data, at, end, name)
        path.append(at)
        end = at + int.from_bytes(data[at : at + 4], "big")
        at += 8
    entry = path[-1] + 16  # behind the version and the count of entries
    path.append(entry)
    first = entry + _VISUAL_ENTRY  # before the other boxes, for those of DNxHR end with an empty one
    for place in path:
        size = int.from_bytes(data[place : place + 4], "big") + len(boxes)
        data[place : place + 4] = struct.pack(">I", size)
    data[first:first] = boxes
    target.write_bytes(bytes(data))


def _box(data: bytearray, at: int, end: int, name: bytes) -> int:
    while at + 8 <= end:
        size = int.from_bytes(data[at : at + 4], "big")
        if data[at + 4 : at + 8] == name:
            return at
        if size == 1:
            size = int.from_bytes(data[at + 8 : at + 16], "big")
        at += max(size, 8)
    raise AiprodError(f"a segment has no {name.decode()}", "remove it and cut again")
