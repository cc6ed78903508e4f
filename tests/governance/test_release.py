"""Release: signed videos verify, lead to their model, and show every change; only those with the role may release."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from typer import Typer
from typer.testing import CliRunner

from aiprod.base.denials import Refusal, last_line
from aiprod.base.files import read_json, sha256_file, write_json
from aiprod.commands import release as command
from aiprod.data.rows import ClipRow, FilmRow
from aiprod.errors import AiprodError
from aiprod.film.fingerprinting import print_of
from aiprod.governance.audit.log import AuditLog
from aiprod.governance.credentials.content_credentials import SOURCE_TYPE, read_credential
from aiprod.governance.credentials.signing_identity import anchors, identity
from aiprod.governance.dataset.records import Records
from aiprod.governance.dataset.releases import FOLDER as RELEASES
from aiprod.governance.dataset.releases import releases
from aiprod.governance.exports.writers import attributions
from aiprod.governance.lineage.lineage import lineage
from aiprod.governance.lineage.signed_video import lineage_of
from aiprod.governance.organisation import PLACE
from aiprod.governance.policy.roles import ROLES
from aiprod.governance.release.release import release
from aiprod.media.encoding import encode
from aiprod.storage.crypto import tombstones
from aiprod.storage.manifest.manifest import read_rows, write_manifest
from tests.governance.tsa import certificate

REPOSITORY = Path(__file__).resolve().parents[2]
VIDEO = Path("reports/samples/000.mp4")


@pytest.fixture
def releasable(finished: Path) -> Path:
    """The finished workspace with roles, and with a sample that is a real video of the model that lies there."""
    shutil.copyfile(REPOSITORY / ROLES, finished / ROLES)
    with av.open(str(finished / VIDEO), "w") as out:
        stream = out.add_stream("libx264", rate=12)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for n in range(6):
            picture = np.full((64, 64, 3), 40 * n, np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode(None))
    beside = finished / VIDEO.with_suffix(".json")
    training = Records(finished).training
    write_json(beside, {**read_json(beside), "dataset_root": training["dataset_root"], "synthetic": True})
    return finished


def sign(root: Path, **more: object) -> Path:
    made = release(root, [root / VIDEO], root / "release", actor="operator", **more)  # type: ignore[arg-type]
    return made.videos[0]


def test_a_signed_video_verifies_and_names_model_and_dataset(releasable: Path) -> None:
    original = (releasable / VIDEO).read_bytes()
    signed = sign(releasable)
    found = read_credential(signed, anchors(releasable))
    training = Records(releasable).training
    assert found is not None and (found.state, found.source_type) == ("Valid", SOURCE_TYPE)
    assert found.lineage["model_digest"] == training["model_digest"]
    assert found.lineage["dataset_root"] == training["dataset_root"]
    assert not anchors(releasable), "nobody else trusts the development root, so we do not either"
    assert (releasable / VIDEO).read_bytes() == original, "the DVC output is never signed, its copy is"
    assert read_credential(releasable / VIDEO, anchors(releasable)) is None


def test_what_was_released_is_written_down_and_found_from_every_clip_that_its_model_saw(releasable: Path) -> None:
    signed = sign(releasable)
    [entry] = releases(releasable)
    assert (entry.file, entry.sha256) == (signed.name, sha256_file(signed))
    assert entry.models == [Records(releasable).training["model_digest"]] and entry.clips == []
    assert entry.role == "legal", "and nobody's name"
    seen = next(iter(Records(releasable).exposure))
    found = lineage(releasable, seen, rehash=False)
    [model] = [node for node in found.used_by if node.name == "diffusion"]
    [left] = [node for node in model.children if node.kind == "release"]
    assert (left.name, left.facts["sha256"]) == (signed.name, entry.sha256)
    film = Records(releasable).clips[seen].film_id
    assert entry.why({film}, ()) is None and entry.why((), entry.models) == "it was made by a model that saw it"
    shown = entry.model_copy(update={"clips": [seen]})
    assert shown.why({film}, ()) == f"it shows {seen}"
    path = next((releasable / RELEASES).glob("*.json"))
    path.write_text(path.read_text().replace('"file"', '"fill"'))
    with pytest.raises(AiprodError, match=r"datasets/releases/.*restore it from git"):
        list(releases(releasable))


def test_lineage_of_a_signed_video_reaches_its_films_wherever_it_lies(releasable: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "downloaded.mp4"
    shutil.move(sign(releasable), elsewhere)
    found = lineage_of(releasable, str(elsewhere), rehash=False)
    assert found.subject.kind == "signed" and found.mismatches == []
    assert found.subject.facts["content_credentials"] == "Valid"
    model = found.subject.children[0]
    assert {c.name for c in model.children if c.kind == "clip"} == set(Records(releasable).exposure)
    training = releasable / "models/diffusion/training.json"
    write_json(training, {**read_json(training), "model_digest": "beef" * 16})
    lines = lineage_of(releasable, str(elsewhere), rehash=False).mismatches
    assert any("made by the model" in line and "beef" in line for line in lines)


@given(in_picture=st.booleans(), where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
@settings(max_examples=16, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
def test_one_flipped_bit_is_found_or_changes_nothing_that_is_said(
    releasable: Path, in_picture: bool, where: float, bit: int
) -> None:
    signed = releasable / "release" / VIDEO.name
    if not signed.is_file():
        sign(releasable)
    whole = signed.read_bytes()
    box, credentials = whole.rindex(b"mdat") + 4, whole.index(b"jumb")
    place = box + int(where * 200) if in_picture else credentials + int(where * 4000)
    changed = bytearray(whole)
    changed[place] ^= 1 << bit
    flipped = releasable / "flipped.mp4"
    flipped.write_bytes(changed)
    try:
        found = read_credential(flipped, anchors(releasable))
    except AiprodError as error:
        assert "flipped.mp4" in str(error)
        return
    if found is None or found.state == "Invalid":
        return
    assert not in_picture, "what is seen and heard is covered by the signature"
    assert found == read_credential(signed, anchors(releasable)), "padding may change, what is said may not"


def test_only_those_with_the_role_may_release_and_a_refusal_is_logged(releasable: Path) -> None:
    with pytest.raises(Refusal, match="may not release"):
        release(releasable, [releasable / VIDEO], releasable / "release", actor="stranger")
    assert not (releasable / "release").exists()
    assert [e.value["kind"] for e in AuditLog().entries()] == ["refused-action"]
    sign(releasable)
    last = list(AuditLog().entries())[-1]
    assert (last.value["kind"], last.value["subject"]) == ("export", "release")


@pytest.mark.parametrize("content", [[1, 2], 42, {"nearest": []}, {"nearest": {"copy": True}}])
def test_another_file_in_place_of_the_description_is_one_line(releasable: Path, content: object) -> None:
    write_json(releasable / VIDEO.with_suffix(".json"), content)
    with pytest.raises(AiprodError, match=r"000\.json does not describe a video → name"):
        sign(releasable)
    assert not (releasable / "release").exists()


def test_share_alike_holds_a_release_until_legal_clears_it(releasable: Path) -> None:
    folder = releasable / "datasets/v1/ingest/films"
    owed = {"obligations": ["share-alike: (c) Somebody (CC-BY-SA-4.0)"]}
    rows = [r.model_copy(update=owed) if r.status == "ok" else r for r in read_rows(folder, FilmRow)]
    write_manifest(
        folder, rows, row_model=FilmRow, stage="ingest", key=lambda r: r.film_id, params_digest="p", inputs={}
    )
    with pytest.raises(Refusal, match="share-alike") as refused:
        sign(releasable)
    assert last_line(refused.value) == str(refused.value)
    assert list(AuditLog().entries())[-1].value["facts"] == {"action": "release", "lack": "right"}
    assert sign(releasable, share_alike_cleared=True).is_file()
    assert "CC-BY-SA-4.0" in (releasable / "release/ATTRIBUTIONS.txt").read_text()


def test_a_generated_video_is_traced_by_the_description_beside_it(releasable: Path, tmp_path: Path) -> None:
    made = tmp_path / "elsewhere/red.mp4"
    made.parent.mkdir()
    shutil.copyfile(releasable / VIDEO, made)
    about = {"file": "red.mp4", "prompt": "A red circle", "seed": 7, "model_digest": "other"}
    write_json(made.with_suffix(".json"), about)
    assert "made by the model other" in lineage_of(releasable, str(made)).mismatches[0]
    about["model_digest"] = Records(releasable).training["model_digest"]
    write_json(made.with_suffix(".json"), about)
    found = lineage_of(releasable, str(made))
    assert found.mismatches == [] and found.subject.children[0].name == "diffusion" and found.rights
    assert any("nobody signed" in note for note in found.notes)
    made.with_suffix(".json").unlink()
    with pytest.raises(AiprodError, match="is not a film"):
        lineage_of(releasable, str(made))


def test_nothing_leaves_while_what_its_clips_ask_for_is_not_known(releasable: Path) -> None:
    """A source was dropped and the models were not trained again: the films that ask for credit are in no manifest."""
    folder, gone = releasable / "datasets/v1/ingest/clips", next(iter(Records(releasable).exposure))
    rows = [row for row in read_rows(folder, ClipRow) if row.clip_id != gone]
    write_manifest(
        folder, rows, row_model=ClipRow, stage="ingest", key=lambda r: r.clip_id, params_digest="p", inputs={}
    )
    with pytest.raises(Refusal, match="shown 1 clip that no manifest has now"):
        sign(releasable)
    assert not (releasable / "release").exists()
    assert attributions(Records(releasable)).startswith("The model was shown 1 clip that no manifest has now")
    assert any("1 clip behind it is in no manifest now" in note for note in lineage(releasable, "diffusion").notes)


@pytest.mark.parametrize("how", ["erased", "rights do not permit training"])
def test_nothing_leaves_of_a_model_that_saw_a_film_which_may_not_be_used_any_more(releasable: Path, how: str) -> None:
    """The sample was made before the film was erased, or before its right ended."""
    facts = Records(releasable)
    film = facts.films[facts.clips[next(iter(facts.exposure))].film_id]
    if how == "erased":
        tombstones.add([tombstones.Tombstone(film_id=film.film_id, source_id="x", clips=1, content="c")], releasable)
    else:
        denied = {**facts.films, film.film_id: film.model_copy(update={"effective_right": "deny"})}
        about: dict[str, Any] = {"row_model": FilmRow, "stage": "ingest", "params_digest": "p", "inputs": {}}
        write_manifest(releasable / "datasets/v1/ingest/films", list(denied.values()), key=lambda r: r.film_id, **about)
    with pytest.raises(Refusal, match=rf"saw 1 film that may not be used any more .*{how}.* → `dvc repro`") as refused:
        sign(releasable)
    assert last_line(refused.value) == str(refused.value) and not (releasable / "release").exists()
    assert list(AuditLog().entries())[-1].value["facts"] == {"action": "release", "lack": "right"}


def test_a_video_of_another_model_does_not_leave_with_the_credits_of_this_one(releasable: Path) -> None:
    beside = releasable / VIDEO.with_suffix(".json")
    write_json(beside, {**read_json(beside), "model_digest": "beef" * 16})
    with pytest.raises(Refusal, match=r"000\.mp4 was made by another model than models/diffusion \(beefbeefbeef, not"):
        sign(releasable)
    assert not (releasable / "release").exists()


def test_a_video_that_aiprod_did_not_describe_is_not_signed(releasable: Path, tmp_path: Path) -> None:
    stray = tmp_path / "stray.mp4"
    shutil.copyfile(releasable / VIDEO, stray)
    with pytest.raises(AiprodError, match="no description next to it"):
        release(releasable, [stray], releasable / "release", actor="operator")
    write_json(stray.with_suffix(".json"), {"prompt": "x"})
    with pytest.raises(AiprodError, match="its model_digest is not known"):
        release(releasable, [stray], releasable / "release", actor="operator")


def test_keys_are_private_and_made_once(releasable: Path, state_home: Path) -> None:
    first = identity(releasable)
    assert identity(releasable) == first and first.development
    for path in state_home.rglob("c2pa-*"):
        assert path.stat().st_mode & 0o077 == 0


def test_the_organisations_own_certificate_is_used(releasable: Path) -> None:
    (releasable / "certs").mkdir()
    authority, signer = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ends = datetime.now(UTC) + timedelta(days=9)
    root = certificate("Example root", authority, "Example root", authority, ends, None)
    leaf = certificate("Example Films", signer, "Example root", authority, ends, ExtendedKeyUsageOID.EMAIL_PROTECTION)
    pem = serialization.Encoding.PEM
    form = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (releasable / "certs/chain.pem").write_bytes(leaf.public_bytes(pem) + root.public_bytes(pem))
    (releasable / "certs/root.pem").write_bytes(root.public_bytes(pem))
    (releasable / "certs/key.pem").write_bytes(signer.private_bytes(pem, *form))
    names = {"c2pa_certificate": "certs/chain.pem", "c2pa_key": "certs/key.pem", "c2pa_anchors": "certs/root.pem"}
    (releasable / PLACE).write_text(json.dumps(names))
    found = read_credential(sign(releasable), anchors(releasable))
    assert found is not None and (found.state, found.signer) == ("Trusted", "Example Films")
    (releasable / "certs/key.pem").write_text("no key")
    with pytest.raises(AiprodError, match="not an unencrypted PEM"):
        sign(releasable)
    (releasable / PLACE).write_text(json.dumps({"c2pa_certificate": "certs/none.pem", "c2pa_key": "certs/key.pem"}))
    with pytest.raises(AiprodError, match=r"none\.pem cannot be read"):
        sign(releasable)


def test_the_command(releasable: Path) -> None:
    app = Typer(pretty_exceptions_enable=False)
    command.register(app)
    app.command()(lambda: None)
    done = CliRunner().invoke(app, ["release", VIDEO.as_posix(), "--out", "out", "--as", "operator"])
    assert done.exit_code == 0, done.output
    assert "development certificate" in done.output
    assert {p.name for p in Path("out").iterdir()} == {"000.mp4", "ATTRIBUTIONS.txt", "MODEL_CARD.md", "EU_AI_ACT.md"}


def test_nothing_is_overwritten(releasable: Path, tmp_path: Path) -> None:
    def tree() -> dict[str, bytes]:
        return {str(p.relative_to(tmp_path)): p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}

    samples = (releasable / VIDEO).parent
    for name in ("other", "third"):
        (releasable / name).mkdir()
        for end in (".mp4", ".json"):
            shutil.copyfile((releasable / VIDEO).with_suffix(end), releasable / name / f"000{end}")
    shutil.copyfile(samples / "000.mp4", releasable / "third/000.MP4")
    about = read_json(releasable / "other/000.json")
    write_json(releasable / "other/000.json", {**about, "seed": 7})
    (releasable / "link").symlink_to(samples)
    (releasable / "file").write_text("x")
    (releasable / "taken").mkdir()
    (releasable / "taken/000.mp4").write_bytes(b"somebody's")
    mine, other, out = releasable / VIDEO, releasable / "other/000.mp4", releasable / "out"
    sign(releasable)
    before = tree()
    for videos, folder, words in (
        ([mine, other], out, "would both become"),
        ([mine, samples / "../samples/000.mp4"], out, "would both become"),
        ([mine, releasable / "third/000.MP4"], out, "would both become"),
        ([mine], samples, "would replace it"),
        ([mine], releasable / "link", "would replace it"),
        ([mine], samples / ".." / "samples", "would replace it"),
        ([other, mine], samples, "would replace it|would both become"),
        ([mine], releasable / "taken", "not an earlier release"),
        ([other], releasable / "release", "not an earlier release"),
        ([mine], releasable / "file", "is a file"),
    ):
        with pytest.raises(AiprodError, match=words):
            release(releasable, videos, folder, actor="operator")
        assert tree() == before, folder
    sign(releasable)
    release(releasable, [other], out, actor="operator")


def test_a_copy_of_a_training_clip_is_held_until_legal_clears_it(releasable: Path) -> None:
    beside = releasable / VIDEO.with_suffix(".json")
    found = {"clip": "c1", "copy": True, "said": "a copy of training clip c1"}
    write_json(beside, {**read_json(beside), "nearest": found})
    with pytest.raises(Refusal, match=r"000\.mp4 is a copy of training clip c1"):
        sign(releasable, share_alike_cleared=True)
    assert not (releasable / "release").exists()
    made = release(
        releasable,
        [releasable / VIDEO],
        releasable / "release",
        actor="operator",
        share_alike_cleared=True,
        copies_cleared=True,
    )
    assert made.compared == ["000.mp4: a copy of training clip c1"]


def test_a_released_video_carries_its_fingerprint_as_a_soft_binding_of_c2pa(releasable: Path) -> None:
    """By it the credentials of a copy are found again that was encoded anew; C2PA's own reader sees the assertion."""
    import c2pa

    noise = np.random.default_rng(1).integers(30, 220, (30, 80, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    pictures = [np.ascontiguousarray(noise[:, 6 * n : 6 * n + 320]) for n in range(48)]
    encode(releasable / VIDEO, pictures, 12, None, preset="ultrafast")
    words = print_of(releasable / VIDEO)
    assert words and words["look"]
    signed = sign(releasable)
    found = read_credential(signed, anchors(releasable))
    assert found is not None and found.state == "Valid" and not found.problems
    assert found.fingerprint == words == print_of(signed)
    with c2pa.Reader(signed) as reader:
        assertions = {a["label"]: a["data"] for a in reader.get_active_manifest()["assertions"]}
    binding = assertions["c2pa.soft-binding"]
    assert binding["alg"] == f"org.aiprod.fingerprint.v{words['version']}" and len(binding["blocks"]) == 1
