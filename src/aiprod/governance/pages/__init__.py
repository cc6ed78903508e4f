"""Pages: templates that escape everything by default, one look for all of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def render(template: str, **values: Any) -> str:
    """Render a template of this folder.

    Every value is escaped (titles and captions come from strangers); a name that is missing is an error.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    loader = FileSystemLoader(Path(__file__).parent)
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters["short"] = lambda value, length=12: str(value)[:length]
    return environment.get_template(template).render(**values)
