"""Which clips are used and why not, logs by phase, thread choice, averages, mixed precision, the ledger."""

from __future__ import annotations

import contextlib
import time

import pytest
import torch
from torch import nn

from aiprod.captions.rows import CaptionRow
from aiprod.data.rows import ClipRow, FilmRow
from aiprod.errors import AiprodError
from aiprod.qc.rows import VerdictRow
from aiprod.trainer.loop.accelerator import SingleEngine
from aiprod.trainer.loop.checkpoints import settings_difference
from aiprod.trainer.loop.ema import Ema
from aiprod.trainer.loop.exposure import ExposureLedger
from aiprod.trainer.loop.phase_log import PhaseLog
from aiprod.trainer.loop.threads import choose_threads
from aiprod.trainer.training_set import TrainClipsParams, select_clips
from tests.rows import clip_row
from tests.trainer.small_cache import make_run, write_cache

pytestmark = pytest.mark.bitwise


def _film(number: int, right: str = "train", clips: int = 1, reasons: list[str] | None = None) -> FilmRow:
    return FilmRow(
        film_id=f"f{number}",
        source_id="s",
        key=f"{number}.mp4",
        status="ok" if clips else "refused",
        effective_right=right,
        n_clips=clips,
        reasons=reasons or [],
    )


def _clip(number: int, split: str = "train", status: str = "ok") -> ClipRow:
    return clip_row(
        f"c{number}-000",
        f"f{number}",
        source_id="s",
        end_s=2,
        frames=48,
        has_audio=True,
        status=status,
        split=split,
        processed_name=f"c{number}-000.mp4" if status == "ok" else None,
        processed_sha256="0" * 64,
        reasons=[] if status == "ok" else ["does not decode"],
    )


def _verdict(number: int, status: str = "APPROVED") -> VerdictRow:
    return VerdictRow(clip_id=f"c{number}-000", film_id=f"f{number}", status=status, score=80.0)


def _caption(number: int) -> CaptionRow:
    return CaptionRow(clip_id=f"c{number}-000", film_id=f"f{number}", status="ok", caption=f"film {number}")


def _select(params: TrainClipsParams | None = None, numbers=range(8)):
    films = [
        _film(0),
        _film(1),
        _film(2, right="deny"),
        _film(3),
        _film(4),
        _film(5),
        _film(6, clips=0, reasons=["no licence"]),
        _film(7, right="train_with_obligations"),
    ]
    clips = [_clip(0), _clip(1, split="heldout"), _clip(2), _clip(3), _clip(4), _clip(5, status="error"), _clip(7)]
    verdicts = [_verdict(0), _verdict(1), _verdict(2), _verdict(3, "REVIEW_NEEDED"), _verdict(5), _verdict(7)]
    wanted = set(numbers)
    return select_clips(
        films, [c for c in clips if int(c.film_id[1:]) in wanted], verdicts, [_caption(0)], params or TrainClipsParams()
    )


def test_every_clip_is_used_or_has_a_reason():
    selection = _select()
    assert [c.clip_id for c in selection.train] == ["c0-000", "c7-000"]
    assert [c.clip_id for c in selection.heldout] == ["c1-000"]
    assert {name: left.reason for name, left in selection.left_out.items()} == {
        "c2-000": "its rights do not permit training",
        "c3-000": "QC says REVIEW_NEEDED",
        "c4-000": "QC has not judged it",
        "c5-000": "ingest: does not decode",
        "f6": "ingest: no licence",
    }
    assert len(selection.ids) == 8
    assert selection.train[0].caption == "film 0"
    assert "QC says REVIEW_NEEDED" in selection.table()


def test_why_a_private_film_is_left_out_repeats_none_of_its_words():
    """The reasons go into ledgers beside the weights, which are not encrypted."""
    why = "personal_data_basis is 'consent' → deny: consent 2026-014 is withdrawn"
    private = {"film_id": "f0abcdefghijklmnop", "consent_ref": "2026-014"}
    film = _film(6, clips=0, reasons=[why]).model_copy(update=private)
    selection = select_clips([film, _film(0)], [_clip(0)], [_verdict(0)], [], TrainClipsParams())
    assert selection.left_out["f0abcdefghijklmnop"].reason == f"ingest: {why.replace('2026-014', 'sealed')}"


def test_more_verdicts_can_be_admitted():
    selection = _select(TrainClipsParams(admit=["APPROVED", "REVIEW_NEEDED"]))
    assert "c3-000" in [c.clip_id for c in selection.train]
    assert "c2-000" in selection.left_out  # no verdict opens a right


def test_nothing_left_counts_the_reasons():
    with pytest.raises(AiprodError, match=r"no clip is left.*rights do not permit"):
        _select(numbers=[2, 3])


def test_each_phase_logs_into_its_own_run():
    told: list[tuple[str, int]] = []
    marks: list[float] = []

    class Sink:
        def __init__(self, name: str) -> None:
            self.name = name

        def log(self, step, values):
            told.append((self.name, step))
            if self.name == "all":
                marks.append(values["phase"])

    @contextlib.contextmanager
    def phase(name):
        told.append((f"open {name}", -1))
        yield Sink(name)
        told.append((f"close {name}", -1))

    with PhaseLog(phase, Sink("all"), ["empty", "low", "high"]) as log:
        log("low", 0, {"loss": 1.0})
        log("high", 1, {"loss": 1.0})
    assert told == [
        ("open low", -1),
        ("low", 0),
        ("all", 0),
        ("close low", -1),
        ("open high", -1),
        ("high", 1),
        ("all", 1),
        ("close high", -1),
    ]
    assert marks == [2.0, 3.0], "also where training goes on in a later phase, the mark is that phase's"


def test_the_quicker_number_of_threads_is_taken(monkeypatch):
    before = torch.get_num_threads()
    cost = {1: 0.002, 2: 0.02, 4: 0.03}
    try:
        chosen = choose_threads(lambda: time.sleep(cost[torch.get_num_threads()]), most=4)
        assert chosen == torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_averages_follow_the_formula_and_come_off_again():
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    ema, expected = Ema(model, 0.9), 0.0
    for n in range(1, 30):
        nn.init.constant_(model.weight, float(n))
        ema.update(model)
        decay = min(0.9, (1 + n) / (10 + n))
        expected = decay * expected + (1 - decay) * n
    with ema.applied(model):
        assert float(model.weight.detach()) == pytest.approx(expected, rel=1e-5)
    assert float(model.weight.detach()) == 29.0


def test_bf16_and_accumulation_train(tmp_path):
    cache = write_cache(tmp_path / "latents")
    seldom = {"checkpoint_every_s": 1e6}
    plain = make_run(cache, tmp_path / "a", steps={"low": 3, "high": 1}, loop=seldom)
    plain.train()
    halves = make_run(cache, tmp_path / "b", steps={"low": 3, "high": 1}, loop={"accumulation": 2, **seldom})
    halves.train()
    assert [r["loss"] for r in halves.curve] == pytest.approx([r["loss"] for r in plain.curve], rel=1e-3)
    engine = SingleEngine("bf16", torch.device("cpu"))
    short = make_run(cache, tmp_path / "c", steps={"low": 3, "high": 1}, engine=engine, loop=seldom)
    short.train()
    assert [r["loss"] for r in short.curve] == pytest.approx([r["loss"] for r in plain.curve], rel=0.03)


def test_the_ledger_adds_up():
    ledger = ExposureLedger()
    ledger.add("low", ["a", "b", "a"])
    ledger.add("high", ["a"])
    again = ExposureLedger()
    again.load_state_dict(ledger.state_dict())
    clips = {c["clip_id"]: c for c in again.document("d", {"a": "fa"})["clips"]}
    assert clips["a"] == {"clip_id": "a", "film_id": "fa", "times": 3, "by_phase": {"high": 1, "low": 2}}
    assert clips["b"]["times"] == 1


def test_differences_of_settings_are_named():
    old, new = {"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 1, "c": 5}, "e": 4}
    assert settings_difference(old, new) == ["a.c: 2 → 5", "d: 3 → absent", "e: absent → 4"]


def test_fp16_leaves_out_steps_that_overflow_and_trains_on(tmp_path):
    cache = write_cache(tmp_path / "latents")
    steps = {"low": 6, "high": 1}
    plain = make_run(cache, tmp_path / "a", steps={"low": 1, "high": 1})  # its first step alone is compared
    plain.train()
    run = make_run(cache, tmp_path / "b", steps=steps, engine=SingleEngine("fp16", torch.device("cpu")))
    loss = run.strategy.loss

    def overflowing(*arguments, step, **rest):
        found = loss(*arguments, step=step, **rest)
        return type(found)(found.loss * 1e30, found.figures) if step == 1 else found

    run.strategy.loss = overflowing
    before = [p.detach().clone() for p in run.model.parameters()]
    run.train()
    assert [row.get("skipped", 0.0) for row in run.curve] == [0, 1, 0, 0, 0, 0, 0]
    assert "grad_norm" not in run.curve[1]
    assert run.curve[0]["loss"] == pytest.approx(plain.curve[0]["loss"], rel=0.02)
    assert any(not torch.equal(p, b) for p, b in zip(run.model.parameters(), before, strict=True))
    again = make_run(cache, tmp_path / "b", steps=steps, engine=SingleEngine("fp16", torch.device("cpu")))
    again.train()  # reads the state of the loss scaler back
    assert len(again.curve) == 7
