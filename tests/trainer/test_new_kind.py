"""The model of the tutorial "Add a kind of model": a strategy and nothing else gets what every kind has."""

from __future__ import annotations

import importlib.util
import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch

from aiprod.errors import AiprodError
from aiprod.models.checkpoint.folder import folder_digest
from aiprod.trainer.loop.context import TrainContext
from aiprod.trainer.training_set import LeftOut, Selection, TrainingClip
from aiprod.trainer.vae.data import DecodedClips
from tests.docs.tutorial_pages import steps
from tests.trainer.stopping import Stop, stop_at

pytestmark = pytest.mark.bitwise
PAGE = Path(__file__).resolve().parents[2] / "docs" / "tutorials" / "add_a_model.md"
CAPTIONS = ("a low hum", "a shrill whistle", "silence", "a low hum and a shrill whistle", "a low whistle")


def clip(number: int, split: str) -> TrainingClip:
    caption = CAPTIONS[number]
    return TrainingClip(f"c{number}", f"f{number}", "s", split, Path("none"), "", True, 12.0, 9, 16, 24, caption, None)


SELECTION = Selection([clip(n, "train") for n in range(4)], [clip(4, "heldout")], {"x": LeftOut("fx", "QC says no")})


@pytest.fixture(scope="module")
def kind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """The module that the tutorial writes, with sounds of hums and whistles in place of decoded films."""
    path = tmp_path_factory.mktemp("kind") / "loudness.py"
    path.write_text(next(step.text for step in steps(PAGE) if step.path.endswith("loudness.py")))
    spec = importlib.util.spec_from_file_location("tutorial_loudness", path)
    assert spec is not None and spec.loader is not None
    sys.modules[spec.name] = module = importlib.util.module_from_spec(spec)  # where pydantic looks types up
    spec.loader.exec_module(module)

    def load_sound(clips, data, hop, rate, *_):
        time = torch.arange(8 * hop) / rate
        tones = {"low": 200, "shrill": 5000}
        sounds = [
            sum((torch.sin(2 * math.pi * hz * time) for word, hz in tones.items() if word in c.caption), 0 * time)
            for c in clips
        ]
        return DecodedClips(list(clips), [sound.repeat(2, 1).half() / 4 for sound in sounds], {})

    module.load_sound = load_sound  # type: ignore[attr-defined]
    yield module
    del sys.modules[spec.name]


def train(kind: ModuleType, folder: Path, *, stop: int = -1, every_s: float = 1e6, lr_scale: float = 10.0) -> None:
    params = kind.TrainLoudnessParams.model_validate(
        {"width": 16, "trainer": {"steps": 40, "batch": 4, "lr_scale": lr_scale, "checkpoint_every_s": every_s}}
    )
    context = TrainContext(1e-3, 7, "x", lambda fingerprint: folder / "state", {"captions": "d"}, stop_at(stop))
    kind.train_loudness(params, SELECTION, context, models=folder / "m", reports=folder / "r")


@pytest.fixture(scope="module")
def whole(kind: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    train(kind, folder)
    return folder


def test_it_learns_and_counts_what_it_was_shown(whole: Path) -> None:
    rows = [line.split(",") for line in (whole / "r/curve.csv").read_text().splitlines()]
    assert rows[0][:2] == ["step", "loss"] and len(rows) == 41
    assert float(rows[-1][1]) < 0.5 * float(rows[1][1])
    ledger = json.loads((whole / "m/training/exposure.json").read_text())
    assert sum(clip["times"] for clip in ledger["clips"]) == 40 * 4
    assert {clip["clip_id"] for clip in ledger["clips"]} == {"c0", "c1", "c2", "c3"}, "nothing held out was shown"
    assert ledger["left_out"] == {"x": "QC says no"} and ledger["model_digest"] == folder_digest(whole / "m")
    assert "heldout/loss" in json.loads((whole / "r/metrics.json").read_text())


@pytest.mark.parametrize("stop", [0, 17, 39])
def test_killed_and_resumed_equals_never_killed(kind: ModuleType, whole: Path, tmp_path: Path, stop: int) -> None:
    with pytest.raises(Stop):
        train(kind, tmp_path, stop=stop, every_s=0.0)
    kept = [int(p.name[5:]) for p in (tmp_path / "state").glob("step_*")]
    assert max(kept, default=0) == stop, "saved after each step that was logged"
    torch.manual_seed(999)  # a new process has other random state
    train(kind, tmp_path, every_s=0.0)
    assert folder_digest(tmp_path / "m") == folder_digest(whole / "m")
    assert (tmp_path / "r/curve.csv").read_bytes() == (whole / "r/curve.csv").read_bytes()


def test_other_settings_are_not_continued(kind: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(Stop):
        train(kind, tmp_path, stop=3, every_s=0.0)
    with pytest.raises(AiprodError, match=r"params.trainer.lr_scale: 10.0 → 5.0"):
        train(kind, tmp_path, every_s=0.0, lr_scale=5.0)


def test_a_loss_that_is_no_number_names_the_setting_to_lower(
    kind: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = kind._error
    monkeypatch.setattr(kind, "_error", lambda *arguments: error(*arguments) * float("nan"))
    with pytest.raises(
        AiprodError, match=r"is nan at step 0 of phase 'loudness' → lower lr or train_loudness\.trainer"
    ):
        train(kind, tmp_path)
