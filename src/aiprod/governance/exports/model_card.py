"""The model card: what it is, what it learned from and by what right, how good it is, what it is not for."""

from __future__ import annotations

from typing import Any

from aiprod.governance.dataset import statistics as count
from aiprod.governance.dataset.queries import Tables
from aiprod.governance.dataset.records import Records
from aiprod.governance.dataset.voices import taught, voices
from aiprod.governance.exports.document import plain_text
from aiprod.printable import counted

# The figures of the section on training data, each with the query that yields it (`aiprod dataset count QUERY`).
FIGURES = {
    "films offered": "count of films",
    "refused by rights": "count of films where status = refused",
    "duplicates": "count of films where status = duplicate",
    "undecodable": "count of films where status = error",
    "clips": "count of clips",
    "clips by verdict": "by verdict of clips",
    "approved clips held out": "count of clips where verdict = APPROVED and split = heldout",
    "clips shown to the model": "count of clips where shown > 0",
    "showings": "sum shown of clips where shown > 0",
    "shown clips by source": "by source of clips where shown > 0",
    "shown clips by licence": "by license of clips where shown > 0",
    "obligations of films shown": "list obligations of films where shown = true",
}


def _upsampler(facts: Records) -> list[str]:
    """What the record says of the latent upsampler, where the model has one."""
    record = facts.training.get("upsampler")
    if not record:
        return []
    clips = sum(1 for shown in facts.exposure.values() if shown.by_phase.get("upsampler"))
    return [
        f"- Latent upsampler for sampling in two stages: `{record['digest']}`, {record['steps']} steps on"
        f" {counted(clips, 'clip')}, which the exposure ledger counts as phase `upsampler`",
    ]


def model_card(facts: Records) -> str:
    """Markdown with the metadata block that model hubs read. Every figure is counted from the manifests."""
    total, shown, tables = count.totals(facts), count.exposure(facts), Tables(facts)
    rows = [r for r in count.by_right(facts) if r["shown_clips"]]
    lines = [
        "---",
        "pipeline_tag: text-to-video",
        "tags: [text-to-video, text-to-audio, rectified-flow, synthetic-media]",
        "library_name: aiprod",
        "---",
        "",
        "# AIPROD text-to-video-with-audio model",
        "",
        "A two-stream diffusion transformer that generates video with sound from text, trained by rectified flow on "
        "latents of a video VAE and an audio VAE.",
        "",
        f"- Model digest: `{facts.training.get('model_digest', 'not trained')}`",
        "- Merkle root of what it was trained on (`datasets/v1/latents`): "
        f"`{facts.training.get('dataset_root', 'none')}`",
        f"- Optimiser steps: {facts.training.get('steps', 0)}",
        *_upsampler(facts),
        "",
        "## Training data",
        "",
        f"{counted(total.films, 'film')} were offered: {total.ingested} ingested, {total.refused} refused by rights, "
        f"{counted(total.duplicates, 'duplicate')}, {total.failed} undecodable, {total.erased} erased. Of "
        f"{counted(total.clips, 'clip')} {total.verdicts['APPROVED']} were approved, {total.verdicts['REVIEW_NEEDED']} "
        f"need review, {total.verdicts['REJECTED']} were rejected, {total.unjudged} are not judged yet. "
        f"{counted(total.shown, 'clip')} were shown to the model. {total.heldout} approved "
        f"{'is' if total.heldout == 1 else 'are'} held out: no model is shown them, it is measured on them.",
        "",
        "| source | licence | effective right | clips shown | showings |",
        "| --- | --- | --- | ---: | ---: |",
        *(
            f"| {_cell(r['source'])} | {_cell(r['license'])} | {r['right'].replace('_', ' ')} | {r['shown_clips']} | "
            f"{r['showings']} |"
            for r in rows
        ),
    ]
    if shown:
        lines += [
            "",
            f"Each clip was shown {shown['least']} to {shown['most']} times (median {shown['median']}); the "
            "exposure ledger beside the weights holds every count.",
        ]
    lines += ["", "## Attributions and obligations", ""]
    carried = [o for o in count.obligations(facts) if o["shown"]]
    lines += [f"- {_cell(o['obligation'])}" for o in carried] or ["None of the films that it was shown carries any."]
    lines += ["", *_networks(facts.networks), *_voices(facts), "## Evaluation", ""]
    for model in count.models(facts):
        if model["figures"]:
            lines += [
                f"### {model['title']}",
                "",
                "| figure | value |",
                "| --- | ---: |",
                *(f"| {_cell(name)} | {_cell(value)} |" for name, value in model["figures"]),
                "",
            ]
    lines += [
        "## Intended use and limits",
        "",
        "Made to show a traceable pipeline. At demo scale it was trained for minutes on a processor: its pictures are "
        "small and blurred. It knows only what its clips show.",
        "",
        "Do not use it to depict real people. Mark what it generates as synthetic (Regulation (EU) 2024/1689, "
        "Art. 50).",
        "",
        "## How the figures on training data were counted",
        "",
        "`aiprod dataset count QUERY` counts each again, from the manifests whose Merkle roots the dossier lists.",
        "",
        "| figure | value | query |",
        "| --- | --- | --- |",
        *(f"| {name} | {_cell(plain_text(tables.ask(query)))} | `{query}` |" for name, query in FIGURES.items()),
        "",
        "## Trace it",
        "",
        "`aiprod lineage reports/samples/000.mp4` walks from a generated video to every source "
        "file and licence and hashes the bytes again.",
        "",
    ]
    return "\n".join(lines)


def _voices(facts: Records) -> list[str]:
    """The voices that the model of speech heard, with their right."""
    heard = [voice for voice in voices(facts) if voice.heard]
    if not heard:
        return []
    return [
        "## Voices that the model of speech heard",
        "",
        "| speaker | language | where it is from | by what right | utterances heard | hearings |",
        "| --- | --- | --- | --- | ---: | ---: |",
        *(
            f"| {_cell(v.speaker)} | {_cell(v.language)} | {_cell(v.provenance)} | {_cell(v.right)} | {v.heard} "
            f"| {v.hearings} |"
            for v in heard
        ),
        "",
        *_mouths(facts),
    ]


def _mouths(facts: Records) -> list[str]:
    """What the models of the mouth were trained on."""
    seen = {name: facts.ledger(name) for name in ("visemes", "lips")}
    words = {"visemes": ("utterance", "of synthetic voices"), "lips": ("drawn head", "that say such utterances")}
    lines = [
        f"- `{name}`: {counted(len(ledger), words[name][0])} {words[name][1]}, "
        f"{sum(one.times for one in ledger.values())} showings"
        for name, ledger in seen.items()
        if ledger
    ]
    if lines and (teachers := taught(facts)):
        lines.append(f"- among these voices: {_cell('; '.join(teachers))}")
    return ["## What the models of the mouth learnt from", "", *lines, ""] if lines else []


def _networks(networks: list[dict[str, Any]]) -> list[str]:
    """The networks that looked at the clips, with digests and, once each, the texts of their licences."""
    if not networks:
        return []
    lines = [
        "## Networks that looked at the clips",
        "",
        "Quality control and captions rest partly on these networks of others. They are no part of this model.",
        "",
        "| network | package | licence | clips | file and its SHA-256 |",
        "| --- | --- | --- | ---: | --- |",
    ]
    holders: dict[str, list[str]] = {}
    for network in networks:
        package = f"{network['package']} {network['package_version']}".strip()
        files = "<br>".join(f"{_cell(name)} `{digest}`" for name, digest in sorted(network["files_sha256"].items()))
        cells = [_cell(cell) for cell in (network["title"], package, network["licence"], network["clips"])]
        lines.append(f"| {' | '.join(cells)} | {files} |")
        holders.setdefault(network["licence_text"].strip(), []).append(network["title"])
    for text, titles in holders.items():
        quoted = [f"    {line}".rstrip() for line in text.splitlines()]
        lines += ["", f"Licence of {_cell('; '.join(titles))}:", "", *quoted]
    return [*lines, ""]


def _cell(text: str) -> str:
    """Text that cannot break a table or smuggle in markup."""
    escaped = str(text).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
    return escaped.replace("[", "\\[")
