"""Rows of what people have recorded: rights and consent first, then times, all of it under the voice's own key."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiprod.base.denials import Refusal
from aiprod.base.files import sha256_file
from aiprod.base.stage import Counters
from aiprod.data.sources.recordings import recordings_folder
from aiprod.data.sources.sidecar_reading import read_sidecars
from aiprod.data.sources.sidecars import Sidecars, merge_records, with_own_words
from aiprod.errors import AiprodError
from aiprod.media.audio import read_sound
from aiprod.media.container import DEFAULT
from aiprod.media.embedded_rights import embedded_statement
from aiprod.media.errors import MediaError
from aiprod.media.sniffing import sniff
from aiprod.media.training_mining import training_reservation
from aiprod.rights.agreements import VOICE, Terms
from aiprod.rights.declarations import SidecarRecord, SourceDeclaration, SourcesFile
from aiprod.rights.effective_right import RightsDecision, effective_right
from aiprod.rights.embedded import against_training
from aiprod.rights.right import Right
from aiprod.speech.aligner import Aligner
from aiprod.speech.features import HOP
from aiprod.speech.fundamental import fundamental
from aiprod.speech.layouts import Recording, recordings_below
from aiprod.speech.phones import ENGLISH
from aiprod.speech.reference import levelled
from aiprod.speech.rows import SpeechRow, split_of
from aiprod.speech.sound_files import write_sound
from aiprod.speech.speakers_table import NAME, SpeakerEntry, read_speakers
from aiprod.speech.text_grid import read_text_grid
from aiprod.speech.text_to_phones import G2P, VERSION, Word, bundled_dictionary, phrases
from aiprod.speech.times import edges, without_gaps
from aiprod.speech.voice import RATE
from aiprod.storage.crypto.film_encryption import Vault
from aiprod.storage.crypto.tombstones import REASON
from aiprod.storage.manifest.encrypted_columns import BLANK
from aiprod.storage.result_cache import CIPHERTEXT, Memo, Seal

PROVENANCE = "recorded: a person spoke it"
_SHORTEST_S, _LONGEST_S = 0.5, 20.0
_SOUND = "sound.wav"
_NOT_IN_ROWS = (CIPHERTEXT, "timed_by", "said", "reserved")
Log = Callable[[str], None]


@dataclass(frozen=True)
class _Stated:
    """What is said of one recording.

    Attributes:
        entry: of who speaks, which alone can name the consent.
        record: everything together.
        problem: why what is said cannot be believed, or permits nothing.
    """

    source: SourceDeclaration
    entry: SpeakerEntry
    record: SidecarRecord
    problem: str | None


@dataclass(frozen=True)
class Recordings:
    """Takes recordings in.

    Args:
        heldout_fraction: share of sentences that nobody's recording of is trained on.
        memo: what was made of a recording before, so that a stopped run goes on where it was.
    """

    sources: SourcesFile
    terms: Terms
    vault: Vault
    memo: Memo
    heldout_fraction: float
    seed: int
    log: Log

    @cached_property
    def _aligner(self) -> Aligner:
        return Aligner()

    def rows(self, folders: Mapping[str, str], out: Path, counters: Counters) -> Iterator[SpeechRow]:
        """A row for each recording; sounds of those that may be trained on are written to ``out``, encrypted.

        Raises:
            AiprodError: a source is not declared, a folder has no recordings, or they cannot be aligned here at all.
        """
        seen: dict[str, str] = {}
        for source_id, stated in sorted(folders.items()):
            source, folder = self.sources.get(source_id), recordings_folder(source_id, stated)
            listed, speakers = recordings_below(folder, source_id), read_speakers(folder)
            known = {recording.speaker for recording in listed.recordings}
            for _ in sorted(speakers.keys() - known):
                self.log(f"make_speech: {NAME} of {source_id} names a speaker of whom there is no recording")
            if listed.left_out:
                one, why = next(iter(listed.left_out.items()))
                self.log(f"make_speech: {len(listed.left_out)} files of {source_id} are left out, such as {one}: {why}")
            beside = self._beside(folder, source_id, listed.documents)
            for recording in listed.recordings:
                entry = speakers.get(recording.speaker, SpeakerEntry())
                record, problem = (None, beside) if isinstance(beside, str) else beside.of(recording.key, source)
                together = entry.statement if record is None else merge_records([entry.statement, record])
                about = _Stated(source, entry, together, problem)
                row = self._row(recording, about, source_id=source_id, out=out, counters=counters)
                if row.utterance_id in seen:  # the same bytes under the same name: a link into the folder itself
                    continue
                seen[row.utterance_id] = recording.key
                yield row
            for name in [] if isinstance(beside, str) else beside.unused():
                self.log(f"make_speech: files beside {source_id} speak of {name}, which is not a recording here")

    def _beside(self, folder: Path, source_id: str, documents: Collection[str]) -> Sidecars | str:
        """What files beside the recordings say of each; where they cannot be read, why all are refused."""
        try:
            sidecars = read_sidecars(folder, without={NAME, *documents})
        except AiprodError as error:
            return f"sidecar: {error.what}"
        for key, why in sorted(sidecars.unread.items()):
            self.log(f"make_speech: {key} of {source_id} is not read as a statement of rights: {why}")
        for line in sidecars.strays:
            self.log(f"make_speech: {line} of {source_id} names a file outside of its folder")
        return sidecars

    def _row(self, recording: Recording, about: _Stated, *, source_id: str, out: Path, counters: Counters) -> SpeechRow:
        entry = about.entry
        content = sha256_file(recording.path)
        speaker = self.vault.speaker_id(source_id, recording.speaker)
        name = self.vault.utterance_id(speaker, recording.key, content)
        right = self._right(about)
        bare = SpeechRow(
            utterance_id=name,
            status="refused",
            reasons=right.reasons,
            source_id=source_id,
            provenance=PROVENANCE,
            synthetic=False,
            consent_ref=entry.statement.consent_ref,
            speaker=speaker,
            language=entry.language,
            text=recording.text,
            split=split_of(recording.text, self.seed, self.heldout_fraction),
            key=recording.key,
            text_key=recording.text_key,
            speaker_name=recording.speaker,
            content_sha256=content,
            size_bytes=recording.path.stat().st_size,
            effective_right=right.right.word,
            rights_proof=right.proof,
            obligations=right.obligations,
        )
        if self.vault.erased(speaker) or self.vault.tombstone_for(content=content) is not None:
            return SpeechRow(
                utterance_id=name,
                status="erased",
                reasons=[REASON],
                source_id=source_id,
                provenance=PROVENANCE,
                synthetic=False,
                speaker=speaker,
                language=entry.language,
                text=BLANK,
                split="train",
                effective_right="deny",
            )
        if not right.permits_training:
            return bare
        result, place = self._built(recording, entry.language, name, content, counters)
        if result["said"]:
            own = SidecarRecord.model_validate(result["said"])
            union = with_own_words(about.record, own, about.source)
            right = self._right(replace(about, record=union))
            if right.permits_training:
                right = self._right(replace(about, record=union, problem=result["reserved"]))
            bare = bare.model_copy(
                update={
                    "effective_right": right.right.word,
                    "rights_proof": right.proof,
                    "obligations": right.obligations,
                    "reasons": right.reasons,
                }
            )
        if not right.permits_training:
            return bare
        if "problem" in result:
            return bare.model_copy(update={"reasons": [result["problem"]]})
        self.memo.link(place, _SOUND, out / f"{name}.wav")
        fields = {field: value for field, value in result.items() if field not in _NOT_IN_ROWS}
        provenance = f"{PROVENANCE}; phones timed by {result['timed_by']}"
        common = {"sound_name": f"{name}.wav", "sound_sha256": result[CIPHERTEXT][_SOUND], "provenance": provenance}
        return bare.model_copy(update={"status": "ok", **common, **fields})

    def _right(self, about: _Stated) -> RightsDecision:
        """By the same rules as of a film, asked for the purpose of a voice; without a record there is no right."""
        entry = about.entry
        right = effective_right(about.source, about.record, terms=replace(self.terms, purpose=VOICE))
        if about.problem is not None:
            proof, reasons = [*right.proof, about.problem], [*right.reasons, about.problem]
            right = replace(right, right=Right.DENY, obligations=[], proof=proof, reasons=reasons)
        if entry.statement.consent_ref and (why := self.terms.against(entry.statement.consent_ref, VOICE)) is None:
            return right
        problem = why if entry.statement.consent_ref else f"no consent for {VOICE} is named in {NAME}"
        reason = f"consent → deny: {problem}"
        return replace(right, right=Right.DENY, proof=[*right.proof, reason], reasons=[*right.reasons, reason])

    def _built(
        self, recording: Recording, language: str, name: str, content: str, counters: Counters
    ) -> tuple[dict[str, Any], Path]:
        grid = recording.text_grid
        times = sha256_file(grid) if grid is not None else self._aligner.name
        key = self.memo.key(name, content, recording.text, times, language, G2P, VERSION)
        if (kept := self.memo.get(key)) is not None:
            counters.reused += 1
            return kept
        counters.processed += 1
        return self.memo.put(
            key, lambda place: self._build(recording, language, place), Seal(name, lambda _: f"speech:{name}")
        )

    def _build(self, recording: Recording, language: str, place: Path) -> dict[str, Any]:
        """Write the sound and say what is heard when; or why it cannot be used, which is a result as well."""
        try:
            own = _own_statement(recording.path)
        except MediaError as error:
            return {"problem": str(error), "said": {}, "reserved": None}
        about = {"said": own, "reserved": against_training(own) or own.get("training_mining")}
        if about["reserved"] is not None:
            return about
        try:
            sound, pitch = _heard(recording.path)
            if recording.text_grid is not None:
                phones, words = read_text_grid(recording.text_grid, language)
                timed_by = "a TextGrid"
            else:
                words_spoken = _words(recording.text, language)
                phones, words = self._aligner.align(sound, words_spoken, language)
                timed_by = self._aligner.name
            first, last = edges(words, len(sound))
        except (AiprodError, MediaError) as error:
            return {"problem": error.what if isinstance(error, AiprodError) else str(error), **about}
        cut, offset = sound[first:last], first / RATE
        phones = without_gaps(phones, offset, len(cut) / RATE)
        write_sound(place / _SOUND, cut)
        frames = pitch[first // HOP : first // HOP + max(1, len(cut) // HOP)]
        return {
            **about,
            "timed_by": timed_by,
            "seconds": len(cut) / RATE,
            "phones": [phone.name for phone in phones],
            "phone_ends_s": [round(phone.end_s, 4) for phone in phones],
            "words": [word.name for word in words],
            "word_starts_s": [round(word.start_s - offset, 4) for word in words],
            "word_ends_s": [round(word.end_s - offset, 4) for word in words],
            "f0_hz": [round(float(value), 1) for value in frames],
        }


def refusals(rows: list[SpeechRow]) -> list[Refusal]:
    """A line of the log for each voice that may not be trained on, and for each recording that alone may not.

    Whose it is, is only committed to.
    """
    by_key: dict[str, Refusal] = {}
    heard = {row.speaker for row in rows if not row.synthetic and row.effective_right != "deny"}
    for row in rows:
        if row.synthetic or row.status != "refused" or row.effective_right != "deny":
            continue
        whole = row.speaker not in heard
        subject = row.speaker if whole else row.utterance_id
        of = f"the voice {row.speaker}" if whole else f"the recording {row.utterance_id}"
        consent = any("consent" in reason for reason in row.reasons)
        hint = f"`aiprod consent record` adds a record for the purpose {VOICE}; {NAME} names it"
        by_key.setdefault(
            subject,
            Refusal(
                f"{of} of {row.source_id} is refused: {'; '.join(row.reasons)}",
                hint if consent else "correct what the recording, or a file beside it, says of its rights",
                lack="consent" if consent else "right",
                action="train-voice",
                subject=subject,
            ),
        )
    return list(by_key.values())


def _own_statement(path: Path) -> dict[str, Any]:
    """What a recording says of its own rights, by the same readers as a film.

    Raises:
        MediaError: it does not open.
    """
    statement = embedded_statement(path)
    reserved = training_reservation(path, sniff(path).extension)
    return statement if reserved is None else statement | {"training_mining": reserved}


def _heard(path: Path) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Sound at the features' rate and level, of any rate and number of channels, and its fundamental.

    Raises:
        AiprodError: too short, too long, or nothing voiced in it.
        MediaError: it cannot be decoded.
    """
    read = read_sound(path, RATE, 1, limits=replace(DEFAULT, sound_s=_LONGEST_S + 1))
    seconds = 0.0 if read is None else read.shape[1] / RATE
    if read is None or not _SHORTEST_S <= seconds <= _LONGEST_S:
        raise AiprodError(f"it is not from {_SHORTEST_S:g} to {_LONGEST_S:g} s long", "cut it into sentences")
    sound = read[0].astype(np.float32)
    pitch = fundamental(sound)
    if (pitch > 0).mean() < 0.05 or float(np.abs(sound).max()) < 1e-4:
        raise AiprodError("no voice is heard in it", "leave it out")
    return levelled(sound, pitch), pitch


def _words(text: str, language: str) -> list[Word]:
    """What is said. A reason stands in the open, so that it quotes nothing of it."""
    try:
        spoken = phrases(text, language, bundled_dictionary() if language == ENGLISH else None)
    except AiprodError:
        raise AiprodError("its text is empty, or has a word whose sound is not known", "correct it") from None
    return [word for phrase in spoken for word in phrase.words]
