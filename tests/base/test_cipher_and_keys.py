"""Encryption that DVC can live with, and keys that can be destroyed, moved and wrapped anew."""

from __future__ import annotations

import base64
import io
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiprod.base.denials import Refusal
from aiprod.errors import AiprodError
from aiprod.storage.crypto import cipher
from aiprod.storage.crypto.key_store import PROJECT, KeyStore
from aiprod.storage.crypto.master_key import LocalKey

FILM, OTHER = "f0" + "a" * 16, "f0" + "b" * 16
SECRET = bytes(range(32))


@given(st.binary(max_size=300), st.text(max_size=20))
def test_equal_content_gives_equal_bytes_and_comes_back(data: bytes, label: str) -> None:
    once = cipher.encrypt(SECRET, label, data)
    assert once == cipher.encrypt(SECRET, label, data)
    assert cipher.decrypt(SECRET, once, "x") == (label, data)


@settings(max_examples=200)
@given(st.binary(max_size=64), st.data())
def test_any_flipped_bit_is_refused(data: bytes, draw: st.DataObject) -> None:
    sealed = bytearray(cipher.encrypt(SECRET, "raw:x", data))
    place = draw.draw(st.integers(0, 8 * len(sealed) - 1))
    sealed[place // 8] ^= 1 << place % 8
    with pytest.raises(AiprodError):
        cipher.decrypt(SECRET, bytes(sealed), "x")


def test_pieces_cannot_be_cut_off_swapped_or_taken_from_another_object(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cipher, "PIECE", 64)
    data = os.urandom(64 * 3 + 7)
    sealed = cipher.encrypt(SECRET, "raw:x", data)
    assert cipher.decrypt(SECRET, sealed, "x")[1] == data
    _, header = cipher.read_header(io.BytesIO(sealed), "x")
    body, piece = sealed[len(header) :], 64 + 16
    first, second = body[:piece], body[piece : 2 * piece]
    foreign = cipher.encrypt(SECRET, "raw:y", data)[len(header) :]
    for wrong in (
        header + body[: 2 * piece],
        header + second + first + body[2 * piece :],
        header + body + body[:piece],
        header + foreign[:piece] + body[piece:],
        header,
    ):
        with pytest.raises(AiprodError):
            cipher.decrypt(SECRET, wrong, "x")


def test_key_label_and_content_each_change_everything_and_nothing_shows() -> None:
    data = b"the name of a person" * 20
    sealed = cipher.encrypt(SECRET, "raw:x", data)
    assert data[:16] not in sealed
    others = [
        cipher.encrypt(SECRET, "raw:y", data),
        cipher.encrypt(bytes(32), "raw:x", data),
        cipher.encrypt(SECRET, "raw:x", data[1:] + data[:1]),
    ]
    bodies = {other[-len(data) :] for other in [sealed, *others]}
    assert len(bodies) == 4


def test_a_destroyed_key_is_gone_and_the_others_stay(tmp_path: Path) -> None:
    keys = KeyStore(tmp_path)
    first, second = keys.ensure(FILM), keys.ensure(OTHER)
    assert first != second
    assert KeyStore(tmp_path).secret(FILM) == first, "another process finds it"
    assert keys.destroy(FILM)
    assert keys.secret(FILM) is None
    assert KeyStore(tmp_path).secret(FILM) is None
    assert KeyStore(tmp_path).secret(OTHER) == second
    assert not keys.destroy(PROJECT), "ids and commitments rest on it"


def test_keys_never_lie_in_the_clear_and_are_private(tmp_path: Path) -> None:
    keys = KeyStore(tmp_path)
    secret = keys.ensure(FILM)
    for path in tmp_path.rglob("*"):
        if path.is_file() and path.name != "master.key":
            data = path.read_bytes()
            assert secret not in data
            assert base64.b64encode(secret) not in data
    assert all(p.stat().st_mode & 0o077 == 0 for p in tmp_path.rglob("*.key"))


def test_a_wrong_or_missing_master_key_gives_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    KeyStore(tmp_path).ensure(FILM)
    monkeypatch.setenv("AIPROD_MASTER_KEY", base64.b64encode(os.urandom(32)).decode())
    with pytest.raises(AiprodError, match=r"wrapped by the master key .* but the one given is") as wrong:
        KeyStore(tmp_path).secret(FILM)
    assert "\n" not in str(wrong.value)
    with pytest.raises(AiprodError, match="wrapped by the master key"):
        KeyStore(tmp_path).ensure(OTHER)
    monkeypatch.setenv("AIPROD_MASTER_KEY", "c2hvcnQ=")
    with pytest.raises(AiprodError, match="32 bytes in base64"):
        KeyStore(tmp_path).secret(FILM)
    monkeypatch.delenv("AIPROD_MASTER_KEY")
    (tmp_path / "master.key").unlink()
    for act in (lambda: KeyStore(tmp_path).secret(FILM), lambda: KeyStore(tmp_path).ensure(OTHER)):
        with pytest.raises(AiprodError, match=r"master key .* is missing"):
            act()
    assert not (tmp_path / "master.key").exists(), "never made anew where keys depend on it"


def test_rotation_wraps_anew_ends_old_backups_and_goes_on_after_a_stop(tmp_path: Path) -> None:
    store, saved = tmp_path / "keys", tmp_path / "backup.json"
    keys = KeyStore(store)
    secrets = {film: keys.ensure(film) for film in (FILM, OTHER)}
    assert keys.backup(saved) == 3
    old = (store / "master.key").read_text()
    # stopped half-way: the new key lies there, one key is wrapped by it
    new = base64.b64encode(bytes(32)).decode()
    (store / "master.key.new").write_text(new)
    keys._write(FILM, secrets[FILM], LocalKey(bytes(32)))
    assert {f: KeyStore(store).secret(f) for f in secrets} == secrets, "readable in between"
    assert KeyStore(store).rotate() == 3
    assert (store / "master.key").read_text().strip() == new
    assert not (store / "master.key.new").exists()
    assert old not in "".join(p.read_text() for p in store.rglob("*") if p.is_file())
    assert {f: KeyStore(store).secret(f) for f in secrets} == secrets
    with pytest.raises(AiprodError, match="wrapped by the master key"):
        KeyStore(store).restore(saved, set())
    assert KeyStore(store).status().foreign == 0


def test_a_backup_restores_what_is_missing_and_never_an_erased_film(tmp_path: Path) -> None:
    store, saved = tmp_path / "keys", tmp_path / "backup.json"
    keys = KeyStore(store)
    secrets = {film: keys.ensure(film) for film in (FILM, OTHER)}
    mark = keys.commitment("content", "x")
    keys.backup(saved)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "master.key").write_text((store / "master.key").read_text())
    assert KeyStore(elsewhere).restore(saved, {FILM}) == (2, 1)
    assert KeyStore(elsewhere).secret(FILM) is None
    assert KeyStore(elsewhere).secret(OTHER) == secrets[OTHER]
    assert KeyStore(elsewhere).commitment("content", "x") == mark
    third = KeyStore(tmp_path / "third")
    third.ensure(FILM)
    with pytest.raises(AiprodError):
        third.restore(saved, set())


def test_a_backup_is_not_written_over_while_it_holds_what_is_missing_here(tmp_path: Path) -> None:
    """A key was lost, and the nightly backup comes before anybody notices: the only copy must stay."""
    store, saved = tmp_path / "keys", tmp_path / "backup.json"
    keys = KeyStore(store)
    secrets = {film: keys.ensure(film) for film in (FILM, OTHER)}
    keys.backup(saved)
    keys.path(FILM).unlink()
    with pytest.raises(AiprodError, match="holds 1 key that is missing here"):
        KeyStore(store).backup(saved)
    assert KeyStore(store).backup(saved.with_name("another.json")) == 2
    assert KeyStore(store).restore(saved, set()) == (1, 0) and KeyStore(store).secret(FILM) == secrets[FILM]
    keys.path(FILM).unlink()
    assert KeyStore(store).backup(saved, {FILM}) == 2, "the key of an erased film may go from backups"
    saved.write_text("letters of mine")
    with pytest.raises(AiprodError):
        KeyStore(store).backup(saved)
    assert saved.read_text() == "letters of mine"


class Service:
    """A key management service as a test sees one: it wraps and unwraps, and its key stays inside."""

    id = "kms/test"
    calls = 0

    def wrap(self, secret: bytes, context: bytes) -> bytes:
        Service.calls += 1
        return LocalKey(b"k" * 32).wrap(secret, context)

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        Service.calls += 1
        return LocalKey(b"k" * 32).unwrap(wrapped, context)


def test_keys_that_sign_come_back_with_the_others(tmp_path: Path) -> None:
    whole, other = tmp_path / "whole", tmp_path / "other"
    whole.mkdir()
    (whole / "audit-ed25519.pem").write_bytes(b"secret of the log")
    assert KeyStore(whole).backup(tmp_path / "backup.json") == 2, "it and the project's own"
    assert b"secret of the log" not in (tmp_path / "backup.json").read_bytes()
    other.mkdir()
    (other / "master.key").write_bytes((whole / "master.key").read_bytes())
    assert KeyStore(other).restore(tmp_path / "backup.json", set()) == (2, 0)
    assert (other / "audit-ed25519.pem").read_bytes() == b"secret of the log"
    assert (other / "audit-ed25519.pem").stat().st_mode & 0o077 == 0
    (other / "audit-ed25519.pem").write_bytes(b"newer")
    assert KeyStore(other).restore(tmp_path / "backup.json", set()) == (0, 0)
    assert (other / "audit-ed25519.pem").read_bytes() == b"newer", "what is there is never replaced"


def test_a_key_management_service_can_hold_the_master_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIPROD_MASTER_KMS", f"{__name__}:Service")
    secret = KeyStore(tmp_path).ensure(FILM)
    assert KeyStore(tmp_path).secret(FILM) == secret
    assert Service.calls >= 3
    assert not (tmp_path / "master.key").exists()
    with pytest.raises(AiprodError, match="not a file"):
        KeyStore(tmp_path).rotate()
    with monkeypatch.context() as denied:
        denied.setattr(Service, "unwrap", lambda *_: (_ for _ in ()).throw(PermissionError("access\ndenied")))
        with pytest.raises(Refusal, match=r"does not decrypt the key of .* \(access denied\)") as refused:
            KeyStore(tmp_path).secret(FILM)
        assert refused.value.lack == "key" and "\n" not in str(refused.value)
    monkeypatch.setenv("AIPROD_MASTER_KMS", f"{__name__}:Nothing")
    with pytest.raises(Refusal, match="gives no master key"):
        KeyStore(tmp_path).secret(FILM)
    monkeypatch.setenv("AIPROD_MASTER_KMS", f"{__name__}:Service")
    assert KeyStore(tmp_path).rotate(LocalKey(b"n" * 32)) == 2
    monkeypatch.delenv("AIPROD_MASTER_KMS")
    monkeypatch.setenv("AIPROD_MASTER_KEY", base64.b64encode(b"n" * 32).decode())
    assert KeyStore(tmp_path).secret(FILM) == secret
