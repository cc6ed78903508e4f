"""A photograph on a timeline is shown as its camera meant it: upright, in its colours, with its transparency."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from aiprod.errors import AiprodError
from aiprod.montage.stills import read_still

RNG = np.random.default_rng(7)


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("kind", ["rgb.jpg", "rgb.png", "rgba.png", "rgb16.tiff", "rgb16.png"])
def test_a_photograph_is_upright(tmp_path: Path, kind: str, turn: int) -> None:
    exif, path = Image.Exif(), tmp_path / kind
    exif[0x0112] = turn
    pixels = np.kron(RNG.integers(0, 256, (3, 5, 4), dtype=np.uint8), np.ones((16, 16, 1), np.uint8))
    if path.stem == "rgb16":
        plain = cv2.imencode(path.suffix, pixels[..., 2::-1].astype(np.uint16) * 257)[1].tobytes()
        path.write_bytes((_turned_tiff if path.suffix == ".tiff" else _turned_png)(plain, turn))
    else:
        form = {".jpg": "JPEG", ".png": "PNG"}[path.suffix]
        picture = Image.fromarray(np.ascontiguousarray(pixels[..., : 4 if path.stem == "rgba" else 3]))
        picture.save(path, form, exif=exif, quality=98, subsampling=0)
    stated = Image.fromarray(pixels)
    stated.getexif()[0x0112] = turn
    wanted = np.asarray(ImageOps.exif_transpose(stated))
    found = read_still(path)
    assert found.rgb.shape == (*wanted.shape[:2], 3)
    assert np.abs(found.rgb.astype(int) - wanted[..., :3]).max() <= (4 if path.suffix == ".jpg" else 0)
    assert (found.alpha is None) == (path.stem != "rgba")
    if found.alpha is not None:
        assert np.abs(found.alpha * 255 - wanted[..., 3]).max() < 1e-3


def _turned_png(data: bytes, turn: int) -> bytes:
    """The PNG with an eXIf chunk before its pixels."""
    exif = Image.Exif()
    exif[0x0112] = turn
    chunk = b"eXIf" + exif.tobytes().removeprefix(b"Exif\0\0")
    at = data.index(b"IDAT") - 4
    return data[:at] + struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) + data[at:]


def _turned_tiff(data: bytes, turn: int) -> bytes:
    """The TIFF with one more entry in its directory, which is moved to the end of the file."""
    at = int.from_bytes(data[4:8], "little")
    count = int.from_bytes(data[at : at + 2], "little")
    entries = [data[at + 2 + 12 * n : at + 14 + 12 * n] for n in range(count)]
    entries = [entry for entry in entries if entry[:2] != b"\x12\x01"]
    entries.append(b"\x12\x01\x03\x00\x01\x00\x00\x00" + turn.to_bytes(4, "little"))
    entries.sort(key=lambda entry: int.from_bytes(entry[:2], "little"))
    data += b"\0" * (len(data) % 2)
    directory = len(entries).to_bytes(2, "little") + b"".join(entries) + b"\0\0\0\0"
    return data[:4] + len(data).to_bytes(4, "little") + data[8:] + directory


def test_a_profile_is_followed(tmp_path: Path) -> None:
    """By a profile whose red and green stand for each other, so that nothing but following it gives these colours."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = srgb.replace(b"rXYZ", b"????", 1).replace(b"gXYZ", b"rXYZ", 1).replace(b"????", b"gXYZ", 1)
    pixels = RNG.integers(0, 256, (24, 32, 3), dtype=np.uint8)
    same, other = [0, 1, 2], [1, 0, 2]
    for name, profile, order in (("a.png", srgb, same), ("b.png", swapped, other), ("c.tiff", swapped, other)):
        Image.fromarray(pixels).save(tmp_path / name, icc_profile=profile)
        assert np.abs(read_still(tmp_path / name).rgb.astype(int) - pixels[..., order]).max() <= 2, name


@pytest.mark.parametrize("channels", [3, 4])
def test_sixteen_bits_come_to_the_nearest_of_eight(tmp_path: Path, channels: int) -> None:
    deep = RNG.integers(0, 65_536, (20, 30, channels), dtype=np.uint16)
    order = [2, 1, 0, 3][:channels]
    (tmp_path / "a.png").write_bytes(cv2.imencode(".png", deep[..., order])[1].tobytes())
    found = read_still(tmp_path / "a.png")
    assert np.abs(found.rgb - deep[..., :3] / 257).max() <= 0.5
    if channels == 4:
        assert found.alpha is not None
        assert np.abs(found.alpha * 255 - deep[..., 3] / 257).max() <= 0.5 + 1e-4


def test_what_is_no_picture_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(AiprodError, match=r"a\.png is not a readable image") as caught:
        read_still(tmp_path / "a.png")
    assert "\n" not in str(caught.value)
    (tmp_path / "b.tiff").write_bytes(cv2.imencode(".tiff", np.zeros((8, 8, 3), np.float32))[1].tobytes())
    with pytest.raises(AiprodError, match=r"b\.tiff is not a readable image"):
        read_still(tmp_path / "b.tiff")
