"""High dynamic range: what the standards say of light and code values, ramps of known light, real PQ and HLG film."""

from __future__ import annotations

import shutil
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from aiprod.color.light import between, hlg_scene, pq_nits, pq_signal
from aiprod.color.tone import eetf
from aiprod.data.ingest.ingest_film import IngestJob, ingest_film
from aiprod.data.params import IngestParams
from aiprod.media.encoding import encode
from aiprod.media.errors import MediaError
from aiprod.media.frames import VideoReader
from aiprod.media.media_info import VideoFacts
from aiprod.media.normalising import Form, conforms, normalise
from aiprod.media.probing import probe
from aiprod.media.scaling import Scaler
from aiprod.media.tone_mapping import ToneMapper
from aiprod.storage.result_cache import Memo

PQ, HLG = 16, 18


def facts(transfer: int, primaries: int = 9, peak_nits: float | None = None) -> VideoFacts:
    return VideoFacts(
        index=0,
        codec="hevc",
        pixel_format="yuv420p10le",
        bit_depth=10,
        width=256,
        height=16,
        fps=24.0,
        start_s=0.0,
        matrix=9,
        primaries=primaries,
        transfer=transfer,
        peak_nits=peak_nits,
    )


def gray(signal: np.ndarray) -> av.VideoFrame:
    """A BT.2020 picture, 10 bit limited range, 16 lines high, whose columns carry a signal (0 to 1)."""
    luma = np.broadcast_to(np.rint(64 + 876 * signal).astype(np.uint16), (16, signal.size))
    chroma = np.full((8, signal.size), 512, np.uint16)
    frame = av.VideoFrame.from_ndarray(np.concatenate([luma, chroma]), "yuv420p10le")
    frame.colorspace, frame.color_range = 9, 1
    return frame


def luma(frame: av.VideoFrame) -> np.ndarray:
    """One line of 8-bit luma."""
    return frame.to_ndarray()[4, : frame.width].astype(int)


@pytest.mark.parametrize(("nits", "percent"), [(100, 50.8), (203, 58.1), (1000, 75.2), (4000, 90.3), (10_000, 100.0)])
def test_pq_is_that_of_the_standard(nits: float, percent: float) -> None:
    """The pairs that ITU-R BT.2408 prints."""
    assert float(pq_signal(np.array(float(nits)))) * 100 == pytest.approx(percent, abs=0.06)
    assert float(pq_nits(np.array(percent / 100))) == pytest.approx(nits, rel=0.01)


def test_hlg_means_diffuse_white_at_three_quarters() -> None:
    """BT.2408: 75 % HLG is 203 cd/m² on a display of 1,000; BT.2100: half signal is a twelfth of the scene's light."""
    assert float(hlg_scene(np.array(0.75))) ** 1.2 * 1000 == pytest.approx(203, abs=0.5)
    assert float(hlg_scene(np.array(0.5))) == pytest.approx(1 / 12)
    assert float(hlg_scene(np.array(1.0))) == pytest.approx(1.0, abs=1e-6)


def test_bt2020_to_bt709_is_the_matrix_of_the_standard() -> None:
    """ITU-R BT.2407, the numbers that it prints."""
    printed = [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]]
    assert np.abs(between(9, 1) - printed).max() < 2e-4
    assert np.abs(between(1, 1) - np.eye(3)).max() < 1e-6


@pytest.mark.parametrize("peak", [150.0, 203.0, 400.0, 1000.0, 4000.0, 10_000.0])
def test_the_knee_leads_the_peak_to_white_and_leaves_the_dark_alone(peak: float) -> None:
    nits = np.geomspace(0.01, peak, 400)
    bent = eetf(nits, peak)
    assert (np.diff(bent) >= -1e-9).all() and (bent <= nits * (1 + 1e-9)).all()
    assert bent[-1] == pytest.approx(min(peak, 203.0), rel=1e-6)
    whole, most = (float(pq_signal(np.array(v))) for v in (peak, 203.0))
    below = pq_signal(nits) < min(whole, 1.5 * most - 0.5 * whole)  # where BT.2390 puts the knee
    assert np.allclose(bent[below], nits[below], rtol=1e-9)
    if peak > 203.0:  # white lies a third of the way from knee to peak, whatever the peak: 20, 4 and 7 of 27
        knee = 1.5 * most / whole - 0.5
        white = float(pq_signal(eetf(np.array(203.0), peak))) / whole
        assert white == pytest.approx((20 * knee + 4 * (1 - knee) + 7 * most / whole) / 27, abs=1e-9)


@pytest.mark.parametrize(("transfer", "peak"), [(PQ, None), (PQ, 4000.0), (HLG, None)])
def test_a_ramp_of_light_stays_a_ramp(transfer: int, peak: float | None) -> None:
    """The spline arrives flat, so that by its formula 6 to 8 % of the code values share the last step (from 1,000 and
    4,000 cd/m²); cut off at white it would be 23 and 36 %."""
    mapper = ToneMapper(876, 16, facts(transfer, peak_nits=peak))
    top = 1.0 if transfer == HLG else float(pq_signal(np.array(mapper.peak_nits)))
    shown = luma(mapper.frame(gray(np.linspace(0, top, 876))))
    assert (np.diff(shown) >= 0).all()
    assert (shown[0], shown[-1]) == (16, 235)
    assert (shown >= 235).mean() < 0.10
    assert np.unique(shown).size > 200  # of the 220 that there are


@pytest.mark.parametrize(("transfer", "white"), [(PQ, 0.5807), (HLG, 0.75)])
def test_diffuse_white_lands_where_bt2390_puts_it(transfer: int, white: float) -> None:
    """White of a film graded for 1,000 cd/m² is bent to 159 of 203 cd/m²: 90 % of the signal by BT.1886."""
    mapper = ToneMapper(64, 16, facts(transfer))
    [shown] = np.unique(luma(mapper.frame(gray(np.full(64, white)))))
    whole, most = (float(pq_signal(np.array(v))) for v in (1000.0, 203.0))
    knee = 1.5 * most / whole - 0.5
    bent = float(pq_nits(np.array((20 * knee + 4 * (1 - knee) + 7 * most / whole) / 27 * whole)))
    assert bent == pytest.approx(159, abs=1)
    assert shown == pytest.approx(16 + 219 * (bent / 203) ** (1 / 2.4), abs=1.01)


def test_gray_stays_gray() -> None:
    planes = ToneMapper(64, 16, facts(PQ)).frame(gray(np.linspace(0, 0.75, 64))).to_ndarray()
    assert np.abs(planes[16:].astype(int) - 128).max() <= 1


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_a_colour_beyond_bt709_loses_saturation_and_keeps_its_luminance(channel: int) -> None:
    wide = np.zeros((16, 64, 3), np.uint16)
    wide[..., channel] = round(0.3 * 65_535)  # a primary of BT.2020, in the dark where nothing is bent
    source = av.VideoFrame.from_ndarray(wide, "rgb48le")
    shown = Scaler(64, 16, "rgb24", True).array(ToneMapper(64, 16, facts(PQ)).frame(source))[8, 32]
    assert int(np.argmax(shown)) == channel and shown.min() <= 3
    light = 203 * (shown / 255.0) ** 2.4 @ [0.2126, 0.7152, 0.0722]
    meant = float(pq_nits(np.array(0.3))) * (0.2627, 0.6780, 0.0593)[channel]
    assert light == pytest.approx(meant, rel=0.15)  # 8 bits, and chroma at half size


def tagged(path: Path, transfer: str) -> Path:
    """An H.264 film that has the training form in everything but its transfer."""
    ramp = np.repeat(np.arange(0, 256, 2, dtype=np.uint8)[None, :, None], 64, 0).repeat(3, 2)
    options = {"x264-params": f"transfer={transfer}"}
    encode(path, [ramp] * 24, Fraction(24), np.zeros((2, 48_000), np.float32), video_options=options)
    return path


@pytest.mark.parametrize(("transfer", "number"), [("smpte2084", PQ), ("arib-std-b67", HLG)])
def test_a_film_that_differs_in_its_transfer_only_is_not_kept_as_it_is(
    tmp_path: Path, transfer: str, number: int
) -> None:
    path = tagged(tmp_path / "film.mp4", transfer)
    found = probe(path)
    assert found.video is not None
    assert (found.video.transfer, found.video.matrix) == (number, 1)
    assert not conforms(found, True, Form())
    assert conforms(probe(tagged(tmp_path / "usual.mp4", "bt709")), True, Form())
    done = normalise(
        path, tmp_path / "done.mp4", found, start_s=0.0, end_s=1.0, rate=Fraction(24), constant=True, form=Form()
    )
    assert any("BT.2390" in step for step in done.steps)
    after = probe(tmp_path / "done.mp4").video
    assert after is not None and (after.transfer, after.primaries, after.hdr) == (1, 1, False)


def taken(folder: Path, path: Path, **more: str | float) -> dict[str, object]:
    """What taking a film in records."""
    from aiprod.base.files import sha256_file

    form = {"normalise": {k: v for k, v in more.items() if k == "hdr"}, "shots": {"min_shot_s": 0.1}}
    memo = Memo(folder / "memo", "")
    ingest_film(IngestJob(str(path), None, sha256_file(path), "key", memo, IngestParams.model_validate(form)))
    known = memo.get("key")
    assert known is not None
    return known[0]


@pytest.mark.parametrize("where", ["synthetic", "ax_hlg10.mp4", "ax_av1_hdr10_1080p60.mp4"])
def test_refuse_refuses_by_name(tmp_path: Path, where: str, request: pytest.FixtureRequest) -> None:
    path = tmp_path / "film.mp4"
    if where == "synthetic":
        tagged(path, "smpte2084")
    else:
        shutil.copy(request.getfixturevalue("shared_clips") / "bad" / where, path)
    result = taken(tmp_path, path, hdr="refuse")
    kind = "HLG" if "hlg" in where else "PQ"
    assert result["error"] == f"hdr: high dynamic range film ({kind}) is refused"
    assert result["raw"] is None and result["clips"] == []
    with pytest.raises(MediaError, match="refused"):
        normalise(
            path,
            tmp_path / "out.mp4",
            probe(path),
            start_s=0,
            end_s=1,
            rate=Fraction(24),
            constant=True,
            form=Form(hdr="refuse"),
        )


@pytest.mark.parametrize("name", ["ax_hlg10.mp4", "ax_av1_hdr10_1080p60.mp4"])
def test_real_film_is_bent_and_not_cut_off(shared_clips: Path, tmp_path: Path, name: str) -> None:
    """Cut off at white, 24 % of the values of the HLG film would end there: it shows a chart with white paper."""
    path = shared_clips / "bad" / name
    found = probe(path)
    video = found.video
    assert video is not None and video.hdr
    assert video.peak_nits == (1000.0 if video.transfer == PQ else None)
    form = Form(max_height=270)
    done = normalise(
        path, tmp_path / "done.mp4", found, start_s=0.0, end_s=0.1, rate=Fraction(30), constant=False, form=form
    )
    assert any("to 203 cd/m²" in step for step in done.steps)
    with VideoReader(tmp_path / "done.mp4") as reader:
        scaler = Scaler(done.width, done.height, "rgb24")
        values = np.stack([scaler.array(timed.frame) for timed in reader.frames()])
    assert (values == 255).mean() < 0.02
    assert values.std() > 30  # and it is no flat gray
