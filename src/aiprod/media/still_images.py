"""Still pictures as a person sees them: upright, in sRGB, with their transparency."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from aiprod.errors import AiprodError, words_of

_HINT = "give a PNG, JPEG, WebP or TIFF file"
_PIXELS_MAX = 150_000_000
_DEEP = ("I;16", "I;16B", "I;16L", "I;16N", "I")
_ORIENTATION = 0x0112  # of Exif and TIFF 6.0; 1 = upright
_TURNS: dict[int, Callable[[NDArray[Any]], NDArray[Any]]] = {
    2: np.fliplr,
    3: lambda image: np.rot90(image, 2),
    4: np.flipud,
    5: lambda image: np.swapaxes(image, 0, 1),
    6: lambda image: np.rot90(image, -1),
    7: lambda image: np.rot90(np.swapaxes(image, 0, 1), 2),
    8: np.rot90,
}


class StillPixels(NamedTuple):
    """Colours uint8 [H, W, 3] in sRGB, opacity float32 [H, W] in 0..1 or None where all is opaque, and how many
    pictures the file holds, of which this is the first."""

    rgb: NDArray[np.uint8]
    alpha: NDArray[np.float32] | None
    pictures: int


def read_still_pixels(path: Path) -> StillPixels:
    """Read a picture of 8 or 16 bits a channel: gray, RGB, CMYK or of a palette, with or without transparency.

    A turn that the file states is done, and its colour profile is followed.

    Raises:
        AiprodError: missing, no picture that can be read, or larger than 150 million pixels.
    """
    from PIL import Image, ImageOps

    if not path.is_file():
        raise AiprodError(f"{path} is not a readable image (there is no such file)", _HINT)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a size that is bounded here, and of damaged notes about the picture
            with Image.open(path) as picture:
                if picture.width * picture.height > _PIXELS_MAX:
                    size = f"{picture.width}x{picture.height}"
                    raise AiprodError(f"{path} has {size} pixels, more than {_PIXELS_MAX:,}", "make it smaller")
                pictures = getattr(picture, "n_frames", 1)
                if pictures > 1:
                    picture.seek(0)
                picture.load()
                upright = ImageOps.exif_transpose(picture)
                deep = _sixteen_bits(path, picture) if picture.format in ("PNG", "TIFF") else None
                alpha = _alpha(upright)
                if deep is not None and deep.shape[2] == 4:
                    alpha = _levels(deep[..., 3]).astype(np.float32) / np.float32(255)
                if alpha is not None and bool((alpha == 1).all()):
                    alpha = None
                return StillPixels(_colours(upright, path, deep), alpha, pictures)
    except AiprodError:
        raise
    except Exception as error:  # Pillow's readers raise many kinds on damaged files
        raise AiprodError(f"{path} is not a readable image ({words_of(error)})", _HINT) from None


def _levels(values: NDArray[Any]) -> NDArray[np.uint8]:
    """16 bits as the nearest of 8."""
    return np.rint(values / 257.0).astype(np.uint8)


def _sixteen_bits(path: Path, picture: Any) -> NDArray[np.uint16] | None:
    """RGB or RGBA [H, W, 3 or 4] of 16 bits, upright; None for others. Pillow keeps the upper byte alone of them."""
    if picture.mode not in ("RGB", "RGBA"):
        return None
    image = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None or image.dtype != np.uint16 or image.ndim != 3:
        return None
    turned = _TURNS.get(picture.getexif().get(_ORIENTATION, 1), np.asarray)(image)
    return np.concatenate((turned[..., 2::-1], turned[..., 3:]), axis=2)


def _alpha(picture: Any) -> NDArray[np.float32] | None:
    """How opaque each place is, 0 to 1; None where the picture knows no transparency."""
    clear = picture.info.get("transparency")
    if picture.mode in _DEEP:
        return None if clear is None else (np.asarray(picture) != clear).astype(np.float32)
    if picture.mode in ("RGBA", "LA", "PA", "RGBa", "La") or clear is not None:
        return np.asarray(picture.convert("RGBA").getchannel("A"), np.float32) / np.float32(255)
    return None


def _colours(picture: Any, path: Path, deep: NDArray[np.uint16] | None) -> NDArray[np.uint8]:
    from PIL import Image

    profile = picture.info.get("icc_profile")
    if deep is not None:
        plain = Image.fromarray(_levels(deep[..., :3]))
    elif picture.mode in _DEEP:
        values = np.asarray(picture).astype(np.float64)
        if values.min() < 0 or values.max() > 65_535:
            raise AiprodError(f"{path} holds values of more than 16 bits", _HINT)
        return np.repeat(_levels(values)[..., None], 3, axis=2)
    elif picture.mode == "F":
        raise AiprodError(f"{path} holds floating-point values, whose white is not stated", _HINT)
    else:
        plain = picture if picture.mode in ("RGB", "CMYK", "L") else picture.convert("RGBA").convert("RGB")
    return np.array(_in_srgb(plain, profile).convert("RGB"))


def _in_srgb(picture: Any, profile: bytes | None) -> Any:
    """Colours as the profile means them; as they are where there is none, or none that can be followed."""
    from PIL import ImageCms

    if not profile:
        return picture
    try:
        stated = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        return ImageCms.profileToProfile(picture, stated, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        return picture
