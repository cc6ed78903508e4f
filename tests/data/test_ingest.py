"""Taking films in: every offer a row, exact shots, memo, rights, duplicates, the same bytes twice."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from aiprod.base.files import digest_folder, sha256_file
from aiprod.data.sources.demo.plan import DemoCorpusParams
from aiprod.media.audio import read_sound
from aiprod.media.encoding import encode
from aiprod.media.frames import VideoReader
from aiprod.media.probing import probe
from aiprod.media.scaling import Scaler
from tests.data.inbox_project import Project

MakeFilm = Callable[..., Path]


def test_one_more_file_is_one_more_film_taken_in(project: Project, make_film: MakeFilm) -> None:
    for n in range(3):
        make_film(project.inbox / f"{n}.mp4", n)
    films, clips, counters = project.run()
    assert (counters.processed, counters.reused, counters.failed) == (3, 0, 0)
    assert {f.status for f in films.values()} == {"ok"}
    assert [c.steps for c in clips] == [["as is"]] * 3
    first = digest_folder(project.root / "datasets" / "v1")
    _, _, counters = project.run()
    assert (counters.processed, counters.reused) == (0, 3)
    assert digest_folder(project.root / "datasets" / "v1") == first
    make_film(project.inbox / "new.mp4", 9)
    films, clips, counters = project.run()
    assert (counters.processed, counters.reused) == (1, 3)
    assert len(films) == len(clips) == 4
    (project.inbox / "0.mp4").unlink()
    films, _, _ = project.run()
    assert len(films) == 3
    assert {p.stem for p in (project.root / "datasets/v1/raw").iterdir()} == {f.film_id for f in films.values()}


def test_every_file_gets_a_row_with_its_reason(project: Project, make_film: MakeFilm, shared_clips: Path) -> None:
    make_film(project.inbox / "good.mp4", 1)
    (project.inbox / "empty.mp4").touch()
    (project.inbox / "text.mp4").write_text("hello")
    whole = (project.inbox / "good.mp4").read_bytes()
    (project.inbox / "cut.mp4").write_bytes(whole[: len(whole) * 6 // 10])
    (project.inbox / "away.mp4").symlink_to(project.root / "nowhere")
    for name in (
        "ax_audio_only.mp4",
        "shaka_init_only.mp4",
        "mp4p_chunk_out_of_range.mp4",
        "fc_xdcam-ex-1080i50.mov",
        "ax_dog_rot270.mp4",
        "decord_video_90.mov",
    ):
        shutil.copy(shared_clips / "bad" / name, project.inbox / name)
    films, clips, counters = project.run()
    kinds = {key: (film.status, film.reasons[0].split(":")[0] if film.reasons else "") for key, film in films.items()}
    assert kinds == {
        "good.mp4": ("ok", ""),
        "empty.mp4": ("error", "empty"),
        "text.mp4": ("error", "not-media"),
        "cut.mp4": ("error", kinds["cut.mp4"][1]),
        "away.mp4": ("error", "unreadable"),
        "ax_audio_only.mp4": ("error", "no-video"),
        "shaka_init_only.mp4": ("error", "encrypted"),
        "mp4p_chunk_out_of_range.mp4": ("error", "not-media"),
        "fc_xdcam-ex-1080i50.mov": ("ok", ""),
        "ax_dog_rot270.mp4": ("ok", ""),
        "decord_video_90.mov": ("ok", ""),
    }
    assert kinds["cut.mp4"][1] in ("truncated", "damaged")
    assert counters.failed == 7
    of_film = {films[k].film_id: k for k in films}
    by_key = {of_film[c.film_id]: c for c in clips}
    assert (by_key["ax_dog_rot270.mp4"].width, by_key["ax_dog_rot270.mp4"].height) == (720, 1280)
    assert "turned 270 degrees" in by_key["ax_dog_rot270.mp4"].steps
    assert "deinterlaced (bwdif)" in by_key["fc_xdcam-ex-1080i50.mov"].steps
    assert by_key["decord_video_90.mov"].status == "short"
    assert by_key["decord_video_90.mov"].processed_name is None
    for clip in clips:
        if clip.status == "ok":
            path = project.root / "datasets/v1/processed" / str(clip.processed_name)
            assert sha256_file(path) == clip.processed_sha256
            video = probe(path).video
            assert video is not None
            assert (video.width, video.height, video.frames) == (clip.width, clip.height, clip.frames)
            assert (video.matrix, video.full_range, video.pixel_format, video.interlaced) == (
                1,
                False,
                "yuv420p",
                False,
            )


def test_nothing_of_a_refused_film_is_stored(project: Project, make_film: MakeFilm) -> None:
    make_film(project.inbox / "mine.mp4", 1)
    make_film(project.inbox / "theirs.mp4", 2)
    (project.inbox / "s.csv").write_text("file,licence\nmine.mp4,own\n")
    films, clips, counters = project.run(licence="unknown")
    assert (films["mine.mp4"].status, films["theirs.mp4"].status) == ("ok", "refused")
    assert (counters.processed, len(clips)) == (1, 1)
    refused = films["theirs.mp4"]
    assert refused.raw_name is None
    assert "files_without_sidecar" in refused.reasons[-1]
    assert "CSV" in refused.reasons[-1]
    assert [p.name for p in (project.root / "datasets/v1/raw").iterdir()] == [films["mine.mp4"].raw_name]


def test_of_equal_films_the_strictest_rights_hold_and_one_is_kept(project: Project, make_film: MakeFilm) -> None:
    make_film(project.inbox / "a.mp4", 1)
    shutil.copy(project.inbox / "a.mp4", project.inbox / "b.mp4")
    make_film(project.inbox / "c.mp4", 2)
    shutil.copy(project.inbox / "c.mp4", project.inbox / "d.mp4")
    (project.inbox / "s.csv").write_text(
        "file,licence\na.mp4,own\nb.mp4,CC-BY-4.0\nc.mp4,own\nd.mp4,all rights reserved\n"
    )
    films, clips, _ = project.run()
    assert (films["a.mp4"].status, films["b.mp4"].status) == ("ok", "refused")
    assert films["b.mp4"].duplicate_of == films["a.mp4"].film_id
    assert films["a.mp4"].effective_right == "train_with_obligations"
    assert films["a.mp4"].obligations == ["attribution: Inbox (CC-BY-4.0)"]
    assert [films[k].status for k in ("c.mp4", "d.mp4")] == ["refused", "refused"], "denied once is denied"
    assert len(clips) == 1


def test_another_wrapping_of_a_film_is_a_duplicate(project: Project, make_film: MakeFilm) -> None:
    import av

    source = make_film(project.inbox / "a.mp4", 3)
    with av.open(str(source)) as old, av.open(str(project.inbox / "b.mov"), "w", format="mov") as new:
        new.metadata["title"] = "another name"
        streams = {s.index: new.add_stream_from_template(s) for s in old.streams}
        for packet in old.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                new.mux(packet)
    films, _, _ = project.run()
    assert films["b.mov"].duplicate_of == films["a.mp4"].film_id


def test_shots_are_cut_at_exact_pictures(project: Project) -> None:
    """Three scenes of known length and brightness: no clip holds a picture of another scene."""
    rng = np.random.default_rng(1)
    grounds = [np.repeat(np.repeat(rng.integers(0, 40, (6, 8, 3)), 16, 0), 16, 1) + offset for offset in (30, 120, 190)]
    lengths = (30, 41, 25)
    pictures = [
        np.clip(np.roll(ground, n, axis=1), 0, 255).astype(np.uint8)
        for ground, length in zip(grounds, lengths, strict=True)
        for n in range(length)
    ]
    sound = np.zeros((2, 48_000 * 4), np.float32)
    sound[:, 30 * 2_000 + 12_000] = 0.9  # a quarter of a second into the second shot
    encode(project.inbox / "three.mp4", pictures, 24, sound)
    _, clips, _ = project.run()
    assert [(c.shot_index, c.frames) for c in clips] == [(0, 30), (1, 41), (2, 25)]
    assert [c.start_s for c in clips] == pytest.approx([0, 1.25, 71 / 24], abs=1e-5)
    assert [c.end_s for c in clips] == pytest.approx([1.25, 71 / 24, 4.0], abs=1e-5)
    for clip, level in zip(clips, (50, 140, 210), strict=True):
        with VideoReader(project.root / "datasets/v1/processed" / str(clip.processed_name)) as reader:
            scaler = Scaler(128, 96, "gray")
            seen = [scaler.array(t.frame).mean() for t in reader.frames()]
        assert len(seen) == clip.frames
        assert np.abs(np.array(seen) - level).max() < 12
    heard = read_sound(project.root / "datasets/v1/processed" / str(clips[1].processed_name))
    assert heard is not None
    assert abs(int(np.argmax(np.abs(heard[0]))) - 12_000) <= 2


def test_a_letterbox_is_cropped_and_a_title_on_black_is_not(project: Project) -> None:
    rng = np.random.default_rng(2)
    grain = rng.integers(60, 200, (96, 300, 3), np.uint8)
    boxed = [grain[:, 2 * n : 2 * n + 160].copy() for n in range(36)]
    for picture in boxed:
        picture[:16] = picture[80:] = 0
    encode(project.inbox / "boxed.mp4", boxed, 24)
    title = np.zeros((96, 160, 3), np.uint8)
    title[40:56, 50:110] = grain[40:56, 50:110]
    encode(project.inbox / "title.mp4", [title] * 36, 24)
    films, clips, _ = project.run()
    size = {c.film_id: (c.width, c.height) for c in clips}
    assert size[films["title.mp4"].film_id] == (160, 96)
    width, height = size[films["boxed.mp4"].film_id]
    assert width == 160
    assert 58 <= height <= 64


def test_a_picture_in_a_window_is_cropped_on_all_sides_and_lettering_and_lamps_are_not(project: Project) -> None:
    rng = np.random.default_rng(2)
    grain = rng.integers(60, 200, (96, 300, 3), np.uint8)
    window, lamp, title = ([np.zeros((96, 160, 3), np.uint8) for _ in range(36)] for _ in range(3))
    y, x = np.mgrid[0:96, 0:160]
    disc = ((x - 80) / 56) ** 2 + ((y - 48) / 34) ** 2 <= 1
    for n in range(36):
        moving = grain[:, 2 * n : 2 * n + 160]
        window[n][16:80, 24:136] = moving[16:80, 24:136]
        lamp[n][disc] = moving[disc]
        for left in range(24, 136, 18):  # letters from edge to edge
            title[n][16:80, left : left + 4] = 200
    for name, pictures in (("window", window), ("lamp", lamp), ("title", title)):
        encode(project.inbox / f"{name}.mp4", pictures, 24)
    films, clips, _ = project.run()
    size = {c.film_id: (c.width, c.height) for c in clips}
    width, height = size[films["window.mp4"].film_id]
    assert 106 <= width <= 112 and 58 <= height <= 64
    assert any(step.startswith("bars cropped to") for c in clips for step in c.steps)
    assert size[films["lamp.mp4"].film_id] == size[films["title.mp4"].film_id] == (160, 96)


@pytest.mark.slow
def test_two_clean_runs_give_the_same_hashes(project: Project) -> None:
    corpus = DemoCorpusParams(films=2, height=96, width=170, fps=12, duration_s=2.2)
    more = {"sources": ["demo"], "demo": corpus.model_dump()}
    results = [project.run(store=f"v{n}", memo=f"memo{n}", **more) for n in (1, 2)]
    assert results[0][0] == results[1][0]
    assert results[0][1] == results[1][1]
    folders = [digest_folder(project.root / "datasets" / f"v{n}") for n in (1, 2)]
    assert folders[0] == folders[1]
    films = results[0][0]
    assert films["fault-duplicate"].duplicate_of == films["clean-000"].film_id
    assert films["fault-cut"].n_clips == 2
    assert {k for k, f in films.items() if f.status == "error"} == {"fault-empty", "fault-not-media", "fault-truncated"}
