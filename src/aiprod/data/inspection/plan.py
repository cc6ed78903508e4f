"""By what a place is judged: the declaration of the source that lies there, or as films that somebody hands in."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from aiprod.base.addresses import WHERE_SECRETS_GO, secret_in
from aiprod.base.params import load_params, nearest
from aiprod.base.state import workspace
from aiprod.data.inspection.inspect_source import InspectionPlan
from aiprod.data.params import IngestParams
from aiprod.data.sources.folder import PlacedSource
from aiprod.data.sources.registry import ADAPTERS, load_sources
from aiprod.data.sources.remote import is_remote
from aiprod.errors import AiprodError
from aiprod.rights.agreements import CONSENT, Terms, lapsed, load_consents
from aiprod.rights.declarations import PER_FILE, SourceDeclaration, SourcesFile

_INBOX_ID = "inbox"
HANDED_IN = SourceDeclaration(
    title="Your own films",
    adapter="folder",
    annotation_license="own",
    media_license=PER_FILE,
    acquisition_terms="provided-by-operator",
    media_host="self",
    personal_data_basis="per-file",
    consent="per_file",
    policy_approval="approved",
    confidence="medium",
)
"""What a new project declares of its inbox, for a place outside of any project."""


def plan_of(place: str, source_id: str | None, adapter: str | None) -> InspectionPlan:
    """The declaration, parameters and agreements by which ``place`` is judged.

    Raises:
        AiprodError: the folder does not exist, the source is not declared, or the project's files are wrong.
    """
    if kind := secret_in(place):
        raise AiprodError(f"the address holds {kind}", WHERE_SECRETS_GO)
    if not is_remote(place):
        folder = Path(place).expanduser().resolve()
        if not folder.is_dir():
            what = f"{place} is not a folder" if folder.exists() else f"the folder {place} does not exist"
            raise AiprodError(what, "name a folder, or an s3:// or https:// address")
        place = str(folder)
    known = [name for name, kind in ADAPTERS.items() if issubclass(kind, PlacedSource)]
    if adapter is not None and adapter not in known:
        raise AiprodError(f"there is no adapter {adapter!r} for a place", nearest(adapter, known))
    params, terms, declared, why = IngestParams(), Terms(), HANDED_IN, "what a new project says of datasets/inbox"
    try:
        project = workspace()
    except AiprodError:
        if source_id is not None:
            raise
        chosen = _INBOX_ID
    else:
        params = load_params(IngestParams, "ingest", project / "params.yaml")
        sources = load_sources(project / "datasets" / "sources.yaml")
        consents = load_consents(project / CONSENT)
        terms = Terms(consents, frozenset(lapsed(sources, consents, dt.date.today())))
        chosen = source_id or _source_at(place, project, sources, params) or _INBOX_ID
        if source_id is not None or chosen in sources.sources:
            declared, why = sources.get(chosen), f"the source {chosen} in datasets/sources.yaml"
    if declared.adapter in known and declared.adapter != "folder":
        adapter = adapter or declared.adapter
    params = params.model_copy(update={"folders": {**params.folders, chosen: place}})
    return InspectionPlan(place, chosen, declared, why, params, terms, adapter)


def _source_at(place: str, project: Path, sources: SourcesFile, params: IngestParams) -> str | None:
    """The declared source whose folder or address is ``place``."""
    for source_id, declared in sources.sources.items():
        stated = params.folders.get(source_id) or declared.path
        if stated is None:
            continue
        own = stated if is_remote(stated) else str((project / Path(stated).expanduser()).resolve())
        if own.rstrip("/") == place.rstrip("/"):
            return source_id
    return None
