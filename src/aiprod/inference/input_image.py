"""A picture that a video is to begin with, as a person sees it: upright, flattened, in sRGB."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from aiprod.base.progress import log
from aiprod.errors import AiprodError, words_of

_HINT = "give a PNG, JPEG, WebP or TIFF file"
_PIXELS_MOST = 150_000_000
_DEEP = ("I;16", "I;16B", "I;16L", "I;16N", "I")


def read_picture(path: Path, height: int, width: int) -> np.ndarray:
    """A picture as uint8 RGB [height, width, 3], scaled to cover that size and cropped about its centre.

    What is transparent is laid on white before anything is scaled, so that no colour hidden there can show; a turn that
    the file states is done, its colour profile is followed, and of several pictures the first is taken, and said.

    Raises:
        AiprodError: missing, or no picture that can be read.
    """
    picture = _opened(path)
    scale = max(height / picture.shape[0], width / picture.shape[1])
    size = (max(width, round(picture.shape[1] * scale)), max(height, round(picture.shape[0] * scale)))
    fitted = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LANCZOS4)
    top, left = (size[1] - height) // 2, (size[0] - width) // 2
    return np.ascontiguousarray(fitted[top : top + height, left : left + width])


def _opened(path: Path) -> np.ndarray:
    """uint8 RGB [H, W, 3] of a picture file."""
    from PIL import Image, ImageOps

    if not path.is_file():
        raise AiprodError(f"{path} is not a readable image (there is no such file)", _HINT)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a size that is bounded here, and of damaged notes about the picture
            with Image.open(path) as picture:
                if picture.width * picture.height > _PIXELS_MOST:
                    size = f"{picture.width}x{picture.height}"
                    raise AiprodError(f"{path} has {size} pixels, more than {_PIXELS_MOST:,}", "make it smaller")
                pictures = getattr(picture, "n_frames", 1)
                if pictures > 1:
                    log(f"note: {path} holds {pictures} pictures; the first is used")
                    picture.seek(0)
                picture.load()
                upright = ImageOps.exif_transpose(picture)
                return _flat(upright, path)
    except AiprodError:
        raise
    except Exception as error:  # Pillow's readers raise many kinds on damaged files
        raise AiprodError(f"{path} is not a readable image ({words_of(error)})", _HINT) from None


def _flat(picture: Any, path: Path) -> np.ndarray:
    """The colours in sRGB, laid on white where they are transparent."""
    alpha = _alpha(picture)
    colours = _colours(picture, path)
    if alpha is None or bool((alpha == 1).all()):
        return colours
    log(f"note: parts of {path} are transparent; they are laid on white")
    mixed = colours * alpha[..., None] + 255.0 * (1 - alpha[..., None])
    return np.asarray(np.round(mixed), np.uint8)


def _alpha(picture: Any) -> np.ndarray | None:
    """How opaque each place is, 0 to 1; None where the picture knows no transparency."""
    clear = picture.info.get("transparency")
    if picture.mode in _DEEP:
        return None if clear is None else (np.asarray(picture) != clear).astype(np.float64)
    if picture.mode in ("RGBA", "LA", "PA", "RGBa", "La") or clear is not None:
        return np.asarray(picture.convert("RGBA").getchannel("A"), np.float64) / 255
    return None


def _colours(picture: Any, path: Path) -> np.ndarray:
    if picture.mode in _DEEP:
        values = np.asarray(picture).astype(np.float64)
        if values.min() < 0 or values.max() > 65_535:
            raise AiprodError(f"{path} holds values of more than 16 bits", _HINT)
        gray = np.asarray(np.round(values / 257), np.uint8)
        return np.repeat(gray[..., None], 3, axis=2)
    if picture.mode == "F":
        raise AiprodError(f"{path} holds floating-point values, whose white is not stated", _HINT)
    plain = picture if picture.mode in ("RGB", "CMYK", "L") else picture.convert("RGBA").convert("RGB")
    return np.array(_in_srgb(plain, picture.info.get("icc_profile")).convert("RGB"))


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
