"""Opens a container for reading within bounds and turns FFmpeg's failures into `MediaError`."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import av
from av.container import InputContainer

from aiprod.media.errors import MediaError
from aiprod.media.sniffing import ContentType, sniff

_ATTACHED_PICTURE = 0x400  # AV_DISPOSITION_ATTACHED_PIC
_ENCRYPTED = (b"encv", b"enca", b"sinf", b"pssh")


@dataclass(frozen=True)
class Limits:
    """Bounds on one file. Time and memory of the process are bounded by the engine, not here."""

    pixels: int = 8192 * 4320
    streams: int = 64
    sound_s: float = 4 * 3600.0


DEFAULT = Limits()


@contextlib.contextmanager
def opened(
    path: Path | str, limits: Limits = DEFAULT, options: Mapping[str, str] | None = None
) -> Iterator[tuple[InputContainer, ContentType]]:
    """Open a media file for reading; the reader is chosen by the file's bytes.

    Args:
        options: for FFmpeg's reader of the container.

    Raises:
        MediaError: missing, empty, not media, encrypted, or too many streams.
    """
    kind = sniff(path)
    try:
        container = av.open(
            os.fspath(path),
            "r",
            format=kind.demuxer,
            metadata_errors="replace",
            container_options={"protocol_whitelist": "file", **(options or {})},
            timeout=30.0,
        )
    except (av.error.FFmpegError, ValueError, OverflowError) as error:
        if looks_encrypted(path):
            raise MediaError("encrypted", "the file is encrypted (DRM)", "supply it unencrypted") from None
        raise MediaError("not-media", f"the {kind.name} file does not open ({describe(error)})") from None
    try:
        if len(container.streams) > limits.streams:
            raise MediaError("too-large", f"{len(container.streams)} streams, {limits.streams} are allowed")
        yield container, kind
    finally:
        container.close()


def video_stream(container: InputContainer) -> Any | None:
    """The picture stream: the one FFmpeg ranks best, never an attached cover."""
    candidates = [s for s in container.streams.video if not _attached(s)]
    best = container.streams.best("video")
    return best if best is not None and not _attached(best) else next(iter(candidates), None)


def audio_stream(container: InputContainer, track: int | None = None) -> Any | None:
    """The sound stream with the number ``track``, or the one that FFmpeg ranks best."""
    if track is None:
        return container.streams.best("audio")
    return next((stream for stream in container.streams.audio if stream.index == track), None)


def attached_pictures(container: InputContainer) -> int:
    """Number of cover pictures."""
    return sum(1 for s in container.streams.video if _attached(s))


def _attached(stream: Any) -> bool:
    return bool(int(getattr(stream.disposition, "value", stream.disposition) or 0) & _ATTACHED_PICTURE)


def has_codec(name: str, mode: Literal["r", "w"]) -> bool:
    """Whether films of a codec can be read or written here."""
    try:
        av.Codec(name, mode)
    except Exception:  # whatever it is that keeps it from working
        return False
    return True


def library() -> str:
    """Name and version of what opens media."""
    return f"PyAV {av.__version__}"


def describe(error: BaseException) -> str:
    """FFmpeg's words without the path."""
    words = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return words.split(": '")[0].strip()[:200].lower()


def looks_encrypted(path: Path | str) -> bool:
    """Whether an MP4 carries boxes of common encryption (ISO/IEC 23001-7)."""
    with open(path, "rb") as file:
        data = file.read(1 << 20)
        if os.path.getsize(path) > 1 << 20:
            file.seek(-(1 << 20), os.SEEK_END)
            data += file.read()
    return data[4:8] in (b"ftyp", b"styp") and any(box in data for box in _ENCRYPTED)
