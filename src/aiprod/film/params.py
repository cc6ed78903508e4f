"""Parameters of the stages that make a film."""

from __future__ import annotations

from pydantic import Field

from aiprod.base.params import Params


class FilmParams(Params):
    """A finished film from a script."""

    script: str = Field(default="", description="script of the film, below datasets/films; empty: no film")
