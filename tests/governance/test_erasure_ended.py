"""An erasure that is ended at any moment, by an exception at each step or SIGKILL at any write: it ends whole."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

import pytest

from aiprod.base.state import state
from aiprod.commands.health import examine
from aiprod.data.rows import FilmRow
from aiprod.errors import AiprodError
from aiprod.governance.audit import unfinished_erasures as unfinished
from aiprod.governance.audit.log import AuditLog
from aiprod.governance.audit.verify import verify as verify_log
from aiprod.governance.erasure import certificate, procedure, search_patterns, source_files
from aiprod.governance.erasure.erase import plan
from aiprod.governance.erasure.procedure import STEPS, carry_out, resume
from aiprod.governance.erasure.resolve import ErasureRequest
from aiprod.storage.crypto.film_encryption import Vault
from aiprod.storage.manifest.manifest import read_rows
from tests.governance.erasable import NAME, URL, Project
from tests.private_traces import needles_of, traces

BESIDE = ("Erika-Mustermann.srt", "Erika-Mustermann.jpg", f"{NAME}.json")


class Killed(BaseException):
    """Not one that any code expects."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The project, made once; each case works on a copy at the same place."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("AIPROD_HOME", raising=False)
        patch.delenv("DVC_ROOT", raising=False)
        root = tmp_path_factory.mktemp("erasing") / "project"
        root.mkdir()
        patch.chdir(root)
        (root / "dvc.yaml").touch()
        project = Project(root)
        for name in BESIDE:
            (root / "datasets/inbox" / name).write_text(f"about {URL}")
        shutil.copytree(root, root.with_name("kept"), symlinks=True)
        return project


@pytest.fixture
def anew(made: Project, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Project]:
    """Puts the project back as it was."""
    monkeypatch.delenv("AIPROD_HOME", raising=False)
    monkeypatch.delenv("DVC_ROOT", raising=False)

    def again() -> Project:
        os.chdir(made.root.parent)
        shutil.rmtree(made.root)
        shutil.copytree(made.root.with_name("kept"), made.root, symlinks=True)
        os.chdir(made.root)
        return made

    monkeypatch.chdir(made.root)
    monkeypatch.setattr(procedure.scan, "remotes", lambda *_: {})  # there is no DVC remote, and opening DVC takes long
    return again


def _erase(project: Project) -> None:
    vault = Vault()
    carry_out(
        plan(project.root, ErasureRequest(project.clip(NAME)), vault), vault, actor="operator", role="privacy_officer"
    )


def _finish(project: Project) -> None:
    """What ``aiprod erase resume`` does; where nothing was destroyed yet, the erasure itself once more."""
    waiting = unfinished.unfinished()
    for name in waiting:
        resume(project.root, name, Vault(), actor="somebody else", role="legal")
    if not waiting and not Vault().erased(project.films[NAME]):
        _erase(project)


def _is_whole(project: Project, case: object) -> None:
    root, film = project.root, project.films[NAME]
    assert not unfinished.unfinished() and not unfinished.problems(AuditLog()), case
    [path] = (root / "datasets/erasures").glob("2*.json")
    assert certificate.verify(root, path).problems == [], case
    assert verify_log(root, AuditLog()).problems == [], case
    vault = Vault()
    assert vault.erased(film) and vault.keys.secret(film) is None, case
    needles = needles_of(project.bytes[NAME], [NAME, "Erika", URL])
    assert traces(root, needles) == [], case
    assert not list((state().root / "erasures").iterdir()), case
    assert len(vault.keys.subjects()) == 1, "the other film's; that of the journal is gone"
    rows = {row.film_id: row.status for row in read_rows(project.data / "ingest/films", FilmRow, vault)}
    assert rows[film] == "erased" and set(rows.values()) == {"erased", "ok"}, case
    kept = {p.name for p in (root / "datasets/inbox").iterdir()}
    assert kept == {"SOURCES.csv", "else.mp4", "plain.mp4"}, case
    assert len((root / "datasets/inbox/SOURCES.csv").read_text().splitlines()) == 3, case
    assert not list((root / "models").parent.rglob("step_00000002")), case
    ended = [e.value["facts"] for e in AuditLog().entries() if e.value["kind"] == "erasure"]
    assert [facts.get("state") for facts in ended] == ["begun", None], case


@pytest.mark.slow
def test_an_erasure_that_stops_before_any_step_is_named_and_can_be_finished(
    anew: Callable[[], Project], monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, step in enumerate(STEPS):
        project = anew()
        with monkeypatch.context() as patch:
            patch.setattr(procedure, "STEPS", (*STEPS[:number], _stopped))
            with pytest.raises(Killed):
                _erase(project)
        [line] = verify_log(project.root, AuditLog()).problems
        assert "is not finished" in line and "aiprod erase resume" in line, step
        [finding] = [f for f in examine(project.root, quick=True) if f.name == "erasure"]
        assert finding.text.split()[2] == line.split()[2]
        with pytest.raises(AiprodError, match="not finished"):
            carry_out(
                plan(project.root, ErasureRequest(project.clip("else.mp4")), Vault()), Vault(), actor="o", role="legal"
            )
        _finish(project)
        _is_whole(project, step)


def _stopped(_work: object) -> None:
    raise Killed


WRITES = ("replace", "unlink", "rename", "rmdir", "fsync", "link")


def _ended_at(write: int, how: signal.Signals, act: Callable[[], object]) -> bool:
    """Whether ``act``, in a process of its own, was ended by a signal at its n-th change of the file system."""
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            count = 0

            def counted(real: Callable[..., object]) -> Callable[..., object]:
                def change(*args: object, **more: object) -> object:
                    nonlocal count
                    count += 1
                    if count == write:
                        os.kill(os.getpid(), how)
                    return real(*args, **more)

                return change

            for name in WRITES:
                setattr(os, name, counted(getattr(os, name)))
            act()
        except KeyboardInterrupt:
            os._exit(9)
        except BaseException:
            os._exit(7)
        os._exit(0 if count < write else 9)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, 9, -signal.SIGKILL), code
    return code != 0


@pytest.mark.parametrize("every", [pytest.param(6, marks=pytest.mark.slow), pytest.param(1, marks=pytest.mark.long)])
def test_an_erasure_that_is_killed_at_any_write_ends_whole(every: int, anew: Callable[[], Project]) -> None:
    """``every`` changes of the file system lie between two kills."""
    write = 1
    while _ended_at(write, signal.SIGKILL, partial(_erase, project := anew())):
        if Vault().keys.secret(project.films[NAME]) is None:
            assert traces(project.root / "datasets", needles_of(project.bytes[NAME], [NAME, URL])) == [], write
        _finish(project)
        _is_whole(project, write)
        write += every
    assert write > 20
    _is_whole(project, "not killed")


@pytest.mark.parametrize("fault", ["no signing key", "a folder in the way", "no space", "affected.json", "database"])
def test_what_can_fail_fails_before_anything_is_destroyed(
    fault: str, anew: Callable[[], Project], monkeypatch: pytest.MonkeyPatch
) -> None:
    project = anew()
    root = project.root
    (root / "datasets/erasures").mkdir(exist_ok=True)
    if fault == "no signing key":
        (root / "datasets/audit").mkdir()
        (root / "datasets/audit/log.pub").write_text("another one\n")
    elif fault == "a folder in the way":
        (root / "datasets/audit").write_text("")
    elif fault == "affected.json":
        (root / "datasets/erasures/affected.json").write_bytes(b"\xff{")
    elif fault == "database":
        (state().root / "audit").mkdir(exist_ok=True)
        (state().root / "audit/log.db").write_bytes(b"no database" * 100)
    elif fault == "no space":
        monkeypatch.setattr(os, "fsync", _full)
    before = {p: p.read_bytes() for p in root.rglob("*") if p.is_file() and "audit" not in p.parts}
    with pytest.raises(AiprodError) as told:
        _erase(project)
    assert "\n" not in str(told.value)
    after = {p: p.read_bytes() for p in root.rglob("*") if p.is_file() and "audit" not in p.parts}
    assert {p: d for p, d in after.items() if p in before} == before
    assert not {p.name for p in after.keys() - before.keys()} - {"audit-ed25519.pem", "erasure.lock", "salts.db"}
    assert Vault().keys.secret(project.films[NAME]) is not None


def _full(_handle: int) -> None:
    raise OSError(28, "No space left on device")


def test_what_took_the_films_place_before_the_erasure_is_finished_stays(
    anew: Callable[[], Project], monkeypatch: pytest.MonkeyPatch
) -> None:
    project = anew()
    with monkeypatch.context() as patch:
        patch.setattr(procedure, "STEPS", (*STEPS[:2], _stopped))
        with pytest.raises(Killed):
            _erase(project)
    (project.root / "datasets/inbox" / NAME).write_bytes(b"another film of the same name")
    [name] = unfinished.unfinished()
    done = resume(project.root, name, Vault(), actor="a", role="legal")
    assert (project.root / "datasets/inbox" / NAME).read_bytes() == b"another film of the same name"
    assert [why for path, why in done.left.items() if path.endswith(NAME)] == [
        "it was replaced after the erasure had begun"
    ]
    assert Vault().erased(project.films[NAME])


def test_a_film_that_cannot_be_deleted_keeps_its_key_until_it_can(
    anew: Callable[[], Project], monkeypatch: pytest.MonkeyPatch
) -> None:
    project = anew()
    real = os.unlink

    def immutable(path: str, *args: object, **more: object) -> None:
        if str(path).endswith(NAME):
            raise PermissionError(1, "Operation not permitted", path)
        real(path, *args, **more)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", immutable)
        with pytest.raises(AiprodError, match=r"not finished: .*not permitted.*erase resume"):
            _erase(project)
    assert Vault().keys.secret(project.films[NAME]) is not None
    _finish(project)
    _is_whole(project, "deleted afterwards")


def test_a_step_that_fails_says_that_the_erasure_was_begun_and_how_to_go_on(
    anew: Callable[[], Project], monkeypatch: pytest.MonkeyPatch
) -> None:
    project = anew()
    with monkeypatch.context() as patch:
        patch.setattr(procedure, "write_bytes", _refused)
        with pytest.raises(AiprodError, match=r"was begun and is not finished: .*denied.*aiprod erase resume"):
            _erase(project)
    _finish(project)
    _is_whole(project, "refused once")


@pytest.mark.parametrize("lost", ["journal", "key"])
def test_without_its_journal_an_erasure_still_ends_and_says_what_it_could_not_do(
    lost: str, anew: Callable[[], Project], monkeypatch: pytest.MonkeyPatch
) -> None:
    project = anew()
    root, film = project.root, project.films[NAME]
    with monkeypatch.context() as patch:
        patch.setattr(procedure, "STEPS", (*STEPS[:2], _stopped))
        with pytest.raises(Killed):
            _erase(project)
    if lost == "journal":
        shutil.rmtree(state().root / "erasures")
    else:
        kept = {*project.films.values()}
        for key in (state().root / "keys/data").rglob("*.key"):
            if key.stem not in kept:
                key.unlink()
    [name] = unfinished.unfinished()
    done = resume(root, name, Vault(), actor="operator", role="legal")
    assert not unfinished.unfinished() and certificate.verify(root, done.path).problems == []
    assert Vault().keys.secret(film) is None and not list(project.data.rglob(f"*{film[1:]}*"))
    assert "by hand" in str(done.left) and "lost" in done.body["journal"]
    assert (root / "datasets/inbox" / NAME).is_file()


def _refused(*_: object) -> None:
    raise PermissionError(13, "Permission denied")


@pytest.mark.long
def test_an_erasure_that_is_interrupted_at_any_write_ends_whole(anew: Callable[[], Project]) -> None:
    """Ctrl-C, which Python raises where it is: what would be cleaned up on the way out must not undo what is logged."""
    write = 1
    while _ended_at(write, signal.SIGINT, partial(_erase, project := anew())):
        _finish(project)
        _is_whole(project, write)
        write += 1
    assert write > 40


@pytest.mark.long
def test_finishing_may_be_killed_as_well(anew: Callable[[], Project]) -> None:
    write = 1
    while True:
        project = anew()
        if not _ended_at(40, signal.SIGKILL, partial(_erase, project)) or not unfinished.unfinished():
            raise AssertionError("nothing was begun")
        ended = _ended_at(write, signal.SIGKILL, partial(_finish, project))
        _finish(project)
        _is_whole(project, write)
        if not ended:
            break
        write += 3
    assert write > 5


@pytest.mark.parametrize(
    ("module", "step", "gone"),
    [
        (search_patterns, "content", "datasets/v1/processed/*.mp4"),
        (source_files, "_name_other_links", f"datasets/inbox/{NAME}*"),
    ],
)
def test_a_file_that_another_erasure_removes_meanwhile_is_one_line(
    anew: Callable[[], Project], monkeypatch: pytest.MonkeyPatch, module: ModuleType, step: str, gone: str
) -> None:
    """Which does not name the file, for it may be called after a person."""
    project = anew()
    do = getattr(module, step)

    def late(*arguments: Any) -> Any:
        for path in project.root.glob(gone):
            path.unlink()
        return do(*arguments)

    monkeypatch.setattr(module, step, late)
    with pytest.raises(AiprodError, match="vanished") as caught:
        plan(project.root, ErasureRequest(project.clip(NAME)), Vault())
    assert NAME not in str(caught.value)


def test_two_erasures_at_once_end_whole(anew: Callable[[], Project]) -> None:
    """Of one film by two people: one erases, the other is told in a line, and nothing is done twice."""
    project = anew()
    children = []
    for _ in range(2):
        if (child := os.fork()) == 0:
            try:
                _erase(project)
            except AiprodError:
                os._exit(3)
            except BaseException:
                os._exit(7)
            os._exit(0)
        children.append(child)
    codes = sorted(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children)
    assert codes[0] == 0 and codes[1] in (0, 3)
    _is_whole(project, codes)
