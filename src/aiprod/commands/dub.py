"""``aiprod dub``: a film whose face says something else."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import numpy as np

    from aiprod.speech.voice import TimedUnit


def dub(  # noqa: PLR0917 (typer calls it)
    film: Annotated[Path, typer.Argument(help="A film with a face that looks towards the camera.")],
    text: Annotated[str, typer.Option(help="What the face says, spoken by the project's speech model.")] = "",
    audio: Annotated[
        Path | None, typer.Option(help="A recording to use instead of --text; needs --voice-consent.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Film to write, .mp4.")] = Path("dubbed.mp4"),
    face: Annotated[
        int | None, typer.Option(min=0, max=63, help="Which face if there are several; 0 = the largest.")
    ] = None,
    face_consent: Annotated[
        str, typer.Option(help="Record of the consent of the person who is seen, for the purpose animate-face.")
    ] = "",
    voice_consent: Annotated[
        str, typer.Option(help="For --audio: record of the speaker's consent, for the purpose clone-voice.")
    ] = "",
    speaker: Annotated[str, typer.Option(help="For --text: who speaks; default: the model's first speaker.")] = "",
    language: Annotated[str, typer.Option(help="For --text: en, or qaa.")] = "en",
    speed: Annotated[float, typer.Option(min=0.25, max=4.0, help="For --text: 2 = twice as fast.")] = 1.0,
    seed: Annotated[int, typer.Option(min=0, max=2**62, help="For --text.")] = 0,
    models: Annotated[Path, typer.Option(help="Folder of the trained models speech, visemes and lips.")] = Path(
        "models"
    ),
) -> None:
    """Replace what a face in a film says: new speech, and a mouth that moves with it.

    The result is marked synthetic, in the file and beside it.

    A person's face and voice need that person's consent; heads that this project drew need none.

    Example: aiprod dub datasets/v1/faces/CLIP.mp4 --text "place blue at A two now" --out dubbed.mp4
    """
    import numpy as np
    import torch

    from aiprod.base.files import sha256_file, write_json
    from aiprod.base.progress import log
    from aiprod.errors import AiprodError
    from aiprod.governance.audit.log import AuditLog, Event
    from aiprod.lips import consent
    from aiprod.lips.dubbing import SOUND_HZ, find_face, write_dubbed
    from aiprod.lips.file_audio import read_voice
    from aiprod.lips.mouth_model import load_mouth_model
    from aiprod.lips.viseme_model import load_viseme_model
    from aiprod.media.audio import read_sound
    from aiprod.media.audio_resampling import resampled
    from aiprod.models.checkpoint.folder import folder_digest
    from aiprod.speech.captions import as_json
    from aiprod.speech.voice import RATE

    if bool(text) == (audio is not None):
        raise AiprodError("dubbing takes a text or a recording", "give either --text or --audio")
    if out.suffix.lower() != ".mp4":
        raise AiprodError(f"{out} is not named .mp4", "give a name that ends in .mp4")
    for file in (film, audio):
        if file is not None and not file.is_file():
            raise AiprodError(f"there is no file {file}", "give one that exists")
    torch.set_num_threads(1)  # a mouth is too small to be worth the wait of threads for each other
    face_basis: str = consent.require_face(film, face_consent)
    voice_basis: str = consent.require_voice(audio, voice_consent) if audio is not None else "model"
    visemes, mouths = load_viseme_model(models / "visemes"), load_mouth_model(models / "lips")
    words: list[TimedUnit] = []
    phones: list[TimedUnit] = []
    taught: dict[str, list[str]] = {}
    if audio is None:
        voice, words, phones, taught = _spoken(text, speaker, language, speed, seed, models / "speech")
        sound = resampled(voice[None], RATE, SOUND_HZ).astype(np.float32)
    else:
        voice = read_voice(audio)
        heard = read_sound(audio, SOUND_HZ, 2)
        assert heard is not None
        sound = heard.astype(np.float32)
    seen = find_face(film, face)
    length = float(seen.times_s[-1]) + seen.step_s / 2
    if len(voice) / RATE > length + seen.step_s:
        hint = "give a longer film or less speech" + (
            f", or --speed {len(voice) / RATE / length * speed:.2f}" if text else ""
        )
        raise AiprodError(f"the speech takes {len(voice) / RATE:.2f} s, and {film} {length:.2f} s", hint)
    used = ("visemes", "lips") if audio is not None else ("speech", "visemes", "lips")
    facts: dict[str, Any] = {
        "synthetic": True,
        "actions": ["c2pa.edited", "c2pa.dubbed"],
        "language": language,
        "film_sha256": sha256_file(film),
        "models": {name: folder_digest(models / name) for name in used},
        "face": face_basis,
        "voice": voice_basis,
        **taught,
        **({"face_consent": face_consent} if face_consent else {}),
        **({"voice_consent": voice_consent} if voice_consent else {}),
    }
    tags = {"comment": "synthetic: mouth and speech were made by AIPROD (dubbed)"}
    done = write_dubbed(film, out, seen, voice, sound, visemes, mouths, tags)
    written = sha256_file(out)
    beside = out.with_suffix(".json")
    write_json(beside, as_json(words, phones, **facts, sha256=written) if phones else {**facts, "sha256": written})
    committed = {"record": facts, "sha256": written}
    AuditLog().append([Event("sample", f"dub/{written[:16]}", {"face": face_basis, "voice": voice_basis}, committed)])
    log(f"wrote {out} ({done.pictures} pictures, {done.redrawn} with a new mouth), marked synthetic; {beside} says how")
    if done.redrawn < done.pictures:
        log(f"  in {done.pictures - done.redrawn} pictures no face is seen: they are as they were")


def _spoken(  # noqa: PLR0917 (options of the command)
    text: str, speaker: str, language: str, speed: float, seed: int, folder: Path
) -> tuple[np.ndarray, list[TimedUnit], list[TimedUnit], dict[str, list[str]]]:
    """Sound at 16 kHz, the times of words and phones, and the teachers of the model where it had any."""
    import numpy as np

    from aiprod.base.params import nearest
    from aiprod.errors import AiprodError
    from aiprod.inference.revoked_models import refuse_affected_voice
    from aiprod.speech.model import load_speech_model
    from aiprod.speech.synthesis import Voice, speak_all
    from aiprod.speech.text_to_phones import bundled_dictionary, check_language, phrases

    check_language(language)
    refuse_affected_voice(folder)
    model = load_speech_model(folder)
    if speaker and speaker not in model.speakers:
        raise AiprodError(f"the model knows no speaker {speaker!r}", nearest(speaker, list(model.speakers)))
    spoken = phrases(text, language, bundled_dictionary() if language == "en" else None)
    sounds: list[np.ndarray] = []
    words: list[TimedUnit] = []
    phones: list[TimedUnit] = []
    for part in speak_all(model, spoken, Voice(speaker or model.speakers[0], language, speed), seed=seed):
        words += part.words
        phones += part.phones
        sounds += [np.zeros(part.quiet), part.speech.sound]
    return np.concatenate(sounds).astype(np.float32), words, phones, model.teachers


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(dub)
