"""Takes one film in: keeps its bytes, finds its shots, normalises each. Runs in a worker process."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from aiprod.base.files import sha256_file
from aiprod.base.opening import open_file
from aiprod.base.tempdirs import remote_parts
from aiprod.data.ingest.completeness import check_whole
from aiprod.data.ingest.shot_detection import Shot, analyse_video
from aiprod.data.params import IngestParams
from aiprod.data.rows import clip_id_of
from aiprod.data.sources.base import Offer, Source
from aiprod.data.sources.folder import copy_film, unreadable
from aiprod.errors import is_disk_full
from aiprod.executors.confinement import close_network
from aiprod.executors.types import Needs
from aiprod.media.audio_oddities import listen, sound_notes
from aiprod.media.container import Limits
from aiprod.media.embedded_rights import embedded_statement
from aiprod.media.errors import MediaError
from aiprod.media.fragment_times import fragments_begin, late_ticks
from aiprod.media.frame_rate import rate_of
from aiprod.media.media_info import MediaFacts
from aiprod.media.normalising import SAMPLE_RATE, Crop, Form, check_hdr, conforms, normalise, only_primed
from aiprod.media.oddities import oddities
from aiprod.media.packets import packets_digest
from aiprod.media.probing import probe, require_video
from aiprod.media.rewrapping import with_new_sound
from aiprod.media.sniffing import sniff
from aiprod.media.training_mining import Marks, training_reservation
from aiprod.rights.embedded import against_training
from aiprod.storage.crypto.film_encryption import private_folder
from aiprod.storage.result_cache import Memo, Seal

RESERVED: Final = "reserved"  # the kind of error that is a refusal
UNREADABLE: Final = "unreadable"  # the kind that is raised where bytes could not be had: nothing is known of the film


_DECODED_BYTES = 704 << 20
"""Shots are decoded once, both to be found and to be encoded, as far as a film's pictures are no larger together."""

FILM: Final = "film"
"""The role of a job's film among the files that go to another machine."""


@dataclass(frozen=True)
class FetchRequest:
    """A film that its source is to fetch; ``part`` keeps what was received before a transfer broke off."""

    source: Source
    offer: Offer
    part: Path
    delivered: Path | None = None  # where it is on a machine to which it was brought

    @contextmanager
    def brought(self) -> Iterator[dict[str, Path]]:
        """A film of a source on this machine as a file, for another machine; nothing for what that can fetch itself.

        Raises:
            MediaError: it cannot be had.
        """
        if not self.source.nearby:
            yield {}
            return
        with private_folder() as folder:
            self.source.fetch(self.offer, folder / "received.part", folder / "film")
            yield {FILM: folder / "film"}

    def at(self, place: Path | None) -> FetchRequest:
        """The same request on another machine, to which the film was brought or which fetches it."""
        return replace(self, delivered=place, part=part_of(self.offer))

    def fetch(self, part: Path, target: Path) -> dict[str, Any] | None:
        """As :meth:`Source.fetch`."""
        if self.delivered is None:
            return self.source.fetch(self.offer, part, target)
        copy_film(self.delivered, target)
        return None


def part_of(offer: Offer) -> Path:
    """Where what was received of a film is kept on this machine."""
    return remote_parts() / f"{offer.sha256}.part"


@contextmanager
def to_send(path: str | None, wanted: FetchRequest | None) -> Iterator[dict[str, Path]]:
    """The film of a job as a file to send to another machine, by its role; nothing of one that is fetched there.

    Raises:
        MediaError: it cannot be had.
    """
    if wanted is not None:
        with wanted.brought() as files:
            yield files
        return
    assert path is not None
    with unreadable("the file", "fix its permissions"), open_file(path):
        pass
    yield {FILM: Path(path)}


def arrived(
    path: str | None, wanted: FetchRequest | None, at: Mapping[str, Path]
) -> tuple[str | None, FetchRequest | None]:
    """Path and request of a job on another machine."""
    if wanted is not None:
        return path, wanted.at(at.get(FILM))
    return str(at[FILM]), None


@dataclass(frozen=True)
class IngestJob:
    """One film to take in.

    Args:
        source_path: the file, or None for a film that is fetched.
        wanted: the film that is fetched, None for a file. What is received of a private film is never kept in its
            ``part``.
        sha256: of the offer: of the file's bytes as scan saw them, or what stands for them.
        key: its memo key.
        private: its film id, if its bytes are to be encrypted.
    """

    source_path: str | None
    wanted: FetchRequest | None
    sha256: str
    key: str
    memo: Memo
    params: IngestParams
    private: str | None = None

    @property
    def fetches(self) -> bool:
        """Whether the network is needed before the film can be decoded; a worker that had it takes no other film."""
        wanted = self.wanted
        return wanted is not None and wanted.delivered is None and not (wanted.source.nearby or wanted.source.generated)

    @property
    def seen(self) -> bool:
        """Whether scan has read the bytes, so that ``sha256`` is theirs."""
        return self.wanted is None or self.wanted.source.has_read(self.wanted.offer)

    @contextmanager
    def packing(self) -> Iterator[Needs]:
        """What goes to another machine: the film, unless that can fetch it."""
        with to_send(self.source_path, self.wanted) as files:
            yield Needs(files=files, private=() if self.private is None else (self.private,))

    def placed(self, at: Mapping[str, Path], memo: Memo) -> IngestJob:
        """The same job on another machine."""
        path, wanted = arrived(self.source_path, self.wanted, at)
        return replace(self, source_path=path, wanted=wanted, memo=memo)

    @property
    def judged(self) -> bool:
        """Whether the film's own word on training is known: from scan, or because the film is made here."""
        return self.wanted is None or self.wanted.source.generated


def ingest_film(job: IngestJob) -> float:
    """Fill the memo entry of ``job``: a result (see :func:`_build`) and the files ``raw.<ext>`` and ``<n>.mp4``.

    Returns:
        Seconds of film that were taken in.
    """
    seal = None
    if (film_id := job.private) is not None:
        seal = Seal(film_id, lambda name: _label(film_id, name))
    result, _ = job.memo.put(job.key, lambda folder: _build(job, folder), seal)
    return float(sum(clip["end_s"] - clip["start_s"] for clip in result["clips"]))


def _label(film_id: str, name: str) -> str:
    """What a kept file is: the raw film, or a clip by its number."""
    stem = name.split(".", 1)[0]
    return f"processed:{clip_id_of(film_id, int(stem))}" if stem.isdigit() else f"raw:{film_id}"


def _build(job: IngestJob, folder: Path) -> dict[str, Any]:
    """The film's facts, its clips, or the reason why there are none, as plain values.

    Raises:
        MediaError: the file changed since the scan (nothing is kept, the next run sees it anew).
    """
    work = folder / "raw.part"
    truth: dict[str, Any] | None = None
    if (wanted := job.wanted) is not None:
        part = wanted.part if job.private is None else folder / "received.part"
        truth = wanted.fetch(part, work)
        close_network()
    else:
        assert job.source_path is not None
        copy_film(job.source_path, work)
    digest = sha256_file(work)
    if job.seen and digest != job.sha256:
        raise MediaError(UNREADABLE, "the file changed while it was being ingested", "run again when it is complete")
    result: dict[str, Any] = {
        "sha256": digest,
        "size": os.path.getsize(work),
        "truth": truth,
        "facts": None,
        "packets_sha256": None,
        "raw": None,
        "clips": [],
        "notes": [],
        "error": None,
        "said": {},
    }
    try:
        if not job.judged:
            check_permitted(work)
        _take(job.params, work, folder, result)
    except MediaError as error:
        if is_disk_full(error):
            raise
        result["error"] = error.reason
    if result["error"] is None:
        raw = folder / f"raw.{result['facts']['extension']}"
        os.replace(work, raw)
        result["raw"] = raw.name
        for path in folder.glob("*.same"):  # a clip that is the whole film as it is
            path.unlink()
            os.link(raw, path.with_suffix(".mp4"))
    else:
        work.unlink()
        for path in folder.iterdir():
            path.unlink()
        result["clips"] = []
    return result


def _take(params: IngestParams, work: Path, folder: Path, result: dict[str, Any]) -> None:
    limits = Limits(pixels=params.max_pixels)
    facts = probe(work, limits)
    result["facts"] = facts.model_dump(mode="json")
    video = require_video(facts)
    if facts.length_s is not None and facts.length_s > params.max_film_s:
        raise MediaError("too-long", f"{facts.length_s:.0f} s, {params.max_film_s:g} s is the limit")
    result["said"] = embedded_statement(work, limits)
    if (why := against_training(result["said"])) is not None:
        raise MediaError(RESERVED, why)
    form = Form(
        **params.normalise.model_dump(exclude={"max_height_px", "crop_letterbox"}),
        max_height=params.normalise.max_height_px,
    )
    check_hdr(video, form)
    check_cost(facts, params.max_gigapixels)
    keeps = conforms(facts, True, form) or only_primed(facts, True, form)  # then no picture is encoded
    most = 0 if keeps else _DECODED_BYTES
    watched = analyse_video(work, params.shots, limits, params.max_film_s, keep_bytes=most)
    if watched.video.interlaced != video.interlaced:  # the first picture alone did not say so
        video = video.model_copy(update={"interlaced": watched.video.interlaced})
        facts = facts.model_copy(update={"video": video})
        result["facts"] = facts.model_dump(mode="json")
    result["notes"] = check_whole(work, facts, watched, params.max_damage)
    heard = listen(work, facts, limits)
    result["notes"] += sound_notes(work, facts, watched.end_s, limits, heard)
    result["notes"] += oddities(work, facts, watched.damage.discarded)
    result["packets_sha256"] = packets_digest(work)
    rate, constant = rate_of(watched.times_s, video.fps)
    moved = facts.extension in ("mp4", "mov") and late_ticks(work)  # most readers would show its pictures late
    for index, shot in enumerate(watched.shots):
        crop = shot.crop if params.normalise.crop_letterbox else Crop()
        whole = len(watched.shots) == 1 and crop.nothing and not watched.damage.bad_packets
        whole = whole and not (heard and heard.failed) and not moved
        whole = whole and not (watched.damage.discarded and fragments_begin(work) is not None)
        clip: dict[str, Any] = {
            "index": index,
            "start_s": shot.start_s,
            "end_s": shot.end_s,
            "frames": shot.pictures,
            "fps": float(rate),
            "width": shot.video.display_width,
            "height": shot.video.display_height,
            "has_audio": facts.audio is not None,
            "status": "ok",
            "reasons": [],
            "file": f"{index:03d}.mp4",
            "sha256": None,
            "steps": [],
        }
        result["clips"].append(clip)
        if shot.end_s - shot.start_s < params.shots.min_shot_s:
            reason = f"the shot lasts {shot.end_s - shot.start_s:.2f} s, {params.shots.min_shot_s:g} s are kept"
            clip.update(status="short", reasons=[reason], file=None)
        elif whole and conforms(facts, constant, form):
            (folder / clip["file"]).with_suffix(".same").touch()
            clip.update(sha256=result["sha256"], steps=["as is"])
        elif not (
            whole
            and only_primed(facts, constant, form)
            and _keep_pictures(work, folder, facts, shot, clip, form=form, limits=limits)
        ):
            own = facts.model_copy(update={"video": shot.video})
            how: dict[str, Any] = {"form": form, "crop": crop, "limits": limits, "decoded": watched.decoded_of(shot)}
            _normalise(work, folder, own, shot, clip, rate=rate, constant=constant, **how)


def _keep_pictures(
    work: Path, folder: Path, facts: MediaFacts, shot: Shot, clip: dict[str, Any], *, form: Form, limits: Limits
) -> bool:
    """Write one clip of the whole film with its pictures as they are; False where that cannot be."""
    target = folder / clip["file"]
    try:
        steps = with_new_sound(
            work,
            target,
            facts,
            duration_s=shot.end_s - shot.start_s,
            sample_rate=SAMPLE_RATE,
            audio_bitrate_bps=form.audio_bitrate_bps,
            limits=limits,
        )
    except MediaError as error:
        if is_disk_full(error):
            raise
        return False
    clip.update(steps=steps, sha256=sha256_file(target))
    return True


def _normalise(work: Path, folder: Path, facts: MediaFacts, shot: Shot, clip: dict[str, Any], **how: Any) -> None:
    """Write one clip and complete its record; a shot that cannot be written costs its own row only."""
    target = folder / clip["file"]
    try:
        done = normalise(work, target, facts, start_s=shot.start_s, end_s=shot.end_s, **how)
    except MediaError as error:
        if error.kind == "hdr" or is_disk_full(error):
            raise
        clip.update(status="error", reasons=[error.reason], file=None)
        return
    steps = done.steps
    if len(clip["reasons"]) == 0 and (shot.first > 0 or abs(shot.start_s) > 0):
        steps = [f"shot {clip['index']} cut out at {shot.start_s:.3f} s", *steps]
    clip.update(
        frames=done.frames,
        width=done.width,
        height=done.height,
        has_audio=done.has_audio,
        steps=steps,
        sha256=sha256_file(target),
    )


def check_permitted(path: Path) -> None:
    """Refuse a film that says of itself that it is not for training.

    Raises:
        MediaError: reserved.
    """
    marks = Marks()
    with open_file(path) as file:
        while piece := file.read(1 << 20):
            marks.see(piece)
    if reservation := training_reservation(path, sniff(path).extension, marks.seen):
        raise MediaError(RESERVED, f"its own Content Credentials do not allow training ({reservation})")


def check_cost(facts: MediaFacts, most_gigapixels: float) -> None:
    """Refuse a film that would take too long to decode, by what its container states (the deadline bounds the rest).

    Raises:
        MediaError: too large.
    """
    video = facts.video
    if video is None:
        return
    stated_s = video.duration_s or facts.duration_s or 0.0
    length_s = stated_s if facts.length_s is None else min(stated_s, facts.length_s)
    pictures = video.frames or length_s * min(video.fps, 240.0)
    gigapixels = video.width * video.height * pictures / 1e9
    if gigapixels > most_gigapixels:
        size = f"{video.width}x{video.height} at {video.fps:g} fps for {length_s:.0f} s"
        raise MediaError("too-large", f"{size} is {gigapixels:.0f} gigapixels, {most_gigapixels:g} are decoded at most")
