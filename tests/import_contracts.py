"""A contract of import-linter that lists what a package may import, where the list of all else would have no end."""

from __future__ import annotations

import sys

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output


class AllowedContract(Contract):  # type: ignore[misc]
    """``source_modules`` and all below them import, directly, the standard library, each other and what is listed.

    Imports inside functions count too, and those of type checking do not.
    """

    type_name = "allowed"

    source_modules = fields.ListField(subfield=fields.ModuleField())
    allowed_modules = fields.ListField(subfield=fields.ModuleField())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        sources = [module.name for module in self.source_modules]
        allowed = [*sources, *(module.name for module in self.allowed_modules)]
        found = []
        for source in sources:
            for module in sorted({source} | graph.find_descendants(source)):
                for target in sorted(graph.find_modules_directly_imported_by(module)):
                    within = any(f"{target}.".startswith(f"{name}.") for name in allowed)
                    if not within and target.partition(".")[0] not in sys.stdlib_module_names:
                        found.append((module, target))
        return ContractCheck(kept=not found, metadata={"found": found})

    def render_broken_contract(self, check: ContractCheck) -> None:
        for module, target in check.metadata["found"]:
            output.print_error(f"{module} imports {target}, which is not on its list")
