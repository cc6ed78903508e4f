"""Training of the networks of mouths: killed and continued to the bit, measured, and of drawn people alone."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from aiprod.errors import AiprodError
from aiprod.lips.measure_file import measure_lips
from aiprod.lips.mouth_model import load_mouth_model
from aiprod.lips.rows import FaceRow
from aiprod.lips.viseme_model import load_viseme_model
from aiprod.models.checkpoint.folder import folder_digest
from aiprod.qc.bundled import fitting
from aiprod.speech.features import BANDS, band_centres
from aiprod.speech.rows import SpeechRow
from aiprod.trainer.lips import scores
from aiprod.trainer.lips.train import TrainLipsParams, train_lips
from aiprod.trainer.loop.context import TrainContext
from aiprod.trainer.visemes.strategy import of_tract
from aiprod.trainer.visemes.train import TrainVisemesParams, train_visemes
from tests.lips.talking import short_faces, speech
from tests.trainer.stopping import Stop, stop_at

pytestmark = pytest.mark.bitwise


def context(folder: Path, stop: int) -> TrainContext:
    return TrainContext(1e-3, 7, "x", lambda fingerprint: folder / "state", {"data": "d"}, stop_at(stop))


def visemes(folder: Path, stop: int = -1, rows: list[SpeechRow] | None = None, **more: Any) -> dict[str, Any]:
    trainer = {"steps": 8, "batch": 4, "checkpoint_every_s": 0.0, **more.pop("trainer", {})}
    params = TrainVisemesParams.model_validate({"model": {"width": 16}, "trainer": trainer, **more})
    own, data = speech()
    return train_visemes(
        params,
        own if rows is None else rows,
        context(folder, stop),
        data=data,
        models=folder / "m",
        reports=folder / "r",
    )


def lips(folder: Path, stop: int = -1, rows: list[FaceRow] | None = None, **more: Any) -> dict[str, Any]:
    trainer = {"steps": 4, "batch": 2, "checkpoint_every_s": 0.0, **more.pop("trainer", {})}
    shape = {"size": 32, "width": 8}
    params = TrainLipsParams.model_validate({"model": shape, "trainer": trainer, "heldout_clips": 1, **more})
    own, data = short_faces()
    heard = folder / "heard"
    if not heard.is_dir():
        torch.manual_seed(0)
        from aiprod.lips.viseme_model import VisemeModel, VisemeModelConfig

        VisemeModel(VisemeModelConfig(width=8)).save(heard)
    return train_lips(
        params, own if rows is None else rows, context(folder, stop), data, heard, folder / "m", folder / "r"
    )


@pytest.mark.parametrize("length", [0.8, 0.95, 1.0, 1.1, 1.25])
def test_a_longer_vocal_tract_resonates_lower(length: float) -> None:
    centres = torch.from_numpy(band_centres()).float()
    mel = -(((centres - 1_500) / 400) ** 2)[:, None].expand(BANDS, 3)
    changed = of_tract(mel, length)
    assert changed.shape == mel.shape and torch.isfinite(changed).all()
    assert float(centres[changed[:, 0].argmax()]) == pytest.approx(1_500 / length, rel=0.06)
    if length == 1:
        assert torch.allclose(changed, mel, atol=1e-3)


def test_strange_sounds_are_of_other_sentences_and_bounded() -> None:
    row = short_faces()[0][0]
    texts = ["one", "two", "one", *(f"more {n}" for n in range(9))]
    rows = [row.model_copy(update={"clip_id": f"f{n}", "text": text}) for n, text in enumerate(texts)]
    for each in rows:
        chosen = scores.strangers(each, rows)
        assert len({other.clip_id for other in chosen}) == len(chosen) == 7
        assert all(other.text != each.text for other in chosen)
    assert [other.clip_id for other in scores.strangers(rows[0], rows)][:2] == ["f1", "f3"]
    assert scores.strangers(rows[0], [rows[0], rows[2]]) == []


def test_the_level_of_strange_sounds_is_that_of_all_pairs_with_its_interval() -> None:
    rng, row = np.random.default_rng(0), short_faces()[0][0]
    truths = {f"f{n}": rng.random(40) for n in range(4)}
    done = [
        scores.RedrawnClip(
            row.model_copy(update={"clip_id": name, "aperture": truth.tolist()}), [], [], [], truth,
            {other: drawn for other, drawn in truths.items() if other != name},
        )
        for name, truth in truths.items()
    ]  # fmt: skip
    figures = scores._mismatched(done, truths)
    pairs = [np.corrcoef(a, b)[0, 1] for (m, a), (n, b) in itertools.permutations(truths.items(), 2) if m != n]
    level, low, high = (figures[f"aperture_correlation_mismatched{end}"] or 0.0 for end in ("", "_low", "_high"))
    assert level == pytest.approx(np.mean(pairs)) == figures["aperture_correlation_between_truths"]
    assert min(pairs) < low < level < high < max(pairs)
    alone = [scores.RedrawnClip(row, [], [], [], truths["f0"], {})]
    assert set(scores._mismatched(alone, {row.clip_id: truths["f0"]}).values()) == {None}


KINDS = [
    pytest.param(visemes, load_viseme_model, 4, id="visemes"),
    pytest.param(lips, load_mouth_model, 2, id="lips"),
]


@pytest.mark.parametrize(("train", "load", "stop"), KINDS)
def test_killed_and_continued_it_ends_with_the_same_bytes(
    tmp_path: Path, train: Callable[..., dict[str, Any]], load: Callable[[Path], torch.nn.Module], stop: int
) -> None:
    metrics = train(tmp_path / "whole")
    with pytest.raises(Stop):
        train(tmp_path / "again", stop)
    assert list((tmp_path / "again/state").glob("step_*"))
    assert train(tmp_path / "again") == metrics
    files = {p.relative_to(tmp_path / "whole") for p in (tmp_path / "whole").rglob("*") if p.is_file()}
    assert {"r/page/index.html", "r/metrics.json", "r/curve.csv", "m/training/exposure.json"} <= {
        name.as_posix() for name in files
    }
    for name in files:
        if name.parts[0] != "state":
            assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    losses = [float(line.split(",")[1]) for line in (tmp_path / "whole/r/curve.csv").read_text().splitlines()[1:]]
    assert losses[-1] < losses[0]
    copied = train(tmp_path / "copied", init=str(tmp_path / "whole/m"), trainer={"steps": 0})
    assert copied["steps"] == 0
    before, after = (load(tmp_path / name / "m").state_dict() for name in ("whole", "copied"))
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert (
        folder_digest(tmp_path / "whole/m")
        == json.loads((tmp_path / "whole/m/training/exposure.json").read_text())["model_digest"]
    )


def test_figures_of_mouths_do_not_depend_on_whether_litert_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock is recorded with one set of packages, and outputs have to be equal with another."""

    def litert(_path: Path) -> None:
        raise AssertionError("LiteRT was asked")

    monkeypatch.setattr(fitting, "has_litert", lambda: True)
    monkeypatch.setattr(fitting, "LiteRTNetwork", litert)
    fitting.fastest.cache_clear()
    row, folder = short_faces()[0][0], short_faces()[1]
    assert measure_lips(folder / row.file_name)["frames_with_face"] == row.frames
    assert lips(tmp_path, trainer={"steps": 1})["aperture_correlation_bound"] > 0.8


def test_the_factor_by_which_mouths_are_opened_is_kept_with_the_weights(tmp_path: Path) -> None:
    metrics = lips(tmp_path, trainer={"steps": 1})
    model = load_mouth_model(tmp_path / "m")
    assert 1 <= metrics["opening"] <= 1.5 and model.opening == metrics["opening"]
    assert metrics["opening"] > 1  # one step does not teach to open mouths
    again = lips(tmp_path / "copied", init=str(tmp_path / "m"), trainer={"steps": 0})
    assert again["opening"] == metrics["opening"]


def test_what_a_person_spoke_or_shows_is_not_learnt(tmp_path: Path) -> None:
    rows = [row.model_copy(update={"synthetic": row.speaker != "alba"}) for row in speech()[0]]
    visemes(tmp_path / "v", rows=rows, trainer={"steps": 2})
    ledger = json.loads((tmp_path / "v/m/training/exposure.json").read_text())
    persons = {row.utterance_id for row in rows if not row.synthetic}
    assert persons and persons.isdisjoint(clip["clip_id"] for clip in ledger["clips"])
    assert {ledger["left_out"][name] for name in persons} == {"a person spoke it"}
    changes: list[dict[str, Any]] = [{}, {"synthetic": False}, {"fault": "hand"}, {}]
    seen = [row.model_copy(update=change) for row, change in zip(short_faces()[0], changes, strict=True)]
    lips(tmp_path / "l", rows=seen, trainer={"steps": 1})
    ledger = json.loads((tmp_path / "l/m/training/exposure.json").read_text())
    left = {row.clip_id: ledger["left_out"].get(row.clip_id) for row in seen}
    assert all(left[row.clip_id] == "a person is seen" for row in seen if not row.synthetic)
    assert all(str(left[row.clip_id]).endswith(row.fault) for row in seen if row.synthetic and row.fault != "none")


def test_nothing_to_learn_from_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(AiprodError, match=r"no utterance is left.*make_speech"):
        visemes(tmp_path, rows=[row for row in speech()[0] if row.split != "train"])
    with pytest.raises(AiprodError, match=r"no face is left.*make_faces"):
        lips(tmp_path, rows=[row for row in short_faces()[0] if row.split != "train"])
    for train in (visemes, lips):
        with pytest.raises(AiprodError, match=r"steps is 0"):
            train(tmp_path, trainer={"steps": 0})
    with pytest.raises(AiprodError):
        load_mouth_model(tmp_path / "none")
