"""Sequences within a sequence: laid out as clips of the outer one, and found where Final Cut Pro 7 XML has them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from typing import TypeVar
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from aiprod.errors import AiprodError
from aiprod.montage.sources import look, speed_of
from aiprod.montage.timeline import Clip, PictureTrack, Sound, Transition

_MOST_ITEMS = 100_000
_Part = TypeVar("_Part", Clip, Sound)


class Window:
    """A stretch of an inner sequence on the outer one.

    Args:
        begin, behind: frames of the inner sequence, at the outer one's rate.
        at: frame of the outer sequence that it begins at.
        what: the sequence, for errors.
    """

    def __init__(self, begin: int, behind: int, at: int, rate: Fraction, what: str) -> None:
        self.begin, self.behind, self._shift, self._rate, self._what = begin, behind, at - begin, rate, what

    def _moved(self, part: _Part) -> _Part | None:
        """What of a clip or sound is inside, where it lies outside; None where nothing is."""
        first, behind = max(part.record_in, self.begin), min(part.record_out, self.behind)
        if first >= behind:
            return None
        skipped = Fraction(first - part.record_in) / self._rate
        if skipped and part.conform == "speed":
            skipped *= speed_of(part.conform, look(part.film, sound=False), self._rate)
        values = {"record_in": first + self._shift, "record_out": behind + self._shift}
        return part.model_copy(update={**values, "source_in": part.source_in + skipped})

    def track(self, inner: PictureTrack) -> tuple[list[Clip], list[Transition]]:
        """The clips and transitions of a picture track that are inside.

        Raises:
            AiprodError: it begins or ends within a transition.
        """
        moved = [self._moved(clip) for clip in inner.clips]
        transitions = []
        for move in inner.transitions:
            if move.record_out <= self.begin or move.record_in >= self.behind:
                continue
            sides = [moved[n] for n in inner.around(move) if n is not None]
            if move.record_in < self.begin or move.record_out > self.behind or None in sides:
                raise AiprodError(f"{self._what} begins or ends within a transition", "move its edge, or flatten it")
            values = {"record_in": move.record_in + self._shift, "record_out": move.record_out + self._shift}
            transitions.append(move.model_copy(update=values))
        return [clip for clip in moved if clip is not None], transitions

    def sounds(self, inner: Sequence[Sound]) -> Iterator[Sound]:
        """The sounds that are inside.

        Raises:
            AiprodError: it begins or ends within a fade.
        """
        for sound in inner:
            moved = self._moved(sound)
            if moved is None:
                continue
            fades = {}
            for fade, cut in (("fade_in", self.begin - sound.record_in), ("fade_out", sound.record_out - self.behind)):
                length = getattr(sound, fade)
                if 0 < cut < length:
                    raise AiprodError(f"{self._what} begins or ends within a fade", "move its edge, or flatten it")
                fades[fade] = 0 if cut > 0 else length
            yield moved.model_copy(update=fades)

    def check_handles(self, inner: Sequence[PictureTrack], before: int, after: int) -> None:
        """See that what a transition shows beyond the edges is the clip at the edge.

        Args:
            before, after: frames that transitions of the outer sequence reach beyond its begin and its end.

        Raises:
            AiprodError: another clip, a transition or nothing is there, or several tracks would have to change at once.
        """
        for lead, first, behind in (
            (before, self.begin - before, self.begin + 1),
            (after, self.behind - 1, self.behind + after),
        ):
            tracks = [t for t in inner if any(c.record_in < behind and c.record_out > first for c in t.clips)]
            alone = len(tracks) == 1 and any(
                clip.record_in <= first and clip.record_out >= behind for clip in tracks[0].clips
            )
            moves = (move for track in tracks for move in track.transitions)
            if lead and (not alone or any(move.record_in < behind and move.record_out > first for move in moves)):
                raise AiprodError(
                    f"{self._what}: a transition reaches {lead} frames beyond its edge, where it shows more than the "
                    "one clip there",
                    "shorten the transition, or flatten the sequence",
                )


def nested_in_place(data: bytes, rate: Fraction) -> tuple[str, Fraction]:
    """Final Cut Pro 7 XML in which nested sequences are where OpenTimelineIO's reader looks for them.

    Each ``clipitem`` that shows a sequence gets all of it, though the file defines it in another place, with its tracks
    one element higher than the format has them: the reader makes empty stacks of them otherwise. Of several sequences
    those that another one shows are left out, for they are parts of it.

    Args:
        rate: of the sequence, where it states none.

    Returns:
        The text, empty where no sequence is in another, and the outer sequence's rate, which the reader leaves out.

    Raises:
        AiprodError: a sequence shows itself, a file holds itself, or too many clips come of it.
        ParseError: it is no XML.
    """
    root = ElementTree.fromstring(data)  # noqa: S314 (bounded, and expat holds back entities that grow)
    shown = root.findall(".//clipitem/sequence")
    whole: dict[tuple[str, str], Element] = {}
    for element in root.iter():
        if element.tag in ("sequence", "file") and len(element) and "id" in element.attrib:
            whole.setdefault((element.tag, element.attrib["id"]), element)

    def defined(element: Element) -> Element:
        return whole.get((element.tag, element.get("id", "")), element)

    _check_within_itself(root, defined)
    _check_size(root, defined)
    for file in root.iter("file"):
        if not len(file):
            file.extend(list(defined(file)))
    parts = {id(element): _tracks_first(defined(element)) for element in shown}
    names = {element.attrib.pop("id", "") for element in shown}
    for element in shown:
        element[:] = parts[id(element)]
    for parent in (root, *root.iter("children")):
        for sequence in parent.findall("sequence"):
            if sequence.get("id") in names:
                parent.remove(sequence)
    outer = next(root.iter("sequence"), root)
    timebase = outer.findtext("rate/timebase", "").strip()
    if timebase.isdigit() and int(timebase):
        ntsc = outer.findtext("rate/ntsc", "").strip().upper() == "TRUE"
        rate = Fraction(int(timebase) * 1000, 1001) if ntsc else Fraction(int(timebase))
    return ElementTree.tostring(root, encoding="unicode") if shown else "", rate


def _tracks_first(sequence: Element) -> list[Element]:
    media = sequence.find("media")
    return [*(part for part in sequence if part.tag != "media"), *(media if media is not None else ())]


def _check_within_itself(root: Element, defined: Callable[[Element], Element]) -> None:
    """Refuse what would be part of itself, wherever in it its id stands, before ids are replaced by what they name."""
    open_now: set[int] = set()
    done: set[int] = set()

    def enter(whole: Element) -> None:
        if id(whole) in open_now:
            named = whole.findtext("name") or whole.get("id")
            raise AiprodError(
                f"the {whole.tag} {named!r} {'shows' if whole.tag == 'sequence' else 'holds'} itself",
                "take it out of itself",
            )
        if id(whole) in done:
            return
        open_now.add(id(whole))
        for inner in whole.iter():
            if inner is not whole and inner.tag in ("sequence", "file"):
                enter(defined(inner))
        open_now.discard(id(whole))
        done.add(id(whole))

    try:
        for element in root.iter():
            if element.tag in ("sequence", "file"):
                enter(defined(element))
    except RecursionError:
        raise AiprodError("its sequences and files are nested too deeply", "flatten some of them") from None


def _check_size(root: Element, defined: Callable[[Element], Element]) -> None:
    """Refuse sequences, none of which shows itself, that show each other so often that no computer holds what comes of
    it."""
    sizes: dict[int, int] = {}

    def size(sequence: Element) -> int:
        key = id(sequence)
        if key not in sizes:
            sizes[key] = sum(1 + sum(map(size, inner)) for inner in items(sequence))
        return sizes[key]

    def items(sequence: Element) -> Iterator[list[Element]]:
        for item in sequence.iterfind("./media/*/track/clipitem"):
            yield [defined(inner) for inner in item.iterfind("sequence")]

    try:
        most = max((size(sequence) for sequence in root.iter("sequence") if len(sequence)), default=0)
    except RecursionError:
        most = _MOST_ITEMS + 1
    if most > _MOST_ITEMS:
        raise AiprodError(f"its nested sequences come to more than {_MOST_ITEMS:,} clips", "flatten some of them")
