"""What is said of a thing in one line of a lineage tree, in a terminal and on a page."""

from __future__ import annotations

from aiprod.governance.lineage.node import Node
from aiprod.printable import counted


def label(node: Node) -> str:
    """One line about a node: what a reader asks first."""
    return " · ".join([f"{node.kind} {node.name}", *label_parts(node)])


def label_parts(node: Node) -> list[str]:
    """What is said of a node after its kind and name."""
    facts = node.facts
    parts = {
        "signed": [
            f"Content Credentials: {facts.get('content_credentials', '')}",
            f"signed by {facts.get('signed_by', '')}",
            facts.get("digital_source_type", ""),
        ],
        "sample": [f"“{facts['prompt']}”" if facts.get("prompt") else ""],
        "finished film": [
            f"“{facts.get('title', '')}”",
            facts.get("at", ""),
            facts.get("scene", ""),
            f"known by {facts['known_by']}" if "known_by" in facts else "",
            *facts.get("shows", ()),
        ],
        "release": [f"released {facts.get('released', '')}", f"sha256 {facts.get('sha256', '')}"],
        "shot": [facts.get("track", ""), facts.get("scene", ""), facts.get("shows", "")],
        "sound": [facts.get("bus", ""), f"sample {facts['sample']}" if "sample" in facts else ""],
        "grade": [f"{name} {value}" for name, value in facts.items()],
        "file": [facts.get("license", ""), facts.get("credit", "")],
        "voice": [facts.get("speaker", ""), facts.get("language", ""), facts.get("license", "")],
        "speech": [facts.get("speaker", ""), facts.get("language", ""), facts.get("file", "")],
        "model": [
            f"{counted(facts['clips_seen'], 'clip')} seen" if "clips_seen" in facts else "",
            f"shown {counted(facts['times_shown'], 'time')}" if "times_shown" in facts else "",
            f"{counted(facts['utterances_heard'], 'utterance')} heard" if "utterances_heard" in facts else "",
            f"{counted(facts['heads_seen'], 'drawn head')} seen" if "heads_seen" in facts else "",
        ],
        "generated video": [f"“{facts['prompt']}”" if facts.get("prompt") else "", f"seed {facts.get('seed')}"],
        "utterance": [
            f"heard {counted(facts['times_heard'], 'time')}" if "times_heard" in facts else "",
            facts.get("split", ""),
            f"“{facts.get('text', '')}”",
        ],
        "head": [
            f"shown {counted(facts['times_shown'], 'time')}" if "times_shown" in facts else "",
            facts.get("split", ""),
            *facts.get("provenance", ()),
        ],
        "speaker": [*facts.get("right", ()), *facts.get("provenance", ())],
        "clip": [
            f"shown {counted(facts['times_shown'], 'time')}" if "times_shown" in facts else "",
            facts.get("verdict", ""),
            *(f"reviewed: {line}" for line in facts.get("reviews", ())),
            facts.get("split", ""),
            facts.get("caption", ""),
        ],
        "film": [
            facts.get("source_file", ""),
            facts.get("license", ""),
            facts.get("right", ""),
            facts.get("attribution", ""),
        ],
        "source": [facts.get("title", ""), f"policy: {facts['policy']}" if "policy" in facts else ""],
        "latent": [facts.get("status", "")],
    }.get(node.kind, [])
    return [str(part) for part in parts if part]
