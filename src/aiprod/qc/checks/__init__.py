"""The checks. A new one is a file here and its name in the two lists below; everything else follows from them.

A module may define measurements (:class:`aiprod.qc.measurement.Measurement`) and ``RULES``, which judge them. Measuring
runs the measurements in the order of their needs; deciding, the policy's names, reports and documentation go by the
rules. ``aiprod.qc.units`` tells when a changed file must raise its ``VERSION``.
"""

from __future__ import annotations

from aiprod.qc.checks import (
    audio_defects,
    audio_events,
    black,
    borders,
    camera,
    decodable,
    encoding,
    faces,
    fingerprint,
    flicker,
    freeze,
    geometry,
    lip_sync,
    loudness,
    motion,
    movement,
    nsfw,
    ocr,
    palette,
    persons,
    shots,
    snr,
    sync,
    timing,
    voices,
    watermark,
)
from aiprod.qc.checks.discovery import measurements_of, rules_of
from aiprod.qc.checks.judging import Rule
from aiprod.qc.measurement import Measurement

_MODULES = (
    # The order in which verdicts tell what they object to, among checks of the same weight.
    borders,
    black,
    watermark,
    timing,
    freeze,
    sync,
    encoding,
    faces,
    loudness,
    geometry,
    decodable,
    motion,
    shots,
    nsfw,
    ocr,
    persons,
    flicker,
    camera,
    palette,
    audio_defects,
    snr,
    audio_events,
    voices,
    lip_sync,
    movement,
    fingerprint,
)

MEASUREMENTS: dict[str, type[Measurement]] = measurements_of(_MODULES)
"""By name, each after those that it needs."""
RULES: dict[str, Rule] = rules_of(_MODULES)
"""By name, in the order in which verdicts tell them."""
WEIGHTED = tuple(name for name, rule in RULES.items() if rule.weight is not None)
"""The checks that the policy's score weights."""
