"""One signal made another: against colour-science, OpenColorIO and the reports' own formulas, on charts and ramps."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiprod.color.aces import exact
from aiprod.color.conversion import Conversion, conversion
from aiprod.color.delivery import signal_named
from aiprod.color.light import REC709, Signal, pq_nits, pq_signal, to_xyz
from aiprod.color.tone import bt2446a, bt2446a_expanded, eetf

SIGNALS = {name: signal_named(name) for name in ("rec709", "p3", "hlg", "pq")}  # type: ignore[arg-type]
TOP = 65_535


def chart() -> np.ndarray:
    """Signals [N, 3]: ramps of gray and of single and paired channels, and patches."""
    ramp = np.linspace(0, 0.75, 120)
    rows = [ramp[:, None] * np.array(on) for on in itertools.product((0, 1), repeat=3) if any(on)]
    return np.concatenate([*rows, np.random.default_rng(5).random((200, 3)) * 0.75])


def made(signal: np.ndarray, source: Signal, target: Signal, **more: Any) -> np.ndarray:
    """What ours makes of signals [N, 3]."""
    codes = [np.rint(signal[None, :, n] * TOP).astype(np.uint16) for n in range(3)]
    return np.stack(conversion(source, target, **more).signal(codes), axis=-1)[0].astype(np.float64)


def nits(signal: np.ndarray, meant: Signal) -> np.ndarray:
    """Light of BT.2020 in cd/m² by colour-science."""
    import colour

    if meant.transfer == "pq":
        light = colour.models.eotf_BT2100_PQ(signal)
    elif meant.transfer == "hlg":
        light = colour.models.eotf_BT2100_HLG(signal, L_B=0, L_W=1000)
    else:
        light = 203 * signal**2.4
    names = {1: "ITU-R BT.709", 9: "ITU-R BT.2020", 12: "P3-D65"}
    spaces = colour.RGB_COLOURSPACES
    given_, wanted = spaces[names[meant.primaries]], spaces["ITU-R BT.2020"]
    matrix = np.linalg.inv(colour.normalised_primary_matrix(wanted.primaries, wanted.whitepoint))
    return light @ (matrix @ colour.normalised_primary_matrix(given_.primaries, given_.whitepoint)).T


def fits(light: np.ndarray, target: Signal) -> np.ndarray:
    """Which lights of BT.2020 a target can show without bending anything."""
    own = light @ (np.linalg.inv(to_xyz(target.primaries)) @ to_xyz(9)).T
    most = 1000.0 if target.hdr else 60.0  # from 1,000 cd/m² the knee of BT.2390 begins at 67
    shown = (own >= 0).all(axis=1) & (own <= most).all(axis=1)
    if target.transfer == "hlg":  # pure colours are less bright there than white
        luminance = np.maximum(own @ [0.2627, 0.6780, 0.0593], 1e-9) / 1000
        shown &= (own / 1000 * luminance[:, None] ** (1 / 1.2 - 1) <= 1).all(axis=1)
    return np.asarray(shown)


@pytest.mark.parametrize(
    ("source", "target"), [pair for pair in itertools.permutations(SIGNALS, 2) if {*pair} != {"rec709", "p3"}]
)
def test_light_stays_what_it_is_wherever_both_can_show_it(source: str, target: str) -> None:
    """By colour-science: not a tenth of what can be seen (ΔE ITP 1), and half a code of 10 bits in its own signal."""
    import colour

    given_, wanted = SIGNALS[source], SIGNALS[target]
    signal = np.rint(chart() * TOP) / TOP
    before = nits(signal, given_)
    after = nits(made(signal, given_, wanted), wanted)
    shown = fits(before, wanted)
    assert shown.sum() > 80
    pairs = [colour.RGB_to_ICtCp(np.maximum(light[shown], 0), L_p=10_000) for light in (before, after)]
    assert colour.difference.delta_E_ITP(*pairs).max() <= 0.1


@pytest.mark.parametrize(("source", "target"), [("rec709", "p3"), ("p3", "rec709")])
def test_two_of_standard_range(source: str, target: str) -> None:
    given_, wanted = SIGNALS[source], SIGNALS[target]
    signal = np.rint(chart() * TOP) / TOP
    before = nits(signal, given_)
    own = before @ (np.linalg.inv(to_xyz(wanted.primaries)) @ to_xyz(9)).T
    shown = (own >= 0).all(axis=1) & (own <= 203).all(axis=1)
    expected = (np.maximum(own, 0) / 203) ** (1 / 2.4)
    assert np.abs(made(signal, given_, wanted) - expected)[shown].max() * 1023 <= 0.5


@pytest.mark.parametrize(
    ("target", "style", "white_nits", "gamma"),
    [  # white of 203 cd/m² is 1 in standard range; for Rec. 2100 OpenColorIO counts 100 cd/m² as 1
        ("rec709", "DISPLAY - CIE-XYZ-D65_to_REC.1886-REC.709", 203, 2.4),
        ("p3", "DISPLAY - CIE-XYZ-D65_to_G2.6-P3-D65", 203, 2.6),
        ("pq", "DISPLAY - CIE-XYZ-D65_to_REC.2100-PQ", 100, 0),
        ("hlg", "DISPLAY - CIE-XYZ-D65_to_REC.2100-HLG-1000nit", 100, 0),
    ],
)
@pytest.mark.parametrize("source", ["rec709", "p3", "pq", "hlg"])
def test_half_a_code_from_opencolorio(source: str, target: str, style: str, white_nits: float, gamma: float) -> None:
    """Its display transforms, in float, from the light that colour-science finds in the source."""
    ocio = pytest.importorskip("PyOpenColorIO", reason="the extra `color` is not installed")
    if source == target:
        pytest.skip("the same")
    signal = np.rint(chart() * TOP) / TOP
    light = nits(signal, SIGNALS[source])
    shown = fits(light, SIGNALS[target])
    xyz = np.ascontiguousarray((light / white_nits) @ to_xyz(9).T, np.float32)
    processor = ocio.Config.CreateRaw().getProcessor(ocio.BuiltinTransform(style)).getDefaultCPUProcessor()
    processor.applyRGB(xyz)
    theirs = np.maximum(xyz, 0) ** (gamma / 2.4) if gamma else xyz  # theatres show P3 by 2.6, we deliver BT.1886
    ours = made(signal, SIGNALS[source], SIGNALS[target])
    bright = shown & (ours > 0.02).all(axis=1)  # below, OpenColorIO's own float32 matrices leave black
    assert bright.sum() > 60
    assert np.abs(ours - theirs)[bright].max() * 1023 <= 0.5


@pytest.mark.parametrize("way", list(itertools.product(("pq", "hlg"), repeat=2)))
def test_every_code_of_ten_bits_comes_back(way: tuple[str, str]) -> None:
    """There and back again: within a code, over all that 1,000 cd/m² can show."""
    first, second = (SIGNALS[name] for name in way)
    top = 1.0 if first.transfer == "hlg" else float(pq_signal(np.array(1000.0)))
    codes = np.arange(64, 64 + int(876 * top) + 1)
    signal = np.repeat(((codes - 64) / 876)[:, None], 3, axis=1)
    back = made(np.clip(made(signal, first, second), 0, 1), second, first)
    assert np.abs(back[:, 1] * 876 + 64 - codes).max() <= 0.1


def test_a_saturated_colour_keeps_its_hue_where_it_is_bent() -> None:
    """Skin and blue of 600 cd/m² at the most, to BT.709: the angle of Ct and Cp moves little."""
    import colour

    for light in ([620.0, 380.0, 290.0], [40.0, 60.0, 600.0]):
        signal = np.asarray(pq_signal(np.array([light])))
        shown = nits(made(signal, SIGNALS["pq"], REC709), REC709)
        ictcp = [colour.RGB_to_ICtCp(each, L_p=10_000)[0] for each in (np.array([light]), np.maximum(shown, 0))]
        angles = [math.degrees(math.atan2(each[1], each[2])) for each in ictcp]
        assert abs(angles[0] - angles[1]) < 12
        assert shown.max() < 204


def report_2390(light: float, black: float, peak: float, lowest: float, white: float) -> float:
    """Section 5.4.1.1 of Report BT.2390, line for line."""

    def pq(value: float) -> float:
        return float(pq_signal(np.array(value))) if value else 0.0

    e1 = (pq(light) - pq(black)) / (pq(peak) - pq(black))
    min_lum = (pq(lowest) - pq(black)) / (pq(peak) - pq(black))
    max_lum = (pq(white) - pq(black)) / (pq(peak) - pq(black))
    ks = 1.5 * max_lum - 0.5
    e2 = e1
    if e1 >= ks:
        t = (e1 - ks) / (1 - ks)
        e2 = (2 * t**3 - 3 * t**2 + 1) * ks + (t**3 - 2 * t**2 + t) * (1 - ks) + (-2 * t**3 + 3 * t**2) * max_lum
    e3 = e2 + min_lum * (1 - e2) ** 4
    return float(pq_nits(np.array(e3 * (pq(peak) - pq(black)) + pq(black))))


@settings(max_examples=60, deadline=None)
@given(
    share=st.floats(0, 1),
    peak=st.floats(250, 10_000),
    black=st.floats(0, 0.05),
    lowest=st.floats(0.05, 1),
)
def test_bt2390_with_its_black_lift_is_that_of_the_report(
    share: float, peak: float, black: float, lowest: float
) -> None:
    light = black + share**3 * (peak - black)
    found = float(eetf(np.array(light), peak, 203.0, black, lowest))
    expected = report_2390(light, black, peak, lowest, 203.0)
    assert abs(float(pq_signal(np.array(found)) - pq_signal(np.array(expected)))) < 1e-5  # a hundredth of a code
    assert lowest * 0.999 <= found <= 203 * 1.06  # the lift reaches white by a little: (1 - E)^4


def test_the_black_lift_keeps_what_would_drown() -> None:
    """On a display whose black is 0.1 cd/m², PQ of 0.02 and 0.08 are told apart, and black is black."""
    dim = Signal("bt1886", 1, 203.0, 0.1)
    signal = np.repeat(np.asarray(pq_signal(np.array([0.0, 0.02, 0.08, 1.0, 100.0])))[:, None], 3, axis=1)
    shown = made(signal, SIGNALS["pq"], dim)[:, 1] * 255
    assert shown[0] < 0.5 and (np.diff(shown) > 1).all()
    cut_off = made(signal, SIGNALS["pq"], REC709)[:, 1]
    light = 203 * cut_off**2.4  # without it, what a display of this black shows of these
    assert (light[1:3] < 0.1).all()


def report_2446a(rgb: list[float], peak: float, white: float) -> list[float]:
    """Tables 1 to 3 of Report BT.2446-1, with its Cb and Cr."""
    r, g, b = ((value / peak) ** (1 / 2.4) for value in rgb)
    y = 0.2627 * r + 0.6780 * g + 0.0593 * b
    p_hdr, p_sdr = (1 + 32 * (value / 10_000) ** (1 / 2.4) for value in (peak, white))
    yp = math.log(1 + (p_hdr - 1) * y) / math.log(p_hdr)
    if yp <= 0.7399:
        yc = 1.0770 * yp
    elif yp < 0.9909:
        yc = -1.1510 * yp**2 + 2.7811 * yp - 0.6302
    else:
        yc = 0.5 * yp + 0.5
    y_sdr = (p_sdr**yc - 1) / (p_sdr - 1)
    f = y_sdr / (1.1 * y)
    cb, cr = f * (b - y) / 1.8814, f * (r - y) / 1.4746
    y_tmo = y_sdr - max(0.1 * cr, 0)
    out = [y_tmo + 1.4746 * cr, y_tmo - 0.16455 * cb - 0.57135 * cr, y_tmo + 1.8814 * cb]
    return [min(1.0, max(0.0, value)) ** 2.4 for value in out]


@settings(max_examples=60, deadline=None)
@given(st.tuples(*[st.floats(0.5, 1000)] * 3))
def test_bt2446_is_that_of_the_report(light: tuple[float, float, float]) -> None:
    given_ = [np.full((1, 1), value / 1000, np.float32) for value in light]
    found = [float(plane[0, 0]) for plane in bt2446a(given_, 1000.0, 100.0)]
    assert found == pytest.approx(report_2446a(list(light), 1000.0, 100.0), abs=2e-4)


def test_bt2446_expands_standard_range_to_a_thousand() -> None:
    """Table 4: white becomes 1,000 cd/m², and gray grows without a step where its two exponents meet."""
    grays = np.linspace(0, 1, 4000)
    planes = [((grays**2.4)[None]).astype(np.float32)] * 3
    red, green, blue = bt2446a_expanded(planes)
    assert np.abs(red - green).max() < 1e-5 and np.abs(red - blue).max() < 1e-5
    assert float(green[0, -1]) == pytest.approx(1, abs=1e-3)
    steps = np.diff(green[0])
    assert steps.min() > -1e-5 and steps.max() < 3e-3
    codes = 255 * 0.5
    exponent = 2.8305e-6 * codes**2 - 7.4622e-4 * codes + 1.2528
    middle = float(np.interp(0.5, grays, green[0]))
    assert middle == pytest.approx((codes**exponent / 1000) ** 2.4, rel=2e-3)


@pytest.mark.parametrize(("source", "target"), [("pq", "rec709"), ("rec709", "pq")])
def test_aces_is_opencolorios_within_its_table(source: str, target: str) -> None:
    """Grays stay gray and grow; colours are within two codes of 255 of the transforms themselves, on the average far
    less."""
    pytest.importorskip("PyOpenColorIO", reason="the extra `color` is not installed")
    given_, wanted = SIGNALS[source], SIGNALS[target]
    ramp = np.repeat(np.linspace(0, 0.75, 40)[:, None], 3, axis=1)
    shown = made(ramp, given_, wanted, tone_map="aces2")
    assert (np.diff(shown[:, 1]) > -2e-3).all() and np.ptp(shown, axis=1).max() < 8e-3
    if source == "pq":
        soft = 0.35 + 0.2 * np.random.default_rng(1).random((300, 3))
        away = np.abs(made(soft, given_, wanted, tone_map="aces2") - exact(soft, True, 1000.0, wanted)) * 255
        assert away.mean() < 0.3 and np.percentile(away, 95) < 2


def test_gains_act_on_light_and_what_they_lift_is_bent() -> None:
    """A stop is twice the light; of HDR made brighter, the highlights do not run into white."""
    grays = np.repeat(np.asarray(pq_signal(np.array([5.0, 20.0, 50.0])))[:, None], 3, axis=1)
    doubled = made(grays, SIGNALS["pq"], SIGNALS["pq"], gains=(2.0, 2.0, 2.0))
    assert pq_nits(doubled[:, 0]) == pytest.approx([10, 40, 100], rel=5e-3)
    bright = np.repeat(np.asarray(pq_signal(np.array([600.0, 800.0, 950.0])))[:, None], 3, axis=1)
    lifted = made(bright, SIGNALS["pq"], SIGNALS["pq"], gains=(2.0, 2.0, 2.0))[:, 0]
    assert (np.diff(lifted) > 1e-4).all() and lifted[-1] <= float(pq_signal(np.array(1000.0))) + 1e-4


def test_coarse_tables_are_near_the_fine_ones() -> None:
    """Ingest's tables against those of a delivery: a third of a code of 8 bits apart at the most."""
    coarse = Conversion(SIGNALS["pq"], REC709, levels=1024, steps=8192, root=2)
    codes = [np.random.default_rng(n).integers(0, 760, (8, 500)).astype(np.uint16) for n in range(3)]
    fine = conversion(SIGNALS["pq"], REC709).signal(
        [np.rint(plane * (TOP / 1023)).astype(np.uint16) for plane in codes]
    )
    for one, other in zip(coarse.signal(codes), fine, strict=True):
        assert np.abs(one - other).max() * 255 < 0.35
