"""Our schedulers in a stock diffusers pipeline, and diffusers' schedulers in our loop."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import (
    AutoencoderKLLTXVideo,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    LTXPipeline,
    LTXVideoTransformer3DModel,
    UniPCMultistepScheduler,
)

from aiprod.core.components.diffusion_steps import EulerFlowStep
from aiprod.core.components.noiser import Noiser
from aiprod.core.components.schedulers import AdaptiveFlowScheduler
from aiprod.core.protocols import DiffusionStep, Scheduler
from aiprod.errors import AiprodError
from aiprod.models.adapters.schedulers import FlowSchedulerForDiffusers, SamplerFromDiffusers

pytestmark = pytest.mark.bitwise


@pytest.fixture(scope="module")
def pipeline() -> LTXPipeline:
    torch.manual_seed(0)
    transformer = LTXVideoTransformer3DModel(
        in_channels=8,
        out_channels=8,
        num_attention_heads=2,
        attention_head_dim=16,
        cross_attention_dim=32,
        num_layers=1,
        caption_channels=7,
    )
    vae = AutoencoderKLLTXVideo(
        latent_channels=8,
        block_out_channels=(8, 8, 8, 8),
        decoder_block_out_channels=(8, 8, 8, 8),
        layers_per_block=(1, 1, 1, 1, 1),
        decoder_layers_per_block=(1, 1, 1, 1, 1),
    )
    made = LTXPipeline(theirs(), vae, None, None, transformer)
    made.set_progress_bar_config(disable=True)
    return made


def theirs(**changes: object) -> FlowMatchEulerDiscreteScheduler:
    settings = {
        "use_dynamic_shifting": True,
        "base_image_seq_len": 1024,
        "max_image_seq_len": 4096,
        "base_shift": 0.95,
        "max_shift": 2.05,
        "shift_terminal": 0.1,
    }
    return FlowMatchEulerDiscreteScheduler(**(settings | changes))


def generate(pipeline: LTXPipeline, scheduler: object) -> torch.Tensor:
    g = torch.Generator().manual_seed(1)
    text = {}
    for sign in ("", "negative_"):
        text[f"{sign}prompt_embeds"] = torch.randn(1, 4, 7, generator=g)
        text[f"{sign}prompt_attention_mask"] = torch.ones(1, 4, dtype=torch.bool)
    pipeline.scheduler = scheduler
    # 2 × 16 × 32 latent cells: 1024 tokens, where the shift is inside the range
    return pipeline(
        height=512,
        width=1024,
        num_frames=9,
        num_inference_steps=3,
        output_type="latent",
        return_dict=False,
        generator=torch.Generator().manual_seed(2),
        **text,
    )[0]


def test_a_stock_pipeline_gives_the_same_with_our_scheduler(pipeline: LTXPipeline) -> None:
    want = generate(pipeline, theirs())
    got = generate(pipeline, FlowSchedulerForDiffusers())
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("rule", ["ancestral", "noiser"])
def test_a_stock_pipeline_runs_our_other_steps_and_schedules(pipeline: LTXPipeline, rule: str) -> None:
    scheduler = FlowSchedulerForDiffusers(schedule="velocity", step_rule=rule, spacing="linear_quadratic")
    result = generate(pipeline, scheduler)
    assert result.isfinite().all() and scheduler.step_index == 3
    assert scheduler.sigmas[-1] == 0 and len(scheduler.timesteps) == 3


def test_it_survives_its_config_file(tmp_path: Path) -> None:
    before = FlowSchedulerForDiffusers(max_shift=1.5, shift_terminal=None, step_rule="ancestral", eta=0.5)
    before.save_pretrained(tmp_path)
    after = FlowSchedulerForDiffusers.from_pretrained(tmp_path)
    for scheduler in (before, after):
        scheduler.set_timesteps(7, mu=1.2)
    assert torch.equal(before.sigmas, after.sigmas)
    settings = [{k: v for k, v in s.config.items() if not k.startswith("_")} for s in (before, after)]
    assert settings[0] == settings[1]


def test_small_duties_of_a_diffusers_scheduler() -> None:
    scheduler = FlowSchedulerForDiffusers(tokens=2560)
    scheduler.set_timesteps(5)
    assert torch.equal(scheduler.sigmas, AdaptiveFlowScheduler().sigmas(5, 2560))
    assert len(scheduler) == 1000 and scheduler.begin_index is None and scheduler.init_noise_sigma == 1
    x, noise = torch.randn(2, 3), torch.randn(2, 3)
    assert scheduler.scale_model_input(x, 1.0) is x
    torch.testing.assert_close(scheduler.scale_noise(x, torch.tensor([250.0]), noise), 0.75 * x + 0.25 * noise)
    # image to image: start later, at the timestep that comes first
    moved = scheduler.step(noise, scheduler.timesteps[3], x).prev_sample
    torch.testing.assert_close(moved, x + (scheduler.sigmas[4] - scheduler.sigmas[3]) * noise)
    scheduler.set_begin_index(4)
    torch.testing.assert_close(
        scheduler.step(noise, scheduler.timesteps[4], x, return_dict=False)[0], x - scheduler.sigmas[4] * noise
    )
    with pytest.raises(AiprodError, match="num_inference_steps"):
        scheduler.set_timesteps()
    with pytest.raises(AiprodError, match="step_rule"):
        FlowSchedulerForDiffusers(step_rule="heun")


def sample(sampler: DiffusionStep, sigmas: torch.Tensor, clean: torch.Tensor) -> torch.Tensor:
    """Our loop with a model whose velocity bends: it pulls towards ``clean``, the more the less noise there is."""
    x = Noiser(seed=0).noise(clean)
    for a, b in zip(sigmas[:-1].tolist(), sigmas[1:].tolist(), strict=True):
        guess = clean * (1 - 0.5 * a)
        x = sampler.step(x, (x - guess) / a, a, b)
    return x


@pytest.mark.parametrize("steps", [2, 7])
def test_their_euler_in_our_loop_equals_ours(steps: int) -> None:
    clean = torch.randn(2, 5, 3)
    sampler = SamplerFromDiffusers(theirs())
    assert isinstance(sampler, Scheduler) and isinstance(sampler, DiffusionStep)
    sigmas = sampler.sigmas(steps, 2000)
    torch.testing.assert_close(sigmas, AdaptiveFlowScheduler().sigmas(steps, 2000), rtol=1e-5, atol=1e-6)
    got, want = sample(sampler, sigmas, clean), sample(EulerFlowStep(), sigmas, clean)
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(2, 5, 3), (2, 15)])
@pytest.mark.parametrize(
    "make",
    [
        lambda: UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0),
        lambda: DPMSolverMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0),
        lambda: FlowMatchEulerDiscreteScheduler(shift=3.0),
    ],
    ids=["unipc", "dpm", "euler"],
)
def test_their_multistep_schedulers_run_in_our_loop_and_start_afresh_each_run(make, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    clean = torch.randn(*shape)
    sampler = SamplerFromDiffusers(make())
    sigmas = sampler.sigmas(12, 1000)
    first = sample(sampler, sigmas, clean)
    assert torch.equal(sample(sampler, sigmas, clean), first)
    # the same through their own interface
    own = make()
    own.set_timesteps(12)
    x = Noiser(seed=0).noise(clean)
    for t, a in zip(own.timesteps, own.sigmas.tolist(), strict=False):
        x = own.step((x - clean * (1 - 0.5 * a)) / a, t, x, return_dict=False)[0]
    torch.testing.assert_close(first, x, rtol=1e-4, atol=1e-5)


def test_misuse_is_refused() -> None:
    with pytest.raises(AiprodError, match="not set up for flow"):
        SamplerFromDiffusers(EulerDiscreteScheduler())
    sampler = SamplerFromDiffusers(theirs())
    x = torch.zeros(1, 2, 2)
    with pytest.raises(AiprodError, match="call sigmas"):
        sampler.step(x, x, 1.0, 0.5)
    sampler.sigmas(4, 1024)
    with pytest.raises(AiprodError, match="not one of its steps"):
        sampler.step(x, x, 0.123, 0.05)
    with pytest.raises(AiprodError, match="one noise level"):
        sampler.step(x, x, torch.ones(1, 2), torch.zeros(1, 2))
