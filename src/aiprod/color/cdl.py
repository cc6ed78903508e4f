"""ASC CDL, version 1.2: slope, offset, power and saturation, from .cc, .ccc and .cdl files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal
from xml.etree.ElementTree import Element, ParseError, XMLParser

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from aiprod.base.opening import read_file
from aiprod.errors import AiprodError

ClampStyle = Literal["asc", "none"]
Triple = tuple[float, float, float]
_LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)  # ASC CDL 1.2 takes BT.709's weights, whatever the colour space
_MOST_BYTES = 4 << 20
_Positive = Annotated[float, Field(ge=0, le=1000)]


class Cdl(BaseModel):
    """One correction.

    Attributes:
        style: ``asc`` clamps to 0..1 before the power and behind the saturation, as the standard says; ``none`` does
            not, and leaves negative values as they are where the power would have no result.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    slope: tuple[_Positive, _Positive, _Positive] = (1.0, 1.0, 1.0)
    offset: Triple = (0.0, 0.0, 0.0)
    power: tuple[_Positive, _Positive, _Positive] = (1.0, 1.0, 1.0)
    saturation: float = Field(default=1.0, ge=0, le=100)
    style: ClampStyle = "asc"

    def applied(self, rgb: NDArray[np.float32]) -> NDArray[np.float32]:
        """The colours that float32 [..., 3] become."""
        clamps = self.style == "asc"
        out = rgb * np.array(self.slope, np.float32) + np.array(self.offset, np.float32)
        out = np.clip(out, 0, 1) if clamps else out
        raised = np.power(np.maximum(out, 0), np.array(self.power, np.float32))
        out = np.where(out < 0, out, raised)
        luma = (out * _LUMA).sum(axis=-1, keepdims=True)
        out = luma + np.float32(self.saturation) * (out - luma)
        return np.asarray(np.clip(out, 0, 1) if clamps else out, np.float32)


def read_cdl(path: Path, correction: str | None = None, style: ClampStyle = "asc") -> Cdl:
    """The correction of a .cc, .ccc or .cdl file.

    Args:
        correction: id of one of several.

    Raises:
        AiprodError: it is not such a file, holds several and none is chosen, or none of that id.
    """
    try:
        data = read_file(path)
    except OSError as error:
        raise AiprodError(f"{path} cannot be read ({error.strerror})", "check its path and permissions") from None
    if len(data) > _MOST_BYTES or b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        raise AiprodError(f"{path.name} is not a colour correction", "export it without a document type")
    parser = XMLParser()  # noqa: S314 (entities, which the attacks need, were refused above)
    try:
        parser.feed(data)
        root = parser.close()
    except (ParseError, ValueError, LookupError) as error:
        raise AiprodError(f"{path.name} is not valid XML ({error})", "export it again") from None
    corrections = [c for c in root.iter() if _name(c) == "ColorCorrection"]
    if not corrections:
        raise AiprodError(f"{path.name} holds no ColorCorrection", "give a .cc, .ccc or .cdl file")
    names = ", ".join(sorted({c.get("id", "") for c in corrections} - {""}))[:200]
    known = f"one of {names}" if names else "give them ids, or each a file"
    if correction is None and len(corrections) > 1:
        raise AiprodError(f"{path.name} holds {len(corrections)} corrections", f"name {known}" if names else known)
    chosen = [c for c in corrections if correction in (None, c.get("id", ""))]
    if not chosen:
        raise AiprodError(f"{path.name} holds no correction {correction!r}", known)
    if len(chosen) > 1:
        raise AiprodError(f"{path.name} holds {len(chosen)} corrections {correction!r}", "give each an id of its own")
    (element,) = chosen
    return _correction(element, path.name, style)


def _name(element: Element) -> str:
    return element.tag.rsplit("}", 1)[-1]


def _correction(element: Element, name: str, style: ClampStyle) -> Cdl:
    values: dict[str, object] = {"style": style}
    keys = {"Slope": 3, "Offset": 3, "Power": 3, "Saturation": 1}
    for child in element.iter():
        count = keys.get(_name(child))
        if count is None:
            continue
        try:
            numbers = [float(word) for word in (child.text or "").split()]
        except ValueError:
            numbers = []
        if len(numbers) != count or not np.isfinite(numbers).all():
            raise AiprodError(f"{name}: {_name(child)} is {child.text!r}", f"write {count} numbers")
        values[_name(child).lower()] = numbers[0] if count == 1 else tuple(numbers)
    try:
        return Cdl(**values)  # type: ignore[arg-type]
    except ValueError:
        raise AiprodError(f"{name}: a slope, power or saturation is negative", "correct it") from None
