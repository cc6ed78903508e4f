"""Adaptation of a trained speech model to speakers it does not know, from a few minutes of them, as LoRA.

Low-rank adapters (Hu et al. 2021, arXiv:2106.09685; through peft) of linear layers and convolutions are trained,
and the vectors of the new speakers; everything else is kept. The adapters are written beside the weights and fused into
them, so that whatever speaks with a model speaks with an adapted one.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import nn

from aiprod.base.params import Params
from aiprod.errors import AiprodError
from aiprod.models.checkpoint.lora import add_layer
from aiprod.models.checkpoint.lora_file import LoraLayer
from aiprod.speech.model import SpeechModel

_NAME = "default"


class SpeechLoraParams(Params):
    """Adapters that are trained instead of the weights."""

    rank: int = Field(default=8, ge=1, le=1024)
    alpha: float = Field(default=16.0, gt=0, description="the update is scaled by alpha over rank")


def with_speakers(model: SpeechModel, names: list[str]) -> SpeechModel:
    """The same model with more speakers, who begin as the mean of those that it knows."""
    wider = SpeechModel(model.config, [*model.speakers, *names])
    state = model.state_dict()
    known = state["acoustic.speaker.weight"]
    new = known[1:].mean(0, keepdim=True).expand(len(names), -1)
    wider.load_state_dict({**state, "acoustic.speaker.weight": torch.cat([known, new])})
    wider.taught_by, wider.unheard, wider.length_factor = dict(model.taught_by), model.unheard, model.length_factor
    return wider


def add_adapters(model: SpeechModel, params: SpeechLoraParams, seed: int) -> None:
    """Put adapters in and freeze everything but them and the vectors of the speakers.

    Raises:
        AiprodError: peft is absent.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError:
        raise AiprodError("LoRA needs peft", "install it or leave train_speech.lora out") from None
    layers = [
        name
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Linear) or (isinstance(layer, nn.Conv1d) and layer.dilation == (1,))
    ]  # of a dilated convolution, peft's adapter is not dilated and does not fit
    torch.manual_seed(seed)
    config = LoraConfig(r=params.rank, lora_alpha=params.alpha, target_modules=layers, lora_dropout=0.0)  # type: ignore[arg-type]
    inject_adapter_in_model(config, model, adapter_name=_NAME)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("lora_" in name or name == "acoustic.speaker.weight")


def fused(adapted: SpeechModel, base: SpeechModel, alpha: float) -> tuple[SpeechModel, dict[str, LoraLayer]]:
    """A model of the usual layers with the adapters in its weights, and the adapters alone.

    Args:
        base: the model before; the vectors of its speakers stay as they were.
    """
    weights = {name.replace(f".{_NAME}.weight", ".weight"): w.detach() for name, w in adapted.state_dict().items()}
    ups, downs = ".lora_B.weight", ".lora_A.weight"
    layers = {
        name.removesuffix(downs): LoraLayer(w, weights[name.replace(downs, ups)], alpha)
        for name, w in weights.items()
        if name.endswith(downs)
    }
    plain = {name.replace(".base_layer.", "."): w for name, w in weights.items() if "lora_" not in name}
    for name, layer in layers.items():
        plain[f"{name}.weight"] = add_layer(plain[f"{name}.weight"], layer, 1.0)
    known = base.state_dict()["acoustic.speaker.weight"]
    vectors = plain["acoustic.speaker.weight"].clone()
    vectors[: len(known)] = known
    model = with_speakers(base, list(adapted.speakers[len(base.speakers) :]))
    model.load_state_dict({**plain, "acoustic.speaker.weight": vectors})
    model.taught_by, model.unheard = dict(adapted.taught_by), adapted.unheard
    return model, layers
