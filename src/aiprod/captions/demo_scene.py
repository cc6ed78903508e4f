"""Sentences about a demo scene, from its declared ground truth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiprod.captions.phrasing import Wording, capital, listed, with_article

_NUMBERS = ("no", "one", "two", "three", "four")


def describe_scene(scene: Mapping[str, Any], wording: Wording, *, sounding: bool) -> str:
    """One or two sentences that are true of the scene.

    Args:
        scene: objects, background, camera, motion and impacts as the demo corpus declares them.
        sounding: whether the clip has sound that can be heard.
    """
    objects = scene["objects"]
    things = [with_article(_thing(o, wording, i)) for i, o in enumerate(objects)]
    one = len(things) == 1
    heading = objects[0].get("heading") if one else None
    if scene["motion"] == "bounce":
        how = "bounce along" if heading else "bounce up and down"
        verb = wording.pick("verb", ("bounces", _third_person(how)) if one else ("bounce", how))
    else:
        verb = wording.pick("verb", ("drifts", "glides") if one else ("drift", "glide"))
    if heading:
        verb += f" {wording.pick('towards', ('to', 'towards'))} the {heading}"
    ground = scene["background"]
    where = wording.pick("where", ("over", "in front of", "across"))
    background = with_article(f"{ground['colour']} {ground['texture']} background")
    subject = f"{listed(things)} {verb} {where} {background}"
    camera = str(scene["camera"]["movement"])
    if camera == "static":
        options = ("{0}; the camera is still", "the camera is still as {0}", "{0}, filmed by a still camera")
    else:
        turns, ing = _inflect(camera)
        options = (
            "{0} while the camera " + turns,
            "the camera " + turns + " as {0}",
            "{0}, the camera " + ing,
        )
    sentence = capital(wording.pick("camera", options).format(subject)) + "."
    # One in three speaks of the sound, so that prompts with and without it are both familiar to a model.
    heard = _sound(scene, wording) if sounding and wording.pick("speak of sound", ("yes", "no", "no")) == "yes" else ""
    return f"{sentence} {heard}".strip()


def _thing(thing: Mapping[str, Any], wording: Wording, index: int) -> str:
    plain = f"{thing['colour']} {thing['shape']}"
    return wording.pick(f"size {index}", (f"{thing['size']} {plain}", f"{thing['size']} {plain}", plain))


def _third_person(action: str) -> str:
    verb, _, rest = action.partition(" ")
    return f"{verb}s {rest}"


def _inflect(camera: str) -> tuple[str, str]:
    verb, _, where = camera.partition(" ")
    doubled = verb + verb[-1] if verb in ("pan",) else verb
    return f"{verb}s {where}", f"{doubled}ing {where}"


def pitch_name(pitch_hz: float) -> str:
    """Low, middle or high, by thirds of the corpus's scale (330 to 660 Hz)."""
    return "low" if pitch_hz < 400 else "middle" if pitch_hz < 500 else "high"


def _sound(scene: Mapping[str, Any], wording: Wording) -> str:
    impacts = scene["impacts"]
    if not impacts:
        return ""
    struck = sorted({i for impact in impacts for i in impact["objects"]})
    pitches = {pitch_name(scene["objects"][i]["pitch_hz"]) for i in struck}
    if len(pitches) > 1:
        return wording.pick(
            "sound", ("Tones of different pitch sound at each hit.", "Each hit sounds a tone of its own.")
        )
    tone = f"{pitches.pop()} tone"
    if len(impacts) == 1:
        return wording.pick("sound", (f"{capital(with_article(tone))} sounds once.", f"One {tone} is heard."))
    return wording.pick(
        "sound", (f"{capital(with_article(tone))} sounds at each hit.", f"Each hit sounds {with_article(tone)}.")
    )
