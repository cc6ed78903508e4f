"""A consent record as a person may have given it, for tests."""

from __future__ import annotations

from typing import Any

GIVEN: dict[str, Any] = {
    "schema_version": "ISO/IEC TS 27560:2023",
    "record_id": "2026-014",
    "pii_principal_id": "s-7f3a91",
    "pii_processing": {
        "privacy_notice": "notice-2026-01",
        "language": "en",
        "pii_controllers": ["Example Film Ltd"],
        "purposes": [
            {
                "purpose": "train-generative-models",
                "pii_information": ["face"],
                "retention_period": "until withdrawn",
                "jurisdiction": "EU",
                "withdrawal_method": "e-mail",
            }
        ],
    },
    "events": [
        {
            "event_time": "2026-01-12T10:00:00Z",
            "event_state": "given",
            "valid_until": "2028-01-12",
            "entity_id": "s-7f3a91",
        }
    ],
}
