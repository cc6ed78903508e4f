"""The endpoint captioner against `transformers serve`, which serves a tiny checkpoint from the hub's cache, offline."""

from __future__ import annotations

import json
import socket
import time
import urllib.request
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from aiprod.captions.captioner import Subject
from aiprod.captions.endpoint import EndpointCaptioner
from aiprod.captions.model_params import EndpointParams
from aiprod.media.encoding import encode
from tests.captions.llava import save_llava

pytest.importorskip("openai", reason="`transformers serve` needs the package openai (extra dev)")

COMMIT = "0123456789abcdef0123456789abcdef01234567"
ANSWER = {"caption": "A red square on a wall.", "subject": "a red square", "place": "a wall", "people": "none"}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a server that has one model, ``someone/tiny``, in its cache."""
    import huggingface_hub.constants
    from transformers.cli.serve import Serve

    cache = tmp_path_factory.mktemp("hub")
    snapshot = cache / "models--someone--tiny" / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (cache / "models--someone--tiny" / "refs").mkdir()
    (cache / "models--someone--tiny" / "refs" / "main").write_text(COMMIT)
    save_llava(snapshot, json.dumps(ANSWER))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
        patch.setattr("huggingface_hub.utils._cache_manager.HF_HUB_CACHE", str(cache), raising=False)
        server = Serve(host="127.0.0.1", port=port, device="cpu", non_blocking=True)
        try:
            for _ in range(200):
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5)
                    break
                except OSError:
                    time.sleep(0.05)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            server.kill_server()


@pytest.mark.slow
def test_a_tiny_model_behind_transformers_serve_captions_a_film(served: str, tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    encode(film, (np.full((48, 64, 3), 9 * n + 20, np.uint8) for n in range(12)), Fraction(24), None)
    captioner = EndpointCaptioner(EndpointParams(base_url=served, frames=3, longest_side_px=64))
    [draft] = captioner.describe([Subject("a", {}, path=film)])
    assert draft.caption == ANSWER["caption"]
    assert (draft.content.words("subject"), draft.content.words("people")) == ("a red square", "")
    [evidence] = draft.content.subject[0].evidence
    assert (evidence.method, evidence.version) == ("someone/tiny", "main"), "as the server says, which knows no more"
    assert captioner.describe([Subject("a", {}, path=film)]) == [draft]
