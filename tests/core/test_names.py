"""Public names come from the package root on demand, and importing the root loads nothing heavy."""

from __future__ import annotations

import subprocess
import sys

import pytest

import aiprod.core


@pytest.mark.parametrize("name", sorted(set(dir(aiprod.core)) & set(aiprod.core._MODULES)))
def test_every_public_name_is_there_and_documented(name: str) -> None:
    assert getattr(aiprod.core, name).__doc__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="Transformr"):
        _ = aiprod.core.Transformr


def test_importing_the_root_does_not_import_torch() -> None:
    code = "import aiprod.core, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
