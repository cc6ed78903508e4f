"""The same packets in other files: refused where one of them is, and duplicates only where they show the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import pytest

from aiprod.data.ingest import packet_digests
from aiprod.media.packets import packets_digest
from tests.data.inbox_project import Project
from tests.qc.films import rewrap, turned

MakeFilm = Callable[..., Path]


def stored(project: Project) -> list[str]:
    """Everything that ingest keeps of films, by name, in outputs and memo."""
    kept = [*(project.root / "datasets/v1").rglob("*"), *(project.root / "memo").rglob("*")]
    return sorted(p.name for p in kept if p.suffix in (".mp4", ".mkv", ".mov"))


def test_a_film_that_is_refused_is_refused_in_every_wrapping(project: Project, make_film: MakeFilm) -> None:
    make_film(project.inbox / "mine.mp4", 1)
    rewrap(make_film(project.inbox / "theirs.mp4", 2), project.inbox / "innocent.mkv")
    (project.inbox / "broken.mp4").write_bytes((project.inbox / "theirs.mp4").read_bytes()[:900])
    table = "file,licence\nmine.mp4,own\ninnocent.mkv,CC0-1.0\ntheirs.mp4,CC-BY-NC-4.0\nbroken.mp4,CC-BY-NC-4.0\n"
    (project.inbox / "s.csv").write_text(table)
    films, clips, counters = project.run()
    assert {key: film.status for key, film in films.items()} == {
        "mine.mp4": "ok",
        "theirs.mp4": "refused",
        "innocent.mkv": "refused",
        "broken.mp4": "refused",
    }
    assert films["innocent.mkv"].effective_right == "deny"
    assert "without the right to train" in films["innocent.mkv"].reasons[-1]
    assert [clip.film_id for clip in clips] == [films["mine.mp4"].film_id]
    mine = films["mine.mp4"].film_id
    assert stored(project) == sorted(["000.mp4", "raw.mp4", f"{mine}.mp4", f"c{mine[1:]}-000.mp4"])
    again, _, counters = project.run()
    assert (counters.processed, counters.reused) == (0, 1), "what is known to be refused is not taken in again"
    assert again == films
    (project.inbox / "s.csv").write_text(table.replace("CC-BY-NC", "CC-BY"))
    films, _, _ = project.run()
    innocent = films["innocent.mkv"]
    assert innocent.status == "ok" and innocent.obligations == ["attribution: Inbox (CC-BY-4.0)"]


def test_a_refused_film_that_cannot_be_read_stops_nobody(
    project: Project,
    make_film: MakeFilm,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_film(project.inbox / "mine.mp4", 1)
    make_film(project.inbox / "theirs.mp4", 2)
    (project.inbox / "s.csv").write_text("file,licence\nmine.mp4,own\ntheirs.mp4,CC-BY-NC-4.0\n")
    asked: list[str] = []

    def gone(*of: Any) -> packet_digests.PacketsJob:
        asked.append(of[0].offer.key)
        return replace(job_of(*of), path=str(project.root / "gone"))

    job_of = packet_digests.packets_job
    monkeypatch.setattr(packet_digests, "packets_job", gone)
    films, clips, _ = project.run()
    assert "theirs.mp4" in asked
    assert {key: film.status for key, film in films.items()} == {"mine.mp4": "ok", "theirs.mp4": "refused"}
    assert len(clips) == 1


def test_what_is_known_of_a_refused_film_with_people_is_encrypted(project: Project, make_film: MakeFilm) -> None:
    make_film(project.inbox / "mine.mp4", 1)
    theirs = make_film(project.inbox / "theirs.mp4", 2)
    for name in ("plain", "innocent"):
        rewrap(theirs, project.inbox / f"{name}.mkv")
        with open(project.inbox / f"{name}.mkv", "ab") as file:  # two files of the same packets
            file.write(name.encode())
    (project.inbox / "s.csv").write_text(
        "file,licence,personal_data_basis\nmine.mp4,own,none\ntheirs.mp4,CC-BY-NC-4.0,legitimate_interests\n"
        "plain.mkv,CC-BY-NC-4.0,none\ninnocent.mkv,own,none\n"
    )
    for _ in range(2):
        films, _, _ = project.run()
        assert {key: film.status for key, film in films.items()} == {
            "mine.mp4": "ok",
            "theirs.mp4": "refused",
            "plain.mkv": "refused",
            "innocent.mkv": "refused",
        }
        assert films["theirs.mp4"].film_id.startswith("f0")
        kept = b"".join(p.read_bytes() for p in sorted((project.root / "memo").rglob("*")) if p.is_file())
        assert packets_digest(project.inbox / "mine.mp4").encode() in kept
        assert packets_digest(theirs).encode() not in kept


def retimed(film: Path, target: Path, late_s: float = 0.0, slower: float = 1.0) -> Path:
    """The same packets with sound that comes later, or all of it slower."""
    with av.open(str(film)) as old, av.open(str(target), "w") as new:
        streams = {s.index: new.add_stream_from_template(s) for s in old.streams}
        for packet in old.demux():
            if packet.dts is None:
                continue
            by = round(late_s / packet.time_base) if packet.stream.type == "audio" else 0
            packet.pts, packet.dts = (round(t * slower) + by for t in (packet.pts, packet.dts))
            packet.duration = round((packet.duration or 0) * slower)
            packet.stream = streams[packet.stream.index]
            new.mux(packet)
    return target


def test_what_shows_the_same_packets_otherwise_displaces_nothing(project: Project, make_film: MakeFilm) -> None:
    """Turned, out of step or slowed down, and first in the alphabet: it may be the worse film of the two."""
    good = make_film(project.inbox / "good.mp4", 3, 2.0)
    turned(good, project.inbox / "a-turned.mp4", 90)
    retimed(good, project.inbox / "b-late.mp4", late_s=0.2)
    retimed(good, project.inbox / "c-slow.mp4", slower=1.5)
    for extension in ("mkv", "mov"):
        rewrap(good, project.inbox / f"z-same.{extension}")
    films, clips, _ = project.run()
    assert len({film.packets_sha256 for film in films.values()}) == 1
    kept = {key for key, film in films.items() if film.status == "ok"}
    assert kept == {"a-turned.mp4", "b-late.mp4", "c-slow.mp4", "good.mp4"}
    assert {f.duplicate_of for k, f in films.items() if k not in kept} == {films["good.mp4"].film_id}
    assert len(clips) == 4
