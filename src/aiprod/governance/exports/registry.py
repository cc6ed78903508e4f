"""Every document with counted figures, by the name that ``aiprod export`` gives it."""

from __future__ import annotations

from aiprod.governance.dataset.queries import Tables
from aiprod.governance.dataset.records import Records
from aiprod.governance.dataset.version import describe
from aiprod.governance.exports.data_provenance import provenance
from aiprod.governance.exports.document import Writer
from aiprod.governance.exports.eu_ai_act import eu_ai_act
from aiprod.governance.exports.ropa import ropa
from aiprod.governance.organisation import load_organisation


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
