"""The header of a WAV whose length is not known when it begins, as for a pipe."""

from __future__ import annotations

import io

import av


def wav_header(rate: int) -> bytes:
    """What stands before mono samples of 32-bit float, little-endian, as FFmpeg writes it to a pipe.

    The sizes of file and samples are 0xFFFFFFFF: readers go on to the end of the stream.
    """
    pipe = _Pipe()
    with av.open(pipe, "w", format="wav", options={"fflags": "+bitexact"}) as container:
        container.add_stream("pcm_f32le", rate=rate, layout="mono")
        container.start_encoding()
    return pipe.getvalue()


class _Pipe(io.BytesIO):
    """Cannot seek, so that no length is filled in at the end."""

    seek = None  # type: ignore[assignment]
    tell = None  # type: ignore[assignment]
