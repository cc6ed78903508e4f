"""Pages: templates that escape everything by default, one look for all of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aiprod.base.pages import with_policy

_HERE = Path(__file__).parent


def render(template: str, folder: Path = _HERE, /, **values: Any) -> str:
    """Render a template of this folder, or of another that may include those of this one.

    Every value is escaped (titles and captions come from strangers); a name that is missing is an error. A page that is
    opened as a file carries a policy; one that is served, with a ``nonce``, gets it from its server.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    loader = FileSystemLoader([folder, _HERE])
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters["code"] = _with_code
    environment.filters["short"] = lambda value, length=12: str(value)[:length]
    page = environment.get_template(template).render(**values)
    source = (folder / template).read_text(encoding="utf-8")
    return page if "nonce" in values else with_policy(page, source)


def _with_code(line: str) -> Any:
    """A line of text whose words between backticks, which are to be typed, are set as code."""
    from markupsafe import Markup, escape

    parts = [escape(part) for part in line.split("`")]
    if len(parts) % 2 == 0:  # one of them has no end
        return escape(line)
    return Markup("").join(Markup("<code>{}</code>").format(part) if n % 2 else part for n, part in enumerate(parts))
