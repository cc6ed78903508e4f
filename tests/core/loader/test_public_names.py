"""Public names load on first use, are documented, and a misspelt one is an error."""

from __future__ import annotations

import pytest

import aiprod.core.loader
import aiprod.core.text


@pytest.mark.parametrize("package", [aiprod.core.loader, aiprod.core.text])
def test_public_names_are_there_and_others_are_not(package: object) -> None:
    for name in package.__all__:  # type: ignore[attr-defined]
        assert getattr(package, name).__doc__
    with pytest.raises(AttributeError, match="has no attribute 'NoSuchName'"):
        package.NoSuchName  # type: ignore[attr-defined] # noqa: B018
