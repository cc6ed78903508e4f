"""Every document with counted figures, by the name that ``aiprod export`` gives it."""

from __future__ import annotations

from aiprod.governance.dataset_version import describe
from aiprod.governance.documents.document import Writer
from aiprod.governance.documents.eu_ai_act import eu_ai_act
from aiprod.governance.documents.organisation import load_organisation
from aiprod.governance.documents.provenance import provenance
from aiprod.governance.documents.ropa import ropa
from aiprod.governance.queries import Tables
from aiprod.governance.records import Records


def written(facts: Records) -> dict[str, Writer]:
    """The documents of the state that ``facts`` reads.

    Raises:
        AiprodError: a manifest or datasets/organisation.yaml is damaged.
    """
    tables, organisation = Tables(facts), load_organisation(facts.root)
    return {
        "eu-ai-act": eu_ai_act(tables, organisation),
        "provenance": provenance(tables, organisation, describe(facts)),
        "ropa": ropa(tables, organisation),
    }
