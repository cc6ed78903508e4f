"""What checks count for under each profile of the policy, as data. ``docs/policy_profiles.md`` shows the same.

``strict`` is the founding policy: every check counts as weights and lists of ``qc_decide`` say. ``modern`` is for
film that the pipeline normalises: what ingest changes anyway is a note, and what a person has to decide is a matter of
review, which costs no score. Weights, thresholds and all other limits are the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

NOTE: Final = "note"
REVIEW: Final = "review"

MODERN: Mapping[str, tuple[str, str]] = {
    "codec": (NOTE, "ingest encodes every clip anew, as H.264"),
    "aspect": (NOTE, "latents are made by size, and any shape can be trained on"),
    "fps": (NOTE, "ingest makes the intervals even and keeps the rate, which training reads"),
    "sound_codec": (NOTE, "ingest encodes sound as AAC"),
    "sound_bitrate": (NOTE, "ingest encodes sound anew; what it lost before is for `audio` to hear"),
    "resolution": (REVIEW, "small film can be good film: somebody has to look"),
    "faces": (REVIEW, "a face is no fault: it is a matter of privacy"),
}
"""Check → what it counts for, and why."""

ROLES: Mapping[str, Mapping[str, str]] = {
    "strict": {},
    "modern": {name: role for name, (role, _) in MODERN.items()},
}
"""Profile → check → :data:`NOTE` (said, and holds nothing up) or :data:`REVIEW` (holds, and costs no score)."""
