"""Models signed in the OpenSSF format: what was changed, added, removed or signed by another is refused on load."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer import Typer
from typer.testing import CliRunner

from aiprod.commands import sign as command
from aiprod.errors import AiprodError
from aiprod.governance.audit.log import AuditLog
from aiprod.inference.pipeline import AVPipeline
from aiprod.models.checkpoint.signing import REQUIRED, SIGNATURES, make_key, public_key, sign_folder, verify_folder
from tests.projects import enter_project

pytest.importorskip("model_signing", reason="the extra signing is not installed")

NAMES = ("audio_vae", "diffusion", "text_encoder", "video_vae")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace with four folders that stand for models."""
    enter_project(tmp_path, monkeypatch)
    for name in NAMES:
        folder = tmp_path / "models" / name / "inner"
        folder.mkdir(parents=True)
        (folder / "model.safetensors").write_bytes(random.Random(name).randbytes(4000))
        (folder.parent / "config.json").write_text("{}")
    return tmp_path


def run(*words: str) -> tuple[int, str]:
    app = Typer(pretty_exceptions_enable=False)
    command.register(app)
    app.command()(lambda: None)
    done = CliRunner().invoke(app, ["sign", *words])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.output


def flip(folder: Path) -> None:
    path = folder / "inner/model.safetensors"
    data = bytearray(path.read_bytes())
    data[random.randrange(len(data))] ^= 1 << random.randrange(8)
    path.write_bytes(bytes(data))


CHANGES: dict[str, Callable[[Path], object]] = {
    "a bit": flip,
    "a file more": lambda folder: (folder / "inner/code.py").write_text("x"),
    "a file less": lambda folder: (folder / "config.json").unlink(),
    "another name": lambda folder: (folder / "config.json").rename(folder / "conf.json"),
}


@pytest.mark.parametrize("how", CHANGES)
def test_a_changed_folder_is_not_what_was_signed(project: Path, how: str) -> None:
    code, said = run()
    assert code == 0 and "signed models/diffusion: datasets/signatures/diffusion.sig\n" in said
    assert run("--check")[0] == 0
    CHANGES[how](project / "models/diffusion")
    code, said = run("--check")
    assert code == 1 and "models/diffusion is not what diffusion.sig signs" in said
    assert said.count("signed with") == 3, "the others still are"


def test_another_key_or_another_models_signature_does_not_do(project: Path, tmp_path: Path) -> None:
    run()
    make_key(project / "other.pem")
    (project / "other.pub").write_bytes(public_key(project / "other.pem"))
    assert run("models/diffusion", "--check", "--public", "other.pub")[0] == 1
    (SIGNATURES / "diffusion.sig").write_bytes((SIGNATURES / "video_vae.sig").read_bytes())
    assert run("models/diffusion", "--check")[0] == 1
    for damaged in (b"", b"{}", b"\xff\xfe", (SIGNATURES / "video_vae.sig").read_bytes()[:200]):
        (SIGNATURES / "video_vae.sig").write_bytes(damaged)
        code, said = run("models/video_vae", "--check")
        assert code == 1 and len(said.splitlines()) == 1


def test_where_the_policy_asks_for_it_loading_refuses_before_anything_is_read(project: Path) -> None:
    flip(project / "models/diffusion")
    with pytest.raises(AiprodError, match=r"training\.json"):  # no policy: it goes on, and these are no models
        AVPipeline.from_pretrained()
    run("--require")
    with pytest.raises(AiprodError, match=r"training\.json"):
        AVPipeline.from_pretrained()
    flip(project / "models/video_vae")
    with pytest.raises(AiprodError, match=r"models/video_vae is not what video_vae\.sig signs.*aiprod sign"):
        AVPipeline.from_pretrained()
    (project / SIGNATURES / "video_vae.sig").unlink()
    with pytest.raises(AiprodError, match="there is no signature at"):
        AVPipeline.from_pretrained()
    (project / REQUIRED).unlink()
    with pytest.raises(AiprodError, match=r"training\.json"):
        AVPipeline.from_pretrained()


def test_stages_load_what_their_run_made_and_speech_is_asked_too(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from aiprod.commands import speak

    (project / "models/speech").mkdir()
    (project / "models/speech/config.json").write_text("{}")
    run("--require")
    flip(project / "models/diffusion")
    monkeypatch.setenv("DVC_STAGE", "sample")
    with pytest.raises(AiprodError, match=r"training\.json"):
        AVPipeline.from_pretrained()
    monkeypatch.delenv("DVC_STAGE")
    (project / "models/speech/config.json").write_text("{ }")
    app = Typer(pretty_exceptions_enable=False)
    speak.register(app)
    app.command()(lambda: None)
    done = CliRunner().invoke(app, ["speak", "Hello.", "--out", "a.wav"])
    assert isinstance(done.exception, AiprodError) and "models/speech is not what speech.sig signs" in str(
        done.exception
    )


def test_the_signature_is_of_the_format_that_others_read(project: Path) -> None:
    """A Sigstore bundle with an in-toto statement of type OMS, verified by the library's own command line."""
    run("models/diffusion")
    bundle = json.loads((SIGNATURES / "diffusion.sig").read_text())
    assert bundle["mediaType"].startswith("application/vnd.dev.sigstore.bundle")
    arguments = ["verify", "key", "models/diffusion", "--signature", str(SIGNATURES / "diffusion.sig")]
    arguments += ["--public_key", str(SIGNATURES / "models.pub")]
    program = [sys.executable, "-m", "model_signing", *arguments]
    assert subprocess.run(program, capture_output=True, check=False).returncode == 0
    flip(project / "models/diffusion")
    assert subprocess.run(program, capture_output=True, check=False).returncode != 0


def test_the_key_is_for_its_owner_and_signing_is_in_the_log(project: Path) -> None:
    old = os.umask(0)
    try:
        run("models/diffusion")
    finally:
        os.umask(old)
    key = project / ".aiprod/keys/models.pem"
    assert key.stat().st_mode & 0o777 == 0o600
    assert b"PRIVATE" not in (SIGNATURES / "models.pub").read_bytes()
    entries = [entry.value for entry in AuditLog().entries()]
    assert [entry["subject"] for entry in entries if entry["kind"] == "model"] == ["model/diffusion"]


@pytest.mark.parametrize("data", [b"", b"no key", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_what_is_no_key_is_one_line(project: Path, data: bytes) -> None:
    (project / "k.pem").write_bytes(data)
    with pytest.raises(AiprodError, match="openssl"):
        run("models/diffusion", "--key", "k.pem")
    with pytest.raises(AiprodError, match="openssl"):
        sign_folder(project / "models/diffusion", project / "x.sig", project / "none.pem")


def test_nothing_to_sign_is_said(project: Path) -> None:
    (project / "empty").mkdir()
    for folder in ("empty", "nowhere"):
        with pytest.raises(AiprodError, match="not a folder with a model"):
            run(folder)
    with pytest.raises(AiprodError, match="no model at"):
        verify_folder(project / "nowhere", project / "x.sig", project / "x.pub")


def test_a_key_on_another_curve_is_refused(project: Path) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519

    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    for key in (ec.generate_private_key(ec.SECP256K1()), ed25519.Ed25519PrivateKey.generate()):
        (project / "k.pem").write_bytes(key.private_bytes(*form))
        with pytest.raises(AiprodError, match="P-256, P-384 or P-521"):
            run("models/diffusion", "--key", "k.pem")


def test_without_the_library_nothing_is_left_behind(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for part in ("model_signing", "model_signing.signing"):
        monkeypatch.setitem(sys.modules, part, None)
    with pytest.raises(AiprodError, match="model-signing is not installed"):
        make_key(project / "models.pem")
    assert not (project / "models.pem").exists()


def test_a_pipe_among_the_files_is_one_line_and_no_signature(project: Path) -> None:
    os.mkfifo(project / "models/diffusion/pipe")
    make_key(project / "key.pem")
    with pytest.raises(AiprodError, match=r"models/diffusion cannot be signed: .*pipe.* → "):
        sign_folder(project / "models/diffusion", project / "a.sig", project / "key.pem")
    assert not (project / "a.sig").exists()
