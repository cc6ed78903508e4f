"""Who sits at the desk, and what their roles let them do: for what is offered. Each deed asks the roles once more."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from aiprod.errors import AiprodError
from aiprod.governance.policy.roles import ACTIONS, Action, Role, load_roles, who


@dataclass(frozen=True)
class Person:
    """Somebody, with or without roles.

    Attributes:
        name: empty where nobody is named.
    """

    name: str
    roles: list[Role]
    may: frozenset[Action]

    @property
    def title(self) -> str:
        """As they are greeted."""
        roles = ", ".join(role.replace("_", " ") for role in self.roles)
        return f"{self.name}: {roles or 'no role'}" if self.name else "nobody is named (--as)"


def person(root: Path, named: str | None) -> Person:
    """Whoever ``--as``, the environment or git names; who is not named may look at what takes no role.

    Raises:
        AiprodError: the file of roles is missing or wrong.
    """
    declared = load_roles(root)
    try:
        name = who(named, root)
    except AiprodError:
        return Person("", [], frozenset())
    known = declared.person(name)
    may = frozenset(action for action in ACTIONS if declared.actor(name, action) is not None)
    return Person(known[0] if known else name, known[1] if known else [], may)
