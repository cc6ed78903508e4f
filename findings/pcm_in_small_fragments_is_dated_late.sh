#!/usr/bin/env bash
# PyAV 18.1.0 (FFmpeg 8.1.2): PCM beside pictures in MOV with a fragment for every frame has times that jump and repeat.
#
# One would expect the decode time of a sound fragment (`tfdt`) to be the number of samples before it, as it is in every
# other layout. With two packets of PCM for each picture and `movflags=frag_every_frame`, every second one is dated a
# packet too late, at the time of the one behind it: 0, 1000, 3000, 3000, 5000, 5000. The boxes in the file say so, and
# the demuxer believes them: whoever places sound by its times leaves a hole and then overwrites samples. AAC in the
# same film is dated right, and so is PCM with `frag_keyframe`, or without pictures. Nothing is warned of, and no byte
# of the sound is lost.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'av==18.1.0' 'numpy==2.4.6'
cd "$folder"
"$folder/venv/bin/python" - <<'P'
import sys
import av, numpy as np


def times(flags: str, codec: str, pictures: bool) -> list[int]:
    """Times of the first sound packets of a film with two blocks of 1,000 samples for each picture."""
    with av.open("film.mov", "w", format="mov", options={"movflags": flags}) as film:
        if pictures:
            video = film.add_stream("mpeg4", rate=24)
            video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
        sound = film.add_stream(codec, rate=48_000, layout="mono")
        kind, name = (np.int16, "s16") if codec == "pcm_s16le" else (np.float32, "fltp")
        for number in range(48):
            if pictures and number % 2 == 0:
                picture = av.VideoFrame.from_ndarray(np.full((64, 96, 3), number, np.uint8), format="rgb24")
                picture.pts = number // 2
                film.mux(video.encode(picture))
            block = av.AudioFrame.from_ndarray(np.zeros((1, 1000), kind), format=name, layout="mono")
            block.rate, block.pts = 48_000, number * 1000
            film.mux(sound.encode(block))
        if pictures:
            film.mux(video.encode())
        film.mux(sound.encode())
    with av.open("film.mov") as film:
        return [packet.pts for packet in film.demux(audio=0) if packet.size][:8]


every, keys = "frag_every_frame+empty_moov", "frag_keyframe+empty_moov"
seen = {(flags, codec, pictures): times(flags, codec, pictures)
        for flags, codec, pictures in ((every, "pcm_s16le", True), (every, "pcm_s16le", False),
                                       (keys, "pcm_s16le", True), (every, "aac", True))}
for (flags, codec, pictures), found in seen.items():
    print(f"{flags}, {codec}, {'with' if pictures else 'no'} pictures: {found}")
late, *right = seen.values()
evenly = all(len(set(np.diff(found).tolist())) == 1 for found in right)
print(f"av {av.__version__}")
sys.exit(0 if late == [0, 1000, 3000, 3000, 5000, 5000, 7000, 7000] and evenly else 1)
P
echo "as described"
