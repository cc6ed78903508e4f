#!/usr/bin/env bash
# PyAV 18.1.0 (FFmpeg 8.1): a CMAF film with B-frames is read with every picture late, and its sound is not.
#
# `movflags=cmaf` writes signed composition offsets, so that the first shown picture is at composition time 0 with no
# edit list: decode time + offset, summed from the boxes below, says 0. The same flag in a film without fragments is read
# so. From fragments FFmpeg's reader adds the largest negative offset to the presentation times instead of taking it
# from the decode times: all pictures are one frame later (0.04 s at 25 frames/s) while sound begins at 0. One would
# expect a muxer and a demuxer of the same library to agree on a film that holds nothing but offsets.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'av==18.1.0' 'numpy==2.4.6'
cd "$folder"
"$folder/venv/bin/python" - <<'P'
import struct, sys
import av, numpy as np

def boxes(data, start, end):
    while start + 8 <= end:
        size, kind = struct.unpack(">I4s", data[start:start + 8])
        yield kind, start + 8, start + size
        start += size

def first_shown(data):
    """The least decode time + composition offset of the first track of the first fragment, in seconds."""
    scale = None
    def walk(start, end, path):
        nonlocal scale
        for kind, a, b in boxes(data, start, end):
            if kind in (b"moov", b"trak", b"mdia", b"moof", b"traf"):
                found = walk(a, b, path + [kind])
                if found is not None:
                    return found
            elif kind == b"mdhd" and scale is None:
                scale = struct.unpack(">I", data[a + 12:a + 16] if data[a] == 0 else data[a + 20:a + 24])[0]
            elif kind == b"tfhd":
                flags, at = int.from_bytes(data[a + 1:a + 4], "big"), a + 8
                at += 8 * bool(flags & 1) + 4 * bool(flags & 2)
                walk.duration = struct.unpack(">I", data[at:at + 4])[0] if flags & 8 else 0
            elif kind == b"tfdt":
                walk.time = int.from_bytes(data[a + 4:b], "big")
            elif kind == b"trun":
                flags, count = int.from_bytes(data[a + 1:a + 4], "big"), struct.unpack(">I", data[a + 4:a + 8])[0]
                at, time, shown = a + 8 + 4 * bool(flags & 1) + 4 * bool(flags & 4), walk.time, []
                for _ in range(count):
                    lasts = walk.duration
                    if flags & 0x100:
                        lasts, at = struct.unpack(">I", data[at:at + 4])[0], at + 4
                    at += 4 * bool(flags & 0x200) + 4 * bool(flags & 0x400)
                    offset = struct.unpack(">i", data[at:at + 4])[0] if flags & 0x800 else 0
                    at += 4 * bool(flags & 0x800)
                    shown.append(time + offset)
                    time += lasts
                return min(shown) / scale
        return None
    return walk(0, len(data), [])

read = {}
for name, flags in (("whole", "negative_cts_offsets"), ("fragments", "cmaf+frag_keyframe")):
    with av.open(f"{name}.mp4", "w", format="mp4", options={"movflags": flags}) as film:
        video = film.add_stream("libx264", rate=25, options={"bf": "2"})
        video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
        audio = film.add_stream("aac", rate=48000, layout="mono")
        for number in range(50):
            picture = av.VideoFrame.from_ndarray(np.full((64, 96, 3), 40 + number * 3, np.uint8), format="rgb24")
            picture.pts = number
            film.mux(video.encode(picture))
            sound = av.AudioFrame.from_ndarray(np.zeros((1, 1920), np.float32), format="fltp", layout="mono")
            sound.rate, sound.pts = 48000, number * 1920
            film.mux(audio.encode(sound))
        film.mux(video.encode())
        film.mux(audio.encode())
    first = {}
    for kind in ("video", "audio"):
        with av.open(f"{name}.mp4") as film:
            frame = next(film.decode(**{kind: 0}))
            first[kind] = round(float(frame.pts * frame.time_base), 4)
    read[name] = first
    print(f"{name}: read with the first picture at {first['video']} s and the first sound at {first['audio']} s")
stated = first_shown(open("fragments.mp4", "rb").read())
print(f"fragments: the boxes put the first picture at {stated} s")
print(f"av {av.__version__}")
sys.exit(0 if read == {"whole": {"video": 0.0, "audio": 0.0}, "fragments": {"video": 0.04, "audio": 0.0}} and stated == 0.0 else 1)
P
echo "as described"
