"""White, black, ramps and patches come out as they went in at every size, depth, matrix and range.

What is right is computed here from the formulas of ITU-R BT.601, 709 and 2020 and the ranges of H.273, in floating
point and apart from the package.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiprod.media.clips import read_clip
from aiprod.media.normalising import Form, normalise
from aiprod.media.probing import probe
from aiprod.media.scaling import Scaler
from aiprod.media.tone_mapping import ToneMapper
from aiprod.qc.measure.thumbnail_colour import StillColour

RED_AND_BLUE = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}
SIZES = ((96, 64), (48, 32), (64, 48), (128, 96), (97, 65))
DEPTHS = {
    "yuv420p": 8,
    "yuvj420p": 8,
    "yuv422p": 8,
    "yuv444p": 8,
    "yuv420p10le": 10,
    "yuv422p10le": 10,
    "yuv444p12le": 12,
    "yuv420p12le": 12,
}

Patch = tuple[float, float, float]


def codes(patch: Patch, bits: int, matrix: int, full: bool) -> list[int]:
    """Y'CbCr codes of R'G'B' (0 to 1)."""
    red, blue = RED_AND_BLUE[matrix]
    luma = red * patch[0] + (1 - red - blue) * patch[1] + blue * patch[2]
    cb, cr = (patch[2] - luma) / (2 - 2 * blue), (patch[0] - luma) / (2 - 2 * red)
    if full:
        top = 2**bits - 1
        return [round(luma * top), *(min(top, round(2 ** (bits - 1) + c * top)) for c in (cb, cr))]
    step = 2 ** (bits - 8)
    return [round((16 + 219 * luma) * step), *(round((128 + 224 * c) * step) for c in (cb, cr))]


def meant(found: list[int], bits: int, matrix: int, full: bool) -> np.ndarray:
    """R'G'B' (0 to 1) that codes mean."""
    red, blue = RED_AND_BLUE[matrix]
    step, top = 2 ** (bits - 8), 2**bits - 1
    luma = found[0] / top if full else (found[0] - 16 * step) / (219 * step)
    cb, cr = ((c - 128 * step) / (top if full else 224 * step) for c in found[1:])
    r, b = luma + 2 * (1 - red) * cr, luma + 2 * (1 - blue) * cb
    return np.array([r, (luma - red * r - blue * b) / (1 - red - blue), b])


def picture(pixel_format: str, values: list[int], matrix: int, full: bool) -> av.VideoFrame:
    """A picture of one colour."""
    frame = av.VideoFrame(96, 64, pixel_format)
    for plane, value in zip(frame.planes, values, strict=True):
        np.frombuffer(plane, np.uint8 if DEPTHS[pixel_format] == 8 else np.uint16)[:] = value  # type: ignore[call-overload]
    frame.color_range, frame.colorspace = 2 if full else 1, matrix
    return frame


def planes(frame: av.VideoFrame) -> list[np.ndarray]:
    kind = np.uint8 if frame.format.components[0].bits == 8 else np.uint16
    return [np.frombuffer(p, kind).reshape(p.height, -1)[:, : p.width] for p in frame.planes]  # type: ignore[call-overload]


def everywhere(pixel_format: str, matrix: int, full: bool, patch: Patch) -> None:
    """Every output at every size, against the formulas: gray to half a code, colours to one."""
    bits = DEPTHS[pixel_format]
    stored = codes(patch, bits, matrix, full)
    source = picture(pixel_format, stored, matrix, full)
    colour = np.clip(meant(stored, bits, matrix, full), 0, 1)
    gray = max(patch) == min(patch)
    allowed = 0.51 if gray else 1.1
    luma = stored[0] / (2**bits - 1) if full else (stored[0] / 2 ** (bits - 8) - 16) / 219
    limited = codes(tuple(colour), 8, 1, False)
    for width, height in SIZES:
        for exact in (False, True):
            where = (pixel_format, matrix, full, patch, width, height, exact)
            rgb = Scaler(width, height, "rgb24", exact).array(source)
            assert rgb.shape == (height, width, 3)
            assert np.abs(rgb - 255 * colour).max() <= allowed, where
            shown = Scaler(width, height, "gray", exact).array(source)
            assert shown.shape == (height, width)
            assert np.abs(shown - 255 * np.clip(luma, 0, 1)).max() <= 0.51, where
        if width % 2 == 0:
            made = planes(Scaler(width, height, "yuv420p", True).frame(source))
            for plane, value in zip(made, limited, strict=True):
                assert np.abs(plane.astype(int) - value).max() <= (0 if gray and patch[0] in (0, 1) else 1), where
        green, blue, red = planes(Scaler(width, height, "gbrp10le", True).frame(source))
        for plane, value in zip((red, green, blue), colour, strict=True):
            assert np.abs(plane - 1023 * value).max() <= 0.6, where


@pytest.mark.parametrize("pixel_format", list(DEPTHS))
@pytest.mark.parametrize("full", [False, True])
def test_white_black_and_gray_are_exact_at_every_size(pixel_format: str, full: bool) -> None:
    for matrix in (1, 5, 9):
        for level in (0.0, 77.2 / 219, 0.5, 1.0):
            everywhere(pixel_format, matrix, full, (level, level, level))


@settings(deadline=None, max_examples=25)
@given(
    st.sampled_from(sorted(DEPTHS)),
    st.sampled_from(sorted(RED_AND_BLUE)),
    st.booleans(),
    st.tuples(*[st.floats(0.02, 0.98)] * 3),
)
def test_patches_keep_their_colour(pixel_format: str, matrix: int, full: bool, patch: Patch) -> None:
    everywhere(pixel_format, matrix, full or pixel_format.startswith("yuvj"), patch)


@pytest.mark.parametrize(("full", "bits"), [(False, 8), (True, 8), (False, 10), (True, 10)])
def test_a_ramp_keeps_its_steps(full: bool, bits: int) -> None:
    """Wide steps of gray, read at half and at double size."""
    pixel_format = "yuv420p" if bits == 8 else "yuv420p10le"
    levels = np.linspace(0, 1, 6)
    source = picture(pixel_format, [0, 2 ** (bits - 1), 2 ** (bits - 1)], 5, full)
    stored = [codes((v, v, v), bits, 5, full)[0] for v in levels]
    planes(source)[0][:] = np.repeat(stored, 16)
    for width in (48, 96, 192):
        middles = ((np.arange(6) + 0.5) * width / 6).astype(int)
        wanted = np.array([meant([s, 2 ** (bits - 1), 2 ** (bits - 1)], bits, 5, full)[0] for s in stored])
        for exact in (False, True):
            assert np.abs(Scaler(width, 32, "gray", exact).array(source)[8, middles] - 255 * wanted).max() <= 0.51
            rgb = Scaler(width, 32, "rgb24", exact).array(source)[8, middles]
            assert np.abs(rgb - 255 * wanted[:, None]).max() <= 1.01
        luma = planes(Scaler(width, 32, "yuv420p", True).frame(source))[0][8, middles]
        assert np.abs(luma - (16 + 219 * wanted)).max() <= 0.51


@pytest.mark.parametrize("pixel_format", ["rgb24", "gbrp", "gbrp10le", "gbrp12le", "rgb48le", "gray"])
def test_rgb_keeps_its_white_and_its_luma(pixel_format: str) -> None:
    for patch in ((1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (0.2, 0.7, 0.4)):
        if pixel_format == "gray" and patch[0] == 0.2:
            continue
        source = av.VideoFrame(96, 64, pixel_format)
        bits = source.format.components[0].bits
        kind = np.uint8 if bits == 8 else np.uint16
        values = [round(v * (2**bits - 1)) for v in patch]
        if pixel_format.startswith("gbrp"):
            for plane, value in zip(source.planes, (values[1], values[2], values[0]), strict=True):
                np.frombuffer(plane, kind)[:] = value  # type: ignore[call-overload]
        else:
            packed = np.frombuffer(source.planes[0], kind).reshape(64, -1)  # type: ignore[call-overload]
            packed[:] = np.resize(values if pixel_format != "gray" else values[:1], packed.shape[1])
        for width, height in SIZES[:3]:
            rgb = Scaler(width, height, "rgb24", True).array(source)
            assert np.abs(rgb - 255 * np.array(patch)).max() <= 1.01
            luma = 255 * float(np.dot(patch, (0.2126, 0.7152, 0.0722)))
            assert np.abs(Scaler(width, height, "gray").array(source) - luma).max() <= 1.01
            limited = planes(Scaler(width, height, "yuv420p", True).frame(source))
            for plane, value in zip(limited, codes(patch, 8, 1, False), strict=True):
                assert np.abs(plane.astype(int) - value).max() <= 1
            if patch[0] == 1:
                assert (rgb == 255).all() and (limited[0] == 235).all()


def write(path: Path, frame: av.VideoFrame, codec: str = "libx264") -> None:
    """Twelve times one picture; H.264 without loss."""
    with av.open(str(path), "w", format="matroska" if codec == "ffv1" else "mp4") as film:
        stream = film.add_stream(codec, rate=24, options={"qp": "0"} if codec == "libx264" else {})
        stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, frame.format.name
        context = stream.codec_context
        context.color_range, context.colorspace = frame.color_range, frame.colorspace
        for n in range(12):
            frame.pts, frame.time_base = n, Fraction(1, 24)
            film.mux(stream.encode(frame))
        film.mux(stream.encode(None))


@pytest.mark.parametrize("matrix", [1, 5, 9])
@pytest.mark.parametrize(("pixel_format", "full"), [("yuv420p", False), ("yuvj420p", True), ("yuv420p10le", False)])
def test_a_white_film_is_white_for_training_and_in_stills(
    matrix: int, pixel_format: str, full: bool, tmp_path: Path
) -> None:
    bits = DEPTHS[pixel_format]
    source = picture(pixel_format, codes((1, 1, 1), bits, matrix, full), matrix, full)
    write(tmp_path / "white", source, "libx264" if bits == 8 else "ffv1")
    for side in (32, 40, 64, 80):
        shown, _ = read_clip(tmp_path / "white", side, side, 24.0, 3)
        assert (shown == 255).all(), (side, np.unique(shown))
    facts = probe(tmp_path / "white")
    assert facts.video is not None
    assert (StillColour(48, facts.video).take(source) == 255).all()
    normalise(
        tmp_path / "white",
        tmp_path / "clip.mp4",
        facts,
        start_s=0.0,
        end_s=0.5,
        rate=Fraction(24),
        constant=True,
        form=Form(max_height=48),
    )
    shown, _ = read_clip(tmp_path / "clip.mp4", 40, 40, 24.0, 3)
    assert (shown == 255).all(), np.unique(shown)


def test_diffuse_white_of_hdr_stays_where_the_standard_has_it() -> None:
    """PQ of 10,000 cd/m², the top code, is the display's white; black is black, at every size."""
    for level, wanted in ((1.0, 235), (0.0, 16)):
        source = picture("yuv420p10le", codes((level,) * 3, 10, 9, False), 9, False)
        for width, height in SIZES[:4]:
            facts = _pq_facts(source)
            luma, cb, cr = planes(ToneMapper(width, height, facts).frame(source))
            assert (luma == wanted).all(), np.unique(luma)
            assert (cb == 128).all() and (cr == 128).all()


def _pq_facts(frame: av.VideoFrame):  # type: ignore[no-untyped-def]
    from aiprod.media.media_info import VideoFacts

    return VideoFacts(
        index=0,
        codec="hevc",
        pixel_format=frame.format.name,
        bit_depth=10,
        width=frame.width,
        height=frame.height,
        fps=24.0,
        start_s=0.0,
        matrix=9,
        primaries=9,
        transfer=16,
        peak_nits=1000.0,
    )


PACKED_RGB = (
    "rgb555le",
    "bgr555le",
    "rgb565le",
    "bgr565le",
    "rgb444le",
    "bgr444le",
    "rgb555be",
    "rgb565be",
    "rgb8",
    "bgr8",
)


@pytest.mark.parametrize("pixel_format", PACKED_RGB)
def test_white_stays_white_where_a_channel_has_fewer_than_eight_bits(pixel_format: str) -> None:
    frame = av.VideoFrame(96, 64, pixel_format)
    [plane] = frame.planes
    number, bits = frame.format.components[0].bits, [c.bits for c in frame.format.components]
    kind = "u1" if sum(bits) == 8 else ">u2" if pixel_format.endswith("be") else "<u2"
    shifts = {"r": sum(bits[1:]), "b": 0} if pixel_format.startswith("rgb") else {"r": 0, "b": sum(bits[:2])}
    numbers = np.frombuffer(plane, kind).reshape(64, -1)  # type: ignore[call-overload]
    numbers[:, :32] = (1 << sum(bits)) - 1
    numbers[:, 32:64] = 0
    numbers[:, 64:96] = ((1 << number) - 1) << shifts["r"]
    for size in ((96, 64), (48, 32)):
        shown = Scaler(*size, "rgb24").array(frame)
        for at, meant_ in ((0.15, (255, 255, 255)), (0.5, (0, 0, 0)), (0.85, (255, 0, 0))):
            assert np.abs(shown[5, int(at * size[0])].astype(int) - meant_).max() <= 1, (size, at)
        luma = Scaler(*size, "gray").array(frame)
        assert luma[5, int(0.15 * size[0])] == 255 and luma[5, size[0] // 2] == 0
        stored = planes(Scaler(*size, "yuv420p", exact=True).frame(frame))[0]
        assert stored[5, int(0.15 * size[0])] == 235 and stored[5, size[0] // 2] == 16


@pytest.mark.parametrize("pixel_format", ["gray", "gray10le", "gray12le", "gray16le"])
@pytest.mark.parametrize("full", [False, True])
def test_gray_means_what_its_range_says(pixel_format: str, full: bool) -> None:
    bits = {"gray": 8, "gray10le": 10, "gray12le": 12, "gray16le": 16}[pixel_format]
    frame = av.VideoFrame(96, 64, pixel_format)
    top, step = 2**bits - 1, 2 ** (bits - 8)
    white, black = (top, 0) if full else (235 * step, 16 * step)
    [plane] = frame.planes
    codes_ = np.frombuffer(plane, np.uint8 if bits == 8 else np.uint16).reshape(64, -1)  # type: ignore[call-overload]
    codes_[:, :48], codes_[:, 48:] = white, black
    frame.color_range = 2 if full else 1
    for size in ((96, 64), (48, 32)):
        for form, (bright, dark) in {"rgb24": (255, 0), "gray": (255, 0), "yuv420p": (235, 16)}.items():
            scaled = Scaler(*size, form, exact=True).frame(frame)
            found = scaled.to_ndarray().reshape(-1) if form == "rgb24" else planes(scaled)[0].reshape(-1)
            width = size[0] * (3 if form == "rgb24" else 1)
            assert (found[3], found[width - 3]) == (bright, dark), (size, form)
