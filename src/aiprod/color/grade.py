"""A grade: exposure, white balance, ASC CDL and look-up tables, in this order, on display signal."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from aiprod.base.structured import parse_yaml, read_bounded
from aiprod.color.cdl import Cdl, ClampStyle, read_cdl
from aiprod.color.delivery import Space
from aiprod.color.lut import READ_HERE, SUFFIXES, Interpolation, Lut, is_lut, read_lut
from aiprod.errors import AiprodError

_MOST_BYTES = 1 << 20
_GAMMA = 2.4  # of BT.1886: what a display makes of the signal is the light in which exposure is counted
VERSION = 1
"""Of what a grade does to a picture."""


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class CdlFile(_Frozen):
    """A correction of a file."""

    file: Path
    id: str | None = None
    style: ClampStyle = "asc"


class LutFile(_Frozen):
    """A table of a file."""

    file: Path
    interpolation: Interpolation = "tetrahedral"


class Grade(_Frozen):
    """What is done to a picture, from first to last.

    Attributes:
        input: what the film's codes mean, where its tags are wrong.
        exposure: stops, in display light.
        white_balance: gains of red, green and blue, in display light.
        working: the signal that ``cdl`` and ``luts`` are made for; where nothing is said, that of the delivery.
        cdl: slope, offset, power and saturation, here or in a file, on the signal.
        luts: tables, each on what the one before gave.
    """

    input: Literal["tagged", "rec709", "p3", "hlg", "pq"] = "tagged"
    exposure: float = Field(default=0.0, ge=-10, le=10)
    white_balance: tuple[float, float, float] = (1.0, 1.0, 1.0)
    working: Space | None = None
    cdl: Cdl | CdlFile | None = None
    luts: tuple[LutFile, ...] = ()

    def correction(self) -> Cdl | None:
        """Its CDL, read from its file where it is in one."""
        if isinstance(self.cdl, CdlFile):
            return read_cdl(self.cdl.file, self.cdl.id, self.cdl.style)
        return self.cdl

    @property
    def gains(self) -> NDArray[np.float32]:
        """Factors of linear red, green and blue."""
        return np.array(self.white_balance, np.float32) * np.float32(2.0**self.exposure)

    @property
    def converts(self) -> bool:
        """Whether it names signals that pictures have to be brought from or to."""
        return self.input != "tagged" or self.working is not None

    def files(self) -> list[Path]:
        """Files that it reads."""
        named = [self.cdl.file] if isinstance(self.cdl, CdlFile) else []
        return [*named, *(lut.file for lut in self.luts)]

    def checked(self) -> Grade:
        """Itself, after every file was read once.

        Raises:
            AiprodError: one does not read.
        """
        self.correction()
        for lut in self.luts:
            if not is_lut(lut.file):
                known = ", ".join(sorted(SUFFIXES))
                raise AiprodError(f"{lut.file.name} is not a supported look-up table", f"give one of {known}")
            if not lut.file.is_file():
                raise AiprodError(f"{lut.file} does not exist", "correct its path")
            if lut.file.suffix.lower() in READ_HERE:
                read_lut(lut.file)
        processor(self)
        return self


def read_grade(path: Path) -> Grade:
    """A grade in YAML; paths are relative to its folder.

    Raises:
        AiprodError: with the key that is wrong.
    """
    data = parse_yaml(read_bounded(path, _MOST_BYTES, "check the path"), path.name)
    if not isinstance(data, dict):
        raise AiprodError(f"{path.name} holds no mapping", "write exposure, white_balance, cdl and luts")
    return grade_of(data, path.parent, path.name)


def grade_of(data: dict[str, Any], folder: Path, name: str = "the grade") -> Grade:
    """The grade that a mapping states.

    Raises:
        AiprodError: with the key that is wrong.
    """
    try:
        grade = Grade(**data)
    except (ValidationError, TypeError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else {"loc": (), "msg": str(error)}
        where = ".".join(str(part) for part in first["loc"])
        raise AiprodError(f"{name}: {where + ': ' if where else ''}{first['msg']}", "correct it") from None

    def inside(part: Any) -> Any:
        return part.model_copy(update={"file": (folder / part.file).resolve()})

    cdl = inside(grade.cdl) if isinstance(grade.cdl, CdlFile) else grade.cdl
    return grade.model_copy(update={"cdl": cdl, "luts": tuple(inside(lut) for lut in grade.luts)}).checked()


def applied(grade: Grade, rgb: NDArray[np.float32]) -> NDArray[np.float32]:
    """The reference: what float32 [..., 3] of display signal become; .cube and .3dl tables only."""
    out = np.asarray(rgb, np.float32)
    if not np.all(grade.gains == 1):
        light = np.power(np.maximum(out, 0), np.float32(_GAMMA)) * grade.gains
        out = np.power(light, np.float32(1 / _GAMMA))
    cdl = grade.correction()
    out = out if cdl is None else cdl.applied(out)
    for lut in grade.luts:
        for table in read_lut(lut.file):
            out = table.applied(out, lut.interpolation)
    return out


@lru_cache(maxsize=32)
def processor(grade: Grade) -> Any:
    """OpenColorIO's processor of a grade, which works on float32 RGB in place.

    Raises:
        AiprodError: OpenColorIO is not installed, or refuses a file.
    """
    try:
        import PyOpenColorIO as ocio  # noqa: N813 (its own documentation names it so)
    except ImportError:
        raise AiprodError("OpenColorIO is not installed", "pip install 'aiprod[color]'") from None
    group = ocio.GroupTransform()
    if not np.all(grade.gains == 1):
        light = ocio.ExponentTransform([_GAMMA] * 3 + [1.0], ocio.NEGATIVE_CLAMP)
        back = ocio.ExponentTransform([_GAMMA] * 3 + [1.0], ocio.NEGATIVE_CLAMP, ocio.TRANSFORM_DIR_INVERSE)
        scale = ocio.MatrixTransform.Scale([*map(float, grade.gains), 1.0])
        for transform in (light, scale, back):
            group.appendTransform(transform)
    cdl = grade.correction()
    if cdl is not None:
        cdl_transform = ocio.CDLTransform(list(cdl.slope), list(cdl.offset), list(cdl.power), cdl.saturation)
        cdl_transform.setStyle(ocio.CDL_ASC if cdl.style == "asc" else ocio.CDL_NO_CLAMP)
        group.appendTransform(cdl_transform)
    for lut in grade.luts:
        how = ocio.INTERP_TETRAHEDRAL if lut.interpolation == "tetrahedral" else ocio.INTERP_LINEAR
        if lut.file.suffix.lower() in READ_HERE:  # by one reader, so that what is checked is what is used
            for table in read_lut(lut.file):
                for transform in _transforms(ocio, table, how):
                    group.appendTransform(transform)
        else:
            group.appendTransform(ocio.FileTransform(str(lut.file), interpolation=how))
    try:
        whole = ocio.Config.CreateRaw().getProcessor(group, ocio.TRANSFORM_DIR_FORWARD)
        depth = ocio.BIT_DEPTH_F32
        return whole.getOptimizedCPUProcessor(depth, depth, ocio.OPTIMIZATION_LOSSLESS)
    except ocio.Exception as error:
        # the first line says which file, the last one why
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        why = " ".join(dict.fromkeys([*lines[:1], *lines[-1:]]))[:400]
        raise AiprodError(f"the grade cannot be used ({why})", "check the files that it names") from None


def _transforms(ocio: Any, table: Lut, how: Any) -> Iterator[Any]:
    """OpenColorIO's transforms of a table: what brings its domain to 0..1, where it is another, and the table."""
    low, high = (np.array(side, np.float32).astype(np.float64) for side in (table.low, table.high))
    if low.any() or (high != 1).any():
        scale = 1 / (high - low)
        matrix = np.diag([*scale, 1.0])
        yield ocio.MatrixTransform(matrix.ravel().tolist(), [*(-low * scale).tolist(), 0.0])
    if table.is_3d:
        transform = ocio.Lut3DTransform(table.size)
        transform.setInterpolation(how)
    else:
        transform = ocio.Lut1DTransform(table.size, False)
        transform.setInterpolation(ocio.INTERP_LINEAR)
    transform.setData(table.values.ravel())
    yield transform


def graded(grade: Grade, rgb: NDArray[np.float32]) -> NDArray[np.float32]:
    """What contiguous float32 [H, W, 3] become; changed in place and returned.

    Pixels of four values, [H, W, 4], take two thirds of the time: OpenColorIO works on them where they are. The fourth
    is 0 and of no use.
    """
    import PyOpenColorIO as ocio  # noqa: N813 (its own documentation names it so)

    height, width, channels = rgb.shape
    processor(grade).apply(ocio.PackedImageDesc(rgb, width, height, channels))  # applyRGB would copy
    return rgb
