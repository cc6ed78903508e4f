"""The kinds of input that are damaged: what is whole, and how the product reads it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from aiprod.errors import AiprodError

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Format:
    """A kind of input.

    Attributes:
        wholes: gives files that are right, as (name, bytes).
        read: reads one, as the product does; gets the path of the damaged file.
    """

    wholes: Callable[[], list[tuple[str, bytes]]]
    read: Callable[[Path], Any]


_FOLDERS: list[tempfile.TemporaryDirectory[str]] = []


def _folder() -> Path:
    """A folder that lasts as long as this process."""
    _FOLDERS.append(tempfile.TemporaryDirectory(prefix="aiprod-fuzz-"))
    return Path(_FOLDERS[-1].name)


_TABLE = (
    "file,title,licence,attribution,author,do_not_train,personal_data_basis,consent_ref,url\n"
    'a.mp4,"Bees, and more",CC-BY-4.0,(c) Ada,Ada,no,none,,https://example.com/a\n'
    "sub/b.mp4,Sea,CC0-1.0,,,yes,consent,consent/2026-014,\n"
    "c.mov,,MIT / CC-BY-SA 4.0,,Eve,,legitimate_interests,,\n"
)
_ROWS = [
    {"file": "a.mp4", "licence": "CC-BY-4.0", "attribution": "(c) Ada", "labels": ["bees"]},
    {"file_name": "b.mp4", "license": "CC0-1.0", "do_not_train": False, "personal_data_basis": "none"},
]
_TIMELINE = """rate: 24
size: 96x64
loudness: ebu_r128
pictures:
  - {film: a.mp4, from: "00:00:00:01", length: 6f, sound: effects}
  - {dissolve: 2f}
  - {film: b.mp4, from: 0.1s, length: 6f, sound: effects, grade: {exposure: 0.5}}
  - {wipe: 1, length: 2f, softness: 0.1}
  - {film: c.mp4, from: 2f, length: 6f}
sounds:
  - {film: a.mp4, bus: dialogue, at: 2f}
  - {film: b.mp4, bus: music, length: 0.3s, gain_db: -6, fade_out: 0.1s}
ducking: {depth_db: 12}
subtitles:
  - {at: 0.1s, length: 0.3s, text: "The sea is calm today."}
"""
_EDL = """TITLE: fuzz
FCM: NON-DROP FRAME

001  AX       V     C        00:00:01:00 00:00:03:00 00:00:00:00 00:00:02:00
* FROM CLIP NAME: a.mp4
002  AX       V     C        00:00:03:00 00:00:03:00 00:00:02:00 00:00:02:00
* FROM CLIP NAME: a.mp4
002  AX       V     D    012 00:00:00:00 00:00:02:00 00:00:02:00 00:00:04:00
* FROM CLIP NAME: a.mp4
* TO CLIP NAME: b.mp4
"""


def _tables() -> list[tuple[str, bytes]]:
    semicolons = _TABLE.replace(",", ";")
    lines = "".join(json.dumps(row) + "\n" for row in _ROWS)
    return [
        ("SOURCES.csv", _TABLE.encode()),
        ("SOURCES.tsv", _TABLE.replace(",", "\t").encode()),
        ("sources.csv", semicolons.encode()),
        ("metadata.jsonl", lines.encode()),
    ]


def _table(path: Path) -> Any:
    from aiprod.data.sources.sidecars import record_of
    from aiprod.rights.effective_right import effective_right
    from aiprod.rights.tables import read_table

    source = _sources_file(ROOT / "datasets/sources.yaml").get("demo")
    for line in read_table(path.name, path.read_bytes()):
        record = record_of(dict(line.cells), line.where)
        right = effective_right(source, record)
        assert right.right in ("train", "train_with_obligations", "deny"), right.right


def _sources_file(path: Path) -> Any:
    from aiprod.rights.declarations import load_sources

    return load_sources(path)


def _sources(path: Path) -> None:
    from aiprod.governance.policy.conflicts import check_sources

    check_sources(_sources_file(path))


def _params(path: Path) -> None:
    from aiprod.commands.param_files import check_file

    check_file(path)


def _of_repository(*names: str) -> Callable[[], list[tuple[str, bytes]]]:
    return lambda: [(Path(name).name, (ROOT / name).read_bytes()) for name in names]


@cache
def _workspace() -> Path:
    """A finished workspace of generated manifests."""
    from tests.governance.conftest import build_workspace

    return build_workspace(_folder() / "work")


def _manifests() -> list[tuple[str, bytes]]:
    found = []
    for stage in ("ingest/films", "ingest/clips", "qc/decide", "qc/measure"):
        for name in ("manifest.json", "manifest.parquet"):
            found.append(
                (f"{stage.replace('/', '-')}-{name}", (_workspace() / "datasets/v1" / stage / name).read_bytes())
            )
    return found


def _manifest(path: Path) -> None:
    from aiprod.governance.dataset.records import read_manifest

    *stage, name = path.name.split("-")
    folder = path.parent / "folder"
    shutil.copytree(_workspace() / "datasets/v1" / "/".join(stage), folder, ignore=shutil.ignore_patterns("thumbs"))
    (folder / name).write_bytes(path.read_bytes())
    read_manifest(folder)


@cache
def _checkpoint_folder() -> Path:
    import torch

    from aiprod.models.checkpoint.folder import save_checkpoint

    folder = _folder() / "model"
    tensors = {f"layer{n}.weight": torch.arange(12.0).reshape(3, 4) + n for n in range(4)}
    save_checkpoint(folder, {"width": 4, "layers": [1, 2]}, tensors, "Tiny", max_shard_bytes=100)
    return folder


def _checkpoints() -> list[tuple[str, bytes]]:
    return [(path.name, path.read_bytes()) for path in sorted(_checkpoint_folder().iterdir())]


def _checkpoint(path: Path) -> None:
    from aiprod.models.checkpoint.folder import open_checkpoint

    folder = path.parent / "folder"
    shutil.copytree(_checkpoint_folder(), folder)
    (folder / path.name).write_bytes(path.read_bytes())
    for digest in (True, False):
        if not digest:
            (folder / "digest.json").unlink(missing_ok=True)
        with contextlib.suppress(AiprodError):
            open_checkpoint(folder, require_digest=digest).tensors()
    open_checkpoint(folder, require_digest=False).tensors()


@cache
def _log_files() -> dict[str, bytes]:
    """A state folder's audit log with entries, and a checkpoint beside it."""
    from aiprod.governance.audit.log import AuditLog, Event
    from aiprod.governance.audit.publishing import write_checkpoint

    root = _folder()
    (root / "dvc.yaml").write_text("stages: {}\n")
    with _in(root):
        log = AuditLog()
        log.append([Event("stage", f"stage/{n}", {"n": n}, {"x": "y"}) for n in range(40)])
        write_checkpoint(root, log)
        log.append([Event("stage", "stage/more")])
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


@contextlib.contextmanager
def _in(root: Path) -> Iterator[None]:
    """The working directory and the state folder are there."""
    kept, before = {n: os.environ.get(n) for n in ("AIPROD_HOME", "DVC_ROOT")}, Path.cwd()
    os.environ["AIPROD_HOME"] = str(root / ".aiprod")
    os.environ.pop("DVC_ROOT", None)
    os.chdir(root)
    try:
        yield
    finally:
        os.chdir(before)
        for name, value in kept.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _logs() -> list[tuple[str, bytes]]:
    return [
        (name.replace("/", "@"), data)
        for name, data in _log_files().items()
        if name.endswith((".db", ".txt", ".json", ".note", ".pub"))
    ]


def _log(path: Path) -> None:
    from aiprod.governance.audit.log import AuditLog, Event
    from aiprod.governance.audit.verify import verify

    root = path.parent / "root"
    for name, data in _log_files().items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(path.read_bytes() if name == path.name.replace("@", "/") else data)
    with _in(root):
        verify(root, AuditLog())
        with contextlib.suppress(AiprodError):
            assert all(isinstance(entry.value, dict) for entry in AuditLog().entries())
        AuditLog().append([Event("stage", "stage/after")])


def _timelines() -> list[tuple[str, bytes]]:
    import opentimelineio as otio

    line = otio.adapters.read_from_string(_EDL, "cmx_3600", rate=25)
    xml = otio.adapters.write_to_string(line, "fcp_xml")
    return [
        ("edit.yaml", _TIMELINE.encode()),
        ("edit.edl", _EDL.encode()),
        ("edit.otio", otio.adapters.write_to_string(line, "otio_json").encode()),
        ("edit.xml", xml.encode()),
    ]


@cache
def _film() -> Path:
    from tests.qc.fuzz import make_films

    return make_films(_folder())[0]


def _timeline(path: Path) -> None:
    from aiprod.montage.reading import read_timeline

    for name in ("a.mp4", "b.mp4", "c.mp4"):
        (path.parent / name).symlink_to(_film())
    read_timeline(path)


def _script(path: Path) -> None:
    from aiprod.film.script import read_script

    read_script(path)


def _luts() -> list[tuple[str, bytes]]:
    rows = "\n".join(f"{r / 2} {g / 2} {b / 2}" for b in range(3) for g in range(3) for r in range(3))
    cube = f'TITLE "x"\nLUT_3D_SIZE 3\nDOMAIN_MIN 0 0 0\nDOMAIN_MAX 1 1 1\n{rows}\n'
    line = "LUT_1D_SIZE 4\n" + "".join(f"{n / 3} {n / 3} {n / 3}\n" for n in range(4))
    steps = (0, 341, 682, 1023)
    lattice = "\n".join(f"{r} {g} {b}" for r in steps for g in steps for b in steps)
    return [("a.cube", cube.encode()), ("b.cube", line.encode()), ("c.3dl", f"0 341 682 1023\n{lattice}\n".encode())]


def _lut(path: Path) -> None:
    from aiprod.color.lut import read_lut

    read_lut(path)


_CDL = """<?xml version="1.0"?>
<ColorDecisionList xmlns="urn:ASC:CDL:v1.01"><ColorDecision><ColorCorrection id="a">
<SOPNode><Slope>1.1 1 0.9</Slope><Offset>0 0.01 0</Offset><Power>1 1 1.2</Power></SOPNode>
<SatNode><Saturation>0.9</Saturation></SatNode></ColorCorrection></ColorDecision></ColorDecisionList>
"""


def _cdl(path: Path) -> None:
    from aiprod.color.cdl import read_cdl

    read_cdl(path)


def _lock(path: Path) -> None:
    from aiprod.repo.dvc_lock import Lock

    Lock(path.parent)


def _consents() -> list[tuple[str, bytes]]:
    import yaml

    from tests.consent_record import GIVEN

    return [("2026-014.yaml", yaml.safe_dump(GIVEN).encode())]


def _consent(path: Path) -> None:
    from aiprod.rights.agreements import read_consent

    read_consent(path)


def _reviews() -> list[tuple[str, bytes]]:
    from aiprod.qc.decide.reviews import HEADER, Review

    seen = {"start_s": 0.0, "end_s": 2.5, "automatic": "REVIEW_NEEDED", "authority": {"review": "reviewer"}}
    made = [
        Review.model_validate(
            {"clip_id": clip, "number": 1, "verdict": word, "reviewer": "Ada", "note": "seen", **seen}
        )
        for clip, word in (("cabcdefghijklmnop-000", "APPROVED"), ("cabcdefghijklmnop-001", "REJECTED"))
    ]
    return [("verdicts.jsonl", HEADER + b"".join(review.line() for review in made))]


def _review(path: Path) -> None:
    from aiprod.qc.decide.reviews import load_reviews

    load_reviews(path)


def _people(path: Path) -> None:
    from aiprod.governance.organisation import PLACE, load_organisation
    from aiprod.governance.policy.roles import ROLES, load_roles

    place = path.parent / (ROLES if path.name == ROLES.name else PLACE)
    place.parent.mkdir()
    shutil.copy(path, place)
    load_roles(path.parent) if path.name == ROLES.name else load_organisation(path.parent)


def _cues(path: Path) -> None:
    from aiprod.speech.subtitle_files import read_srt

    read_srt(path.read_text(encoding="utf-8", errors="replace"), path.name)


_SRT = "1\n00:00:01,000 --> 00:00:02,500\nHello.\n\n2\n00:00:03,000 --> 00:00:04,000\nThe sea\nis calm.\n"

FORMATS = {
    "table": Format(_tables, _table),
    "sources": Format(_of_repository("datasets/sources.yaml"), _sources),
    "params": Format(_of_repository("params.yaml"), _params),
    "manifest": Format(_manifests, _manifest),
    "checkpoint": Format(_checkpoints, _checkpoint),
    "audit log": Format(_logs, _log),
    "timeline": Format(_timelines, _timeline),
    "script": Format(_of_repository("datasets/films/demo.yaml", "datasets/films/small.yaml"), _script),
    "colour table": Format(_luts, _lut),
    "colour decision list": Format(lambda: [("a.cdl", _CDL.encode())], _cdl),
    "dvc.lock": Format(lambda: [("dvc.lock", (_workspace() / "dvc.lock").read_bytes())], _lock),
    "consent": Format(_consents, _consent),
    "reviews": Format(_reviews, _review),
    "roles, organisation": Format(_of_repository("datasets/roles.yaml", "datasets/organisation.yaml"), _people),
    "subtitles": Format(lambda: [("a.srt", _SRT.encode())], _cues),
}
