"""Unsafe content: a classifier in the real on-disk format, what policy makes of its answer, and of there being none."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aiprod.data.rows import FilmRow
from aiprod.errors import AiprodError
from aiprod.qc.decide.decide import decide, verdicts
from aiprod.qc.measure.measure_clip import measure_file
from aiprod.qc.params import NsfwParams, NsfwPolicy, QcDecideParams, QcMeasureParams
from aiprod.qc.rows import MeasureRow
from tests.qc.films import write
from tests.qc.test_scoring import GOOD
from tests.rows import clip_row


def save(folder: Path, labels: list[str], several: bool = False) -> Path:
    """A ResNet of a few weights, saved by transformers itself: the redder the picture, the more of the last label."""
    import torch
    from transformers import ResNetConfig, ResNetForImageClassification, ViTImageProcessor

    model = ResNetForImageClassification(
        ResNetConfig(
            embedding_size=4,
            hidden_sizes=[4],
            depths=[1],
            layer_type="basic",
            id2label=dict(enumerate(labels)),
            label2id={label: n for n, label in enumerate(labels)},
            problem_type="multi_label_classification" if several else "single_label_classification",
        )
    )
    with torch.no_grad():
        for weights in model.parameters():
            if weights.ndim == 4:
                weights.fill_(1 / weights[0].numel())
        model.resnet.embedder.embedder.convolution.weight[:] = torch.tensor([1.0, -0.5, -0.5])[:, None, None] / 49
        model.classifier[1].weight.zero_()
        model.classifier[1].weight[-1] = 20.0
        model.classifier[1].bias.zero_()
        model.classifier[1].bias[-1] = -5.0
    model.save_pretrained(folder)
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tells `normal` from `NSFW`."""
    return save(tmp_path_factory.mktemp("classifier"), ["normal", "NSFW"])


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A red film, a blue one, and one that is red for its last quarter only."""
    folder = tmp_path_factory.mktemp("films")
    red, blue = (np.full((96, 128, 3), colour, np.uint8) for colour in ((220, 20, 20), (20, 20, 220)))
    return {
        "red": write(folder / "red.mp4", [red] * 24),
        "blue": write(folder / "blue.mp4", [blue] * 24),
        "late": write(folder / "late.mp4", [blue] * 18 + [red] * 6),
    }


def measured(film: Path, checkpoint: Path | str) -> dict[str, Any]:
    params = QcMeasureParams(nsfw=NsfwParams(checkpoint=str(checkpoint)))
    return measure_file(film, params)[0]["nsfw"]


def judged(figures: dict[str, Any], **policy: Any) -> Any:
    """The verdict on a clip that is good in all else."""
    row = MeasureRow(clip_id="c", film_id="f", status="ok", measurements={**GOOD, "nsfw": figures})
    return decide(row, QcDecideParams.model_validate(policy))


def test_one_unsafe_still_asks_for_a_review_and_a_limit_may_reject(checkpoint: Path, films: dict[str, Path]) -> None:
    found = {name: measured(path, checkpoint) for name, path in films.items()}
    assert {name: judged(figures).status for name, figures in found.items()} == {
        "red": "REVIEW_NEEDED",
        "blue": "APPROVED",
        "late": "REVIEW_NEEDED",
    }
    assert any(reason.startswith("nsfw: unsafe content") for reason in judged(found["late"]).reasons)
    assert judged(found["red"], hard_limits=["nsfw"]).status == "REJECTED"
    assert judged(found["red"], nsfw={"probability_max": 1.0}).status == "APPROVED"
    assert [len(found["red"]["probabilities"]), *map(len, found["red"]["probabilities"])] == [6] + [2] * 6
    [answer] = [check for check in judged(found["blue"]).checks if check.check == "nsfw"]
    assert (answer.status, answer.score) == ("ok", 1.0)
    assert str(checkpoint) not in answer.model_dump_json()
    assert found["red"] == measured(films["red"], checkpoint)


def test_pictures_that_a_classifier_cannot_take_are_one_line(
    checkpoint: Path, films: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from aiprod.qc.image_classifier import Classifier, load_classifier

    loaded = load_classifier(NsfwParams(checkpoint=str(checkpoint)))

    def refuse(**_: object) -> None:
        raise ValueError("absolute aspect ratio must be smaller than 200\nat line 3")

    odd = Classifier(loaded.labels, loaded.several, loaded.kind, loaded.version, refuse, loaded.model)
    monkeypatch.setattr("aiprod.qc.measure.measure_clip.load_classifier", lambda _: odd)
    with pytest.raises(AiprodError, match=r"unsafe content failed on it \(ValueError: absolute") as caught:
        measured(films["red"], checkpoint)
    assert "\n" not in str(caught.value)


def test_labels_that_exclude_each_other_add_up_and_others_do_not() -> None:
    policy = {"labels": ["porn", "hentai"], "probability_max": 0.5}
    figures = {"status": "ok", "labels": ["drawing", "Hentai", "porn"], "probabilities": [[0.4, 0.3, 0.3]]}
    assert judged({**figures, "several": False}, nsfw=policy).status == "REVIEW_NEEDED"
    assert judged({**figures, "several": True}, nsfw=policy).status == "APPROVED"


def test_a_classifier_that_knows_none_of_the_labels_is_an_error_not_a_pass(
    checkpoint: Path, films: dict[str, Path]
) -> None:
    verdict = judged(measured(films["blue"], checkpoint), nsfw={"labels": ["violence"]})
    assert verdict.status == "REVIEW_NEEDED"
    assert "tells apart normal, NSFW" in " ".join(verdict.reasons)
    [answer] = [check for check in verdict.checks if check.check == "nsfw"]
    assert (answer.status, answer.score) == ("error", None)


def by_source(figures: dict[str, Any], source: str, policy: NsfwPolicy) -> Any:
    film = FilmRow(film_id="f", source_id=source, key="f.mp4", status="ok")
    clip = clip_row("c", "f", source_id=source, end_s=10, frames=240, width=1920, height=1080, has_audio=True)
    row = MeasureRow(clip_id="c", film_id="f", status="ok", measurements={**GOOD, "nsfw": figures})
    [verdict] = verdicts([film], [clip], [row], QcDecideParams(nsfw=policy))
    return verdict


def test_what_nothing_judged_passes_only_where_the_source_may() -> None:
    """The demo is drawn by this program; of any other film somebody, or something, has to have looked."""
    none = {"status": "not_evaluated", "reason": "no classifier for unsafe content is configured"}
    assert by_source(none, "demo", NsfwPolicy()).status == "APPROVED"
    for source in ("inbox", "open-film", "never-heard-of"):
        verdict = by_source(none, source, NsfwPolicy())
        assert verdict.status == "REVIEW_NEEDED"
        assert verdict.reasons[-1].startswith("nsfw: nothing judged it") and source in verdict.reasons[-1]
    assert by_source(none, "inbox", NsfwPolicy(unevaluated_sources=["demo", "inbox"])).status == "APPROVED"
    safe = {"status": "ok", "labels": ["sfw", "nsfw"], "several": False, "probabilities": [[0.9, 0.1]]}
    assert by_source(safe, "inbox", NsfwPolicy()).status == "APPROVED"


def test_a_classifier_is_its_bytes_or_its_commit(tmp_path: Path) -> None:
    folder = save(tmp_path / "a", ["sfw", "nsfw"])

    def digest(**named: str) -> str:
        return QcMeasureParams(nsfw=NsfwParams(**named)).work_digest()

    first = digest(checkpoint=str(folder))
    assert first != QcMeasureParams().work_digest()
    (tmp_path / "b").mkdir()
    for path in folder.iterdir():
        (tmp_path / "b" / path.name).write_bytes(path.read_bytes())
    assert digest(checkpoint=str(tmp_path / "b")) == first  # the same bytes at another place
    (folder / "config.json").write_text((folder / "config.json").read_text().replace("nsfw", "porn"))
    assert digest(checkpoint=str(folder)) != first
    with pytest.raises(AiprodError, match=r"no revision → .*qc_measure\.nsfw\.revision"):
        digest(checkpoint="someone/detector")
    with pytest.raises(AiprodError, match="'main' can change"):
        digest(checkpoint="someone/detector", revision="main")
    assert digest(checkpoint="someone/detector", revision="a" * 40) != digest(
        checkpoint="someone/other", revision="a" * 40
    )


def test_what_is_no_classifier_of_content_is_one_line(tmp_path: Path, films: dict[str, Path]) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(AiprodError, match="does not load as an image classifier") as caught:
        measured(films["blue"], tmp_path / "empty")
    assert "\n" not in str(caught.value)
    with pytest.raises(AiprodError, match="1000 labels"):
        measured(films["blue"], save(tmp_path / "things", [f"thing {n}" for n in range(1000)]))


def test_without_a_classifier_none_is_loaded(films: dict[str, Path]) -> None:
    code = (
        "import json, sys; from pathlib import Path; from aiprod.qc.measure.measure_clip import measure_file;"
        "from aiprod.qc.params import QcMeasureParams;"
        "found = measure_file(Path(sys.argv[1]), QcMeasureParams())[0]['nsfw'];"
        "print(json.dumps([found, sorted({'torch', 'transformers'} & set(sys.modules))]))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(films["red"])], capture_output=True, text=True, check=True)
    found, loaded = json.loads(done.stdout.splitlines()[-1])
    assert (found["status"], loaded) == ("not_evaluated", [])
