"""The documents of counted figures. Imported and not named, so that the dossier is made again where one changes."""

from __future__ import annotations

from aiprod.governance.dataset.queries import Tables
from aiprod.governance.dataset.records import Records
from aiprod.governance.exports.data_provenance import provenance
from aiprod.governance.exports.document import Writer
from aiprod.governance.exports.eu_ai_act import eu_ai_act
from aiprod.governance.exports.ropa import ropa
from aiprod.governance.organisation import load_organisation

_WRITERS = (eu_ai_act, provenance, ropa)


def written(facts: Records) -> dict[str, Writer]:
    """The documents of the state that ``facts`` reads, by the names that ``aiprod export`` gives them.

    Raises:
        AiprodError: a manifest or datasets/organisation.yaml is damaged.
    """
    arguments = Tables(facts), load_organisation(facts.root)
    return {writer.__name__.replace("_", "-"): writer(*arguments) for writer in _WRITERS}
