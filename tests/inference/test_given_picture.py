"""A picture to begin with is taken as a person sees it, whatever kind of file it is."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from aiprod.errors import AiprodError
from aiprod.inference.input_image import read_picture

HIDDEN = (255, 0, 255)


def _save(path: Path, pixels: np.ndarray, mode: str, **more: object) -> Path:
    Image.fromarray(pixels, mode).save(path, **more)
    return path


def _left_half_clear(mode: str) -> np.ndarray:
    """Opaque green at the right; at the left a colour that nobody sees."""
    pixels = np.zeros((32, 48, 4), np.uint8)
    pixels[:, :24], pixels[:, 24:] = (*HIDDEN, 0), (0, 255, 0, 255)
    if mode == "RGBA":
        return pixels
    return np.stack([np.where(pixels[..., 3] > 0, 90, 7).astype(np.uint8), pixels[..., 3]], -1)


@pytest.mark.parametrize(
    "kind",
    [
        "rgba.png",
        "rgba.webp",
        "rgba.tiff",
        "la.png",
        "palette.png",
        "palette.gif",
        "rgb_trns.png",
        "gray_trns.png",
        "gray16_trns.png",
        "rgba16.png",
    ],
)
def test_what_is_transparent_is_white_and_hides_its_colour(tmp_path: Path, kind: str, capsys) -> None:
    path = tmp_path / kind
    rgba = _left_half_clear("RGBA")
    shown = {"la": 90, "gray_trns": 90, "gray16_trns": 90}.get(path.stem)
    if path.stem == "rgba":
        _save(path, rgba, "RGBA", **({"lossless": True, "exact": True} if path.suffix == ".webp" else {}))
    elif path.stem == "la":
        _save(path, _left_half_clear("LA"), "LA")
    elif path.stem == "palette":
        picture = Image.fromarray((rgba[..., 3] > 0).astype(np.uint8), "P")
        picture.putpalette([*HIDDEN, 0, 255, 0])
        picture.save(path, transparency=0)
    elif path.stem == "rgb_trns":
        _save(path, rgba[..., :3].copy(), "RGB", transparency=HIDDEN)
    elif path.stem == "gray_trns":
        _save(path, np.ascontiguousarray(_left_half_clear("LA")[..., 0]), "L", transparency=7)
    elif path.stem == "gray16_trns":
        deep = _left_half_clear("LA")[..., 0].astype(np.uint16) * 257
        Image.fromarray(deep).save(path, transparency=7 * 257)
    else:
        path.write_bytes(cv2.imencode(".png", rgba[..., [2, 1, 0, 3]].astype(np.uint16) * 257)[1].tobytes())
    found = read_picture(path, 32, 48)
    assert (found[:, :20] == 255).all(), "white where nothing is, and nothing of the hidden colour"
    assert (found[:, 28:] == (shown if shown is not None else (0, 255, 0))).all()
    assert "transparent; they are laid on white" in capsys.readouterr().err


@settings(max_examples=30, deadline=None)
@given(alpha=st.integers(0, 255), colour=st.tuples(*[st.integers(0, 255)] * 3))
def test_half_transparent_colours_mix_with_white(tmp_path_factory: pytest.TempPathFactory, alpha, colour) -> None:
    path = tmp_path_factory.mktemp("p") / "a.png"
    _save(path, np.full((16, 16, 4), (*colour, alpha), np.uint8), "RGBA")
    wanted = np.array(colour) * alpha / 255 + 255 * (1 - alpha / 255)
    assert np.abs(read_picture(path, 16, 16).astype(float) - wanted).max() <= 0.5 + 1e-9


def test_no_hidden_colour_bleeds_in_when_scaled(tmp_path: Path) -> None:
    found = read_picture(_save(tmp_path / "a.png", _left_half_clear("RGBA"), "RGBA"), 20, 31).astype(int)
    assert (found[..., 1] >= 240).all(), "green and white have full green; the hidden magenta has none"


def test_a_gray_picture_of_16_bits_keeps_its_levels(tmp_path: Path) -> None:
    ramp = np.tile(np.linspace(0, 65_535, 48).astype(np.uint16), (32, 1))
    Image.fromarray(ramp).save(tmp_path / "a.png")
    found = read_picture(tmp_path / "a.png", 32, 48)
    assert np.abs(found[0, :, 0].astype(float) - ramp[0] / 257).max() <= 0.5
    colour = np.stack([ramp, ramp[:, ::-1], ramp], -1)
    (tmp_path / "c.png").write_bytes(cv2.imencode(".png", colour[..., ::-1])[1].tobytes())
    assert np.abs(read_picture(tmp_path / "c.png", 32, 48).astype(float) - colour / 257).max() <= 0.5


@pytest.mark.parametrize("turn", range(1, 9))
def test_a_turn_that_the_file_states_is_done(tmp_path: Path, turn: int) -> None:
    upright = np.zeros((40, 40, 3), np.uint8)
    upright[:20, :20], upright[:20, 20:], upright[20:, :20] = (250, 0, 0), (0, 250, 0), (0, 0, 250)
    stored = {  # what a camera stores so that the turn of the file shows it upright
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright),
        7: upright.transpose(1, 0, 2)[::-1, ::-1],
        8: np.rot90(upright, -1),
    }[turn]
    exif = Image.Exif()
    exif[0x0112] = turn
    _save(tmp_path / "a.jpg", np.ascontiguousarray(stored), "RGB", exif=exif, quality=98, subsampling=0)
    assert np.abs(read_picture(tmp_path / "a.jpg", 40, 40).astype(int) - upright).max() < 30


def test_cmyk_and_a_profile_are_shown_in_srgb(tmp_path: Path) -> None:
    Image.fromarray(np.full((32, 32, 4), (0, 255, 255, 0), np.uint8), "CMYK").save(tmp_path / "a.jpg", quality=98)
    red = read_picture(tmp_path / "a.jpg", 32, 32)[16, 16]
    assert red[0] > 200 and red[1] < 60 and red[2] < 60
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    pixels = np.random.default_rng(0).integers(0, 255, (32, 32, 3), dtype=np.uint8)
    same = read_picture(_save(tmp_path / "b.png", pixels, "RGB", icc_profile=lab), 32, 32)
    assert np.abs(same.astype(int) - pixels).max() <= 2
    broken = read_picture(_save(tmp_path / "c.png", pixels, "RGB", icc_profile=b"no profile"), 32, 32)
    assert np.array_equal(broken, pixels)


@pytest.mark.parametrize("kind", ["a.gif", "a.webp", "a.png", "a.tiff"])
def test_of_several_pictures_the_first_is_taken_and_said(tmp_path: Path, kind: str, capsys) -> None:
    frames = [Image.fromarray(np.full((32, 32, 3), level, np.uint8)) for level in (10, 128, 250)]
    more = {"lossless": True} if kind == "a.webp" else {}
    frames[0].save(tmp_path / kind, save_all=True, append_images=frames[1:], **more)
    assert np.abs(read_picture(tmp_path / kind, 32, 32).astype(int) - 10).max() <= 1
    assert "holds 3 pictures; the first is used" in capsys.readouterr().err


@pytest.mark.parametrize("data", [b"", b"no picture", b"\x89PNG\r\n\x1a\n" + b"\0" * 40, None])
def test_no_picture_is_one_line(tmp_path: Path, data: bytes | None) -> None:
    path = tmp_path / "a.png"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(AiprodError, match=r"a\.png is not a readable image") as caught:
        read_picture(path, 32, 32)
    assert "\n" not in str(caught.value)
    whole = _save(tmp_path / "b.png", _left_half_clear("RGBA"), "RGBA").read_bytes()
    (tmp_path / "b.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(AiprodError, match=r"b\.png is not a readable image"):
        read_picture(tmp_path / "b.png", 32, 32)
    with pytest.raises(AiprodError, match="not a readable image"):
        read_picture(tmp_path, 32, 32)
