"""The effective right to train on a film: the minimum of its layers of rights, with the proof in words.

Six layers are judged one by one: annotation licence, media licence, terms of acquisition, the host the media came
from, the basis for personal data, and the policy's approval. A layer that nobody filled in denies. A reservation
against training, in the sidecar or in the film itself, is a seventh that denies wherever one is stated.

One layer differs: an *unknown* personal-data basis does not deny by itself. A licence and a person's privacy are two
questions (CC licences expressly leave privacy and publicity rights out), and a film of a flower needs no basis. It
becomes the obligation ``privacy-review``: quality control looks for faces, a hit sends the clip to a reviewer, and a
clip under review is not trained on. A source that is known to lack consent is denied.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any
from urllib.parse import unquote

from aiprod.base.addresses import host_of
from aiprod.rights.agreements import Terms
from aiprod.rights.declarations import SidecarRecord, SourceDeclaration, licence_words
from aiprod.rights.declarations import layers as declared_layers
from aiprod.rights.licence_words import Licence
from aiprod.rights.licences import (
    ATTRIBUTION,
    NEEDS_EVIDENCE,
    Contract,
    Finding,
    judge_licence,
    licence_symbols,
)
from aiprod.rights.right import Right

_OBJECTIONS = 5  # that a proof quotes
PRIVACY_REVIEW = "privacy-review: a face found by quality control goes to a reviewer before any training"
HONOUR_WITHDRAWAL = "honour-withdrawal: the people shown may withdraw or object; then erase"

# Terms on which the bytes were obtained. Anything else (a platform's terms, a research agreement, …) denies.
ACQUISITION = {
    "generated": "made by our own program",
    "provided-by-operator": "handed in by whoever runs this pipeline, who answers for it",
    "commissioned": "commissioned, with the rights assigned",
    "public-download": "offered for download by the rights holder under the open licence itself",
    "data-licence": "obtained under a registered contract for training data",
}
PROHIBITED_HOSTS = {
    "YouTube": ("youtube.com", "youtu.be", "ytimg.com", "googlevideo.com", "youtube-nocookie.com"),
    "TikTok": ("tiktok.com",),
    "Instagram": ("instagram.com", "cdninstagram.com"),
    "Facebook": ("facebook.com", "fbcdn.net", "fb.watch"),
    "Netflix": ("netflix.com", "nflxvideo.net"),
    "Disney": ("disney.com", "disneyplus.com"),
}


@dataclass(frozen=True)
class RightsLayer:
    """One judged layer: what was stated, what follows, why."""

    name: str
    stated: str
    finding: Finding

    def sentence(self) -> str:
        """The line of the proof."""
        return f"{self.name} is {self.stated!r} → {self.finding.right.word}: {self.finding.why}"


@dataclass(frozen=True)
class RightsDecision:
    """The effective right of one film.

    Attributes:
        right: the narrowest of the layers.
        proof: one sentence per layer, in a fixed order, then the conclusion.
        obligations: what must travel with a model trained on it, sorted, for example
            ``attribution: (c) Blender Foundation (CC-BY-3.0)``.
        reasons: the sentences of the layers that deny (empty where none does).
    """

    right: Right
    proof: list[str]
    obligations: list[str]
    reasons: list[str]

    @property
    def permits_training(self) -> bool:
        """Whether the film may be trained on."""
        return self.right.permits_training


def effective_right(
    source: SourceDeclaration,
    sidecar: SidecarRecord | Mapping[str, Any] | None = None,
    *,
    on: date | None = None,
    terms: Terms | None = None,
) -> RightsDecision:
    """Judge one film.

    Args:
        source: its declaration in sources.yaml.
        sidecar: what is recorded beside the film, if anything.
        on: the day for which expiry of contracts is judged; today when neither it nor ``terms`` is given.
        terms: consent records, and the agreements that have lapsed; without it there is no consent record.
    """
    side = _record(sidecar)
    if on is None and terms is not None:  # the day was asked for by `scan`: its answer decides, not this day
        on = date.max if source.contract and f"contract/{source.contract.id}" in terms.lapsed else date.min
    stated = declared_layers(source, side)
    contracts, words = _contracts_of(source), licence_words(source, side)
    judged = [
        _licence_layer("annotation_license", words, contracts, on, side.license_evidence),
        _licence_layer("media_license", words, contracts, on, side.license_evidence),
        _acquisition_layer(str(stated["acquisition_terms"]), source, on),
        _host_layer(str(stated["media_host"]), *(side.url or "").split(), source.url, origin=side.origin),
        _personal_layer(stated, source, terms or Terms()),
        _policy_layer(str(stated["policy_approval"])),
        *_reservation_layer(side),
    ]
    effective = min(layer.finding.right for layer in judged)
    binding = ", ".join(layer.name for layer in judged if layer.finding.right == effective)
    proof = [layer.sentence() for layer in judged]
    proof.append(f"effective right is the minimum of the layers → {effective.word} (decided by {binding})")
    obligations = {_in_full(o, layer, source, side) for layer in judged for o in layer.finding.obligations}
    return RightsDecision(
        right=effective,
        proof=proof,
        obligations=[] if effective == Right.DENY else sorted(obligations),
        reasons=[layer.sentence() for layer in judged if layer.finding.right == Right.DENY],
    )


def prohibited_platform(host: str) -> str | None:
    """The prohibited platform that ``host`` (a name, a domain or a list of them) belongs to, if any."""
    words = [w.strip(".") for w in host.lower().replace(",", " ").replace("/", " ").split()]
    for platform, domains in PROHIBITED_HOSTS.items():
        if any(w == platform.lower() or w in domains or w.endswith(tuple("." + d for d in domains)) for w in words):
            return platform
    return None


def _record(sidecar: SidecarRecord | Mapping[str, Any] | None) -> SidecarRecord:
    """The sidecar as a record."""
    if sidecar is None:
        return SidecarRecord()
    return sidecar if isinstance(sidecar, SidecarRecord) else SidecarRecord.model_validate(dict(sidecar))


def _licence_layer(
    name: str, stated: Mapping[str, Licence], contracts: dict[str, Contract], on: date | None, evidence: str | None
) -> RightsLayer:
    """A licence. The public domain is a fact about a work, not a grant: without evidence it is only a claim."""
    text, problem = stated[name].spdx, stated[name].problem
    if problem is not None:
        return RightsLayer(name, text, Finding(Right.DENY, f"{problem}, and what is not understood means no"))
    finding = judge_licence(text, contracts=contracts, on=on)
    if finding.right != Right.DENY and NEEDS_EVIDENCE & set(licence_symbols(text)):
        if not evidence:
            finding = Finding(Right.DENY, "said to be public domain, with no evidence recorded (license_evidence)")
        else:
            finding = Finding(finding.right, f"{finding.why}; evidence: {evidence}", finding.obligations)
    return RightsLayer(name, text, finding)


def _acquisition_layer(terms: str, source: SourceDeclaration, on: date | None) -> RightsLayer:
    """The terms on which the bytes were obtained."""
    name = "acquisition_terms"
    if terms == "unknown":
        return RightsLayer(name, terms, Finding(Right.DENY, "nobody says on what terms it was obtained"))
    if terms not in ACQUISITION:
        return RightsLayer(name, terms, Finding(Right.DENY, "these terms do not permit training a commercial model"))
    if terms == "data-licence":
        contract = source.contract
        if contract is None:
            return RightsLayer(
                name, terms, Finding(Right.DENY, "a data licence is claimed, but no contract is registered")
            )
        finding = judge_licence(contract.license_symbol, contracts=_contracts_of(source), on=on)
        return RightsLayer(name, terms, finding)
    return RightsLayer(name, terms, Finding(Right.TRAIN, ACQUISITION[terms]))


def _host_layer(host: str, *addresses: str | None, origin: str | None = None) -> RightsLayer:
    """Who served the media: prohibited platforms deny, whatever licence is claimed."""
    hosts = [] if host in ("unknown", "") else [host]
    for address in addresses:
        if address and (name := host_of(address if "//" in address else f"//{address}")):
            hosts.append(name)
    stated = ", ".join(dict.fromkeys(hosts)) or "unknown"
    if host in ("unknown", ""):
        return RightsLayer("media_host", stated, Finding(Right.DENY, "nobody says where the media came from"))
    places = unquote(" ".join([*(address or "" for address in addresses), origin or ""]))
    candidates = [*hosts, *(part for part in re.split(r"[^\w.-]+", places) if "." in part), *(origin or "").split()]
    platform = next((p for h in candidates if (p := prohibited_platform(h)) is not None), None)
    if platform is not None:
        return RightsLayer("media_host", stated, Finding(Right.DENY, f"policy prohibits media from {platform}"))
    return RightsLayer("media_host", stated, Finding(Right.TRAIN, "not a prohibited platform"))


def _personal_layer(stated: Mapping[str, Any], source: SourceDeclaration, terms: Terms) -> RightsLayer:
    """The basis for personal data (GDPR Art. 6) and the consent that goes with it."""
    name, basis, consent = "personal_data_basis", str(stated["personal_data_basis"]), stated.get("consent_ref")
    if stated["consent"] == "missing":
        return RightsLayer(
            name, basis, Finding(Right.DENY, "people may be shown, and it is known that they were not asked")
        )
    if consent and basis != "contract" and (why := terms.against(str(consent))) is not None:
        return RightsLayer(name, basis, Finding(Right.DENY, why))
    if basis == "none":
        return RightsLayer(name, basis, Finding(Right.TRAIN, "declared free of personal data"))
    if basis in ("unknown", "per-file"):
        return RightsLayer(
            name,
            "unknown",
            Finding(
                Right.TRAIN_WITH_OBLIGATIONS,
                "no basis is recorded, so no recognisable person may be trained on",
                (PRIVACY_REVIEW,),
            ),
        )
    if basis == "legitimate_interests":
        return RightsLayer(
            name,
            basis,
            Finding(
                Right.TRAIN_WITH_OBLIGATIONS,
                "a balance of interests is claimed; people shown keep the right to object",
                (PRIVACY_REVIEW, HONOUR_WITHDRAWAL),
            ),
        )
    if basis in ("consent", "contract"):
        record = consent or (source.contract.id if basis == "contract" and source.contract else None)
        if not record:
            return RightsLayer(
                name, basis, Finding(Right.DENY, f"{basis} is claimed, but no record is named (consent_ref)")
            )
        return RightsLayer(
            name,
            basis,
            Finding(
                Right.TRAIN_WITH_OBLIGATIONS, f"{basis} of the people shown, record {record}", (HONOUR_WITHDRAWAL,)
            ),
        )
    return RightsLayer(name, basis, Finding(Right.DENY, f"{basis} is no basis for training a commercial model"))


def _reservation_layer(side: SidecarRecord) -> list[RightsLayer]:
    """Reservations against training that somebody stated; no layer where nobody did."""
    layers = []
    if side.tdm_reservation:
        where = f" ({side.tdm_policy})" if side.tdm_policy else ""
        why = f"rights are reserved against text and data mining{where}"
        layers.append(RightsLayer("tdm_reservation", "reserved", Finding(Right.DENY, why)))
    if side.training_mining:
        why = "the film's own Content Credentials do not allow training"
        layers.append(RightsLayer("training_mining", side.training_mining, Finding(Right.DENY, why)))
    if side.objections:
        why = "; ".join(side.objections[:_OBJECTIONS])
        layers.append(RightsLayer("statements", "objecting", Finding(Right.DENY, why)))
    return layers


def _policy_layer(approval: str) -> RightsLayer:
    """Approval by policy is necessary and never sufficient."""
    if approval == "approved":
        return RightsLayer(
            "policy_approval", approval, Finding(Right.TRAIN, "the sourcing policy approves this source")
        )
    verb = "prohibits" if approval == "prohibited" else "does not list"
    return RightsLayer("policy_approval", approval, Finding(Right.DENY, f"the sourcing policy {verb} this source"))


def _in_full(obligation: str, layer: RightsLayer, source: SourceDeclaration, side: SidecarRecord) -> str:
    """An obligation with what is needed to meet it."""
    if obligation == ATTRIBUTION:
        credit = side.attribution or source.attribution or side.url or side.origin or source.title
        return f"{ATTRIBUTION}: {credit} ({layer.stated})"
    return obligation if ":" in obligation else f"{obligation}: {layer.stated}"


def _contracts_of(source: SourceDeclaration) -> dict[str, Contract]:
    """The registered contract of a source, by its licence symbol."""
    return {source.contract.license_symbol: source.contract} if source.contract is not None else {}
