"""Phrases about a clip from what quality control measured; each says only what its figures carry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiprod.captions.phrasing import Wording, listed
from aiprod.captions.taxonomy import steady

Figures = Mapping[str, Any]
GRAINY = 0.4  # share of change taken back: grain in H.264 0.49 to 0.90, open films of still cameras up to 0.22
LITTLE, MUCH = 0.0055, 0.02  # of the mean difference between neighbours: below the one, and from the other on
TRAVEL = 0.3  # widths of the picture: a fixed camera that reframes twice has 1.1, one that hands pass before 0.2
COLOURLESS = 0.012  # saturation: black-and-white film has 0.004, a grey road in colour 0.020
_CAMERA = {
    "static": ("the camera is still", "the camera does not move"),
    "pans left": ("the camera pans left", "the camera turns left"),
    "pans right": ("the camera pans right", "the camera turns right"),
    "tilts up": ("the camera tilts up",),
    "tilts down": ("the camera tilts down",),
    "moves in": ("the camera moves in", "the view closes in"),
    "moves out": ("the camera moves out", "the view widens"),
    "rolls clockwise": ("the view rotates", "the view turns"),
    "rolls anticlockwise": ("the view rotates", "the view turns"),
    "tracks left": ("the camera follows its subject, moving left", "the camera moves left with its subject"),
    "tracks right": ("the camera follows its subject, moving right", "the camera moves right with its subject"),
    "tracks up": ("the camera follows its subject, moving up", "the camera moves up with its subject"),
    "tracks down": ("the camera follows its subject, moving down", "the camera moves down with its subject"),
    "handheld": ("the camera is unsteady, as if held by hand", "the camera sways"),
}


def light(palette: Figures) -> str:
    """Brightness, contrast and colour as adjectives."""
    brightness, contrast = float(palette["brightness"]), float(palette["contrast"])
    words = []
    if brightness < 0.22:
        words.append("dark")
    elif brightness < 0.38:
        words.append("dim")
    elif brightness > 0.62:
        words.append("bright")
    if contrast > 0.24:
        words.append("high-contrast")
    elif contrast < 0.08:
        words.append("flat")
    if palette["monochrome"] and float(palette["saturation"]) < COLOURLESS:
        words.append("black-and-white")
    elif float(palette["saturation"]) > 0.55:
        words.append("colourful")
    return ", ".join(words)


def colours(palette: Figures, wording: Wording) -> str:
    """The two or three colours that fill most of the picture."""
    if palette["monochrome"] and float(palette["saturation"]) < COLOURLESS:
        return ""
    shares = [(str(name), float(share)) for name, share in palette["colours"]]
    main = [name for name, share in shares if share >= 0.12][:3]
    if not main:
        return ""
    if shares[0][1] >= 0.6:
        rest = [name for name, share in shares[1:3] if share >= 0.08]
        tail = f" with some {listed(rest)}" if rest else ""
        return wording.pick("colours", ("mostly ", "almost all ")) + main[0] + tail
    return wording.pick("colours", ("in ", "mainly in ")) + listed(main)


def camera(figures: Figures, wording: Wording) -> str:
    """The camera's strongest movement; nothing where it is not known."""
    options = _CAMERA.get(str(figures.get("movement")), ()) if steady(figures) else ()
    if figures.get("movement") == "static" and float(figures.get("travel") or 0.0) >= TRAVEL:
        options = ("the camera is mostly still", "most of the time the camera is still")
    return wording.pick("camera", options) if figures.get("status") == "ok" and options else ""


def motion(figures: Figures, camera_figures: Figures, wording: Wording) -> str:
    """How much changes in the picture; said of a still camera only, because a moving one changes everything.

    Change that the next picture takes back may be the grain of the sensor, and is not called movement.
    """
    if figures.get("status") != "ok":
        return ""
    energy = float(figures["energy_mean"])
    if energy < 0.0008:
        return wording.pick("motion", ("almost nothing moves", "hardly anything moves"))
    if camera_figures.get("movement") != "static" or float(figures["reversal_share"]) > GRAINY:
        return ""
    if energy < LITTLE:
        return wording.pick("motion", ("there is a little movement in the picture", "little moves"))
    if energy < MUCH:
        return wording.pick("motion", ("there is movement in the picture", "something moves in the picture"))
    return wording.pick("motion", ("there is much movement in the picture", "much of the picture moves"))


def brightening(figures: Figures) -> str:
    """A change of light from beginning to end."""
    if figures.get("status") != "ok":
        return ""
    change = float(figures["luma_last"]) - float(figures["luma_first"])
    if abs(change) < 0.12:
        return ""
    return "the picture grows brighter" if change > 0 else "the picture grows darker"


def loudness_word(level: Figures) -> str:
    """``quiet ``, ``loud `` or nothing, before the name of a sound."""
    if level.get("status") != "ok":
        return ""
    loud = float(level["integrated_lufs"])
    return "quiet " if loud < -33.0 else "loud " if loud > -14.0 else ""


def sound(measurements: Mapping[str, Figures], wording: Wording) -> str:
    """What is heard: kind and level, never a guess at its source."""
    level, heard = measurements.get("loudness", {}), measurements.get("events", {})
    if level.get("status") != "ok" or heard.get("status") != "ok":
        return (
            wording.pick("sound", ("there is no sound", "it has no sound"))
            if level.get("status") == "unmeasurable"
            else ""
        )
    kind = str(heard["kind"])
    if kind == "silent":
        return wording.pick("sound", ("the sound track is silent", "nothing is heard"))
    how = loudness_word(level)
    phrases = {
        "tones": (f"{how}tones are heard", f"{how}tones sound"),
        "steady tone": (f"a {how}steady tone is heard",),
        "steady": (f"a {how}steady sound runs throughout",),
        "events": (f"{how}sounds come one by one, with pauses between", f"{how}sounds are heard between pauses"),
        "varied": (f"{how}sound rises and falls", f"{how}changing sound is heard"),
    }
    return wording.pick("sound", phrases.get(kind, ("sound is heard",)))
