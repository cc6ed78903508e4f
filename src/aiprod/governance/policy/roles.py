"""Who may decide what: people → roles → actions, as ``datasets/roles.yaml`` in git says.

A person says who they are by ``--as NAME``, else ``AIPROD_ACTOR``, else ``git config user.name``. That is a statement,
not a proof: what stops a false one is that the file is in git under review, and that every decision and every refusal
is a leaf in the audit log. On a shared machine let the operating system decide who may run ``aiprod``.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from pydantic import Field, field_validator

from aiprod.base.denials import Refusal
from aiprod.base.params import Params, nearest, validate
from aiprod.base.state import workspace
from aiprod.base.yaml_file import read_yaml
from aiprod.errors import AiprodError
from aiprod.governance.audit.denials import refuse
from aiprod.governance.audit.log import AuditLog
from aiprod.printable import escape_controls
from aiprod.repo.git import git_text

ROLES = Path("datasets/roles.yaml")
ENVIRONMENT = "AIPROD_ACTOR"

Role = Literal["data_steward", "ml_engineer", "reviewer", "privacy_officer", "legal"]
Action = Literal[
    "approve_source",  # change what the policy says of a source, register a contract
    "draw_sample",  # announce and draw a sample for manual review
    "review",  # judge clips: lower any verdict, settle one that asks for a review
    "override_verdict",  # raise a verdict of REJECTED
    "accept_privacy",  # approve a clip that shows people, naming the basis
    "record_consent",
    "withdraw_consent",
    "erase",
    "manage_keys",  # back up, restore, rotate
    "release",  # publish a model, samples or signed documents
    "promote",  # call a model candidate or champion, where its gate is open
]
ACTIONS: tuple[Action, ...] = get_args(Action)


class RolesFile(Params):
    """The whole of ``datasets/roles.yaml``."""

    roles: dict[Role, list[Action]] = Field(description="what each role may do")
    people: dict[str, list[Role]] = Field(default={}, description="who has which roles")

    @field_validator("people")
    @classmethod
    def _distinct(cls, people: dict[str, list[Role]]) -> dict[str, list[Role]]:
        names = [_plain(name) for name in people]
        if "" in names or len(set(names)) < len(names):
            raise ValueError("names must differ by more than case and spaces, and not be empty")
        return people

    def person(self, name: str) -> tuple[str, list[Role]] | None:
        """A person's name as the file spells it, and their roles; case and spaces around do not matter."""
        return next(((n, roles) for n, roles in self.people.items() if _plain(n) == _plain(name)), None)

    def actor(self, name: str, action: Action) -> Actor | None:
        """A person with the first of their roles that may take a decision; None where none may."""
        person, able = self.person(name), self.roles_that_may(action)
        role = next((role for role in person[1] if role in able), None) if person is not None else None
        return Actor(person[0], role) if person is not None and role is not None else None

    def roles_that_may(self, action: Action) -> list[Role]:
        """The roles that may take a decision, in the order of the file."""
        return [role for role, actions in self.roles.items() if action in actions]


@dataclass(frozen=True)
class Actor:
    """Somebody who may do what they asked to do, and the first of their roles that lets them."""

    name: str
    role: Role


def load_roles(root: Path | None = None) -> RolesFile:
    """Read and validate the file.

    Raises:
        AiprodError: missing or wrong; names the key.
    """
    path = (root or workspace()) / ROLES
    if not path.is_file():
        raise AiprodError(f"{ROLES} does not exist, so no one may decide anything", "restore it from git")
    return validate(RolesFile, read_yaml(path), str(ROLES))


def who(named: str | None = None, root: Path | None = None) -> str:
    """Who is asking: the name given, else ``AIPROD_ACTOR``, else git's ``user.name``.

    Raises:
        AiprodError: nobody says.
    """
    name = (named or os.environ.get(ENVIRONMENT) or git_text(root or workspace(), "config", "user.name")).strip()
    if not name:
        raise AiprodError("the user is not named", f"add --as NAME, or set {ENVIRONMENT} or `git config user.name`")
    return escape_controls(name)  # a name that is no UTF-8 is refused and logged like any other


def require(
    named: str | None, action: Action, *, subject: str = "", root: Path | None = None, log: AuditLog | None = None
) -> Actor:
    """The person who is asking, if they may take this decision. A refusal is logged before it is raised.

    Args:
        named: what ``--as`` said; None looks further (:func:`who`).
        subject: opaque id of what it is to be done to; stands in the log.

    Raises:
        Refusal: they may not; one line that says who may.
        AiprodError: the user is not named, or the file is wrong.
    """
    if action not in ACTIONS:
        raise AiprodError(f"no action is called {action!r}", nearest(action, list(ACTIONS)))
    declared, name = load_roles(root), who(named, root)
    if (actor := declared.actor(name, action)) is not None:
        return actor
    able, person = declared.roles_that_may(action), declared.person(name)
    needed = " or ".join(able) or "a role that nobody was given"
    status = f"has the roles {', '.join(person[1]) or 'none'}" if person else f"is not in {ROLES}"
    people = sorted(n for n, roles in declared.people.items() if set(roles) & set(able))
    hint = f"ask {', '.join(people)}" if people else f"give somebody such a role in {ROLES}"
    raise refuse(
        Refusal(
            f"{name!r} may not {action}: it takes {needed}, and {name!r} {status}",
            f"{hint}; --as NAME says who you are",
            lack="role",
            action=action,
            subject=subject,
            committed={"actor": name},
        ),
        log,
    )


def _plain(name: str) -> str:
    return " ".join(name.split()).casefold()
