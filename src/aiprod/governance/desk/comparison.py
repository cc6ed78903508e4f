"""Samples of two states side by side: the same prompts, the settings that differ, and both states' figures."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiprod.base.structured import read_json_mapping
from aiprod.errors import AiprodError
from aiprod.governance.dataset.records import SAMPLES
from aiprod.repo.revisions import commit_of, missing_outputs, workspace_at

_METRICS = "metrics"
_MOST = 500  # videos of a folder
_VIDEO = ".mp4"
# What a sample's JSON says beside how it was made.
_ABOUT_FILE = ("file", "view", "nearest", "prompt_from", "dataset_root")


@dataclass(frozen=True)
class Video:
    """One generated video.

    Attributes:
        path: the file to play, which may be an enlarged view.
        facts: how it was made, flattened: name → value.
    """

    name: str
    path: Path
    prompt: str
    facts: dict[str, str]


@dataclass(frozen=True)
class Side:
    """One of the two that are compared.

    Attributes:
        spec: how it was asked for: empty for the workspace, a folder, a revision or an experiment.
        title: what it is, in words.
        lacks: why there are no samples; empty where there are.
    """

    spec: str
    title: str
    videos: dict[str, Video]
    metrics: dict[str, str]
    lacks: str = ""


@dataclass(frozen=True)
class Pair:
    """A prompt with a video of either side.

    Attributes:
        differ: setting → its value on either side, where these are not the same.
    """

    prompt: str
    left: Video
    right: Video
    differ: list[tuple[str, str, str]]


@dataclass(frozen=True)
class Comparison:
    """Both sides.

    Attributes:
        metrics: name, either side's figure, and whether they differ.
    """

    left: Side
    right: Side
    pairs: list[Pair] = field(default_factory=list)
    only_left: list[Video] = field(default_factory=list)
    only_right: list[Video] = field(default_factory=list)
    metrics: list[tuple[str, str, str, bool]] = field(default_factory=list)


def side(root: Path, spec: str) -> Side:
    """Samples and figures of the workspace (an empty ``spec``), of a folder of samples in it, or of a revision.

    Raises:
        AiprodError: it is none of these.
    """
    if not spec:
        videos = _videos(root / SAMPLES)
        lacks = "" if videos else f"{SAMPLES} holds no sample here: run `dvc repro sample`"
        return Side(spec, "workspace", videos, figures(root / _METRICS), lacks)
    folder = Path(os.path.abspath(root / spec))
    if folder.is_dir() and (videos := _videos(folder)):
        inside = folder.is_relative_to(root) and not any(p.startswith(".") for p in folder.relative_to(root).parts)
        if not inside:
            raise AiprodError("that folder is outside of this workspace", "give a folder of samples in it")
        alone = folder / "metrics.json"
        return Side(spec, folder.relative_to(root).as_posix(), videos, _flat(alone) if alone.is_file() else {})
    try:
        commit = commit_of(root, spec)
    except AiprodError as error:
        raise AiprodError(f"{error.what}, and no folder of samples", error.hint) from None
    with workspace_at(root, commit, (SAMPLES,)) as there:
        videos = _videos(there / SAMPLES)
        lacks = ""
        if not videos:
            absent = SAMPLES in missing_outputs(there)
            fetch = "`dvc fetch --all-commits` brings what was pushed"
            lacks = f"DVC's cache here does not hold the samples of {spec}: {fetch}" if absent else f"{spec} has none"
        return Side(spec, f"{spec} ({commit[:9]})", videos, figures(there / _METRICS), lacks)


def compare(left: Side, right: Side) -> Comparison:
    """Videos of the same prompt beside each other, those of the same name and seed first."""
    free = dict(right.videos)
    pairs, single = [], []
    for video in left.videos.values():
        same = [other for other in free.values() if other.prompt == video.prompt]
        other = max(
            same, key=lambda o: (o.name == video.name, o.facts.get("seed") == video.facts.get("seed")), default=None
        )
        if other is None:
            single.append(video)
            continue
        del free[other.name]
        pairs.append(Pair(video.prompt, video, other, list(_differences(video.facts, other.facts))))
    names = list(dict.fromkeys([*left.metrics, *right.metrics]))
    rows = [(name, left.metrics.get(name, ""), right.metrics.get(name, "")) for name in names]
    return Comparison(left, right, pairs, single, list(free.values()), [(*row, row[1] != row[2]) for row in rows])


def figures(folder: Path) -> dict[str, str]:
    """The figures of every JSON file of a folder, each under the name of its file."""
    found: dict[str, str] = {}
    for path in sorted(folder.glob("*.json")) if folder.is_dir() else ():
        found |= {f"{path.stem} {name}": value for name, value in _flat(path).items()}
    return found


def _differences(left: Mapping[str, str], right: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    for name in dict.fromkeys([*left, *right]):
        if left.get(name) != right.get(name):
            yield name.replace("_", " "), left.get(name, "–"), right.get(name, "–")


def _videos(folder: Path) -> dict[str, Video]:
    """Videos with a JSON file that says what they were made from; a view of one is not one of its own."""
    found: dict[str, Video] = {}
    for path in sorted(folder.glob(f"*{_VIDEO}"))[: 2 * _MOST]:
        about = path.with_suffix(".json")
        if path.stem.endswith("_view") or not about.is_file() or len(found) == _MOST:
            continue
        facts = dict(read_json_mapping(about))
        if not isinstance(prompt := facts.pop("prompt", None), str):
            continue
        stated = (facts.get("view") or {}).get("file") if isinstance(facts.get("view"), dict) else None
        view = folder / Path(str(stated)).name if stated else path
        made = {name: value for name, value in facts.items() if name not in _ABOUT_FILE}
        shown = view if view.suffix == _VIDEO and view.is_file() else path
        found[path.name] = Video(path.name, shown.resolve(), prompt, dict(_leaves(made)))
    return found


def _flat(path: Path) -> dict[str, str]:
    return dict(_leaves(dict(read_json_mapping(path))))


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Every figure and word of a JSON value, under the names on the way to it."""
    if isinstance(value, Mapping):
        for key, below in value.items():
            yield from _leaves(below, f"{name} {key}".strip())
    elif isinstance(value, float):
        yield name, f"{value:.5g}"
    elif isinstance(value, bool | int | str):
        yield name, str(value)
