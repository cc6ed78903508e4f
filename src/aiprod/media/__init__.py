"""The one place that opens and writes media: probe, pictures by time, sound, clips for training, encoding."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aiprod.media.clips import read_clip as read_clip
    from aiprod.media.encoding import encode as encode
    from aiprod.media.errors import MediaError as MediaError
    from aiprod.media.facts import MediaFacts as MediaFacts
    from aiprod.media.frames import Scaler as Scaler
    from aiprod.media.frames import VideoReader as VideoReader
    from aiprod.media.probing import probe as probe
    from aiprod.media.sound import read_sound as read_sound

_WHERE = {
    "MediaError": "errors",
    "Limits": "opening",
    "MediaFacts": "facts",
    "probe": "probing",
    "VideoReader": "frames",
    "Scaler": "frames",
    "TimedFrame": "frames",
    "read_sound": "sound",
    "read_clip": "clips",
    "encode": "encoding",
    "sniff": "sniffing",
}
__all__ = list(_WHERE)


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
