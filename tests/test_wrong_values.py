"""Whatever is written for whichever parameter: a value that its stage can use, or one line that names the key."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aiprod.base.params import TopParams, check_top, load_value, validate
from aiprod.base.stage import run
from aiprod.base.yaml_file import read_yaml
from aiprod.commands.param_files import SECTIONS, VALUES, check_file, section_model, write_file
from aiprod.errors import AiprodError

ROOT = Path(__file__).resolve().parents[1]
FILES = [ROOT / "params.yaml", *sorted((ROOT / "params").glob("*.yaml"))]
ODD: list[Any] = [
    "abc",
    "",
    " ",
    "nan",
    None,
    math.nan,
    math.inf,
    -math.inf,
    -1,
    -1e300,
    10**30,
    10**4000,
    1e300,
    True,
    [],
    [None],
    {},
    {"a": 1},
    "x" * 100_000,
]


def _leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Every single value, with its way; a list of numbers or words counts as one, and its members too."""
    if isinstance(value, dict) and value:
        for name, part in value.items():
            yield from _leaves(part, (*path, name))
        return
    yield path, value
    if isinstance(value, list):
        for at, part in enumerate(value):
            yield from _leaves(part, (*path, at))


def _with(content: Any, path: tuple[Any, ...], value: Any) -> Any:
    changed = copy.copy(content)
    changed[path[0]] = value if len(path) == 1 else _with(content[path[0]], path[1:], value)
    return changed


def _complaint(section: str, content: Any) -> str | None:
    """What is said of a section, or None; anything but one line of ours fails the test."""
    try:
        if section in VALUES:
            validate(TopParams, {section: content}, "params.yaml")
        else:
            validate(section_model(section), content, f"params.yaml: {section}")
    except AiprodError as error:
        return str(error)
    return None


@pytest.mark.parametrize("file", FILES, ids=lambda p: p.stem)
def test_no_value_of_any_key_is_taken_by_mistake(file: Path) -> None:
    content = read_yaml(file)
    before = {} if file == FILES[0] else dict(_leaves(read_yaml(FILES[0])))
    tried, wrong = 0, []
    for section in content:
        for path, value in _leaves({section: content[section]}):
            if path in before and before[path] == value:
                continue  # tried with params.yaml, by the same models
            key = next(str(part) for part in reversed(path) if isinstance(part, str))
            number = isinstance(value, int | float) and not isinstance(value, bool)
            for odd in ODD:
                said = _complaint(section, _with(content, path, odd)[section])
                tried += 1
                where = f"{'.'.join(map(str, path))} = {odd!r:.40}: {said!s:.300}"
                if said is None:
                    minus = odd == -1 and not isinstance(odd, bool)
                    if (number and not minus) or (isinstance(value, bool) and not isinstance(odd, bool)):
                        wrong.append(where)
                elif key not in said or "\n" in said or " → " not in said or len(said) > 600 or "fix the v" in said:
                    wrong.append(where)
    assert not wrong, "\n".join(wrong)
    assert tried > (4000 if file == FILES[0] else 100)


def test_negative_numbers_pass_only_where_they_mean_something() -> None:
    """Logarithms and levels; nothing that counts, lasts or measures a size."""
    content = read_yaml(ROOT / "params.yaml")
    passed = {
        ".".join(map(str, path))
        for section in content
        for path, value in _leaves({section: content[section]})
        if isinstance(value, int | float)
        and not isinstance(value, bool)
        and _complaint(section, _with(content, path, -1)[section]) is None
    }
    sigma = {f"train_diffusion.task.sigma_{kind}.{name}" for kind in ("video", "audio") for name in ("mean", "shift")}
    assert passed == sigma | {"caption.seed", "qc_decide.sound.snr_poor_db", "qc_decide.sound.silent_below_lufs"}


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("lr",), "abc", "params.yaml: lr: .*'abc'.* → give a number, such as 0.001"),
        (("lr",), -1, "params.yaml: lr: .*got -1.* → give more than 0"),
        (("lr",), None, "params.yaml: lr: .*None"),
        (("lr",), math.nan, "params.yaml: lr: .*nan"),
        (("lr",), math.inf, "params.yaml: lr: .*inf"),
        (("engine",), "rey", "engine.* → did you mean 'ray'"),
        (("ingest", "normalise", "preset"), "fastest", r"ingest\.normalise\.preset.* → did you mean 'faster'"),
        (("train_diffusion", "optimizer", "name"), "muom", "→ did you mean 'muon'"),
        (("train_diffusion", "transformer", "preset"), "dmeo", r"transformer\.preset.* → did you mean 'demo'"),
        (("train_diffusion", "transformer", "changes", "pooled_txt"), True, "→ did you mean 'pooled_text'"),
        (("train_diffusion", "transformer", "changes", "video_heads"), 7, r"changes.*video_width 176 over 7 heads"),
        (("train_diffusion", "lora"), {"targets": "("}, r"lora\.targets.*not a regular expression"),
        (("train_text_encoder", "model", "width"), 130, r"model.*width is 130.* → give 128"),
        (("train_text_encoder", "model", "heads"), 5, r"heads is 5 → give 4 or 6"),
        (("train_video_vae", "data", "smaller"), [[50, 80]], r"smaller\[0\]: 50x80.* → give 48x80"),
        (("train_video_vae", "data", "frames"), 8, r"data\.frames is 8.* → give 9"),
        (("curriculum", "phases", "low", "width"), 40, r"phases\.low.*nearest: 48x32"),
        (("sample", "generation", "phase"), "hihg", "→ did you mean 'high'"),
        (("ingest", "workers"), True, r"ingest\.workers: is true and a number is needed"),
        (("ingest",), [], r"params.yaml: ingest: .* → give keys with values"),
        (("track", "alias"), "latest", r"track\.alias.*MLflow"),
        (("track", "pictures"), ["/x/*"], r"track\.pictures"),
    ],
)
def test_the_nearest_valid_value_is_named(tmp_path: Path, path: tuple[str, ...], value: Any, said: str) -> None:
    write_file(_with(read_yaml(ROOT / "params.yaml"), path, value), tmp_path / "params.yaml")
    with pytest.raises(AiprodError, match=said) as caught:
        check_file(tmp_path / "params.yaml")
    assert "\n" not in str(caught.value)


def test_a_number_of_thousands_of_digits_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(f"lr: {'9' * 5000}\n")
    with pytest.raises(AiprodError):
        check_file(tmp_path / "p.yaml")
    with pytest.raises(AiprodError, match="cannot be read"):
        check_file(tmp_path)


@pytest.mark.parametrize("text", ["abc", "", "-1", ".nan", ".inf", "[1]", "1e300", "true"])
def test_the_first_stage_to_start_says_so_of_the_rate(tmp_path: Path, monkeypatch, capsys, text: str) -> None:
    """As after `dvc exp run -S lr=…`, which checks nothing itself."""
    (tmp_path / "params.yaml").write_text(f"seed: 1\nlr: {text}\n")
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        run(lambda: pytest.fail("the stage began"))
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("error: params.yaml: lr: ") and said.count("\n") == 1
    with pytest.raises(AiprodError, match="lr"):
        load_value("lr")
    (tmp_path / "params.yaml").write_text("seed: 1\nlr: 1e-3\n")
    check_top()
    assert load_value("lr") == pytest.approx(1e-3)
    assert set(SECTIONS).isdisjoint(VALUES)
