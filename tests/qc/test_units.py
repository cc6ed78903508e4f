"""A changed check measures itself alone, a changed judge decodes nothing, and neither can be forgotten."""

from __future__ import annotations

import functools
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from aiprod.base.code_identity import CodeIdentity
from aiprod.executors.executor import Outcome
from aiprod.qc import units
from aiprod.qc.checks import MEASUREMENTS, RULES, black, borders, camera
from aiprod.qc.checks.discovery import measurements_of, rules_of
from aiprod.qc.checks.judging import Rule
from aiprod.qc.measure.cached_measurements import versions
from aiprod.qc.measure.measure_clip import figures_of, with_needs
from aiprod.qc.measure.stage import measure_all
from aiprod.qc.measurement import Measurement
from aiprod.qc.params import QcMeasureParams
from aiprod.qc.rows import MeasureRow
from aiprod.storage.clip_store import ClipStore
from aiprod.storage.result_cache import Memo
from tests.qc.test_stage import dataset

ROOT = Path(__file__).resolve().parents[2]
present_here = functools.cache(units.present)


def in_this_process(function: Callable[[Any], Any], items: Sequence[Any], **_: Any) -> Iterator[Outcome[Any]]:
    return (Outcome(n, value=function(item)) for n, item in enumerate(items))


@pytest.fixture
def measure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[list[MeasureRow], Counter[str]]]:
    """Measures two clips, and counts which measurements were begun for how many of them."""
    monkeypatch.setattr("aiprod.qc.measure.stage.ordered_map", in_this_process)
    begun: Counter[str] = Counter()
    for name, kind in MEASUREMENTS.items():

        def begin(
            params: Any, video: Any, name: str = name, begin: Callable[..., Measurement] = kind.begin
        ) -> Measurement:
            begun[name] += 1
            return begin(params, video)

        monkeypatch.setattr(kind, "begin", begin)

    def run(memo: str = "memo", thumbs: str = "thumbs") -> tuple[list[MeasureRow], Counter[str]]:
        begun.clear()
        rows, counters = measure_all(
            *dataset(tmp_path, 2),
            QcMeasureParams(workers=1),
            memo=Memo(tmp_path / memo, "shared"),
            store=ClipStore(tmp_path),
            thumbs=tmp_path / thumbs,
        )
        assert counters.processed + counters.reused == 2
        return rows, Counter(begun)

    return run


def test_a_raised_version_measures_that_check_alone_and_gives_the_row_of_a_full_measurement(
    measure: Callable[..., tuple[list[MeasureRow], Counter[str]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, begun = measure()
    assert begun == dict.fromkeys(MEASUREMENTS, 2)
    assert measure() == (first, Counter())

    old = black.Black.figures
    monkeypatch.setattr(black.Black, "version", "77")
    monkeypatch.setattr(black.Black, "figures", lambda self: {**old(self), "new": 1})
    second, begun = measure()
    assert begun == {"black": 2}
    assert second[0].measurements["black"] == {**first[0].measurements["black"], "new": 1, "version": "77"}
    before = (tmp_path / "thumbs" / "c0-000.jpg").read_bytes()
    whole, begun = measure("other", "thumbs2")
    assert whole == second and begun == dict.fromkeys(MEASUREMENTS, 2)
    assert before == (tmp_path / "thumbs2" / "c0-000.jpg").read_bytes()

    monkeypatch.setattr(borders.Borders, "version", "77")  # watermark and fingerprint read what it finds
    third, begun = measure()
    assert begun == dict.fromkeys(("borders", "camera", "watermark", "fingerprint"), 2)
    monkeypatch.setattr(borders.Borders, "version", borders.VERSION)
    assert measure() == (second, Counter())  # another branch's results are still there
    assert [r.measurements["borders"]["version"] for r in third] == ["77", "77"]
    assert whole == second


def test_a_new_check_measures_itself_alone_and_one_that_is_gone_leaves_the_row(
    measure: Callable[..., tuple[list[MeasureRow], Counter[str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, _ = measure("whole", "thumbs2")
    with monkeypatch.context() as patched:
        patched.delitem(MEASUREMENTS, "palette")
        less, _ = measure()
        assert "palette" not in less[0].measurements
    more, begun = measure()
    assert begun == {"palette": 2} and more == whole
    monkeypatch.delitem(MEASUREMENTS, "text")
    less, begun = measure()
    assert not begun and set(less[0].measurements) == set(MEASUREMENTS)


def test_a_lost_list_of_versions_costs_time_and_nothing_else(
    measure: Callable[..., tuple[list[MeasureRow], Counter[str]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = measure()
    (tmp_path / "memo" / "versions.json").write_text("[3, ")
    assert measure() == (first, Counter())
    monkeypatch.setattr(black.Black, "version", "77")
    (tmp_path / "memo" / "versions.json").unlink()
    _, begun = measure()
    assert begun == dict.fromkeys(MEASUREMENTS, 2)


def test_what_is_needed_is_measured_first() -> None:
    assert set(with_needs(["watermark"])) == {"watermark", "camera", "borders"}
    assert with_needs(None) == list(MEASUREMENTS)
    for name, kind in MEASUREMENTS.items():
        assert all(list(MEASUREMENTS).index(need) < list(MEASUREMENTS).index(name) for need in kind.needs)
    assert versions()["watermark"].startswith(f"{MEASUREMENTS['watermark'].version} camera=({camera.VERSION} borders=(")


def test_what_other_measurements_read_is_in_no_row() -> None:
    class Series(Measurement):
        name, version, method = "series", "1", "none"

        def figures(self) -> dict[str, Any]:
            return {"status": "ok", "_values": [1.0], "mean": 1.23456789}

    found = figures_of({"series": Series()}, None)  # type: ignore[arg-type]
    assert found == {"series": {"method": "none", "version": "1", "status": "ok", "mean": 1.23457}}


def test_checks_that_do_not_fit_together_are_refused() -> None:
    def module(name: str, needs: tuple[str, ...] = (), rules: Sequence[Rule] = ()) -> ModuleType:
        made = ModuleType(f"checks.{name}")
        made.Kind = type(  # type: ignore[attr-defined]
            "Kind", (Measurement,), {"name": name, "needs": needs, "__module__": made.__name__}
        )
        made.RULES = rules  # type: ignore[attr-defined]
        return made

    def rule(name: str, source: str) -> Rule:
        return Rule(name, source, {}, RULES["black"].judge)

    assert list(measurements_of([module("b", ("a",)), module("a")])) == ["a", "b"]
    for modules, words in (
        ([module("a"), module("a")], "two measurements are named 'a'"),
        ([module("a", ("b",))], "needs \\['b'\\]"),
        ([module("a", ("b",)), module("b", ("a",))], "need each other"),
    ):
        with pytest.raises(ValueError, match=words):
            measurements_of(modules)
    with pytest.raises(ValueError, match="same name"):
        rules_of([module("a", rules=[rule("x", "a"), rule("x", "a")])])
    with pytest.raises(ValueError, match="which no module measures"):
        rules_of([module("a", rules=[rule("x", "b")])])


def test_the_record_of_versions_is_up_to_date() -> None:
    now = units.present()
    assert not (found := units.problems(units.recorded(), now)), "\n".join(found)
    assert units.recorded() == now, "run `python -m aiprod.qc.units`"


@pytest.mark.parametrize(
    ("file", "old", "new", "concerned"),
    [
        ("black", "LEVEL = 0.10", "LEVEL = 0.11", {"black"}),
        (
            "black",
            'limit = measurements["black"], params.video.black_max_s',
            'limit = measurements["black"], 1.0',
            set(),
        ),  # the judge
        ("black", '"""Take one frame."""', '"""Take it."""  # why', set()),
        ("intervals", "last = float(np.median(steps))", "last = float(np.mean(steps))", {"black"}),  # a helper
        ("audio_events", "HOP_S = 0.01", "HOP_S = 0.02", {"events", "sync"}),
        ("audio_events", "def mono_of(samples", "def mono_of(more", {"defects", "events", "fingerprint", "voices"}),
        ("yunet", "_LEAST_PX = 32", "_LEAST_PX = 64", {"faces"}),
        ("blazeface", "SIDE_PX = 480", "SIDE_PX = 360", {"faces", "persons"}),  # in another room
        ("palette", "for hue in (0, *_TURNS)", "for hue in (1, *_TURNS)", {"palette"}),  # a loop of the module
        (
            "borders",
            'bars_of(figures, measurements["borders"])',
            'bars_of(measurements["borders"], figures)',
            set(),
        ),  # judges
    ],
)
def test_a_change_concerns_the_measurements_that_it_reaches(
    tmp_path: Path, file: str, old: str, new: str, concerned: set[str]
) -> None:
    folder = tmp_path / "checks"
    for room in ("checks", "bundled"):
        shutil.copytree(
            units.RECORD.parents[1] / room, tmp_path / room, ignore=shutil.ignore_patterns("__pycache__", "data")
        )
    path = next(tmp_path.glob(f"*/{file}.py"))
    assert path.read_text().count(old) == 1
    path.write_text(path.read_text().replace(old, new))
    before, now = present_here(), units.present(folder)
    assert set(units.unraised(before, now)) == concerned
    assert [line.partition(":")[0] for line in units.problems(before, now)] == sorted(concerned)
    assert not units.problems(before, now, same=concerned)
    raised = {name: {**entry, "version": "78"} for name, entry in now.items()}
    assert not units.problems(before, raised)


def test_the_command_writes_the_record_once_it_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(units, "RECORD", tmp_path / "units.json")
    assert units.main(["--check"]) == 1 and "python -m aiprod.qc.units" in capsys.readouterr().err
    assert units.main([]) == 0 and units.main(["--check"]) == 0
    changed = {
        name: {**entry, "tree": "0" if name == "black" else entry["tree"]} for name, entry in units.recorded().items()
    }
    units.write_json(units.RECORD, changed)
    assert units.main([]) == 1 and "raise it in aiprod/qc/checks/black.py" in capsys.readouterr().err
    assert units.recorded() == changed
    assert units.main(["--same-result", "black"]) == 0 and units.recorded() == units.present()


def test_stages_depend_on_checks_by_version_or_by_source(tmp_path: Path) -> None:
    for folder in ("src", "pipeline"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "constraints.txt", tmp_path)
    path = tmp_path / "src/aiprod/qc/checks/black.py"
    cache = tmp_path / "trees.json"
    here, text = CodeIdentity(ROOT, cache), path.read_text()

    before = {stage: here.digest(stage) for stage in here.stages()}

    def changed(old: str, new: str) -> set[str]:
        path.write_text(text.replace(old, new))
        code = CodeIdentity(tmp_path, cache)
        assert code.digest("qc_measure", units=False) == here.digest("qc_measure", units=False)
        return {stage for stage in before if code.digest(stage) != before[stage]}

    judging = {"qc_decide", "sample", "film", "dossier"}  # sample looks for copies by the fingerprints of duplicates
    assert changed("params.video.black_max_s\n", "params.video.black_max_s - 1\n") == judging
    # ingest takes fingerprints of denied films
    assert changed(f'VERSION = "{black.VERSION}"', 'VERSION = "77"') == {"ingest", "qc_measure", *judging}
    assert not any(name.startswith("aiprod.qc.params") for name in here.parts("qc_measure")), "limits measure nothing"
    assert {"torch", "transformers", "av"}.isdisjoint(here.parts("qc_decide"))
