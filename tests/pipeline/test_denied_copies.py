"""A transcode of a denied film is found by fingerprint, where the policy allows keeping one; else nothing is kept."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from ruamel.yaml import YAML

from aiprod.base.files import digest_folder, read_json
from aiprod.base.state import state
from aiprod.base.yaml_file import read_yaml
from aiprod.data.params import IngestParams
from aiprod.data.rows import DeniedFilmRow, FilmRow
from aiprod.media.encoding import encode
from aiprod.qc.measure import denied_prints
from aiprod.qc.measure.denied_prints import prints_of_film
from aiprod.qc.rows import VerdictRow
from aiprod.storage.crypto import tombstones
from aiprod.storage.crypto.film_encryption import Vault, is_private
from aiprod.storage.manifest.manifest import read_head, read_rows
from pipeline import ingest as ingest_stage
from pipeline import qc_decide, qc_measure
from pipeline import scan as scan_stage
from tests.private_traces import traces
from tests.projects import enter_project
from tests.qc.films import turned

REPOSITORY = Path(__file__).resolve().parents[2]
KEPT = Path("datasets/v1/ingest/denied")
SECONDS, RATE_HZ = 4.0, 24


def scene(seed: int, size: tuple[int, int] = (240, 320), fps: int = RATE_HZ) -> list[np.ndarray]:
    """Blobs that drift and grow over a ground, drawn at any size and rate alike: uint8 [H, W, 3]."""
    rng = np.random.default_rng(seed)
    places, speeds = rng.random((9, 2)), rng.normal(0, 0.25, (9, 2))
    radii, colours = rng.uniform(0.05, 0.2, 9), rng.integers(20, 240, (9, 3))
    ground, (height, width) = rng.integers(40, 180, (6, 8, 3)).astype(np.uint8), size
    pictures = []
    for n in range(round(SECONDS * fps)):
        time = n / fps
        picture = cv2.resize(ground, (width, height), interpolation=cv2.INTER_CUBIC)
        for place, speed, radius, colour in zip(places, speeds, radii, colours, strict=True):
            y, x = (place + speed * time) % 1.0
            around = max(2, round(height * radius * (1 + 0.5 * np.sin(2 * time + place[0] * 6))))
            cv2.circle(picture, (round(x * width), round(y * height)), around, colour.tolist(), -1)
        pictures.append(picture)
    return pictures


def sound(seed: int) -> np.ndarray:
    """Notes of a melody, none like another seed's."""
    rng = np.random.default_rng(seed + 1000)
    steps = [
        np.sin(2 * np.pi * pitch * np.arange(6000) / 48_000) for pitch in rng.uniform(200, 4000, round(SECONDS * 8))
    ]
    line = (0.3 * np.concatenate(steps)).astype(np.float32)
    return np.stack([line, line])


def write(
    path: Path, pictures: list[np.ndarray], heard: np.ndarray | None, fps: int = RATE_HZ, crf: float = 18
) -> Path:
    encode(path, pictures, Fraction(fps), heard, crf=crf, preset="ultrafast")
    return path


def cropped(pictures: list[np.ndarray]) -> list[np.ndarray]:
    height, width = pictures[0].shape[:2]
    y, x = round(height * 0.03), round(width * 0.03)
    return [np.ascontiguousarray(cv2.resize(p[y : height - y, x : width - x], (width, height))) for p in pictures]


def recoded(source: list[np.ndarray], path: Path) -> Path:
    """Another codec, MPEG-4 part 2, without sound."""
    import av

    with av.open(str(path), "w") as box:
        stream = box.add_stream("mpeg4", rate=RATE_HZ)
        stream.width, stream.height, stream.pix_fmt = source[0].shape[1], source[0].shape[0], "yuv420p"  # type: ignore[attr-defined]
        for picture in source:
            box.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))  # type: ignore[attr-defined]
        box.mux(stream.encode())  # type: ignore[attr-defined]
    return path


COPIES: dict[str, Callable[[Path], Path]] = {
    "smaller": lambda p: write(p, scene(1, (180, 240)), sound(1), crf=30),
    "faster": lambda p: write(p, scene(1, fps=30), sound(1), fps=30),
    "cropped": lambda p: write(p, cropped(scene(1)), sound(1)),
    "dubbed": lambda p: write(p, scene(1), sound(7)),
    "recoded": lambda p: recoded(scene(1), p.with_suffix(".mkv")),
}


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The denied film, copies of it, and two others."""
    place = tmp_path_factory.mktemp("films")
    write(place / "Erika-theirs.mp4", scene(1), sound(1))
    for name, make in COPIES.items():
        make(place / f"{name}.mp4")
    for seed in (2, 3):
        write(place / f"other{seed}.mp4", scene(seed), sound(seed))
    return place


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state_home: Path) -> Path:
    root = enter_project(tmp_path / "project", monkeypatch, state=state_home)
    (root / "datasets/inbox").mkdir(parents=True)
    (root / "datasets/reviews").mkdir()
    (root / "datasets/reviews/verdicts.jsonl").touch()
    shutil.copy(REPOSITORY / "datasets/sources.yaml", root / "datasets")
    allow(root, "impersonal")
    return root


def allow(root: Path, setting: str) -> None:
    params = read_yaml(REPOSITORY / "params.yaml")
    params["ingest"] |= {"sources": ["inbox"], "workers": 1, "fingerprints_of_denied": setting}
    params["qc_measure"] |= {"workers": 1, "stills": 1, "flow_pairs": 2, "watermark_frames": 4, "face_stills": 1}
    YAML().dump(params, root / "params.yaml")


def say(root: Path, denied: str, basis: str = "none") -> None:
    names = sorted(p.name for p in (root / "datasets/inbox").iterdir() if p.suffix != ".csv")
    lines = [denied if n.startswith("Erika") else f"{n},own,none," for n in names]
    table = "file,licence,personal_data_basis,do_not_train\n" + "\n".join(lines) + "\n"
    (root / "datasets/inbox/S.csv").write_text(table)


def run(*stages: object) -> None:
    for stage in (scan_stage, ingest_stage, *stages):
        stage.main()  # type: ignore[attr-defined]


def verdicts() -> dict[str, VerdictRow]:
    """By name of the film; a denied film's is of the film itself."""
    names = {f.film_id: f.key.split(".")[0] for f in read_rows("datasets/v1/ingest/films", FilmRow, Vault())}
    return {names[row.film_id]: row for row in read_rows("datasets/v1/qc/decide", VerdictRow, Vault())}


def found(rows: dict[str, VerdictRow]) -> set[str]:
    return {name for name, row in rows.items() if "the denied film" in str(row.reasons)}


@pytest.mark.timeout(300)
def test_copies_of_a_denied_film_are_rejected_and_others_are_not(
    project: Path, films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(films, project / "datasets/inbox", dirs_exist_ok=True)
    say(project, "Erika-theirs.mp4,CC-BY-NC-4.0,none,")
    run(qc_measure, qc_decide)
    rows = verdicts()
    [denied] = read_rows(KEPT, DeniedFilmRow, Vault())
    assert found(rows) == set(COPIES)
    told = read_json(Path("reports/qc/metrics.json"))["clips"]  # as in the dossier
    assert told["approved"] + told["review"] + told["rejected"] == read_head("datasets/v1/ingest/clips").rows
    assert told["kept_out"] == 1 and sum(told.values()) == read_head("datasets/v1/qc/decide").rows
    for name in COPIES:
        assert rows[name].status == "REJECTED"
        [reason] = [r for r in rows[name].reasons if "the denied film" in r]
        assert denied.film_id in reason and "CC-BY-NC-4.0" in reason and "Erika" not in reason
    assert not list(Path("datasets/v1/raw").glob(f"{denied.film_id}*"))
    before = digest_folder(Path("datasets/v1"))
    monkeypatch.setattr(denied_prints, "analyse_video", None)  # nothing is decoded again
    run(qc_measure, qc_decide)
    assert digest_folder(Path("datasets/v1")) == before
    # once it may be trained on, nothing of it is kept as of a denied film
    say(project, "Erika-theirs.mp4,own,none,")
    run()
    assert not KEPT.exists() and not list((state().root / "memo/denied_prints").glob("*/*"))


@pytest.mark.parametrize(
    ("setting", "line", "kept"),
    [
        ("none", "Erika-theirs.mp4,CC-BY-NC-4.0,none,", False),
        ("impersonal", "Erika-theirs.mp4,own,none,1", True),
        ("impersonal", "Erika-theirs.mp4,CC-BY-NC-4.0,legitimate_interests,", False),
        ("impersonal", "", False),  # nothing is stated: it may show people
        ("all", "Erika-theirs.mp4,CC-BY-NC-4.0,legitimate_interests,", True),
        ("all", "", True),
    ],
)
def test_a_fingerprint_is_kept_as_the_policy_says(
    project: Path, films: Path, setting: str, line: str, kept: bool
) -> None:
    theirs = project / "datasets/inbox/Erika-theirs.mp4"
    shutil.copy(films / theirs.name, theirs)
    shutil.copy(films / "other2.mp4", project / "datasets/inbox")
    say(project, line)
    if not kept:  # what an earlier setting had kept goes, too
        allow(project, "all")
        run()
        assert KEPT.exists()
    allow(project, setting)
    run()
    places = [*(state().root / "memo/denied_prints").glob("*/*")]
    assert KEPT.exists() == kept and bool(places) == kept
    clear = [figures["look"] for figures in prints_of_film(theirs, IngestParams())]
    everything = {"look": clear[0].encode(), "change": clear[0][8:72].encode()}
    seen = traces(project, everything) + traces(state().root, everything)
    personal = "none" not in line
    assert bool(seen) == (kept and not personal), seen
    if kept:
        [row] = read_rows(KEPT, DeniedFilmRow, Vault())
        assert row.prints[0]["look"] == clear[0] and is_private(row.film_id) == personal


def test_the_fingerprint_of_an_erased_film_is_gone(project: Path, films: Path) -> None:
    theirs = project / "datasets/inbox/Erika-theirs.mp4"
    for name in (theirs.name, "smaller.mp4"):
        shutil.copy(films / name, project / "datasets/inbox")
    allow(project, "all")
    say(project, "Erika-theirs.mp4,CC-BY-NC-4.0,legitimate_interests,")
    run(qc_measure, qc_decide)
    assert found(verdicts()) == {"smaller"}
    vault = Vault()
    row = next(f for f in read_rows("datasets/v1/ingest/films", FilmRow, vault) if f.effective_right == "deny")
    content = vault.keys.commitment("content", row.content_sha256 or "")
    tombstones.add([tombstones.Tombstone(film_id=row.film_id, source_id="inbox", clips=0, content=content)])
    vault.keys.destroy(row.film_id)
    [left] = read_rows(KEPT, DeniedFilmRow, Vault())
    assert left.status == "erased" and not left.prints
    qc_decide.main()
    assert found(verdicts()) == set()
    run()
    assert not KEPT.exists() and not list((state().root / "memo/denied_prints").glob("*/*"))


def test_a_film_with_a_turn_is_fingerprinted_as_players_show_it_too(films: Path, tmp_path: Path) -> None:
    params = IngestParams()
    [as_stored] = prints_of_film(films / "other2.mp4", params)
    stored, upright = prints_of_film(turned(films / "other2.mp4", tmp_path / "t.mp4", 90), params)
    assert stored["look"] == as_stored["look"] != upright["look"]


def test_a_long_shot_is_covered_whole() -> None:
    from aiprod.data.ingest.shot_detection import Shot
    from aiprod.media.normalising import Crop

    shot = Shot(0, 1, 5.0, 2005.0, Crop(), None)  # type: ignore[arg-type]
    pieces = list(denied_prints._pieces(shot, 0.5))
    assert pieces[0][0] == 5.0 and pieces[-1][1] == 2005.0
    for start in np.arange(5.0, 1855.0, 7.0):  # what a clip's fingerprint covers lies in one piece, wherever it begins
        assert any(a <= start and start + 150.0 <= b for a, b in pieces), start
