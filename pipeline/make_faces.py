"""Stage make_faces: draw heads that say sentences of the speech dataset, with the truth of their mouths."""

from __future__ import annotations

from pathlib import Path

from aiprod.base.files import atomic_folder
from aiprod.base.params import load_params
from aiprod.base.stage import Counters, record_counters
from aiprod.executors.types import default_workers
from aiprod.lips.corpus import MakeFacesParams, make_faces
from aiprod.lips.rows import FaceRow
from aiprod.speech.rows import SpeechRow
from aiprod.storage.crypto.film_encryption import Vault
from aiprod.storage.manifest.manifest import read_head, read_rows, write_manifest
from pipeline.running import run

SPEECH, OUT = Path("datasets/v1/speech"), Path("datasets/v1/faces")


def main() -> None:
    """Write films and a row each."""
    params, vault = load_params(MakeFacesParams, "make_faces"), Vault()
    speech = read_rows(SPEECH, SpeechRow, vault)
    with atomic_folder(OUT) as folder:
        rows = make_faces(params, speech, SPEECH, folder, default_workers())
        write_manifest(
            folder,
            rows,
            row_model=FaceRow,
            stage="make_faces",
            key=lambda row: row.clip_id,
            params_digest=params.digest(),
            inputs={"speech": read_head(SPEECH).merkle_root},
            vault=vault,
        )
    record_counters("make_faces", Counters(processed=len(rows)))


if __name__ == "__main__":
    run(main)
