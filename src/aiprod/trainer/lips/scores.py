"""How well mouths are drawn, measured as `aiprod dub` draws them: from the sound, into faces found in the film."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aiprod.base.files import contained
from aiprod.lips.file_audio import read_voice
from aiprod.lips.mouth_model import MouthModel
from aiprod.lips.mouth_region import Picture, cut, mask
from aiprod.lips.redrawing import Redrawer
from aiprod.lips.rows import FaceRow
from aiprod.lips.viseme_model import VisemeModel
from aiprod.qc.bundled.face_mesh import Face, follow
from aiprod.speech.lip_sync import SHIFTS, MouthTrack, area_under_curve, correlation, measure
from aiprod.speech.visemes import CLOSED, OPEN, VISEME_OF, middles
from aiprod.speech.voice import RATE, TimedUnit
from aiprod.trainer.lips.data import read_pictures

Floats = NDArray[np.float64]
_STRANGERS = 7  # other sentences whose sound a clip is given, at most: few pairs of sentences say little of the level
_EVERY = 2  # of how many pictures one gets a strange mouth: the level is as well known from half of them
_DRAWS = 1000  # of the bootstrap


@dataclass(frozen=True)
class RedrawnClip:
    """A clip that was given its own sound's mouth again.

    Attributes:
        own: aperture of what was drawn.
        strange: id of a clip of another sentence → aperture of what was drawn from its sound; NaN: not drawn.
    """

    row: FaceRow
    pictures: list[Picture]
    faces: list[Face | None]
    drawn: list[Picture]
    own: Floats
    strange: Mapping[str, Floats]


def score(
    model: MouthModel, visemes: VisemeModel, rows: Sequence[FaceRow], folder: Path, others: Sequence[FaceRow]
) -> tuple[dict[str, Any], list[RedrawnClip]]:
    """Figures on clips whose faces and sentences were not trained on, and what was drawn.

    The mismatched level is the mouth of another sentence's sound, drawn into this clip, against this clip's truth. It
    is not 0 where the network is right: every sentence begins and ends with a closed mouth. So the level between the
    true mouths of the same pairs is given beside it. The bound is what the meter finds in the film itself.

    Args:
        others: clips whose sounds are the strange ones.
    """
    strange = {row.clip_id: strangers(row, others) for row in rows}
    heard = {row.clip_id: row for row in (*rows, *itertools.chain(*strange.values()))}
    sounds = {name: read_voice(contained(folder, row.file_name)) for name, row in heard.items()}
    done = [_dub(model, visemes, row, folder, sounds, strange[row.clip_id]) for row in rows]
    true = [np.array(each.row.aperture) for each in done]
    inside: dict[str, list[float]] = {"drawn": [], "reference": []}
    outside = 0
    for each in done:
        _compare(model, each, inside)
        outside += _changed_outside(each, model)
    late = [_shifted(each) for each in done]
    right = [hit for hits in late for hit in hits]
    return {
        "aperture_correlation": _mean(correlation(each.own, truth) for each, truth in zip(done, true, strict=True)),
        "aperture_correlation_bound": _mean(
            correlation(_apertures(each.faces), truth) for each, truth in zip(done, true, strict=True)
        ),
        **_mismatched(done, {name: np.array(row.aperture) for name, row in heard.items()}),
        "aperture_range": _mean(_range(each.own, truth) for each, truth in zip(done, true, strict=True)),
        "aperture_range_bound": _mean(
            _range(_apertures(each.faces), truth) for each, truth in zip(done, true, strict=True)
        ),
        "auc": _auc((each.row, each.own) for each in done),
        "auc_bound": _auc((each.row, _apertures(each.faces)) for each in done),
        "auc_mismatched": _auc((each.row, strange) for each in done for strange in each.strange.values()),
        "offsets_found": float(np.mean(right)) if right else 0.0,
        "psnr_db": _mean(inside["drawn"]),
        "psnr_db_reference": _mean(inside["reference"]),
        "pixels_changed_outside": outside,
        "aperture_in_silence": _in_silence(model, visemes, done[0]),
        "aperture_in_silence_bound": _mean(_of_closed(each) for each in done),
    }, done


def strangers(row: FaceRow, others: Sequence[FaceRow]) -> list[FaceRow]:
    """Clips that say something else than ``row``, from the one after it: speakers say the same sentence much alike."""
    after = next((n + 1 for n, other in enumerate(others) if other.clip_id == row.clip_id), 0)
    return [other for other in (*others[after:], *others[:after]) if other.text != row.text][:_STRANGERS]


def _dub(  # noqa: PLR0917 (what goes in)
    model: MouthModel,
    visemes: VisemeModel,
    row: FaceRow,
    folder: Path,
    sounds: Mapping[str, NDArray[np.float32]],
    others: Sequence[FaceRow],
) -> RedrawnClip:
    pictures = read_pictures(row, folder)
    faces = list(follow(pictures))

    def drawn_from(clip_id: str, every: int) -> list[Picture]:
        mouth = visemes.see(sounds[clip_id]).at(_middles(row))[1]
        return redrawn(model, pictures, faces, mouth, row.fps, every=every)

    drawn, strange = drawn_from(row.clip_id, 1), {}
    for other in others:
        aperture = np.full(len(pictures), np.nan)
        aperture[::_EVERY] = _apertures(follow(drawn_from(other.clip_id, _EVERY)))
        strange[other.clip_id] = aperture
    return RedrawnClip(row, pictures, faces, drawn, _apertures(follow(drawn)), strange)


def redrawn(
    model: MouthModel,
    pictures: Sequence[Picture],
    faces: Sequence[Face | None],
    mouth: Floats,
    fps: float,
    *,
    every: int = 1,
) -> list[Picture]:
    """Every so many pictures, with the mouths that are given."""
    redrawer = Redrawer(model, faces, 1 / fps)
    for n in redrawer.needed:
        redrawer.remember(n, pictures[n])
    return [redrawer.draw(n, pictures[n], mouth[n]) for n in range(0, len(pictures), every)]


def _mismatched(done: Sequence[RedrawnClip], truths: Mapping[str, Floats]) -> dict[str, float | None]:
    """The level with another sentence's sound, its 90 % interval, and that between true mouths of the same pairs."""
    levels = np.full((len(done), len(truths)), np.nan)
    between = levels.copy()
    for n, each in enumerate(done):
        for m, name in enumerate(truths):
            if name in each.strange:
                true = np.array(each.row.aperture)
                levels[n, m] = correlation(each.strange[name], true)
                between[n, m] = correlation(truths[name], true)
    name = "aperture_correlation_mismatched"
    if not np.isfinite(levels).any():
        return dict.fromkeys((name, f"{name}_low", f"{name}_high", "aperture_correlation_between_truths"))
    low, high = _interval(levels)
    return {
        name: float(np.nanmean(levels)),
        f"{name}_low": low,
        f"{name}_high": high,
        "aperture_correlation_between_truths": float(np.nanmean(between)),
    }


def _interval(levels: Floats) -> tuple[float, float]:
    """90 % interval of the mean of pairs: clips and sounds are both drawn again, for pairs that share one are alike."""
    rng, means = np.random.default_rng(0), []
    rows, columns = levels.shape
    for _ in range(_DRAWS):
        part = levels[np.ix_(rng.integers(0, rows, rows), rng.integers(0, columns, columns))]
        if np.isfinite(part).any():
            means.append(float(np.nanmean(part)))
    low, high = np.percentile(means, [5, 95])
    return float(low), float(high)


def _middles(row: FaceRow) -> Floats:
    return middles(row.frames, row.fps)


def _range(measured: Floats, truth: Floats) -> float:
    """Deviation of an aperture over that of the truth: how far a mouth opens and closes, whenever it does."""
    seen = np.isfinite(measured)
    return float(measured[seen].std() / max(float(truth[seen].std()), 1e-6)) if seen.any() else 0.0


def _apertures(faces: Iterable[Face | None]) -> Floats:
    return np.array([np.nan if face is None else face.aperture for face in faces])


def _compare(model: MouthModel, each: RedrawnClip, inside: dict[str, list[float]]) -> None:
    """PSNR within the mask of what was drawn, and of the face at the other time, against the film."""
    redrawer, size = Redrawer(model, each.faces, 1 / each.row.fps), model.config.size
    share = mask(size)[..., None] > 0
    errors: dict[str, list[float]] = {"drawn": [], "reference": []}
    for n, square in enumerate(redrawer.squares):
        other = redrawer.reference(n)
        place = redrawer.squares[other]
        if square is None or place is None:
            continue
        truth = cut(each.pictures[n], square, size).astype(np.float64)
        for name, output in (
            ("drawn", cut(each.drawn[n], square, size)),
            ("reference", cut(each.pictures[other], place, size)),
        ):
            errors[name].append(float(np.mean(np.square(output - truth)[np.broadcast_to(share, truth.shape)])))
    for name, values in errors.items():
        if values:
            inside[name].append(float(10 * np.log10(255**2 / max(float(np.mean(values)), 1e-9))))


def _changed_outside(each: RedrawnClip, model: MouthModel) -> int:
    """Pixels that differ where the mask is 0."""
    redrawer = Redrawer(model, each.faces, 1 / each.row.fps)
    count = 0
    for square, before, after in zip(redrawer.squares, each.pictures, each.drawn, strict=True):
        height, width = before.shape[:2]
        free = np.ones((height, width), bool)
        if square is not None:
            left, top, side = square.box
            rows, columns = (np.argwhere(mask(side) > 0) + np.array([top, left])).T
            there = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
            free[rows[there], columns[there]] = False
        count += int(np.any(before != after, axis=2)[free].sum())
    return count


def _shifted(each: RedrawnClip) -> list[bool]:
    """Whether the offset is found of the clip with its sound moved by −5 to 5 pictures."""
    detected = []
    for by in SHIFTS:
        phones = [
            TimedUnit(p.name, p.start_s + by / each.row.fps, p.end_s + by / each.row.fps)
            for p in each.row.timed_phones()
        ]
        seen = MouthTrack(_middles(each.row), each.own, 1 / each.row.fps)
        detected.append(measure(seen, phones, each.row.language).late_frames == by)
    return detected


def _auc(apertures: Iterable[tuple[FaceRow, Floats]]) -> float:
    """Of all bilabials against all open vowels of all clips."""
    low: list[float] = []
    high: list[float] = []
    for row, aperture in apertures:
        at = _middles(row)
        for phone in row.timed_phones():
            kind = VISEME_OF[row.language][phone.name]
            values = aperture[(at >= phone.start_s - 0.5 / row.fps) & (at < phone.end_s + 0.5 / row.fps)]
            if kind in CLOSED | OPEN and np.isfinite(values).any():
                (low if kind in CLOSED else high).append(float(np.nanmean(values)))
    return area_under_curve(np.array(low), np.array(high)) if low and high else 0.5


def _in_silence(model: MouthModel, visemes: VisemeModel, each: RedrawnClip) -> float:
    """Mean aperture of a clip that is given a second of silence's mouth throughout."""
    quiet = visemes.see(np.zeros(int(each.row.frames / each.row.fps * RATE) + 1, np.float32))
    drawn = redrawn(model, each.pictures, each.faces, quiet.at(_middles(each.row))[1], each.row.fps)
    return float(np.nanmean(_apertures(follow(drawn))))


def _of_closed(each: RedrawnClip) -> float:
    """What the meter finds in the film where the mouth is closed."""
    closed = _apertures(each.faces)[np.array(each.row.mouth[::4]) < 0.02]
    return float(np.nanmean(closed)) if np.isfinite(closed).any() else np.nan


def _mean(values: Iterable[float]) -> float:
    known = [float(value) for value in values if value is not None and np.isfinite(value)]
    return float(np.mean(known)) if known else 0.0
