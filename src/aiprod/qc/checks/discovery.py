"""Collects what the modules of checks define, and refuses what does not fit together."""

from __future__ import annotations

from collections.abc import Sequence
from graphlib import CycleError, TopologicalSorter
from types import ModuleType

from aiprod.qc.checks.judging import Rule
from aiprod.qc.measurement import Measurement


def measurements_of(modules: Sequence[ModuleType]) -> dict[str, type[Measurement]]:
    """The measurements that the modules define, by name, each after those that it needs.

    Raises:
        ValueError: two have one name, or one needs what is not there, or itself.
    """
    kinds: dict[str, type[Measurement]] = {}
    for module in modules:
        for kind in vars(module).values():
            own = isinstance(kind, type) and issubclass(kind, Measurement) and kind.__module__ == module.__name__
            if not own:
                continue
            if kind.name in kinds:
                raise ValueError(f"two measurements are named {kind.name!r}")
            kinds[kind.name] = kind
    for name, kind in kinds.items():
        if unknown := set(kind.needs) - kinds.keys():
            raise ValueError(f"the measurement {name!r} needs {sorted(unknown)}, which no module defines")
    try:
        order = list(TopologicalSorter({name: sorted(kinds[name].needs) for name in sorted(kinds)}).static_order())
    except CycleError as error:
        raise ValueError(f"measurements need each other: {' → '.join(error.args[1])}") from None
    return {name: kinds[name] for name in order}


def rules_of(modules: Sequence[ModuleType]) -> dict[str, Rule]:
    """The rules of the modules, by name: those with a weight first, the heaviest before others; else as they come.

    Raises:
        ValueError: two have one name, or one reads a measurement that is not there.
    """
    rules: list[Rule] = [rule for module in modules for rule in getattr(module, "RULES", ())]
    by_name = {rule.name: rule for rule in rules}
    if len(by_name) < len(rules):
        raise ValueError("two rules have the same name")
    measured = measurements_of(modules)
    for rule in rules:
        if unknown := {rule.source, *rule.reads} - measured.keys():
            raise ValueError(f"the rule {rule.name!r} reads {sorted(unknown)}, which no module measures")
    return {rule.name: rule for rule in sorted(rules, key=lambda rule: 1.0 if rule.weight is None else -rule.weight)}
