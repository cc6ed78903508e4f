"""Grades against OpenColorIO, colour-science and arithmetic; tables with every domain; files that are wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiprod.color.cdl import Cdl, read_cdl
from aiprod.color.grade import Grade, LutFile, applied, grade_of, graded, read_grade
from aiprod.color.lut import Lut, read_lut
from aiprod.color.scopes import FALSE_COLOUR, false_colour, sheet, vectorscope, waveform
from aiprod.errors import AiprodError
from aiprod.media.grading import dithered
from tests.color.cube_files import write_cube

CODE = 1 / 1023  # of 10 bits
DOMAINS = [((0, 0, 0), (1, 1, 1)), ((-0.5,) * 3, (1.5,) * 3), ((0, 0, 0), (0.5,) * 3), ((-0.1, 0, 0.1), (1, 1.2, 2))]


def colours(seed: int, low: float = -0.3, high: float = 1.6) -> np.ndarray:
    return np.random.default_rng(seed).uniform(low, high, (64, 50, 3)).astype(np.float32)


def cube(size: int, seed: int, *domain: tuple[float, ...]) -> Lut:
    grid = np.linspace(0, 1, size)
    place = np.stack(np.meshgrid(grid, grid, grid, indexing="ij"), -1)
    bent = place + 0.3 * np.sin(5 * place[..., ::-1] + seed)
    return Lut(bent.astype(np.float32), *domain, title="bent")  # type: ignore[arg-type]


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("interpolation", ["tetrahedral", "trilinear"])
@pytest.mark.parametrize("kind", [1, 3])
def test_tables_with_a_domain_are_those_of_opencolorio(
    kind: int, interpolation: str, domain: tuple[tuple[float, ...], ...], tmp_path: Path
) -> None:
    ocio = pytest.importorskip("PyOpenColorIO", reason="the extra `color` is not installed")
    lut = cube(9, 1, *domain)
    if kind == 1:
        lut = Lut(np.cumsum(colours(2, 0, 0.1)[0], axis=0).astype(np.float32), *domain)  # type: ignore[arg-type]
    write_cube(tmp_path / "x.cube", lut)
    assert np.array_equal(read_lut(tmp_path / "x.cube")[0].values, lut.values)
    grade = Grade(luts=(LutFile(file=tmp_path / "x.cube", interpolation=interpolation),))  # type: ignore[arg-type]
    given_colours, theirs = colours(3), colours(3)
    how = ocio.INTERP_LINEAR if interpolation == "trilinear" or kind == 1 else ocio.INTERP_TETRAHEDRAL
    file = ocio.FileTransform(str(tmp_path / "x.cube"), interpolation=how)
    ocio.Config.CreateRaw().getProcessor(file).getDefaultCPUProcessor().applyRGB(theirs)
    ours = graded(grade, given_colours.copy())
    assert np.abs(applied(grade, given_colours) - ours).max() < 0.01 * CODE
    assert np.abs(theirs - ours).max() < 0.01 * CODE


def test_trilinear_tables_are_those_of_colour_science(tmp_path: Path) -> None:
    colour = pytest.importorskip("colour", reason="colour-science is not installed")
    for n, domain in enumerate(DOMAINS[:3]):
        write_cube(tmp_path / f"{n}.cube", cube(9, n, *domain))
        theirs = colour.io.read_LUT_IridasCube(str(tmp_path / f"{n}.cube"))
        low, high = domain[0][0], domain[1][0]
        inside = colours(n, low, high)
        wanted = theirs.apply(inside, interpolator=colour.algebra.table_interpolation_trilinear)
        assert np.abs(read_lut(tmp_path / f"{n}.cube")[0].applied(inside, "trilinear") - wanted).max() < 0.5 * CODE


@given(st.integers(2, 12), st.integers(0, 99), st.sampled_from(["tetrahedral", "trilinear"]))
@settings(max_examples=25, deadline=None)
def test_a_table_that_changes_nothing_changes_nothing(size: int, seed: int, interpolation: str) -> None:
    grid = np.linspace(0, 1, size)
    plain = np.stack(np.meshgrid(grid, grid, grid, indexing="ij"), -1).astype(np.float32)
    inside = colours(seed, 0, 1)
    assert np.abs(Lut(plain).applied(inside, interpolation) - inside).max() < 1e-5  # type: ignore[arg-type]
    wide = Lut(plain * 2 - 0.5, (-0.5,) * 3, (1.5,) * 3)
    assert np.abs(wide.applied(inside, interpolation) - inside).max() < 1e-5  # type: ignore[arg-type]


def test_a_shaper_before_a_table(tmp_path: Path) -> None:
    rows = ["LUT_1D_SIZE 3", "LUT_1D_INPUT_RANGE -1 1", "LUT_3D_SIZE 2", "LUT_3D_INPUT_RANGE 0 1"]
    rows += ["0 0 0", "0.25 0.25 0.25", "1 1 1"]
    rows += [f"{r} {g} {b}" for b in (0, 1) for g in (0, 1) for r in (0, 1)]
    (tmp_path / "x.cube").write_text("\n".join(rows) + "\n")
    shaper, table = read_lut(tmp_path / "x.cube")
    assert (shaper.low, shaper.high, table.is_3d) == ((-1.0,) * 3, (1.0,) * 3, True)
    value = np.full((1, 3), 0.5, np.float32)
    assert np.allclose(table.applied(shaper.applied(value)), 0.625)


@pytest.mark.parametrize("size", [5, 9])
@pytest.mark.parametrize("top", [255, 1023, 4095, 65535])
def test_the_depth_of_a_3dl_is_that_of_its_largest_number(top: int, size: int, tmp_path: Path) -> None:
    pytest.importorskip("PyOpenColorIO", reason="the extra `color` is not installed")
    rows = [" ".join(str(1023 * n // (size - 1)) for n in range(size))]
    steps = [top * n // (size - 1) for n in range(size)]
    rows += [f"{red} {green} {top - blue}" for red in steps for green in steps for blue in steps]
    (tmp_path / "x.3dl").write_text("\n".join(rows) + "\n")
    grade = Grade(luts=(LutFile(file=tmp_path / "x.3dl"),))
    inside = colours(0, 0, 1)
    wanted = inside * np.array([1, 1, -1]) + np.array([0, 0, 1])
    assert np.abs(applied(grade, inside) - wanted).max() < 2 / top
    assert np.abs(applied(grade, inside) - graded(grade, inside.copy())).max() < 2 / top


@pytest.mark.parametrize(("header", "largest", "top"), [
    ("3DMESH\nMesh 2 12\n", 1000, 4095),  # a dark look, which its numbers alone would say is of 10 bits
    ("3DMESH\nMesh 2 10\n", 1023, 1023),
    ("", 1100, 1023),  # no header, and whiter than white
    ("", 1000, 1023),
])  # fmt: skip
def test_a_3dl_is_as_bright_as_its_header_says(header: str, largest: int, top: int, tmp_path: Path) -> None:
    pytest.importorskip("PyOpenColorIO", reason="the extra `color` is not installed")
    steps = [round(largest * n / 4) for n in range(5)]
    rows = [f"{red} {green} {blue}" for red in steps for green in steps for blue in steps]
    (tmp_path / "x.3dl").write_text(header + "0 256 512 767 1023\n" + "\n".join(rows) + "\n")
    grade = Grade(luts=(LutFile(file=tmp_path / "x.3dl"),))
    inside = colours(0, 0, 1)
    wanted = inside * largest / top
    assert np.abs(applied(grade, inside) - wanted).max() < 2 / top
    assert np.abs(graded(grade, inside.copy()) - wanted).max() < 2 / top


@given(
    st.tuples(*[st.floats(0, 3)] * 3), st.tuples(*[st.floats(-0.5, 0.5)] * 3), st.tuples(*[st.floats(0.2, 3)] * 3),
    st.floats(0, 2), st.sampled_from(["asc", "none"]), st.floats(-2, 2),
)  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_corrections_are_those_of_opencolorio(  # noqa: PLR0917
    slope: tuple[float, ...],
    offset: tuple[float, ...],
    power: tuple[float, ...],
    saturation: float,
    style: str,
    stops: float,
) -> None:
    pytest.importorskip("PyOpenColorIO", reason="the extra `color` is not installed")
    cdl = Cdl(slope=slope, offset=offset, power=power, saturation=saturation, style=style)  # type: ignore[arg-type]
    grade = Grade(cdl=cdl, exposure=stops, white_balance=(1.2, 1.0, 0.7))
    found, wanted = graded(grade, colours(5)), applied(grade, colours(5))
    assert np.isfinite(found).all()
    assert np.abs(found - wanted).max() < 0.05 * CODE * max(1.0, float(np.abs(wanted).max()))


def test_exposure_counts_in_light() -> None:
    gray = np.full((1, 1, 3), 0.5, np.float32)
    brighter = applied(Grade(exposure=1.0), gray)
    assert np.allclose(brighter**2.4 / gray**2.4, 2, atol=1e-4)


CCC = """<?xml version="1.0"?>
<ColorCorrectionCollection xmlns="urn:ASC:CDL:v1.01">
 <ColorCorrection id="a"><SOPNode><Slope>1 1 1</Slope><Offset>0.1 0 0</Offset><Power>1 1 1</Power></SOPNode>
  <SatNode><Saturation>0.5</Saturation></SatNode></ColorCorrection>
 <ColorCorrection id="b"><SOPNode><Slope>2 1 1</Slope><Offset>0 0 0</Offset><Power>1 1 2</Power></SOPNode>
 </ColorCorrection>
</ColorCorrectionCollection>"""


def test_corrections_are_chosen_by_id_and_never_guessed(tmp_path: Path) -> None:
    (tmp_path / "x.ccc").write_text(CCC)
    assert read_cdl(tmp_path / "x.ccc", "a").saturation == 0.5
    assert read_cdl(tmp_path / "x.ccc", "b").power == (1, 1, 2)
    for correction, words in ((None, "2 corrections"), ("c", "no correction 'c'")):
        with pytest.raises(AiprodError, match=words):
            read_cdl(tmp_path / "x.ccc", correction)
    (tmp_path / "y.ccc").write_text(CCC.replace('"b"', '"a"'))
    with pytest.raises(AiprodError, match="2 corrections 'a'"):
        read_cdl(tmp_path / "y.ccc", "a")
    (tmp_path / "one.cc").write_text(CCC.split("\n", 2)[2].split(' <ColorCorrection id="b"', maxsplit=1)[0])
    assert read_cdl(tmp_path / "one.cc").offset == (0.1, 0, 0)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("x.cube", "LUT_3D_SIZE 2\n0 0 0\n", "has 1 rows"),
        ("x.cube", "LUT_3D_SIZE 2.5\n", "line 1"),
        ("x.cube", "LUT_3D_SIZE 100000\n", "line 1"),
        ("x.cube", "0 0 0\n", "states no LUT"),
        ("x.cube", "LUT_1D_SIZE 2\n0 0 nan\n1 1 1\n", "line 2"),
        ("x.cube", "LUT_1D_SIZE 2\nDOMAIN_MIN 1 1 1\n0 0 0\n1 1 1\n", "is empty"),
        ("x.cube", "LUT_1D_SIZE 2\nDOMIAN_MIN 0 0 0\n", "DOMIAN_MIN is not known"),
        ("x.cube", "LUT_3D_SIZE 2\nLUT_IN_VIDEO_RANGE\n", "line 2: the table is made for video range"),
        ("x.cube", "LUT_1D_SIZE 2\nLUT_3D_SIZE 2\nDOMAIN_MAX 2 2 2\n" + "0 0 0\n" * 10, "DOMAIN_MAX is the domain"),
        ("x.3dl", "Mesh 0 8\n" + "0 0 0\n" * 7 + "4095 4095 4095\n", "states results of 8 bits and holds 4095"),
        ("x.3dl", "Mesh 0 99\n" + "0 0 0\n" * 7 + "255 255 255\n", "states results of 99 bits"),
        ("x.3dl", "0 0 0\n1 1 1\n", "not a cube"),
        ("x.cc", "<ColorCorrection", "not valid XML"),
        ("x.cc", "<a/>", "holds no ColorCorrection"),
        ("x.cc", "<a><ColorCorrection/><ColorCorrection/></a>", "holds 2 corrections"),
        ("x.cc", "<ColorCorrection><Slope>1 1</Slope></ColorCorrection>", "write 3 numbers"),
        ("x.cc", "<ColorCorrection><Slope>1 1 -1</Slope></ColorCorrection>", "negative"),
    ],
)
def test_what_is_wrong_in_a_file_is_one_line_that_names_it(name: str, text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    data = {"cdl": {"file": name}} if name.endswith("cc") else {"luts": [{"file": name}]}
    with pytest.raises(AiprodError) as caught:
        grade_of(data, tmp_path)
    assert words in str(caught.value) and name in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "written",
    [
        lambda text: "\ufeff" + text,
        lambda text: text.replace("\n", "\r"),
        lambda text: text.replace("\n", "\r\n").replace(" ", "\t"),
    ],
    ids=["byte order mark", "carriage returns", "tabs"],
)
def test_a_table_is_used_as_it_was_read_however_its_text_is_written(
    written: Callable[[str], str], tmp_path: Path
) -> None:
    pytest.importorskip("PyOpenColorIO", reason="the extra `color` is not installed")
    rows = "\n".join(f"{n % 2} {n // 2 % 2} {n // 4}" for n in range(7))
    text = f"# of a program\nLUT_3D_SIZE 2\nDOMAIN_MIN -0.5 0 0\nDOMAIN_MAX 1 1 2\n{rows}\n0.9 0.8 0.7\n"
    (tmp_path / "x.cube").write_bytes(written(text).encode())
    grade = grade_of({"luts": [{"file": "x.cube"}]}, tmp_path)
    shown = colours(3)
    assert np.abs(graded(grade, shown.copy()) - applied(grade, shown)).max() < 1e-6


def test_pixels_of_four_values_become_what_those_of_three_do(tmp_path: Path) -> None:
    pytest.importorskip("PyOpenColorIO", reason="the extra `color` is not installed")
    grade = Grade(exposure=0.5, white_balance=(1.1, 1, 0.9), cdl=Cdl(power=(1.2, 1, 0.9), saturation=0.7))
    three = colours(7)
    four = np.concatenate([three, np.zeros((*three.shape[:2], 1), np.float32)], axis=-1)
    assert np.array_equal(graded(grade, four)[..., :3], graded(grade, three.copy()))


def test_a_table_that_opencolorio_refuses_is_named_with_its_reason(tmp_path: Path) -> None:
    pytest.importorskip("PyOpenColorIO", reason="the extra `color` is not installed")
    (tmp_path / "x.clf").write_text('<ProcessList id="a" compCLFversion="3"><LUT9D/></ProcessList>')
    with pytest.raises(AiprodError, match=r"x\.clf.*parsing error"):
        graded(grade_of({"luts": [{"file": "x.clf"}]}, tmp_path), np.zeros((1, 1, 3), np.float32))


def test_wrong_keys_of_a_recipe_are_named(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("exposure: bright\n")
    with pytest.raises(AiprodError, match="exposure"):
        read_grade(tmp_path / "x.yaml")
    with pytest.raises(AiprodError, match="expsure"):
        grade_of({"expsure": 1}, tmp_path)
    with pytest.raises(AiprodError, match="does not exist"):
        grade_of({"luts": [{"file": "none.cube"}]}, tmp_path)


def test_dither_keeps_whole_codes_and_the_mean_of_what_lies_between() -> None:
    codes = np.arange(256, dtype=np.float32).reshape(16, 16, 1) / 255
    assert np.array_equal(dithered(np.repeat(codes, 3, axis=2))[..., 0], np.arange(256).reshape(16, 16))
    for value in (0.1234, 0.5, 0.7531):
        area = dithered(np.full((64, 64, 3), value, np.float32))
        assert abs(area.mean() - value * 255) < 0.02 and np.ptp(area) <= 1


def test_scopes_show_what_is_there() -> None:
    ramp = np.repeat(np.linspace(0, 1, 384, dtype=np.float32)[None, :, None], 3, axis=2).repeat(64, axis=0)
    trace = waveform(ramp)[..., 1] == 255
    rows = np.array([np.flatnonzero(trace[:, column])[0] for column in range(384)])
    assert np.all(np.diff(rows) <= 0) and rows[0] == 255 and rows[-1] == 0
    assert np.abs(rows - (1 - ramp[0, :, 0]) * 255).max() <= 1
    assert vectorscope(ramp)[126:130, 126:130].max() == 255  # gray is in the middle
    red = np.full((8, 8, 3), (0.75, 0, 0), np.float32)
    traced = np.argwhere((vectorscope(red) == (150, 255, 160)).all(axis=-1))
    cb, cr = -0.2126 * 0.75 / 1.8556, (0.75 - 0.2126 * 0.75) / 1.5748
    assert np.allclose(traced, [[round((0.5 - cr) * 255), round((cb + 0.5) * 255)]], atol=1)
    bands = {tuple(colour) for colour in false_colour(ramp).reshape(-1, 3).tolist()}
    assert bands == {ink for _, ink, _ in FALSE_COLOUR}
    assert sheet(ramp).shape[0] == 256
