"""How good speech sounds, as listeners would rate it from 1 to 5: DNSMOS (Reddy et al. 2022; extra ``mos``).

The network lies in the package speechmos (MIT). Its Python is not imported, which would want more packages.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aiprod.base.files import sha256_file
from aiprod.errors import AiprodError
from aiprod.speech.voice import RATE

_FILE = "dnsmos_models/sig_bak_ovr.onnx"
_DIGEST = "269fbebdb513aa23cddfbb593542ecc540284a91849ac50516870e1ac78f6edd"
_SAMPLES, _STEP = 144_160, RATE
# What the network says is brought to the listeners' scale by these, the highest power first.
_TO_RATINGS = {
    "signal": (-0.08397278, 1.22083953, 0.0052439),
    "background": (-0.13166888, 1.60915514, -0.39604546),
    "overall": (-0.06766283, 1.11546468, 0.04602535),
}


def _file() -> Path | None:
    found = find_spec("speechmos")
    folders = list(found.submodule_search_locations or []) if found else []
    path = Path(folders[0]) / _FILE if folders else None
    return path if path is not None and path.is_file() and find_spec("onnxruntime") is not None else None


def installed() -> bool:
    """Whether speech can be rated."""
    return _file() is not None


class Listeners:
    """Rates speech.

    Raises:
        AiprodError: it is not installed, or the network is another than the one that is known.
    """

    def __init__(self) -> None:
        path = _file()
        if path is None:
            raise AiprodError("speech is rated by DNSMOS, which is not installed", 'pip install "aiprod[mos]"')
        if sha256_file(path) != _DIGEST:
            raise AiprodError("the network of DNSMOS is another than that of speechmos 0.0.1.1", "install that version")
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def rate(self, sound: NDArray[np.float32]) -> dict[str, float]:
        """``signal``, ``background`` and ``overall`` of a sound at 16 kHz: means over its stretches of nine seconds.

        A shorter sound is heard again and again until it lasts as long.
        """
        if not len(sound):
            raise AiprodError("there is no sound to rate", "give a file with speech")
        whole = np.tile(sound, -(-_SAMPLES // len(sound))) if len(sound) < _SAMPLES else sound
        whole = np.clip(whole, -1, 1).astype(np.float32)
        starts = range(0, max(1, len(whole) - _SAMPLES + 1), _STEP) if len(sound) >= _SAMPLES else range(1)
        heard = [self._session.run(None, {"input_1": whole[None, at : at + _SAMPLES]})[0][0] for at in starts]
        return {
            name: float(np.mean([np.polyval(powers, values[n]) for values in heard]))
            for n, (name, powers) in enumerate(_TO_RATINGS.items())
        }
