"""A mix of tasks from one declaration: what is given is clean and not trained on, and a resumed mix goes on exactly."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from aiprod.base.params import validate
from aiprod.core.components.patchifier import AudioLatentPatchifier, VideoLatentPatchifier
from aiprod.core.types import VideoLatentShape
from aiprod.data.latents.conditions import Extent
from aiprod.data.latents.dataset import LatentItem
from aiprod.data.latents.tasks import TaskParams, tasks_of
from aiprod.errors import AiprodError
from aiprod.trainer.diffusion.flow import slot_generator
from aiprod.trainer.diffusion.params import TrainDiffusionParams
from aiprod.trainer.diffusion.task_feed import check_feed
from aiprod.trainer.diffusion.tasks import TaskTrainer
from aiprod.trainer.loop.samplers import Draw
from tests.trainer.small_cache import AUDIO, SELDOM, TEXT, VIDEO, losses_at, make_run

pytestmark = pytest.mark.bitwise

CPU = torch.device("cpu")
FRAMES, HEIGHT, WIDTH, HEARD = 5, 4, 6, 25
AREA = HEIGHT * WIDTH
PART = [0.5, 0.5]


def _conditions(*kinds: dict) -> dict:
    return {"conditions": list(kinds)}


FIRST, LAST, SMALL = {"kind": "first_frame"}, {"kind": "last_frame"}, {"kind": "reference", "small": True}
MODES = {
    "text_to_video": ({}, {}, [0] * 5, 0),
    "first_frame": (_conditions(FIRST), {}, [AREA, 0, 0, 0, 0], 0),
    "first_and_last_frame": (_conditions(FIRST, LAST), {}, [AREA, 0, 0, 0, AREA], 0),
    "keyframes": (_conditions({"kind": "keyframes", "count": 3}), {}, None, 0),
    "extension": (_conditions({"kind": "prefix", "seconds": [1.3, 1.3]}), {}, [AREA, AREA, 0, 0, 0], 0),
    "extension_backwards": (_conditions({"kind": "suffix", "seconds": [1.0, 1.0]}), {}, [0, 0, 0, 0, AREA], 0),
    "video_by_reference": (_conditions({"kind": "reference"}), {}, [0] * 5, 0),
    "audio_to_video": ({}, {"role": "given"}, [0] * 5, HEARD),
    "video_to_audio": ({"role": "given"}, {}, [AREA] * 5, 0),
    "text_to_audio": ({"role": "absent"}, {}, None, 0),
    "silent_video": ({}, {"role": "absent"}, [0] * 5, None),
    "audio_extension": ({"role": "absent"}, _conditions({"kind": "prefix", "seconds": [0.4, 0.4]}), None, 10),
    "audio_inpainting": ({"role": "given"}, _conditions({"kind": "mask", "share": [0.4, 0.4]}), [AREA] * 5, 15),
    "audio_by_reference": ({"role": "absent"}, _conditions(SMALL), None, 0),
    "both_by_reference": (
        _conditions({"kind": "reference", "small": True}),
        _conditions({"kind": "reference"}),
        [0] * 5,
        0,
    ),
    "video_inpainting": (_conditions({"kind": "mask", "share": PART}), {}, [AREA - 6] * 5, 0),
    "inpainting_of_boxes": (_conditions({"kind": "mask", "boxes": [[0, 0, 0.5, 0.3]]}), {}, [AREA - 6] * 5, 0),
    "outpainting": (_conditions({"kind": "crop", "share": PART}), {}, [6] * 5, 0),
}  # video, audio, tokens given of each latent frame, and of sound (None: not told, or absent)


def _task(name: str) -> TaskParams:
    return TaskParams.model_validate({"name": name, "video": MODES[name][0], "audio": MODES[name][1]})


def _item(audio: bool = True) -> LatentItem:
    g = torch.Generator().manual_seed(4)
    sound = torch.randn(3, HEARD, generator=g) if audio else None
    text = torch.randn(3, TEXT, generator=g), torch.ones(3, dtype=torch.bool)
    return LatentItem("c", torch.randn(4, FRAMES, HEIGHT, WIDTH, generator=g), sound, *text, 4.0)


@pytest.fixture
def run(cache, tmp_path):
    return make_run(cache, tmp_path / "ck", loop=SELDOM)


def _mixed(run, tasks: list[TaskParams]) -> TaskTrainer:
    plain = run.strategy
    return TaskTrainer(plain.dataset, plain.video, plain.audio, plain.params, plain.seed, tasks=tasks)


@pytest.mark.parametrize("name", MODES)
def test_what_is_given_is_clean_and_only_the_rest_is_trained(run, name):
    """Changing the noise of a given token changes nothing, and the loss is the mean over generated tokens alone."""
    run.strategy = _mixed(run, [_task(name)])
    batch = run.strategy.collate([_item(), _item()])
    streams = run.strategy.streams(batch, [_task(name)] * 2, [slot_generator("given", 0, i) for i in range(2)])
    for ends in (run.model.video_ends, run.model.audio_ends):
        for parameter in ends.leave.parameters():
            torch.nn.init.zeros_(parameter)  # velocity 0: the loss is the mean square of noise − clean
    seen = {}
    forward = run.model.forward

    def watched(video, audio, *rest):
        seen.update(video=video, audio=audio)
        return forward(video, audio, *rest)

    run.model.forward = watched
    losses = losses_at(run, batch, 0.7, _task(name))
    generators = [slot_generator(0, 0, i) for i in range(2)]
    for which, stream, loss, whole in zip(("video", "audio"), streams, losses, (FRAMES * AREA, HEARD), strict=True):
        if MODES[name][which == "audio"].get("role") == "absent":
            assert stream is None and loss is None and seen[which] is None
            continue
        given = (stream.free == 0) & stream.present
        assert stream.own == whole and bool(given[:, whole:].sum() == stream.present[:, whole:].sum())
        assert torch.equal(seen[which].latent[given], stream.clean[given])
        times = seen[which].timesteps.expand(stream.free.shape)
        assert (times[given] == 0).all() and torch.allclose(times[stream.counts], torch.tensor(0.7))
        for row in range(2):
            noise = torch.randn(whole, stream.clean.shape[2], generator=generators[row])
            free = stream.counts[row, :whole]
            wanted = (noise - stream.clean[row, :whole])[free].square().mean() if free.any() else 0.0
            assert float(loss[row].detach()) == pytest.approx(float(wanted), rel=1e-5)
    told, heard = MODES[name][2:]
    if told is not None:
        assert [int((f == 0).sum()) for f in streams[0].free[0, : FRAMES * AREA].split(AREA)] == told
    if name == "keyframes":
        counts = [int((f == 0).sum()) for f in streams[0].free[0].split(AREA)]
        assert set(counts) == {0, AREA} and 1 <= counts.count(AREA) <= 3
    if heard is not None:
        assert int((streams[1].free[0, :HEARD] == 0).sum()) == heard
    kinds = [[c["kind"] for c in MODES[name][n].get("conditions", [])] for n in range(2)]
    small = [any(c.get("small") for c in MODES[name][n].get("conditions", [])) for n in range(2)]
    for stream, names, fewer, whole, least in zip(
        streams, kinds, small, (FRAMES * AREA, HEARD), (FRAMES * AREA // 4, 13), strict=True
    ):
        if stream is not None:
            behind = stream.clean.shape[1] - stream.own
            assert behind == (0 if "reference" not in names else least if fewer else whole)


def test_a_smaller_reference_stands_where_its_blocks_stand(run):
    """Each token of it lies in the middle of the tokens that it stands for, and is their mean."""
    task = _task("both_by_reference")
    strategy = _mixed(run, [task])
    video = strategy.streams(strategy.collate([_item()]), [task], [slot_generator("given", 0, 0)])[0]
    own, behind = (video.positions[0, : video.own], video.positions[0, video.own :])
    blocks = own.reshape(FRAMES, HEIGHT // 2, 2, WIDTH // 2, 2, 3).mean(dim=(2, 4)).reshape(-1, 3)
    assert torch.allclose(behind, blocks)
    means = video.clean[0, : video.own].reshape(FRAMES, HEIGHT // 2, 2, WIDTH // 2, 2, -1).mean(dim=(2, 4))
    assert torch.allclose(video.clean[0, video.own :], means.flatten(0, 2), atol=1e-6)


MIX = [
    {"name": "plain", "weight": 2.0, "video": {"conditions": [{**FIRST, "probability": 0.3}]}},
    {"name": "foley", "video": {"role": "given"}},
    {"name": "film_for_sound", "audio": {"role": "given"}, "video": {"conditions": [{"kind": "mask"}]}},
    {"name": "follow", "video": {"conditions": [{"kind": "reference", "probability": 0.6}, {"kind": "crop"}]}},
    {"name": "tone", "video": {"role": "absent"}, "audio": {"conditions": [{"kind": "suffix", "seconds": [0.1, 0.4]}]}},
]


def _mix() -> list[TaskParams]:
    return [TaskParams.model_validate(task) for task in MIX]


def _mixed_run(cache: Path, checkpoints: Path):
    run = make_run(cache, checkpoints, steps={"low": 3, "high": 2})
    run.strategy = _mixed(run, _mix())
    return run


def test_a_mix_killed_at_any_step_goes_on_bit_for_bit(cache, tmp_path):
    class Killed(Exception):
        pass

    whole = _mixed_run(cache, tmp_path / "whole")
    whole.train()
    for step in (1, 3):
        run = _mixed_run(cache, tmp_path / f"killed{step}")

        def stop(phase, at, figures, until=step):
            if at == until and "loss" in figures:
                raise Killed

        run.log = stop
        with pytest.raises(Killed):
            run.train()
        torch.manual_seed(999)
        again = _mixed_run(cache, tmp_path / f"killed{step}")
        again.train()
        assert again.curve == whole.curve and again.heldout == whole.heldout
        ends = zip(again.model.parameters(), whole.model.parameters(), strict=True)
        assert all(torch.equal(a, b) for a, b in ends)
    assert {f"heldout/task_{task.name}" for task in _mix()} <= set(whole.heldout[-1])


def test_tasks_are_drawn_by_their_weights_and_by_place_alone(run):
    """Of what a clip can feed, whoever stands beside it; two ranks draw what one draws."""
    strategy = _mixed(run, _mix())
    sounding, silent = strategy.collate([_item(), _item(audio=False)]).clips
    drawn = [strategy.draw_task(sounding, slot_generator("x", step, 0)).name for step in range(600)]
    share = {name: drawn.count(name) / len(drawn) for name in set(drawn)}
    assert share["plain"] == pytest.approx(2 / 6, abs=0.06) and len(share) == 5
    mute = {strategy.draw_task(silent, slot_generator("x", step, 0)).name for step in range(100)}
    assert mute == {"plain", "follow"}, "what a silent clip can feed"
    items = [_item() for _ in range(4)]
    whole = strategy.loss(run.model, strategy.collate(items), step=3, slots=range(4), device=CPU)
    halves = [
        strategy.loss(run.model, strategy.collate(items[s]), step=3, slots=range(4)[s], device=CPU)
        for s in (slice(0, 2), slice(2, 4))
    ]
    assert whole.loss.isfinite() and all(half.loss.isfinite() for half in halves)
    assert halves[0].loss.item() != halves[1].loss.item()


def test_the_presets_are_tasks(cache, tmp_path):
    """A declaration that says what a preset says trains the same weights, bit for bit."""
    ends = []
    for tasks in (
        None,
        [TaskParams.model_validate({"name": "own", "video": _conditions({**FIRST, "probability": 0.2})})],
    ):
        run = make_run(cache, tmp_path / str(len(ends)), steps={"low": 2, "high": 1})
        run.strategy = run.strategy if tasks is None else _mixed(run, tasks)
        run.train()
        ends.append([p.clone() for p in run.model.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*ends, strict=True))
    old = {"strategy": "video_to_video", "reference": {"block": 3, "dropout": 0.25}, "task": {"first_frame": 0.1}}
    [task] = tasks_of(old)
    assert [(c.kind, c.probability) for c in task.video.conditions] == [("first_frame", 0.1), ("reference", 0.75)]
    assert TrainDiffusionParams.model_validate(old).declared() == [task]


def test_a_mix_that_a_bucket_cannot_feed_is_an_error_with_the_table(run, capsys):
    foley = TaskParams.model_validate({"name": "foley", "video": {"role": "given"}})
    with pytest.raises(AiprodError, match=r"16x24x5 silent of phase low feeds none of the tasks: foley: nothing that"):
        check_feed(_mixed(run, [foley]), ["low", "high"])
    table = capsys.readouterr().err
    assert "16x24x5 silent" in table and "nothing that it generates" in table and "fed" in table
    long = TaskParams.model_validate({"name": "long", "video": _conditions({"kind": "prefix", "seconds": [1.0, 9.0]})})
    with pytest.raises(AiprodError, match=r"no bucket feeds the task 'long': video: prefix may give 2 of 2"):
        check_feed(_mixed(run, [*_mix(), long]), ["low"])
    check_feed(_mixed(run, _mix()), ["low", "high"])
    assert "tone" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ({"video": {"role": "given"}, "audio": {"role": "absent"}}, "'t' generates nothing → set the role"),
        ({"video": {"role": "given", "conditions": [FIRST]}}, "what is given has the condition first_frame"),
        ({"audio": {"conditions": [FIRST]}}, "audio has no first_frame → it takes prefix"),
        ({"video": {"conditions": [FIRST, FIRST]}}, "first_frame is given twice"),
        ({"video": {"conditions": [{"kind": "mask"}, {"kind": "crop"}]}}, "mask and crop are both set"),
        ({"video": {"conditions": [{**FIRST, "count": 2}]}}, "first_frame takes no 'count' → it takes probability"),
        ({"video": {"conditions": [{"kind": "mask", "boxes": [[0.5, 0, 0.2, 1]]}]}}, "a box of boxes is empty"),
        ({"video": {"conditions": [{"kind": "prefix", "seconds": [2, 1]}]}}, "seconds 2 to 1 is not a range"),
        ({"audio": {"conditions": [{"kind": "mask"}, {"kind": "prefix"}]}}, "may leave nothing to make"),
        ({"audio": {"conditions": [{"kind": "mask", "boxes": [[0, 0, 1, 1]]}]}}, "boxes and every are of video"),
        ({"video": {"conditions": [{"kind": "firstframe"}]}}, "first_frame"),
        ({"video": {"role": "made"}}, "generated"),
    ],
)
def test_bad_combinations_are_refused_by_name(task, said):
    with pytest.raises(AiprodError) as refused:
        validate(TrainDiffusionParams, {"task": {"tasks": [{"name": "t", **task}]}}, "train_diffusion")
    assert said in str(refused.value) and "task.tasks" in str(refused.value)


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"task": {"tasks": [{"name": "a"}, {"name": "a"}]}}, "two tasks are called 'a'"),
        ({"task": {"tasks": [{"name": "a"}], "first_frame": 0.1}}, "first_frame is 0.1 beside tasks"),
        ({"task": {"tasks": [{"name": "a"}]}, "strategy": "video_to_video"}, "strategy is video_to_video beside"),
        (
            {"task": {"tasks": [{"name": "a", "audio": {"role": "given"}}]}, "transformer": {"sound": False}},
            "task 'a' needs sound and transformer.sound is false",
        ),
        (
            {
                "task": {"tasks": [{"name": "a", "video": _conditions(LAST)}]},
                "transformer": {"video_patch": [2, 1, 1]},
            },
            "task 'a' has last_frame and a token of transformer.video_patch spans 2",
        ),
    ],
)
def test_mixes_that_do_not_fit_the_rest_are_refused_by_name(params, said):
    with pytest.raises(AiprodError) as refused:
        validate(TrainDiffusionParams, params, "train_diffusion")
    assert said in str(refused.value)


def test_when_a_token_frame_is_over():
    """Ends follow from what a latent frame stands for: one picture, then four each."""
    shape = VideoLatentShape(1, 4, 4, 2, 3)
    extent = Extent.of_video(VideoLatentPatchifier(VIDEO), shape, 4.0)
    assert extent.ends_s == (0.25, 1.25, 2.25, 3.25) and [extent.within(s) for s in (0.2, 0.25, 2.3, 9)] == [0, 1, 3, 4]
    assert Extent.of_video(VideoLatentPatchifier(VIDEO, (2, 1, 1)), shape, 4.0).ends_s == (1.25, 3.25)
    assert Extent.of_audio(AudioLatentPatchifier(AUDIO), 2).ends_s == (0.04, 0.08)


@pytest.mark.parametrize("patch", [(1, 1, 1), (1, 2, 3), (2, 2, 1)])
def test_a_token_is_given_only_if_all_its_pixels_are(patch):
    """Against a token-by-token count of the pixels that each stands for."""
    patches = VideoLatentPatchifier(VIDEO, patch)
    shape = VideoLatentShape(1, 4, 4, 4, 6)
    kept = torch.rand(13, 32, 48, generator=torch.Generator().manual_seed(1)) > 0.0005
    free = patches.free(kept).reshape(patches.grid(shape))
    pt, ph, pw = patch
    for t in range(free.shape[0]):
        first = max(0, (t * pt - 1) * 4 + 1)
        frames = slice(first, ((t + 1) * pt - 1) * 4 + 1)
        for y in range(free.shape[1]):
            for x in range(free.shape[2]):
                rows, columns = slice(y * ph * 8, (y + 1) * ph * 8), slice(x * pw * 8, (x + 1) * pw * 8)
                assert bool(free[t, y, x] == 0) == bool(kept[frames, rows, columns].all())
    heard = torch.ones(2 * 1920 + 7, dtype=torch.bool)
    heard[1920] = False
    assert AudioLatentPatchifier(AUDIO).free(heard).tolist() == [[0.0, 1.0, 0.0]]


def test_a_clip_that_feeds_nothing_is_one_line(run):
    strategy = _mixed(run, [TaskParams.model_validate({"name": "foley", "video": {"role": "given"}})])
    batch = strategy.collate([_item(audio=False)])
    with pytest.raises(AiprodError, match="clip c feeds none of the tasks: foley: nothing that it generates"):
        strategy.loss(run.model, batch, step=0, slots=[0], device=CPU)
    ids = [row.clip_id for row in strategy.dataset.usable("low", "train")]
    assert len(strategy.load("low", Draw(None, ids), [0, 1]).clips) == 2
