"""A released film verifies beyond the end of its certificate where a time-stamp authority is named (RFC 3161)."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID
from typer import Typer
from typer.testing import CliRunner

from aiprod.base.denials import Refusal
from aiprod.commands import release as command
from aiprod.errors import AiprodError
from aiprod.governance.credentials.content_credentials import read_credential
from aiprod.governance.credentials.signing_identity import anchors, identity
from aiprod.governance.organisation import PLACE, load_organisation
from tests.governance.test_release import VIDEO, releasable, sign
from tests.governance.tsa import certificate, serve, write_files

__all__ = ["releasable"]
SECONDS = 4  # that the signer's certificate is valid


@pytest.fixture
def authority(tmp_path: Path) -> Iterator[tuple[str, Path, list[bytes]]]:
    """Its address, its root, and what it was asked."""
    with serve(tmp_path / "tsa") as made:
        yield made.address, made.root, made.asked


def _organise(root: Path, ends: datetime, more_roots: bytes = b"", **stated: str) -> None:
    """A certificate of the organisation's own that is valid for so long."""
    top, signer = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    later = datetime.now(UTC) + timedelta(days=900)
    above = certificate("Example root", top, "Example root", top, later, None)
    leaf = certificate("Example Films", signer, "Example root", top, ends, ExtendedKeyUsageOID.EMAIL_PROTECTION)
    write_files(root / "certs", key__pem=signer, chain__pem=leaf, root__pem=above)
    (root / "certs/root.pem").write_bytes((root / "certs/root.pem").read_bytes() + more_roots)
    names = {"c2pa_certificate": "certs/chain.pem", "c2pa_key": "certs/key.pem", "c2pa_anchors": "certs/root.pem"}
    (root / PLACE).write_text(json.dumps({**names, **stated}))


def _state(path: Path, root: Path) -> str:
    found = read_credential(path, anchors(root))
    assert found is not None
    return found.state


@pytest.mark.slow
def test_what_was_stamped_outlives_its_certificate_and_what_was_not_does_not(releasable: Path, authority) -> None:
    address, root, asked = authority
    ends = datetime.now(UTC) + timedelta(seconds=SECONDS)
    _organise(releasable, ends, root.read_bytes(), c2pa_timestamps=address)
    stamped = sign(releasable).rename(releasable / "stamped.mp4")
    assert len(asked) == 1
    film = (releasable / VIDEO).read_bytes()
    assert all(film[at : at + 16] not in asked[0] for at in range(0, len(film) - 16, 16)), "nothing of the film is sent"
    stated = json.loads((releasable / PLACE).read_text())
    (releasable / PLACE).write_text(json.dumps({k: v for k, v in stated.items() if k != "c2pa_timestamps"}))
    plain = sign(releasable).rename(releasable / "plain.mp4")
    assert len(asked) == 1
    assert [_state(path, releasable) for path in (stamped, plain)] == ["Trusted", "Trusted"]
    time.sleep(max(0.0, (ends - datetime.now(UTC)).total_seconds()) + 1.1)
    assert [_state(path, releasable) for path in (stamped, plain)] == ["Trusted", "Invalid"]
    with pytest.raises(Refusal, match="ended on"):
        identity(releasable)


def test_the_command_says_until_when_a_film_verifies(releasable: Path, authority) -> None:
    address, root, _ = authority
    _organise(releasable, datetime(2031, 5, 6, tzinfo=UTC), root.read_bytes())
    app = Typer(pretty_exceptions_enable=False)
    command.register(app)
    app.command()(lambda: None)
    asked = ["release", VIDEO.as_posix(), "--out", "out", "--as", "operator"]
    plain = CliRunner().invoke(app, asked)
    assert plain.exit_code == 0 and "verifies until" in plain.output and "c2pa_timestamps" in plain.output
    assert "2029" in plain.output or "2031-05-06" in plain.output
    _organise(releasable, datetime(2031, 5, 6, tzinfo=UTC), root.read_bytes(), c2pa_timestamps=address)
    stamped = CliRunner().invoke(app, asked)
    assert stamped.exit_code == 0 and f"time-stamped by {address}" in stamped.output
    assert "verifies until" not in stamped.output


def test_an_authority_that_does_not_answer_stops_the_release_in_one_line(releasable: Path) -> None:
    _organise(releasable, datetime.now(UTC) + timedelta(days=9), c2pa_timestamps="http://127.0.0.1:9/")
    with pytest.raises(AiprodError, match=r"000\.mp4 cannot be signed.*authority http://127\.0\.0\.1:9/") as caught:
        sign(releasable)
    assert "\n" not in str(caught.value) and not (releasable / "release/000.mp4").exists()


@pytest.mark.parametrize("address", ["ftp://a/", "tsa.example.org", "https://user:secret@tsa.example.org/", ""])
def test_an_address_that_is_none_is_refused(releasable: Path, address: str) -> None:
    (releasable / PLACE).write_text(json.dumps({"c2pa_timestamps": address}))
    with pytest.raises(AiprodError, match="c2pa_timestamps"):
        load_organisation(releasable)
