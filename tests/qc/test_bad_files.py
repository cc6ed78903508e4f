"""Every file of the folder of bad film, through the command: one row each, with the right status and reason."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from aiprod.cli import app
from tests.processes import left_running, running

# What each file is, looked up by eye in the table beside the files, as the reasons that its row must give. A file that
# is rejected for what it measures names every hard limit that it breaks and nothing else.
REJECTED = {
    "ae_test_yuv422p.mp4": ["resolution"],
    "ae_testsrc_with_attachment.mkv": ["resolution"],
    "ax_12_5fps_720p.mp4": ["duration"],
    "ax_audio_only.mp4": ["no-video"],
    "ax_av1_hdr10_1080p60.mp4": ["duration", "codec"],
    "ax_encrypted_clearkey.mp4": ["encrypted"],
    "ax_fake_aux_tracks_10x12.mp4": ["resolution", "duration"],
    "ax_h265_metadata_track_rot.mp4": ["duration"],
    "ax_hlg10.mp4": ["duration"],
    "ax_hls_cea608.ts": ["resolution"],
    "ax_iframes_only.ts": ["duration"],
    "ax_invalid_nalu.mp4": ["decodable", "duration"],
    "ax_long_4k60_av1_black_362s.mp4": ["codec"],
    "ax_mdat_too_long.mp4": ["duration"],
    "ax_mpeg2_1080p.ts": ["codec"],
    "ax_multiple_keyframes.mkv": ["duration"],
    "ax_partially_fragmented.mp4": ["duration"],
    "ax_pcm_float.mp4": ["duration"],
    "ax_rotate_and_reflect.mp4": ["duration"],
    "ax_sample.flv": ["duration"],
    "ax_shorter_audio.mp4": ["resolution", "duration"],
    "ax_silent_black_10s.mp4": ["resolution"],
    "ax_slow_motion_vfr.mp4": ["duration"],
    "ax_vp9_square_odd_642.webm": ["codec"],
    "ax_vvc10.mp4": ["resolution", "codec"],
    "decord_corrupted.mp4": ["decodable"],
    "decord_unordered.mov": ["resolution", "duration"],
    "decord_video_180.mov": ["resolution", "duration"],
    "decord_video_90.mov": ["resolution", "duration"],
    "fc_animation.mov": ["resolution", "duration", "codec"],
    "fc_apple-intermediate-codec.mov": ["resolution", "duration", "codec"],
    "fc_apple-prores-422-hq.mov": ["resolution", "duration", "codec"],
    "fc_jpeg2000.mov": ["resolution", "duration", "codec"],
    "fc_png.mov": ["resolution", "duration", "codec"],
    "fc_xdcam-ex-1080i50.mov": ["duration", "codec"],
    "fl_encrypted_bee2.ts": ["not-media"],
    "fl_rotated_nail6.ts": ["duration"],
    "mp4p_chunk_out_of_range.mp4": ["not-media"],
    "mp4p_invalid_userdata.mp4": ["no-frames"],
    "mp4p_short-cenc.mp4": ["encrypted"],
    "mp4p_video_rotation_90.mp4": ["resolution", "duration"],
    "mp4p_white.mp4": ["resolution"],
    "mp_zero_bytes.webm": ["empty"],
    "oc_aonly.mov": ["no-video"],
    "oc_sar34_444.mp4": ["resolution"],
    "oc_scene_change_1fps_mjpeg.mov": ["resolution", "codec"],
    "oc_silent_audio_only.mp4": ["no-video"],
    "oc_zero_bytes.mp4": ["empty"],
    "pop_10x6.mp4": ["resolution"],
    "pop_theora_trailer.ogv": ["resolution", "codec"],
    "shaka_init_only.mp4": ["encrypted"],  # an initialisation segment, and one with protection boxes
    "tc_bt709_full_range.mp4": ["duration"],
    "tc_h265_video.mp4": ["resolution", "duration"],
    "tmh_test5seconds.electricsheep.300x400.ogv": ["resolution", "codec"],
}
# What is odd about these breaks no hard limit: the reasons that must be among those given.
OTHERS = {
    "ax_dog_rot270.mp4": ("REVIEW_NEEDED", ["aspect: 0.562:1"]),  # upright after the rotation
    "ax_edit_list_positive_shift.mp4": (
        "REVIEW_NEEDED",
        ["audio: unmeasurable: the sound is silent", "black: 9.00 s", "sync: sound"],
    ),
    "c2pa_screenrec_2750x1834_vfr.mov": ("REVIEW_NEEDED", ["freeze: ", "audio: unmeasurable"]),
    "fl_bee1.ts": ("APPROVED", []),  # starts at 3.4 s, and is otherwise a good film
}


@pytest.mark.slow
def test_a_folder_of_all_bad_files_gives_one_row_each(
    shared_clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dvc.yaml").touch()
    # A lower bound on what is decoded of one clip, which only the six minutes of 4K at 60 fps meet.
    (tmp_path / "params.yaml").write_text("qc_measure: {decoded_gigapixels_max: 2.0}\nqc_decide: {}\n")
    monkeypatch.chdir(tmp_path)
    folder = shared_clips / "bad"
    before = running()
    result = CliRunner().invoke(app, ["qc", "--json", "--html", str(tmp_path / "page"), str(folder)])
    assert result.exit_code == 1, result.output
    lines = [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]
    found = {Path(line["file"]).name: line for line in lines}
    names = sorted(p.name for p in folder.iterdir() if p.suffix != ".csv")
    assert [Path(line["file"]).name for line in lines] == names == sorted({**REJECTED, **OTHERS})
    wrong = {
        name: (found[name]["status"], found[name]["reasons"])
        for name, wanted in REJECTED.items()
        if (found[name]["status"], [r.split(":")[0] for r in found[name]["reasons"] if not r.startswith("also: ")])
        != ("REJECTED", wanted)
    }
    assert not wrong
    for name, (status, wanted) in OTHERS.items():
        assert found[name]["status"] == status
        for reason in wanted:
            assert any(given.startswith(reason) for given in found[name]["reasons"]), (name, found[name]["reasons"])
    assert found["ax_long_4k60_av1_black_362s.mp4"]["measurements"]["timing"]["bounded_at_s"] < 10
    assert (tmp_path / "page/index.html").is_file()
    assert not left_running(before)


def test_a_folder_gives_one_plain_line_a_file(shared_clips: Path, tmp_path: Path) -> None:
    names = ["mp_zero_bytes.webm", "oc_aonly.mov", "mp4p_video_rotation_90.mp4"]
    for name in names:
        shutil.copy(shared_clips / "bad" / name, tmp_path / name)
    result = CliRunner().invoke(app, ["qc", "--workers", "1", str(tmp_path)])
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert len(lines) == 3 and all(line.startswith("REJECTED ") for line in lines)
    for name, line in zip(sorted(names), lines, strict=True):
        assert name in line and REJECTED[name][0] in line
