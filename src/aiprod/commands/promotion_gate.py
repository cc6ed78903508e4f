"""What a model has to have before it is called ``candidate`` or ``champion``: what it lacks, with the remedies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from aiprod.commands.run_results import followed, learnt
from aiprod.errors import AiprodError
from aiprod.governance.audit.log import AuditLog
from aiprod.governance.audit.verify import verify
from aiprod.governance.dataset.records import SAMPLES, Records
from aiprod.governance.lineage.lineage import lineage
from aiprod.governance.review.report import report
from aiprod.inference.revoked_models import refuse_affected
from aiprod.printable import counted
from aiprod.rights.right import Right

DEMANDS = {  # alias → names of the checks; each is a function below
    "candidate": ("better_than_chance", "no_copies", "rights_hold", "log_holds"),
    "champion": ("better_than_chance", "follows_prompts", "no_copies", "rights_hold", "log_holds", "reviewed"),
}


def lacking(root: Path, alias: str) -> list[str]:
    """What stands against an alias for the model of the workspace, each with its remedy; empty where nothing does.

    Raises:
        AiprodError: a manifest is damaged.
    """
    return [reason for name in DEMANDS[alias] for reason in globals()[f"_{name}"](root)]


def _better_than_chance(root: Path) -> Iterator[str]:
    rows = list(learnt(root))
    if not any(label.startswith("diffusion") for label, *_ in rows):
        yield "the diffusion model's loss on held-out clips is not measured → `dvc repro`"
    for label, value, chance, judged in rows:
        if judged != "better":
            yield f"{label} is {value}, {judged} ({chance}) → train longer, or on more"


def _follows_prompts(root: Path) -> Iterator[str]:
    """All attributes together, weighted by how many samples show each."""
    rates = followed(root)
    total = sum(int(figures["n"]) for figures in rates.values())
    if not total:
        yield "no sample was compared with its prompt → `dvc repro sample`"
        return
    rate, chance = (sum(f[name] * f["n"] for f in rates.values()) / total for name in ("rate", "chance"))
    if rate <= chance:
        yield f"samples follow their prompts in {rate:.0%} of attributes, chance in {chance:.0%} → train longer"


def _no_copies(root: Path) -> Iterator[str]:
    samples = Records(root).samples
    if not samples:
        yield "there are no samples → `dvc repro sample`"
    for sample in samples:
        nearest = sample.facts.get("nearest")
        if nearest is None:
            yield f"{SAMPLES}/{sample.name} was not compared with the training clips → `dvc repro sample`"
        elif nearest["copy"]:
            yield f"{SAMPLES}/{sample.name} is {nearest['said']} → look at it; train with more data, or shorter"


def _rights_hold(root: Path) -> Iterator[str]:
    facts = Records(root)
    denied = sorted(
        clip_id
        for clip_id in facts.exposure
        if clip_id not in facts.clips
        or not Right(facts.films[facts.clips[clip_id].film_id].effective_right).permits_training
    )
    if denied:
        yield f"{counted(len(denied), 'clip')} that it saw may not be trained on now ({denied[0]}, …) → `dvc repro`"
    try:
        refuse_affected(root / "models")
    except AiprodError as error:
        yield str(error)
    wrong = lineage(root, "diffusion").mismatches
    if wrong:
        yield f"its lineage does not hold: {wrong[0]} ({len(wrong)} in all) → `aiprod lineage diffusion`"


def _log_holds(root: Path) -> Iterator[str]:
    problems = verify(root, AuditLog()).problems
    if problems:
        yield f"the audit log does not verify: {problems[0]} ({len(problems)} in all) → `aiprod audit verify`"


def _reviewed(root: Path) -> Iterator[str]:
    reviewed = report(root, log=AuditLog())
    if reviewed.unlogged:
        yield f"{counted(len(reviewed.unlogged), 'review')} of which the log knows nothing → `aiprod review report`"
    done = [sample for sample in reviewed.samples if sample.done]
    if not done:
        yield "no random sample of clips was reviewed to its end → `aiprod review sample`, then `aiprod review serve`"
        return
    newest = done[-1]
    for stratum in newest.strata:
        if not stratum.excludes_limit and stratum.looked_at < stratum.clips:
            yield f"sample {newest.name}, {stratum.stratum}: {stratum.verdict} → review more of these clips"
        elif stratum.defects and stratum.looked_at == stratum.clips:
            yield f"sample {newest.name}, {stratum.stratum}: {counted(stratum.defects, 'defect')} → `dvc repro` without"
    if newest.redrawn is False:
        yield f"sample {newest.name} is not what its seed draws → `aiprod review report`"
