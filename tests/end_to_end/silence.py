"""Put into a project's ``src`` as ``sitecustomize.py``: modules that only observe a run then do nothing.

``OBSERVERS`` below is filled in by the test that copies this file.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
from types import ModuleType
from typing import Any

OBSERVERS: list[str] = []


class Nothing:
    """Whatever is asked of it, it is itself."""

    def __call__(self, *_: Any, **__: Any) -> Any:
        return self

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: Any) -> None:
        pass


def progress(items: Any, *_: Any, **__: Any) -> Any:
    """Progress over items yields the items."""
    return iter(items)


class Silence(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the observers before the import system does."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """A module of nothing for an observer, None for all others."""
        if any(name == observer or name.startswith(f"{observer}.") for observer in OBSERVERS):
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec: Any) -> ModuleType:
        """An empty module whose every name is :class:`Nothing`."""
        module = ModuleType(spec.name)
        vars(module)["progress"] = progress
        vars(module)["__getattr__"] = lambda name: getattr(Nothing(), name)
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Nothing to run."""


sys.meta_path.insert(0, Silence())
