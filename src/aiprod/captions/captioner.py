"""What a captioner is given, what it answers, and what every captioner does."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from aiprod.captions.content import Content
from aiprod.errors import per_item

if TYPE_CHECKING:
    from aiprod.captions.params import CaptionParams


@dataclass(frozen=True)
class Subject:
    """One clip to describe.

    Attributes:
        measurements: of quality control, check → figures.
        title, description, labels: what the source declares about the film.
        scene: the declared ground truth of the clip's scene; the demo corpus has it.
        whole_film: whether the clip is the film's only one, so that what is declared of the film holds for it.
        path: the processed file, for captioners that look at pictures; None where there is none.
        private: whether the film holds personal data, or nothing says that it does not.
    """

    clip_id: str
    measurements: Mapping[str, Mapping[str, Any]]
    title: str | None = None
    description: str | None = None
    labels: tuple[str, ...] = ()
    scene: Mapping[str, Any] | None = None
    whole_film: bool = True
    path: Path | None = None
    private: bool = False


@dataclass(frozen=True)
class Draft:
    """A caption before it becomes a row.

    Attributes:
        confidence: share of its statements that are declared or rest on a measurement that could be made; None where
            the captioner cannot say.
        content: its claims with their evidence.
    """

    caption: str
    tags: tuple[str, ...] = ()
    confidence: float | None = None
    content: Content = field(default_factory=Content)


class Captioner(ABC):
    """Writes captions. The same subjects give the same captions.

    A new captioner is a subclass in a module of its own and one line in :mod:`aiprod.captions.registry`. The values
    of ``caption.captioner``, the help of ``aiprod caption`` and the documentation derive from that line.

    Attributes:
        name: its name in ``caption.captioner``.
        summary: one line for messages and documentation.
        looks: whether it looks at pictures, and not only at what was measured.
        batch: how many subjects it is given at a time.
        computes: whether it computes answers itself, so that workers of an engine can; false where a server does.
        version: changes whenever the same subject may get another caption by the same seed and statements.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    looks: ClassVar[bool] = False
    batch: int = 64
    computes: ClassVar[bool] = True
    version: str

    @classmethod
    @abstractmethod
    def begin(cls, params: CaptionParams) -> Self:
        """The captioner that the parameters describe; a model is not loaded before it is needed.

        Raises:
            AiprodError: what it needs is not named, not there or does not work.
        """

    def load(self) -> None:
        """Load what describing needs, such as a model. Whoever only asks for versions and refusals need not.

        Raises:
            AiprodError: it does not load.
        """
        return

    @abstractmethod
    def describe(self, subjects: Sequence[Subject]) -> list[Draft]:
        """A draft for each subject, in order."""

    def refusal(self, subject: Subject) -> str | None:
        """Why this clip is left to the rule-based captioner; None where it is not."""
        return None

    def answers(self, subjects: Sequence[Subject]) -> Iterator[tuple[Subject, Draft | str]]:
        """Each subject with its draft, or with the reason why there is none; in any order, as they become known.

        One subject that cannot be described costs its own draft and no other's.

        Raises:
            AiprodError: as :meth:`load`.
        """
        if subjects:
            self.load()
        for start in range(0, len(subjects), self.batch):
            yield from self._part(subjects[start : start + self.batch])

    def _part(self, subjects: Sequence[Subject]) -> Iterator[tuple[Subject, Draft | str]]:
        try:
            drafts = self.describe(subjects)
        except Exception as error:  # a captioner may be anybody's
            words = per_item(error, f"the captioner {self.name!r}")
            if len(subjects) == 1:
                yield subjects[0], words
                return
            for subject in subjects:
                yield from self._part([subject])
            return
        yield from zip(subjects, drafts, strict=True)
