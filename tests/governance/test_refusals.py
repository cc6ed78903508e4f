"""Every action refused for lack of right, role, consent or key: one line, exit code 2, one leaf in the log."""

from __future__ import annotations

import ast
import base64
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from aiprod.base.stage import run
from aiprod.base.state import state
from aiprod.base.yaml_file import read_yaml
from aiprod.cli import main
from aiprod.executors.worker import answer_of
from aiprod.governance.audit.log import AuditLog
from aiprod.governance.audit.publishing import write_checkpoint
from aiprod.governance.dataset.records import Records
from aiprod.governance.policy.roles import ROLES
from aiprod.qc.decide.reviews import REVIEWS
from aiprod.storage.crypto import tombstones
from aiprod.storage.crypto.film_encryption import Vault

REPOSITORY = Path(__file__).resolve().parents[2]
FILM = "f0" + "a" * 16
PEOPLE = {"Ada": ["reviewer"], "Pia": ["privacy_officer"], "Eve": ["ml_engineer"]}
Called = Callable[..., tuple[int, str, str]]
# Where the code refuses, and what then lacks; the cases and tests named prove each.
PLACES = {
    "src/aiprod/storage/crypto/key_store.py": {"key"},  # KEYS
    "src/aiprod/storage/crypto/master_key.py": {"key"},  # KEYS; test_cipher_and_keys.py
    "src/aiprod/storage/crypto/film_encryption.py": {"key"},  # KEYS
    "src/aiprod/governance/audit/checkpoint.py": {"key"},  # CASES; test_the_logs_own_key_is_lacking
    "src/aiprod/governance/erasure/resolve.py": {"key"},  # CASES
    "src/aiprod/governance/release/release.py": {"right"},  # test_release.py
    "src/aiprod/governance/credentials/signing_identity.py": {"key"},  # test_release.py
    "src/aiprod/governance/policy/roles.py": {"role"},  # CASES
    "src/aiprod/governance/review/recording.py": {"right", "consent"},  # CASES; test_review.py
    "src/aiprod/data/ingest/build_rows.py": {"right", "consent"},  # test_refused_films.py
    "src/aiprod/speech/voice_consent.py": {"consent"},  # tests/speech
    "src/aiprod/lips/consent.py": {"consent"},  # tests/lips/test_dubbing.py
    "src/aiprod/speech/recordings.py": {"right", "consent"},  # tests/speech/test_recordings.py
}


@pytest.fixture
def office(finished: Path) -> Path:
    (finished / ROLES).write_text(json.dumps({**read_yaml(REPOSITORY / ROLES), "people": PEOPLE}))
    (finished / REVIEWS).parent.mkdir(parents=True)
    (finished / REVIEWS).write_bytes(b"")
    return finished


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Called:
    """Calls the entry point of a command or stage: exit code, standard output, standard error."""

    def call(entry: Callable[[], object], *words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["aiprod", *words])
        with pytest.raises(SystemExit) as ended:
            entry()
        out, err = capsys.readouterr()
        return int(str(ended.value.code)), out, err

    return call


def shown(root: Path, status: str) -> str:
    facts = Records(root)
    return next(v.clip_id for v in facts.verdicts.values() if v.status == status and v.clip_id in facts.clips)


CASES: list[tuple[str, str, Callable[[Path], list[str]]]] = [
    ("role", "review", lambda root: ["review", "record", shown(root, "APPROVED"), "REJECTED", "--as", "Eve"]),
    ("role", "review", lambda root: ["review", "serve", "--as", "Mallory"]),
    ("role", "draw_sample", lambda root: ["review", "sample", "q", "--announce", "beacon", "--as", "Ada"]),
    ("role", "withdraw_consent", lambda root: ["consent", "withdraw", "2026-014", "--as", "Ada"]),
    (
        "role",
        "accept_privacy",
        lambda root: ["review", "record", shown(root, "REVIEW_NEEDED"), "APPROVED", "--as", "Ada"],
    ),
    ("consent", "review", lambda root: ["review", "record", shown(root, "REVIEW_NEEDED"), "APPROVED", "--as", "Pia"]),
    ("role", "erase", lambda root: ["erase", shown(root, "APPROVED"), "--as", "Ada"]),
    ("key", "erase", lambda root: ["erase", shown(root, "APPROVED"), "--as", "Pia"]),
    ("role", "manage_keys", lambda root: ["keys", "rotate", "--as", "Eve"]),
    ("role", "release", lambda root: ["release", "reports/samples/000.mp4", "--as", "Pia"]),
    ("role", "approve_source", lambda root: ["sources", "approve", "webvid", "--reason", "cheap", "--as", "Eve"]),
    ("role", "approve_source", lambda root: ["sources", "contract", "webvid", "x", "--reason", "x", "--as", "Ada"]),
]


@pytest.mark.parametrize(("lack", "action", "words"), CASES)
def test_the_command_ends_with_one_line_and_one_leaf(
    office: Path, called: Called, lack: str, action: str, words: Callable[[Path], list[str]]
) -> None:
    code, out, line = called(main, *words(office))
    assert code == 2 and out == ""
    assert line.startswith("error: ") and line.count("\n") == 1 and "→" in line
    leaves = [e.value for e in AuditLog().entries() if e.value["kind"] == "refused-action"]
    assert [leaf["facts"] for leaf in leaves] == [{"action": action, "lack": lack}]
    assert (office / REVIEWS).read_bytes() == b""


def _another_master(office: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIPROD_MASTER_KEY", base64.b64encode(bytes(32)).decode())


def _no_master(office: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (state().keys / "master.key").unlink()


def _no_key(office: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in state().keys.glob("data/*/*.key"):
        path.unlink()


def _erased(office: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stone = {"film_id": FILM, "source_id": "inbox", "clips": 1, "content": "0" * 64}
    tombstones.add([tombstones.Tombstone.model_validate(stone)], office)


KEYS = [
    (_another_master, "wrapped by the master key"),
    (_no_master, "master key"),
    (_no_key, "no key"),
    (_erased, "erased"),
]


@pytest.mark.parametrize(("lose", "says"), KEYS)
def test_a_stage_that_lacks_a_key_ends_with_one_line_and_one_leaf(
    office: Path,
    monkeypatch: pytest.MonkeyPatch,
    called: Called,
    lose: Callable[[Path, pytest.MonkeyPatch], None],
    says: str,
) -> None:
    (office / "object").write_bytes(Vault().seal(f"raw:{FILM}", b"film"))
    lose(office, monkeypatch)
    code, out, line = called(lambda: run(lambda: print(Vault().decrypt_file(office / "object", io.BytesIO()))))
    assert (code, out, line.count("\n")) == (2, "", 1) and says in line
    leaves = [e.value for e in AuditLog().entries() if e.value["kind"] == "refused-action"]
    assert [leaf["facts"] for leaf in leaves] == [{"action": "decrypt", "lack": "key"}]


def test_a_key_that_is_lacking_for_one_film_only_is_logged_by_the_worker_too(office: Path) -> None:
    def read(name: str) -> bytes:
        return Vault().read(office / name)

    (office / f"{FILM}.mp4").write_bytes(Vault().seal(f"raw:{FILM}", b"film"))
    assert answer_of(read, f"{FILM}.mp4") == ("value", b"film")
    for path in state().keys.glob("data/*/*.key"):
        path.unlink()
    how, line = answer_of(read, f"{FILM}.mp4")
    assert how == "raised" and f"there is no key for {FILM}" in line
    assert list(AuditLog().entries())[-1].value["facts"] == {"action": "decrypt", "lack": "key"}


def test_the_logs_own_key_is_lacking(office: Path, called: Called) -> None:
    """A checkpoint signed by another key would be a fork: it is refused, and the refusal stands in the log."""
    write_checkpoint(office, AuditLog())
    (state().keys / "audit-ed25519.pem").unlink()
    for damaged in (None, b"no key"):
        if damaged:
            (state().keys / "audit-ed25519.pem").write_bytes(damaged)
        code, _, line = called(main, "audit", "checkpoint")
        assert code == 2 and line.count("\n") == 1, line
        assert list(AuditLog().entries())[-1].value["facts"] == {"action": "sign", "lack": "key"}
        assert bool(damaged) == (state().keys / "audit-ed25519.pem").exists(), "no new key is made in its place"


def test_no_place_in_the_code_refuses_unseen() -> None:
    """A new place fails here until it is listed with the test that proves it."""
    found: dict[str, set[str]] = {}
    for path in [*(REPOSITORY / "src").rglob("*.py"), *(REPOSITORY / "pipeline").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) == "Refusal":
                name = path.relative_to(REPOSITORY).as_posix()
                given = {k.arg: k.value for k in node.keywords}
                assert {"lack", "action"} <= set(given), f"{name}:{node.lineno}"
                lack = given["lack"]
                found.setdefault(name, set()).update([lack.value] if isinstance(lack, ast.Constant) else ["?"])
    for either in ("src/aiprod/data/ingest/build_rows.py", "src/aiprod/speech/recordings.py"):
        found[either] = {"right", "consent"} if found.get(either) == {"?"} else set()
    assert found == PLACES


def test_the_borders_log_what_passes_them() -> None:
    """`aiprod` and every stage print an error's line by the one function that logs refusals first."""
    for name in ("src/aiprod/cli.py", "src/aiprod/base/stage.py"):
        assert "end_with(error)" in (REPOSITORY / name).read_text(), name
    assert "last_line(error)" in (REPOSITORY / "src/aiprod/base/crash_report.py").read_text()
