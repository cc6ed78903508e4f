"""Words in the service tables of transport streams: heard by the rules for what a film says of itself."""

from __future__ import annotations

import io
import random
import struct
from pathlib import Path

import av
import pytest

from aiprod.media.embedded_rights import embedded_statement
from aiprod.media.service_tables import service_texts
from aiprod.rights.embedded import against_training


def film(path: Path, form: str = "mpegts", **names: str) -> Path:
    with av.open(str(path), "w", format=form, options={"mpegts_m2ts_mode": "1"} if form == "m2ts" else {}) as made:
        made.metadata.update(names)
        stream = made.add_stream("mpeg2video", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for n in range(25):
            frame = av.VideoFrame(64, 48, "yuv420p")
            frame.pts = n
            made.mux(stream.encode(frame))
        made.mux(stream.encode(None))
    return path


def descriptor(tag: int, body: bytes) -> bytes:
    return bytes([tag, len(body)]) + body


def counted(text: bytes) -> bytes:
    return bytes([len(text)]) + text


def section(table: int, middle: bytes, *loop: bytes, entry: bytes) -> bytes:
    listed = b"".join(loop)
    body = middle + entry + struct.pack(">H", 0xF000 | len(listed)) + listed + bytes(4)
    return bytes([table]) + struct.pack(">H", 0xF000 | len(body)) + body


def packets(pid: int, data: bytes) -> bytes:
    out, data, first = io.BytesIO(), b"\0" + data, True
    while data:
        head = bytes([0x47, (0x40 if first else 0) | pid >> 8, pid & 0xFF, 0x10])
        out.write(head + data[:184].ljust(184, b"\xff"))
        data, first = data[184:], False
    return out.getvalue()


def sdt(provider: bytes, name: bytes) -> bytes:
    service = descriptor(0x48, b"\x01" + counted(provider) + counted(name))
    return packets(0x11, section(0x42, bytes(8), service, entry=b"\0\x01\xfc"))


def eit(*descriptors: bytes) -> bytes:
    return packets(0x12, section(0x4E, bytes(11), *descriptors, entry=bytes(10)))


def nit(name: bytes) -> bytes:
    own = descriptor(0x40, name)
    body = bytes(5) + struct.pack(">H", 0xF000 | len(own)) + own + b"\xf0\0" + bytes(4)
    return packets(0x10, b"\x40" + struct.pack(">H", 0xF000 | len(body)) + body)


@pytest.mark.parametrize("name", ["service_name", "service_provider"])
def test_what_ffmpeg_writes_is_heard(name: str, tmp_path: Path) -> None:
    plain = embedded_statement(film(tmp_path / "a.ts", **{name: "Ada's films"}))
    assert against_training(plain) is None
    said = against_training(embedded_statement(film(tmp_path / "b.ts", **{name: "All rights reserved"})))
    assert said is not None and name in said and "service tables" in said


SHORT = descriptor(0x4D, b"eng" + counted(b"Bees") + counted(b"Do not use for AI training"))
LONG = b"A film about bees. It may not be used to train machine learning models." + b" And so on." * 20


def extended(number: int, text: bytes) -> bytes:
    return descriptor(0x4E, bytes([number << 4 | 1]) + b"eng\0" + counted(text))


@pytest.mark.parametrize(
    "table",
    [
        sdt(b"All rights reserved", b"x"),
        sdt(b"x", b"\x15" + "Alle Rechte für mich vorbehalten".encode()),
        sdt(b"x", b"\x11" + "全部禁止转载 all rights reserved".encode("utf-16-be")),
        sdt(b"x", b"\x10\0\x05" + "все права защищены".encode("iso8859-5")),
        sdt(b"x", b"tous droits r\xc2eserv\xc2es"),
        eit(SHORT),
        eit(extended(0, LONG[:40]), extended(1, LONG[40:240])),
        nit(b"All rights reserved"),
        sdt(b"x", b"\x1f\x01compressed"),
        packets(0x1FFB, b"\xc8\xf0\x10" + bytes(16)),
    ],
    ids=["provider", "utf8", "utf16", "cyrillic", "iso6937", "event", "long", "network", "compressed", "atsc"],
)
def test_every_table_in_every_alphabet_is_heard_or_named_as_not_read(table: bytes, tmp_path: Path) -> None:
    path = film(tmp_path / "a.ts")
    assert against_training(embedded_statement(path)) is None
    data = path.read_bytes()
    at = len(data) // 188 // 2 * 188
    path.write_bytes(data[:at] + table + data[at:])
    assert against_training(embedded_statement(path)), list(service_texts(path))


@pytest.mark.parametrize(("before", "behind"), [(4, 0), (0, 16)], ids=["192", "204"])
def test_longer_packets_and_lost_bytes(before: int, behind: int, tmp_path: Path) -> None:
    data = film(tmp_path / "a.ts").read_bytes() * 40 + sdt(b"x", b"All rights reserved")
    data += film(tmp_path / "c.ts").read_bytes()
    long = b"".join(bytes(before) + data[n : n + 188] + bytes(behind) for n in range(0, len(data), 188))
    for text in (long, long[: len(long) // 2] + long[len(long) // 2 + 77 :]):
        (tmp_path / "b").write_bytes(text)
        assert ("service_name", "All rights reserved") in set(service_texts(tmp_path / "b"))


def test_no_bytes_are_too_broken(tmp_path: Path) -> None:
    path = tmp_path / "x"
    for seed in range(60):
        bits = random.Random(seed)
        table = bytearray(sdt(b"provider", b"name") + eit(SHORT) + nit(b"net"))
        for _ in range(seed):
            table[bits.randrange(len(table))] = bits.randrange(256)
        path.write_bytes(bytes(table) + bits.randbytes(seed))
        list(service_texts(path))
    for data in (b"", b"G", b"\x47" * 1000):
        path.write_bytes(data)
        list(service_texts(path))
