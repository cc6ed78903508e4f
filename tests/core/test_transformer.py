"""What a user of the transformer relies on: absent streams, batch-mates, masks, perturbations, compile, costs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from aiprod.core.perturbations import Perturbation, PerturbationSet, PerturbationType
from aiprod.core.transformer.config import AVTransformerConfig
from aiprod.core.transformer.costs import Workload, count_flops, count_parameters
from aiprod.core.transformer.fourier_features import PlaceFeatures
from aiprod.core.transformer.modality import ModalityInput
from aiprod.core.transformer.model import AVTransformer
from aiprod.errors import CoreError

pytestmark = pytest.mark.bitwise

CONFIG = AVTransformerConfig(
    video_channels=6,
    audio_channels=5,
    text_dim=7,
    video_width=32,
    audio_width=24,
    cross_width=16,
    video_heads=2,
    audio_heads=2,
    cross_heads=2,
    depth=3,
)

WITH_SKIP = CONFIG.model_copy(update={"input_skip": True, "pooled_text": True})
WITH_PLACES = CONFIG.model_copy(update={"place_features": True, "cross_gates": True})


def model(config: AVTransformerConfig = CONFIG, seed: int = 0) -> AVTransformer:
    """With every weight drawn, gates and output too: at their zero start no block would show."""
    torch.manual_seed(seed)
    made = AVTransformer(config).eval()
    for parameter in made.parameters():
        nn.init.normal_(parameter, std=0.15)
    return made


def stream(batch: int, tokens: int, channels: int, axes: int, seed: int) -> ModalityInput:
    text = 4
    g = torch.Generator().manual_seed(seed)
    mask = torch.ones(batch, text, dtype=torch.bool)
    mask[:, -1] = False
    return ModalityInput(
        torch.randn(batch, tokens, channels, generator=g),
        torch.rand(batch, tokens, generator=g),
        torch.rand(batch, tokens, axes, generator=g) * torch.tensor([3.0, 300, 300][:axes]),
        torch.randn(batch, text, 7, generator=g),
        mask,
    )


def video(batch: int = 2, tokens: int = 9, seed: int = 1) -> ModalityInput:
    return stream(batch, tokens, 6, 3, seed)


def audio(batch: int = 2, tokens: int = 7, seed: int = 2) -> ModalityInput:
    return stream(batch, tokens, 5, 1, seed)


def pick(given: ModalityInput, index: slice) -> ModalityInput:
    return ModalityInput(*(None if t is None else t[index] for t in given))


def same(a: torch.Tensor | None, b: torch.Tensor | None, tolerance: float = 1e-4) -> bool:
    assert a is not None and b is not None
    return torch.allclose(a, b, rtol=tolerance, atol=tolerance)


def test_a_silent_clip_is_the_same_alone_and_beside_a_sounding_one() -> None:
    m, v, a = model(), video(), audio()
    sounds = torch.tensor([[False] * 7, [True] * 7])
    # absent tokens may hold anything, even what is no number
    masked = a._replace(token_mask=sounds, latent=a.latent.masked_fill(~sounds[..., None], float("nan")))
    batched = m(v, masked)
    alone = m(pick(v, slice(0, 1)), None)
    assert batched.video is not None and batched.audio is not None and alone.audio is None
    assert same(batched.video[:1], alone.video, 1e-5)
    assert (batched.audio[0] == 0).all()
    with_sound = m(pick(v, slice(1, 2)), pick(a, slice(1, 2)))
    assert same(batched.video[1:], with_sound.video) and same(batched.audio[1:], with_sound.audio)
    assert not same(batched.video[1:], m(pick(v, slice(1, 2)), None).video)  # sound does matter to the other clip


def test_a_sound_without_picture_is_the_same_alone_and_beside_a_clip() -> None:
    m, v, a = model(), video(), audio()
    batched = m(v._replace(token_mask=torch.tensor([[False] * 9, [True] * 9])), a)
    alone = m(None, pick(a, slice(0, 1)))
    assert batched.video is not None and batched.audio is not None and alone.video is None
    assert same(batched.audio[:1], alone.audio, 1e-5) and (batched.video[0] == 0).all()


@settings(max_examples=12, deadline=None)
@given(st.integers(1, 3), st.integers(1, 12), st.integers(1, 10), st.integers(0, 5), st.integers(0, 100))
def test_samples_do_not_see_each_other_or_padding(batch: int, n: int, m_tokens: int, pad: int, seed: int) -> None:
    m = model()
    v, a = video(batch, n, seed), audio(batch, m_tokens, seed + 1)
    alone = m(pick(v, slice(0, 1)), pick(a, slice(0, 1)))

    def padded(given: ModalityInput) -> ModalityInput:
        rows, tokens = given.latent.shape[:2]
        wide = [nn.functional.pad(t, (0, 0, 0, pad), value=7.0) for t in (given.latent, given.positions)]
        mask = torch.arange(tokens + pad).expand(rows, -1) < tokens
        times = nn.functional.pad(given.timesteps, (0, pad), value=1.0)
        return given._replace(latent=wide[0], positions=wide[1], timesteps=times, token_mask=mask)

    together = m(padded(v), padded(a))
    assert together.video is not None and together.audio is not None
    assert same(together.video[:1, :n], alone.video) and same(together.audio[:1, :m_tokens], alone.audio)
    assert (together.video[:, n:] == 0).all()


def test_text_padding_and_absent_text() -> None:
    m, v, a = model(), video(), audio()
    assert v.context is not None and v.context_mask is not None
    other = v.context.clone()
    other[:, -1] = 99.0  # masked
    assert same(m(v, a).video, m(v._replace(context=other), a).video, 1e-5)
    nothing = torch.zeros_like(v.context_mask)
    absent = m(v._replace(context=None, context_mask=None), a).video
    assert same(m(v._replace(context_mask=nothing), a).video, absent, 1e-5)
    assert not same(m(v, a).video, absent)


def test_one_time_a_sample_equals_the_same_time_for_every_token() -> None:
    m, v, a = model(), video(), audio()
    t = torch.tensor([[0.3], [0.9]])
    shared = m(v._replace(timesteps=t), a._replace(timesteps=t))
    repeated = m(v._replace(timesteps=t.expand(2, 9)), a._replace(timesteps=t.expand(2, 7)))
    assert same(shared.video, repeated.video, 1e-5) and same(shared.audio, repeated.audio, 1e-5)


def test_every_token_has_its_own_time() -> None:
    m, v = model(), video(1)
    changed = v.timesteps.clone()
    changed[0, 3] = 1 - changed[0, 3]
    difference = (m(v, None).video - m(v._replace(timesteps=changed), None).video).abs().sum(-1)[0]
    assert difference.argmax() == 3


def test_only_distance_in_time_and_space_matters() -> None:
    m, v, a = model(), video(), audio()
    later = m(
        v._replace(positions=v.positions + torch.tensor([5.0, 64.0, 32.0])), a._replace(positions=a.positions + 5.0)
    )
    assert same(later.video, m(v, a).video, 1e-4) and same(later.audio, m(v, a).audio, 1e-4)
    assert not same(m(v, a._replace(positions=a.positions + 1.0)).video, m(v, a).video, 1e-4)


def test_tokens_may_come_in_any_order() -> None:
    m, v, a = model(), video(), audio()
    order = torch.randperm(9, generator=torch.Generator().manual_seed(0))
    shuffled = v._replace(**{n: getattr(v, n)[:, order] for n in ("latent", "timesteps", "positions")})
    plain = m(v, a)
    assert plain.video is not None
    assert same(m(shuffled, a).video, plain.video[:, order]) and same(m(shuffled, a).audio, plain.audio)


KINDS = list(PerturbationType)


@pytest.mark.parametrize("kind", KINDS)
def test_a_perturbation_touches_only_its_sample(kind: PerturbationType) -> None:
    m, v, a = model(), video(), audio()
    plain = m(v, a)
    changed = m(v, a, PerturbationSet(((), (Perturbation(kind, (1,)),))))
    assert (
        plain.video is not None and plain.audio is not None and changed.video is not None and changed.audio is not None
    )
    assert same(changed.video[0], plain.video[0], 1e-6) and same(changed.audio[0], plain.audio[0], 1e-6)
    touched = changed.video if kind in (KINDS[0], KINDS[2]) else changed.audio
    before = plain.video if kind in (KINDS[0], KINDS[2]) else plain.audio
    assert not same(touched[1], before[1], 1e-4)


def test_isolated_streams_equal_streams_alone() -> None:
    m, v, a = model(), video(), audio()
    isolated = m(v, a, PerturbationSet.isolate(2))
    assert same(isolated.video, m(v, None).video, 1e-5) and same(isolated.audio, m(None, a).audio, 1e-5)


def test_a_block_without_self_attention_sees_each_token_alone() -> None:
    m, v = model(), video(1)._replace(context=None, context_mask=None)
    everywhere = PerturbationSet.skip_self_attention(1, range(CONFIG.depth))
    together = m(v, None, everywhere).video
    single = m(v._replace(**{n: getattr(v, n)[:, 4:5] for n in ("latent", "timesteps", "positions")}), None, everywhere)
    assert together is not None
    assert same(together[:, 4:5], single.video, 1e-5)


def test_perturbations_that_do_not_fit_are_refused() -> None:
    m, v = model(), video()
    with pytest.raises(CoreError, match="batch has 2"):
        m(v, None, PerturbationSet.isolate(3))
    with pytest.raises(CoreError, match="blocks are 0 to 2"):
        m(v, None, PerturbationSet.skip_self_attention(2, [3]))


def test_gradients_are_finite_where_a_stream_is_absent_and_equal_with_checkpointing() -> None:
    m, v, a = model(), video(), audio()
    a = silent(a)

    def gradients() -> list[torch.Tensor]:
        m.zero_grad()
        out = m(v, a)
        assert out.video is not None and out.audio is not None
        (out.video.square().mean() + out.audio.square().mean()).backward()
        return [p.grad.clone() for p in m.parameters() if p.grad is not None]

    plain = gradients()
    assert len(plain) == len(list(m.parameters())) and all(g.isfinite().all() for g in plain)
    m.enable_gradient_checkpointing()
    for g, again in zip(plain, gradients(), strict=True):
        torch.testing.assert_close(again, g)


def test_a_new_model_starts_as_nothing_and_learns() -> None:
    torch.manual_seed(0)
    m, v, a = AVTransformer(CONFIG), video(), audio()
    out = m(v, a)
    assert out.video is not None and (out.video == 0).all()
    for block in m.blocks:  # near the identity, so that depth does not hinder learning
        added = block.video.project_out(torch.randn(1, 9, 2 * 32 + 16)) * block.video.modulation[2]
        assert added.std() < 0.2 and (block.video.modulation[[2, 5]] == 1).all()
    optimizer = torch.optim.AdamW(m.parameters(), lr=3e-3)
    losses = []
    for _ in range(40):
        out = m(v, a)
        assert out.video is not None and out.audio is not None
        loss = (out.video - v.latent).square().mean() + (out.audio - a.latent).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]


def test_bf16_stays_near_fp32() -> None:
    m, v, a = model(), video(), audio()
    want = m(v, a).video
    with torch.autocast("cpu", dtype=torch.bfloat16):
        auto = m(v, a).video
    half = m.to(torch.bfloat16)(v, a).video
    assert want is not None and auto is not None and half is not None and half.dtype == torch.bfloat16
    assert (auto.float() - want).norm() / want.norm() < 0.03
    assert (half.float() - want).norm() / want.norm() < 0.05


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"latent": torch.zeros(2, 9, 7)}, "video latent"),
        ({"timesteps": torch.zeros(2)}, "video timesteps"),
        ({"positions": torch.zeros(2, 9, 1)}, "video positions"),
        ({"token_mask": torch.ones(2, 8, dtype=torch.bool)}, "video token_mask"),
        ({"context": torch.zeros(2, 4, 8)}, "video context"),
        ({"context_mask": torch.ones(1, 4, dtype=torch.bool)}, "video context_mask"),
    ],
)
def test_tensors_that_do_not_fit_are_refused_by_name(change: dict[str, torch.Tensor], says: str) -> None:
    with pytest.raises(CoreError, match=says):
        model()(video()._replace(**change), audio())


def test_no_stream_and_unequal_batches_are_refused() -> None:
    with pytest.raises(CoreError, match="at least one"):
        model()(None, None)
    with pytest.raises(CoreError, match="same batch"):
        model()(video(2), audio(3))


@pytest.mark.parametrize("which", ["both", "video", "audio"])
@pytest.mark.parametrize("token_times", [True, False])
@pytest.mark.parametrize("text", [4, 0])
@pytest.mark.parametrize("config", [CONFIG, WITH_SKIP, WITH_PLACES])
def test_costs_equal_what_torch_counts(which: str, token_times: bool, text: int, config: AVTransformerConfig) -> None:
    m = model(config)
    assert count_parameters(config) == sum(p.numel() for p in m.parameters())
    v = video() if which != "audio" else None
    a = audio() if which != "video" else None

    def adapt(given: ModalityInput | None) -> ModalityInput | None:
        if given is None:
            return None
        times = given.timesteps if token_times else given.timesteps[:, :1]
        return given._replace(timesteps=times, **({} if text else {"context": None, "context_mask": None}))

    def attention(q: list[int], k: list[int], v: list[int], *rest: object, **more: object) -> int:
        return 4 * q[0] * q[1] * q[2] * k[2] * q[3]

    kernel = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    with torch.no_grad(), FlopCounterMode(display=False, custom_mapping={kernel: attention}) as counter:
        m(adapt(v), adapt(a))
    work = Workload(2, 9 if v else 0, 7 if a else 0, text, token_times)
    assert count_flops(config, work) == counter.get_total_flops()


def test_presets_rise_from_two_million_to_two_billion() -> None:
    sizes = [count_parameters(AVTransformerConfig.preset(name)) for name in AVTransformerConfig.presets()]
    assert sizes == sorted(sizes)
    assert 1.8e6 < count_parameters(AVTransformerConfig.demo()) < 2.2e6 and 1.9e9 < sizes[-1] < 2.3e9
    assert AVTransformerConfig.demo(text_dim=9).text_dim == 9
    with torch.device("meta"):
        assert sum(p.numel() for p in AVTransformer(AVTransformerConfig.preset("1b")).parameters()) == sizes[-2]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"depth": 0}, "depth"),
        ({"dept": 4}, "dept"),
        ({"video_heads": 3}, "head size"),
        ({"time_periods_s": (2, 1)}, "rise"),
    ],
)
def test_bad_configurations_are_refused_in_one_line(changes: dict[str, object], says: str) -> None:
    with pytest.raises(CoreError, match=says):
        AVTransformerConfig.demo(**changes)
    with pytest.raises(CoreError, match="demo, small"):
        AVTransformerConfig.preset("huge")


def silent(a: ModalityInput) -> ModalityInput:
    """The first sample of the batch without sound."""
    return a._replace(token_mask=torch.tensor([[False] * 7, [True] * 7]))


@pytest.mark.slow
@pytest.mark.parametrize("case", ["absent", "perturbed"])
def test_the_whole_model_is_one_graph(case: str) -> None:
    """``fullgraph`` raises at the first break; the eager backend shows it without a C++ compiler."""
    m, v, a = model(CONFIG.model_copy(update={"depth": 1})), video(), audio()
    arguments = {
        "absent": (v, None),
        "perturbed": (v, a, PerturbationSet.isolate(2)),
    }[case]
    torch.compiler.reset()
    compiled = torch.compile(m, fullgraph=True, backend="eager")
    assert same(compiled(*arguments).video, m(*arguments).video, 1e-4)


@pytest.mark.slow
def test_compiled_gradients_equal_eager_ones() -> None:
    """One graph with absent tokens, forward and backward, run by torch's own kernels: a C++ compiler takes a minute."""
    m, v, a = model(CONFIG.model_copy(update={"depth": 1})), video(), silent(audio())
    torch.compiler.reset()
    compiled = torch.compile(m, fullgraph=True, backend="aot_eager")

    def gradients(call) -> list[torch.Tensor]:
        m.zero_grad()
        out = call(v, a)
        (out.video.square().mean() + out.audio.square().mean()).backward()
        return [p.grad.clone() for p in m.parameters()]

    for ours, theirs in zip(gradients(m), gradients(compiled), strict=True):
        torch.testing.assert_close(theirs, ours, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_it_shards_with_fsdp2_and_computes_the_same(tmp_path: Path) -> None:
    """One process, the machinery in full: sharded parameters, hooks, mixed precision, a backward pass."""
    from torch import distributed
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

    v, a = video(), silent(audio())
    want = model()(v, a).video
    assert want is not None
    store = distributed.FileStore(str(tmp_path / "store"), 1)
    distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        mesh = init_device_mesh("cpu", (1,))
        half = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32, cast_forward_inputs=False)
        for policy, tolerance in ((MixedPrecisionPolicy(), 1e-5), (half, 0.05)):
            sharded = model()
            for block in sharded.blocks:
                fully_shard(block, mesh=mesh, mp_policy=policy)
            fully_shard(sharded, mesh=mesh, mp_policy=policy)
            out = sharded(v, a).video
            assert out is not None and (out.float() - want).norm() / want.norm() < tolerance
            out.float().square().mean().backward()
            assert all(p.grad is not None for n, p in sharded.named_parameters() if n.startswith("video_ends"))
    finally:
        distributed.destroy_process_group()


def test_an_untrained_model_with_input_skip_is_the_best_linear_one() -> None:
    """Its error is the variance of the velocity that a noised Gaussian token leaves open, channel by channel."""
    torch.manual_seed(0)
    variance = torch.tensor([4.0, 1.0, 0.25, 0.1, 2.0, 1.0])
    clean, noise = torch.randn(80, 100, 6) * variance.sqrt(), torch.randn(80, 100, 6)
    made = AVTransformer(WITH_SKIP).eval()
    made.video_ends.measure(clean.flatten(0, 1))
    for sigma in (0.1, 0.5, 0.9):
        times = torch.full((80, 1), sigma)
        given = ModalityInput((1 - sigma) * clean + sigma * noise, times, torch.zeros(80, 100, 3))
        with torch.no_grad():
            predicted = made(given, None).video
        error = (predicted - (noise - clean)).square().mean(dim=(0, 1))
        left = variance / ((1 - sigma) ** 2 * variance + sigma**2)
        torch.testing.assert_close(error, left, rtol=0.08, atol=0)


@pytest.mark.parametrize("share", [1.0, 0.1, 0.01])
def test_what_the_skip_leaves_to_the_network_has_unit_variance_whatever_its_share(share: float) -> None:
    """Measured on Gaussian tokens, for noise levels from nearly clean to nearly noise, channel by channel."""
    torch.manual_seed(0)
    variance = torch.tensor([4.0, 1.0, 0.25, 0.1, 2.0, 1.0])
    clean, noise = torch.randn(160, 100, 6) * variance.sqrt(), torch.randn(160, 100, 6)
    made = AVTransformer(WITH_SKIP.model_copy(update={"video_skip_share": share})).eval()
    made.video_ends.measure(clean.flatten(0, 1))
    for sigma in (0.02, 0.3, 0.6, 0.95):
        noised = (1 - sigma) * clean + sigma * noise
        given = ModalityInput(noised, torch.full((160, 1), sigma), torch.zeros(160, 100, 3))
        answers = []
        for constant in (0.0, 1.0):  # of the network, for every token
            torch.nn.init.constant_(made.video_ends.leave.bias, constant)
            with torch.no_grad():
                answers.append(made(given, None).video)
        assert answers[0] is not None and answers[1] is not None
        left = (noise - clean - answers[0]) / (answers[1] - answers[0])
        torch.testing.assert_close(left.square().mean(dim=(0, 1)), torch.ones(6), rtol=0.05, atol=0)


def test_with_a_small_skip_share_the_network_is_asked_for_the_clean_token() -> None:
    """Down to a noise level of about the root of the share: its target there is the clean token, without noise."""
    torch.manual_seed(0)
    clean, noise = torch.randn(40, 100, 6), torch.randn(40, 100, 6)
    made = AVTransformer(WITH_SKIP.model_copy(update={"video_skip_share": 0.01})).eval()
    for sigma, least in ((0.9, 0.99), (0.5, 0.99), (0.3, 0.95)):
        noised = (1 - sigma) * clean + sigma * noise
        with torch.no_grad():
            skipped = made(ModalityInput(noised, torch.full((40, 1), sigma), torch.zeros(40, 100, 3)), None).video
        assert skipped is not None
        asked = (noise - clean - skipped).flatten()
        assert -torch.corrcoef(torch.stack([asked, clean.flatten()]))[0, 1] > least


def test_pooled_text_counts_only_tokens_that_are_there() -> None:
    m, given = model(WITH_SKIP), video()
    assert given.context is not None
    padded = given.context.clone()
    padded[:, -1] = 9.0  # masked
    assert torch.equal(m(given, None).video, m(given._replace(context=padded), None).video)
    other = given._replace(context=given.context.flip(0))
    assert not torch.allclose(m(given, None).video, m(other, None).video)


def test_a_place_is_a_share_of_the_picture_whatever_its_size_and_what_is_absent() -> None:
    """The middle of a small picture is told apart from its rim, and is the middle of a large one too."""
    torch.manual_seed(0)
    places = PlaceFeatures(3, 8)
    rows = torch.tensor([[0.5, y, x] for y in (8.0, 24.0) for x in (8.0, 24.0, 40.0)])[None]
    larger = rows * torch.tensor([1.0, 2.0, 2.0])
    torch.testing.assert_close(places(rows), places(larger))
    assert not torch.allclose(places(rows)[0, 0], places(rows)[0, 1])
    longer = torch.cat([rows, torch.full((1, 2, 3), float("nan"))], dim=1)
    there = torch.tensor([[True] * 6 + [False] * 2])
    torch.testing.assert_close(places(longer, there)[:, :6], places(rows))
    assert places(longer, torch.zeros(1, 8, dtype=torch.bool)).isfinite().all()
