"""The result of the matrix as a page."""

from __future__ import annotations

from collections.abc import Sequence

from tests.media.matrix.trying import Outcome


def share(outcomes: Sequence[Outcome]) -> str:
    """How many pass, in a line."""
    tried = [o for o in outcomes if o.state != "unwritten"]
    counts = {state: sum(o.state == state for o in tried) for state in ("ok", "refused", "wrong")}
    right = counts["ok"] + counts["refused"]
    return (
        f"Of {len(tried)} films {counts['ok']} are right, {counts['refused']} are refused with a reason and "
        f"{counts['wrong']} are wrong: {100 * right / max(1, len(tried)):.1f} % pass."
    )


def table(outcomes: Sequence[Outcome]) -> str:
    """Counts a container, then each film that is not right."""
    lines = [share(outcomes), "", "| container | films | right | refused | wrong |", "| --- | --: | --: | --: | --: |"]
    tried = [o for o in outcomes if o.state != "unwritten"]
    for container in dict.fromkeys(o.combination.container for o in tried):
        here = [o.state for o in tried if o.combination.container == container]
        counts = [str(here.count(state)) for state in ("ok", "refused", "wrong")]
        lines.append(f"| {container} | {len(here)} | {' | '.join(counts)} |")
    odd = [o for o in tried if o.state != "ok"]
    if odd:
        lines += ["", "| container | pictures | sound | habit | result |", "| --- | --- | --- | --- | --- |"]
    for o in odd:
        c = o.combination
        said = "; ".join(o.said).replace("|", "/")
        lines.append(f"| {c.container} | {c.video} | {c.audio} | {c.habit} | {o.state}: {said} |")
    return "\n".join(lines) + "\n"
