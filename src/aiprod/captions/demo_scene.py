"""The captioner of demo scenes: what their source declares as ground truth, in a sentence or two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from aiprod.captions.captioner import Captioner, Draft, Subject
from aiprod.captions.content import Content, Evidence, claim, measured
from aiprod.captions.owner_metadata import tags_of
from aiprod.captions.phrasing import Wording, capital, listed, with_article
from aiprod.errors import AiprodError

if TYPE_CHECKING:
    from aiprod.captions.params import CaptionParams

_SCENE = Evidence(kind="ground truth", source="scene")


class DemoScene(Captioner):
    """Describes the scenes of the demo corpus, whose source states exactly what they show."""

    name = "demo_scene"
    summary = "the declared ground truth of the demo corpus"
    version = "5"

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed

    @classmethod
    def begin(cls, params: CaptionParams) -> Self:
        """With the wording of the seed."""
        return cls(params.seed)

    def describe(self, subjects: Sequence[Subject]) -> list[Draft]:
        """A draft for each subject.

        Raises:
            AiprodError: nothing is declared of a subject's scene.
        """
        return [self._one(subject) for subject in subjects]

    def _one(self, subject: Subject) -> Draft:
        if subject.scene is None:
            raise AiprodError(f"the source declares no scene of {subject.clip_id}", "set caption.captioner: rule_based")
        heard = str(subject.measurements.get("events", {}).get("kind") or "none")
        sounding = heard not in ("none", "silent")
        caption, content = describe_scene(subject.scene, Wording(subject.clip_id, self._seed), sounding=sounding)
        if content.sound:
            both = (*content.sound[0].evidence, measured(subject.measurements, "events"))
            content = content.model_copy(update={"sound": claim(content.sound[0].words, *both)})
        return Draft(caption, tuple(tags_of(subject)), 1.0, content)


def describe_scene(scene: Mapping[str, Any], wording: Wording, *, sounding: bool) -> tuple[str, Content]:
    """One or two sentences that are true of the scene, and what they claim.

    Args:
        scene: objects, background, camera, motion, perhaps pace, and impacts as the demo corpus declares them.
        sounding: whether the clip has sound that can be heard.
    """
    objects = scene["objects"]
    things = listed([with_article(_thing(o, wording, i)) for i, o in enumerate(objects)])
    one = len(objects) == 1
    heading = objects[0].get("heading") if one else None
    if scene["motion"] == "bounce":
        how = "bounce along" if heading else "bounce up and down"
        verb = wording.pick("verb", ("bounces", _third_person(how)) if one else ("bounce", how))
    else:
        verb = wording.pick("verb", ("drifts", "glides") if one else ("drift", "glide"))
    if scene.get("pace"):
        verb = f"{scene['pace']} {verb}"
    if heading:
        verb += f" {wording.pick('towards', ('to', 'towards'))} the {heading}"
    ground = scene["background"]
    background = with_article(f"{ground['colour']} {ground['texture']} background")
    where = wording.pick("where", ("over", "in front of", "across"))
    place = f"{where} {background}"
    subject = f"{things} {verb} {place}"
    camera = str(scene["camera"]["movement"])
    if camera == "static":
        options = (
            ("{0}; the camera is still", "the camera is still"),
            ("the camera is still as {0}", "the camera is still"),
            ("{0}, filmed by a still camera", "filmed by a still camera"),
        )
    else:
        turns, ing = _inflect(camera)
        options = (
            ("{0} while the camera " + turns, f"the camera {turns}"),
            ("the camera " + turns + " as {0}", f"the camera {turns}"),
            ("{0}, the camera " + ing, f"the camera {ing}"),
        )
    form, filmed = wording.pick("camera", options)
    sentence = capital(form.format(subject)) + "."
    # One in three speaks of the sound, so that prompts with and without it are both familiar to a model.
    heard = _sound(scene, wording) if sounding and wording.pick("speak of sound", ("yes", "no", "no")) == "yes" else ""
    content = Content(
        subject=claim(things, _SCENE),
        action=claim(verb, _SCENE),
        place=claim(place, _SCENE),
        sound=claim(heard.rstrip("."), _SCENE),
        technique=claim(filmed, _SCENE),
    )
    return f"{sentence} {heard}".strip(), content


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
