"""Parameters: a typo names the nearest key, and what `dvc exp run -S` writes is read as it was meant."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import Field

from aiprod.base.params import Params, load_params, load_value
from aiprod.errors import AiprodError


class Phase(Params):
    """One phase."""

    height: int = Field(ge=8)
    lr_scale: float = 1.0


class Section(Params):
    """A section with a mapping of models, as curricula are written."""

    steps: int = Field(gt=0)
    lr: float = 1e-3
    phases: dict[str, Phase] = {}


def _file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    return path


def test_exponents_without_a_point_are_numbers(tmp_path: Path) -> None:
    path = _file(tmp_path, "lr: 1e-05\ntrain: {steps: 3, lr: 1e-05}\n")
    assert load_value("lr", path) == pytest.approx(1e-5)
    assert load_params(Section, "train", path).lr == pytest.approx(1e-5)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("train: {stepz: 3, steps: 1}", "did you mean 'steps'"),
        ("train: {stepz: 3}", "did you mean 'steps'"),  # and not: steps is missing
        ("train: {steps: 0, phases: {low: {hieght: 8}}}", "did you mean 'height'"),
        ("train: {steps: 1, phases: {low: {hieght: 8, height: 8}}}", "did you mean 'height'"),
        ("train: {steps: 0}", "greater than 0"),
        ("train: {steps: many}", "got 'many'"),
        ("train: {}", "steps: Field required"),
        ("trian: {steps: 1}", "did you mean 'trian'"),
        ("train: {steps: [}", "not valid YAML"),
        ("- 1", "no section"),
    ],
)
def test_each_mistake_is_one_line_that_says_where(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(AiprodError) as caught:
        load_params(Section, "train", _file(tmp_path, text))
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_file_and_key(tmp_path: Path) -> None:
    with pytest.raises(AiprodError, match="does not exist"):
        load_params(Section, "train", tmp_path / "none.yaml")
    with pytest.raises(AiprodError, match="did you mean 'lr'"):
        load_value("rl", _file(tmp_path, "lr: 1\n"))


def test_digest_depends_on_values_alone(tmp_path: Path) -> None:
    one = load_params(Section, "train", _file(tmp_path, "train: {steps: 3, lr: 0.001}"))
    same = load_params(Section, "train", _file(tmp_path, "train:\n  lr: 1e-3\n  steps: 3\n"))
    other = load_params(Section, "train", _file(tmp_path, "train: {steps: 4}"))
    assert one.digest() == same.digest() != other.digest()
