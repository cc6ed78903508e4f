"""What stands at the end of a run: stages and their times, quality against chance, counts, what a person has to do.

Every figure is read from what the stages wrote; nothing is computed that a reader could not look up. A part whose files
are not there yet is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiprod.base import timing
from aiprod.base.state import state
from aiprod.base.structured import read_json_mapping
from aiprod.base.yaml_file import read_yaml
from aiprod.errors import AiprodError
from aiprod.printable import counted
from aiprod.repo.dvc_lock import parse_lock
from aiprod.repo.git import git

_DATA_STAGES = frozenset({"scan", "ingest", "qc_measure", "qc_decide", "caption"})
"""Their outputs are the same bytes on every machine; those of the stages after them differ by processor."""


@dataclass(frozen=True)
class SummaryTable:
    """A heading, rows of as many cells each, and a sentence below."""

    title: str
    rows: Sequence[tuple[str, ...]] = field(default_factory=list)
    note: str = ""


def tables(root: Path) -> list[SummaryTable]:
    """The tables in the order in which they are read."""
    return [_stages(root), _quality(root), *_of_manifests(root), _against_the_lock(root)]


def _stages(root: Path) -> SummaryTable:
    """In the order of the pipeline. What did not run this time says so instead of a time."""
    began = float(_read(timing.folder() / "run.json").get("unix_time_s", 0))
    rows, total = [], 0.0
    for name in _names(root):
        took = _read(timing.folder() / f"{name}.json")
        if not took:
            continue
        ran = took.get("unix_time_s", 0) >= began
        did = _read(state().counters / f"{name}.json")
        count = f"{did['processed']} computed · {did['reused']} reused · {did['failed']} failed" if did and ran else ""
        if ran:
            total += took["seconds"]
        time = _duration(took["seconds"]) if ran else "-"
        rows.append((name, time, count if ran else f"nothing to do (took {_duration(took['seconds'])} when it ran)"))
    return SummaryTable("Time by stage", rows, f"{_duration(total)} in all" if rows else "")


def _names(root: Path) -> list[str]:
    path = root / "dvc.yaml"
    graph = read_yaml(path) if path.is_file() else {}
    return list(graph.get("stages", {})) if isinstance(graph, dict) else []


def _quality(root: Path) -> SummaryTable:
    """Each model beside what needs no model at all."""
    rows = [row for table in (learnt(root), _samples(root)) for row in table]
    if not rows:
        return SummaryTable("Quality against chance")
    head = ("", "measured", "without learning", "")
    better = sum(row[3] == "better" for row in rows)
    return SummaryTable("Quality against chance", [head, *rows], f"{better} of {len(rows)} are better than chance")


_LEARNT = (  # report, what it says, figure, what it is compared with, how both are written, whether more is better
    ("text_encoder", "captions: perplexity", "perplexity", "baseline_unigram_perplexity", "{:.1f}", False),
    ("video_vae", "pictures kept by the VAE: PSNR", "psnr_db", "baseline_psnr_db", "{:.1f} dB", True),
    ("audio_vae", "sound kept by the VAE: SNR", "snr_db", "baseline_snr_db", "{:.1f} dB", True),
    ("speech", "speech: phones heard as meant", "phone_accuracy", "phone_accuracy_chance", "{:.0%}", True),
    ("speech", "speech: the right speaker", "speaker_accuracy", "speaker_accuracy_chance", "{:.0%}", True),
    ("visemes", "visemes from the sound", "viseme_accuracy", "viseme_accuracy_chance", "{:.0%}", True),
    ("lips", "mouths drawn: aperture", "aperture_correlation", "aperture_correlation_mismatched", "r {:.2f}", True),
)


def learnt(root: Path) -> Iterator[tuple[str, str, str, str]]:
    """What each model does with data that it was not trained on, what no model would do, and which is better."""
    for report, label, name, baseline, written, more in _LEARNT:
        figures = _report(root, report)
        value, chance = figures.get(name), figures.get(baseline)
        if value is not None and chance is not None:
            better = value > chance if more else value < chance
            yield label, written.format(value), written.format(chance), _judged(better)
    heldout = _report(root, "diffusion").get("heldout", {})
    if heldout.get("trained") and heldout.get("untrained"):
        value, chance = heldout["trained"]["loss"], heldout["untrained"]["loss"]
        yield "diffusion: loss on held-out clips", f"{value:.2f}", f"{chance:.2f}", _judged(value < chance)


def followed(root: Path) -> dict[str, dict[str, Any]]:
    """How often samples show what their prompts ask for, and how often chance does, by attribute."""
    return dict(_report(root, "sample").get("adherence", {}))


def _samples(root: Path) -> Iterator[tuple[str, ...]]:
    for name, rate in followed(root).items():
        words = f"samples follow the prompt: {name.replace('_', ' ')} ({rate['n']})"
        yield words, f"{rate['rate']:.0%}", f"{rate['chance']:.0%}", _judged(rate["beats_chance"])


def _judged(better: bool) -> str:
    return "better" if better else "no better than chance"


def _of_manifests(root: Path) -> tuple[SummaryTable, SummaryTable]:
    """What the manifests say: films and clips, and what no program may decide, with the command for it.

    Kept from one run to the next, for reading manifests loads much and a run with nothing to do changes none.
    """
    from aiprod.base.files import digest_of
    from aiprod.base.state_cache import code_stamp, recall, remember, stamps

    folders = (root / "datasets/v1/ingest", root / "datasets/v1/qc/decide", root / "datasets/reviews")
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    files += [root / "models/diffusion/exposure.json", root / "models/diffusion/training/exposure.json"]
    decided_by = digest_of([stamps(files), code_stamp()])
    kept = recall("summary", decided_by)
    if kept is None:
        from aiprod.commands.manifest_counts import counts, human_tasks

        kept = {"counts": [], "left": []}
        try:
            kept["counts"] = counts(root)
            kept["left"] = human_tasks(root)
            remember("summary", decided_by, kept)
        except AiprodError as error:
            kept["left"] = [("rows cannot be read", error.what)]
    left = [tuple(row) for row in kept["left"]]
    if keys := _keys_without_backup():
        left.append((keys, "aiprod keys backup FILE"))
    return SummaryTable("Films and clips", [tuple(row) for row in kept["counts"]]), SummaryTable(
        "Left to a person", left
    )


def _keys_without_backup() -> str:
    from aiprod.storage.crypto.key_store import KeyStore

    key_status = KeyStore().status()
    current = [backup for backup in key_status.backups if backup["master"] == key_status.master]
    if not key_status.films or (current and max(backup["keys"] for backup in current) >= key_status.films):
        return ""
    return f"{counted(key_status.films, 'film')} with a key, and no backup of all keys"


def _against_the_lock(root: Path) -> SummaryTable:
    """Stages whose outputs are not those that the last commit recorded."""
    title = "Compared with the dvc.lock of the last commit"
    try:
        committed = git(root, "show", "HEAD:dvc.lock")
        if committed is None or not (root / "dvc.lock").is_file():
            return SummaryTable(title)
        present = (root / "dvc.lock").read_bytes()
        if present == committed:  # the usual case, and parsing the two is most of what this command takes
            return SummaryTable(title, note="no output differs")
        before, now = _outs(committed), _outs(present)
        settings_before, settings = _params(committed), _params(present)
    except AiprodError:
        return SummaryTable(title)
    differ = [name for name in now if before.get(name) not in (None, now[name])]
    data = [name for name in differ if name in _DATA_STAGES]
    trained = [name for name in differ if name not in _DATA_STAGES]
    rows = []
    if data:
        rows.append(("data differs", "other films, code or parameters than at that commit", ", ".join(data)))
    if trained:
        if any(settings.get(name) != settings_before.get(name) for name in now):
            why = "other parameters or code than at that commit, here or in a stage before"
        else:
            why = (
                "made from the data that differs"
                if data
                else "normal: sums differ in their last bits by processor and installed libraries"
            )
        rows.append(("results differ", why, ", ".join(trained)))
    record = "`git add dvc.lock datasets/v1/code.json metrics` and a commit record this run"
    return SummaryTable(title, rows, record if rows else "no output differs")


def _params(text: bytes) -> dict[str, Any]:
    """Parameters of each stage, the digest of its code among them."""
    return {name: stage.get("params") for name, stage in parse_lock(text).items()}


def _outs(text: bytes) -> dict[str, list[tuple[str, str]]]:
    stages = parse_lock(text)
    return {name: sorted((o["path"], str(o.get("md5"))) for o in s.get("outs", [])) for name, s in stages.items()}


def _report(root: Path, name: str) -> dict[str, Any]:
    return _read(root / "reports" / name / "metrics.json")


def _read(path: Path) -> dict[str, Any]:
    """A JSON object; an empty one where there is none."""
    try:
        return dict(read_json_mapping(path)) if path.is_file() else {}
    except AiprodError:
        return {}


def _duration(seconds: float) -> str:
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60:02d} s"
